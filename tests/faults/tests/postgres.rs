//! The Postgres rows of the failure catalogue, each on real servers that really fail.
//!
//! A writer here does what a client does: it keeps a batch and repeats it, ids and all, until it has an answer. What it
//! was told is stored must be stored; what it repeated must be stored once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use syncline::conformance::author::Author;
use syncline::conformance::support::{all_ops, env, log, plain, push, try_upload, verdicts};
use syncline::decide::{Reads, Scope, Step};
use syncline::oplog::{Op, OpKind, Verdict};
use syncline::store::{PageLimit, Store, StoreError, StoreErrorKind};
use syncline::{OpId, Seq};
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_tests::rig::bouncer::Bouncer;
use syncline_tests::rig::postgres::{Cluster, Durability, fresh_schema_url};
use syncline_tests::rig::proxy::{Cut, Proxy};

async fn open(url: &str) -> PostgresStore {
    PostgresStore::connect(&PostgresOptions::new(url)).await.unwrap()
}

/// The next ops of an author, on entities that others write too.
fn ops(author: &mut Author, count: u8) -> Vec<Op> {
    (0..count).map(|entity| author.op(OpKind::Update, "merge", entity, "content")).collect()
}

async fn attempt(store: &dyn Store, ops: &[Op]) -> Result<Vec<Verdict>, StoreError> {
    try_upload(store, plain(log(1), ops), env(7)).await.map(verdicts)
}

/// Repeats a batch until it is answered; how often it was told what.
async fn insist(store: &dyn Store, ops: &[Op]) -> Vec<StoreErrorKind> {
    let mut told = Vec::new();
    loop {
        match attempt(store, ops).await {
            Ok(verdicts) => {
                assert!(verdicts.iter().all(|verdict| verdict.seq().is_some()), "{verdicts:?}");
                return told;
            }
            Err(error) => {
                let transient = [StoreErrorKind::OutcomeUnknown, StoreErrorKind::Unavailable, StoreErrorKind::Busy];
                assert!(transient.contains(&error.kind()), "{error}: {:?}", std::error::Error::source(&error));
                told.push(error.kind());
                // A server that is away refuses at once; give it a moment to come back.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// The log holds exactly these ops, each once, in dense order and with a sound chain of anchors.
async fn assert_stored_once(store: &dyn Store, expected: &BTreeSet<OpId>) {
    let stored = all_ops(store, log(1)).await;
    let ids: BTreeSet<OpId> = stored.iter().map(|logged| logged.op.id()).collect();
    assert_eq!(stored.len(), expected.len(), "nothing twice");
    assert_eq!(ids, *expected, "nothing lost and nothing else");
    let dense = stored.iter().zip(1..).all(|(logged, seq)| logged.seq.get() == seq);
    assert!(dense, "seqs without a hole");
}

/// Several writers, each with its own batches one after the other.
async fn write_all(stores: &[Arc<PostgresStore>], writers: u8, batches: usize) -> (BTreeSet<OpId>, usize) {
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = Arc::clone(&stores[usize::from(writer) % stores.len()]);
            tokio::spawn(async move {
                let mut author = Author::new(writer + 1);
                let (mut written, mut failures) = (Vec::new(), 0);
                for _ in 0..batches {
                    let batch = ops(&mut author, 3);
                    failures += insist(&*store, &batch).await.len();
                    written.extend(batch.iter().map(Op::id));
                }
                (written, failures)
            })
        })
        .collect();
    let (mut written, mut failures) = (BTreeSet::new(), 0);
    for task in tasks {
        let (ids, failed) = task.await.unwrap();
        written.extend(ids);
        failures += failed;
    }
    (written, failures)
}

/// P1: backends that work on a transaction are terminated at random, some while they commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p01_a_terminated_backend_loses_nothing_acknowledged() {
    let url = fresh_schema_url().await;
    let name = url[url.len() - 16..].to_owned();
    let store = Arc::new(open(&format!("{url}&application_name={name}")).await);
    let done = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&done);
    let assassin_url = url.clone();
    let assassin = tokio::spawn(async move {
        let mut connection = PgConnection::connect(&assassin_url).await.unwrap();
        let mut kills = 0;
        while !over.load(Ordering::SeqCst) {
            let killed = sqlx::query(
                "SELECT pg_terminate_backend(pid), pg_sleep(0.02 * random()) FROM pg_stat_activity \
                 WHERE application_name = $1 AND state <> 'idle' ORDER BY random() LIMIT 1",
            );
            kills += killed.bind(&name).fetch_all(&mut connection).await.unwrap().len();
        }
        kills
    });
    let (written, _) = write_all(&[Arc::clone(&store)], 4, 60).await;
    done.store(true, Ordering::SeqCst);
    let kills = assassin.await.unwrap();
    assert!(kills >= 20, "only {kills} backends were terminated");
    assert_stored_once(&open(&url).await, &written).await;
}

