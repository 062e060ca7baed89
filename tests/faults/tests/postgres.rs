//! The Postgres rows of the failure catalogue, each on real servers that really fail.
//!
//! A writer here does what a client does: it keeps a batch and repeats it, ids and all, until it has an answer. What it
//! was told is stored must be stored; what it repeated must be stored once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use syncline::Seq;
use syncline::conformance::author::Author;
use syncline::conformance::support::{log, push};
use syncline::decide::{Reads, Scope, Step};
use syncline::oplog::Op;
use syncline::store::{PageLimit, Store, StoreErrorKind};
use syncline_faults::databases::{self, assert_stored_once, attempt, insist, open, ops, write_all};
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_tests::rig::postgres::fresh_schema_url;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p01_a_terminated_backend_loses_nothing_acknowledged() {
    assert!(databases::terminations(20).await >= 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p02_an_unknown_commit_is_told_as_such_and_settled_by_the_same_ids() {
    databases::unknown_outcomes(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p03_acknowledged_ops_survive_a_crash_of_the_server() {
    databases::immediate_stops(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p04_a_standby_that_is_behind_and_promoted_loses_nothing_that_any_replica_holds() {
    assert!(databases::failover::promotion().await > 0);
}

/// P5: two servers serve one log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p05_two_servers_never_give_out_the_same_seq() {
    let url = fresh_schema_url().await;
    let stores = [Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let (written, failures) = write_all(&stores, 8, 25).await;
    assert_eq!(failures, 0);
    assert_eq!(written.len(), 8 * 25 * 3);
    assert_stored_once(&*stores[0], &written).await;
}

/// P6: a hot log costs waiting, never a retry. Counted: every push took its four statements and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p06_a_hot_log_needs_no_retries() {
    let store = Arc::new(open(&fresh_schema_url().await).await);
    push(&*store, log(1), &ops(&mut Author::new(100), 1)).await;
    let before = store.statements();
    let (written, failures) = write_all(&[Arc::clone(&store)], 16, 10).await;
    assert_eq!((written.len(), failures), (480, 0));
    assert_eq!(store.statements() - before, 160 * 4);
}

/// P7: one connection, and somebody holds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p07_an_exhausted_pool_says_busy_and_recovers() {
    let mut options = PostgresOptions::new(fresh_schema_url().await);
    options.connections = 1;
    options.wait = Duration::from_millis(100);
    let store = Arc::new(PostgresStore::connect(&options).await.unwrap());
    let (holds, held) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel();
    let released = std::sync::Mutex::new(released);
    let holder = Arc::clone(&store);
    let holding = tokio::spawn(async move {
        let decision = Arc::new(move |_: &syncline::decide::View| {
            holds.send(()).unwrap();
            // Not only this call but its thread waits; let the runtime have another one.
            tokio::task::block_in_place(|| released.lock().unwrap().recv().unwrap());
            Step::Abort
        });
        holder.transact(Scope::log(log(1), Reads::default()), decision).await
    });
    tokio::task::spawn_blocking(move || held.recv().unwrap()).await.unwrap();

    let batch = ops(&mut Author::new(1), 1);
    assert_eq!(attempt(&*store, &batch).await.unwrap_err().kind(), StoreErrorKind::Busy);
    let read = store.ops_after(log(1), Seq::ZERO, PageLimit::default()).await;
    assert_eq!(read.unwrap_err().kind(), StoreErrorKind::Busy);
    release.send(()).unwrap();
    assert!(!holding.await.unwrap().unwrap());
    assert_eq!(insist(&*store, &batch).await, []);
}

/// P7: calls that are given up half-way leave their connections clean or closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p07_calls_given_up_leak_no_connection_and_no_lock() {
    let mut options = PostgresOptions::new(fresh_schema_url().await);
    options.connections = 2;
    let store = PostgresStore::connect(&options).await.unwrap();
    let mut author = Author::new(1);
    let first = ops(&mut author, 1);
    insist(&store, &first).await;
    let batch = ops(&mut author, 20);
    for steps in 0..60 {
        // Poll the call a few times, then drop it where it stands.
        let mut call = Box::pin(attempt(&store, &batch));
        let mut polls = 0;
        let given_up = std::future::poll_fn(|context| {
            polls += 1;
            if polls > steps { std::task::Poll::Ready(()) } else { call.as_mut().poll(context).map(|_| ()) }
        });
        given_up.await;
    }
    insist(&store, &batch).await;
    let written = first.iter().chain(&batch).map(Op::id).collect();
    assert_stored_once(&store, &written).await;
}

/// P8: a push waits for a lock longer than it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p08_a_push_cut_off_by_a_timeout_leaves_no_half_state() {
    let url = fresh_schema_url().await;
    let mut options = PostgresOptions::new(&*url);
    options.timeout = Duration::from_millis(300);
    let store = PostgresStore::connect(&options).await.unwrap();
    // What waits for no lock is not in a hurry.
    let patient = open(&url).await;
    let mut author = Author::new(1);
    let first = ops(&mut author, 3);
    insist(&patient, &first).await;

    let mut other = PgConnection::connect(&url).await.unwrap();
    let batch = ops(&mut author, 3);
    // On the log's row: nothing read yet. On the op table: bounds and reads done, writes under way.
    for lock in ["SELECT 1 FROM log FOR UPDATE", "LOCK TABLE op IN SHARE MODE"] {
        let mut holding = other.begin().await.unwrap();
        sqlx::query(lock).execute(&mut *holding).await.unwrap();
        assert_eq!(attempt(&store, &batch).await.unwrap_err().kind(), StoreErrorKind::Timeout, "{lock}");
        holding.rollback().await.unwrap();
        assert_stored_once(&patient, &first.iter().map(Op::id).collect()).await;
    }
    insist(&patient, &batch).await;
    assert_stored_once(&patient, &first.iter().chain(&batch).map(Op::id).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p08_whatever_takes_longer_than_a_millisecond_is_there_whole_or_not_at_all() {
    assert!(databases::timeouts(100).await > 0, "nothing took longer than a millisecond");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p09_a_pooler_in_transaction_mode_may_stand_between() {
    databases::pooled(8, 15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p13_a_full_disk_refuses_and_loses_nothing_and_it_goes_on_with_room() {
    databases::space::full(2).await;
}