/// P2: the connection is cut between COMMIT and its answer, before or after the server saw it. The writer cannot know
/// which, is told so, and repeats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p02_an_unknown_commit_is_told_as_such_and_settled_by_the_same_ids() {
    let cluster = Cluster::start(Durability::None).unwrap();
    let proxy = Proxy::before(cluster.socket_folder()).unwrap();
    let store = open(&proxy.url()).await;
    let mut author = Author::new(1);
    let mut written = BTreeSet::new();
    push(&store, log(1), &[]).await;
    for round in 0..200 {
        let batch = ops(&mut author, 2);
        written.extend(batch.iter().map(Op::id));
        let committed = round % 2 == 0;
        proxy.cut_next(if committed { Cut::Answer } else { Cut::Message });
        let error = attempt(&store, &batch).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "round {round}: {error}");
        let answer = attempt(&store, &batch).await.unwrap();
        let repeated = answer.iter().all(|verdict| matches!(verdict, Verdict::Duplicate { .. }));
        assert_eq!(repeated, committed, "round {round}: {answer:?}");
    }
    assert_eq!(proxy.cuts(), 200);
    assert_stored_once(&store, &written).await;
}

/// P3: the whole server dies as in a crash, three times, under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p03_acknowledged_ops_survive_a_crash_of_the_server() {
    let cluster = Arc::new(Cluster::start(Durability::Full).unwrap());
    let store = Arc::new(open(&cluster.url()).await);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (1..=3)
        .map(|number| {
            let (store, acknowledged, done) = (Arc::clone(&store), Arc::clone(&acknowledged), Arc::clone(&done));
            tokio::spawn(async move {
                let mut author = Author::new(number);
                let mut written = Vec::new();
                while !done.load(Ordering::SeqCst) {
                    let batch = ops(&mut author, 2);
                    insist(&*store, &batch).await;
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                    written.extend(batch.iter().map(Op::id));
                }
                written
            })
        })
        .collect();
    for crash in 1..=3 {
        while acknowledged.load(Ordering::SeqCst) < crash * 40 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let cluster = Arc::clone(&cluster);
        tokio::task::spawn_blocking(move || cluster.stop_immediate().and_then(|()| cluster.run()))
            .await
            .unwrap()
            .unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let mut written = BTreeSet::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    assert_stored_once(&open(&cluster.url()).await, &written).await;
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
    let mut author = Author::new(1);
    let first = ops(&mut author, 3);
    insist(&store, &first).await;

    let mut other = PgConnection::connect(&url).await.unwrap();
    let batch = ops(&mut author, 3);
    // On the log's row: nothing read yet. On the op table: bounds and reads done, writes under way.
    for lock in ["SELECT 1 FROM log FOR UPDATE", "LOCK TABLE op IN SHARE MODE"] {
        let mut holding = other.begin().await.unwrap();
        sqlx::query(lock).execute(&mut *holding).await.unwrap();
        assert_eq!(attempt(&store, &batch).await.unwrap_err().kind(), StoreErrorKind::Timeout, "{lock}");
        holding.rollback().await.unwrap();
        assert_stored_once(&store, &first.iter().map(Op::id).collect()).await;
    }
    insist(&store, &batch).await;
    assert_stored_once(&store, &first.iter().chain(&batch).map(Op::id).collect()).await;
}

/// P9: consecutive statements of a client meet different backends; nothing may rest on a session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_p09_a_pooler_in_transaction_mode_may_stand_between() {
    let cluster = Cluster::start(Durability::None).unwrap();
    let bouncer = Bouncer::before(&cluster).unwrap();
    let mut options = PostgresOptions::new(bouncer.url());
    options.statement_cache = false;
    let stores = [
        Arc::new(PostgresStore::connect(&options).await.unwrap()),
        Arc::new(PostgresStore::connect(&options).await.unwrap()),
    ];
    let (written, failures) = write_all(&stores, 8, 15).await;
    assert_eq!(failures, 0);
    assert_stored_once(&*stores[1], &written).await;
    let reads: Vec<_> = (0..16_u8)
        .map(|reader| {
            let store = Arc::clone(&stores[usize::from(reader) % 2]);
            tokio::spawn(async move { all_ops(&*store, log(1)).await.len() })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.unwrap(), written.len());
    }
}
