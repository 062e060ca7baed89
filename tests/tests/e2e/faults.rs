//! Faults between a device and a real server process, by their number in the failure catalogue.

use std::sync::Arc;
use std::time::Duration;

use syncline::call::{Call, ErrorCode, Push, Pushed, Reply};
use syncline::client::{CallError, Transport};
use syncline::oplog::{Op, Verdict};
use syncline::{Cursor, LogId, RequestId};
use syncline_tests::rig::postgres;
use syncline_transport_http::client::{ClientOptions, HttpClient};

use super::device::{Device, landed};
use super::meddler::Meddler;
use syncline_tests::rig::server::{Process, TOKEN};

/// A server on SQLite, and one on Postgres: every fault meets both.
fn on_both_stores<F: Future<Output = ()>>(fault: impl Fn(Arc<Process>) -> F) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let postgres = format!("postgres:{}", postgres::fresh_schema_url().await);
        for store in [None, Some(postgres.as_str())] {
            let data = tempfile::tempdir().expect("a folder");
            fault(Arc::new(Process::start(data.path(), store))).await;
        }
    });
}

fn client(url: &str) -> Arc<HttpClient> {
    Arc::new(HttpClient::new(ClientOptions::new(url, TOKEN)).expect("a client"))
}

fn device(number: u8, log: LogId, url: &str) -> Device {
    Device::new(number, log, vec![client(url) as Arc<dyn Transport>])
}

fn push_call(log: LogId, request: Option<[u8; 16]>, ops: Vec<Op>) -> Call {
    let request = request.map(RequestId::from_bytes);
    Call::Push(Push { log, request, cursor: None, atomic: false, ops })
}

async fn pushed(client: &HttpClient, call: Call) -> Pushed {
    match client.call(call).await {
        Ok(Reply::Pushed(pushed)) => pushed,
        other => panic!("not an answer to a push: {other:?}"),
    }
}

async fn count(device: &mut Device) -> usize {
    let mut read = 0;
    loop {
        let page = device.pull(1).await;
        read += page.ops.len();
        if !page.more {
            return read;
        }
    }
}

#[test]
fn fault_w01_duplicate_delivery_has_one_effect() {
    on_both_stores(|server| async move {
        let log = LogId::from_bytes([1; 16]);
        let mut author = device(1, log, &server.url);
        let op = author.write("notes", [1; 16], b"{}".to_vec());
        let again = (0..5).map(|_| {
            let (client, op) = (client(&server.url), op.clone());
            tokio::spawn(async move { pushed(&client, push_call(log, None, vec![op])).await.verdicts })
        });
        let mut verdicts = Vec::new();
        for answer in again.collect::<Vec<_>>() {
            verdicts.extend(answer.await.expect("answered"));
        }
        let accepted = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Accepted { .. })).count();
        assert_eq!((accepted, landed(&verdicts)), (1, 5));
        assert_eq!(count(&mut author).await, 1);
    });
}

#[test]
fn fault_w03_a_request_that_arrives_after_its_retry_has_one_effect() {
    on_both_stores(|server| async move {
        let meddler = Meddler::before(&server.url).await;
        let log = LogId::from_bytes([3; 16]);
        let mut author = device(1, log, &server.url);
        let ops = vec![author.write("notes", [1; 16], b"{}".to_vec())];
        meddler.hold(true);
        let slow = client(&meddler.url);
        let held = {
            let call = push_call(log, Some([3; 16]), ops.clone());
            tokio::spawn(async move { pushed(&slow, call).await })
        };
        let retried = pushed(&client(&server.url), push_call(log, Some([3; 16]), ops)).await;
        meddler.hold(false);
        let late = held.await.expect("answered");
        assert_eq!(late.verdicts, retried.verdicts);
        assert_eq!((late.replayed, retried.replayed), (true, false));
        assert_eq!(count(&mut author).await, 1);
    });
}

#[test]
fn fault_w04_an_answer_lost_after_the_commit_is_given_again() {
    on_both_stores(|server| async move {
        let meddler = Meddler::before(&server.url).await;
        let log = LogId::from_bytes([4; 16]);
        let mut author = device(1, log, &server.url);
        for round in 1..=50_u8 {
            let call = push_call(log, Some([round; 16]), vec![author.write("notes", [round; 16], b"{}".to_vec())]);
            let client = client(&meddler.url);
            meddler.lose_next_answer();
            let lost = client.call(call.clone()).await;
            assert!(matches!(lost, Err(CallError::Interrupted(_))), "{lost:?}");
            let again = pushed(&client, call).await;
            assert_eq!((landed(&again.verdicts), again.replayed), (1, true), "it had been done");
        }
        assert_eq!(count(&mut author).await, 50);
    });
}

#[test]
fn fault_s01_killed_between_commit_and_answer_the_retry_gets_the_same_seqs() {
    on_both_stores(|server| async move {
        let meddler = Meddler::before(&server.url).await;
        let log = LogId::from_bytes([5; 16]);
        let mut author = device(1, log, &server.url);
        for round in 1..=5_u8 {
            let ops: Vec<Op> = (0..3).map(|_| author.write("notes", [round; 16], b"{}".to_vec())).collect();
            let call = push_call(log, Some([round; 16]), ops);
            meddler.lose_next_answer();
            let cut = {
                let (client, call) = (client(&meddler.url), call.clone());
                tokio::spawn(async move { client.call(call).await })
            };
            meddler.lost().await;
            server.kill();
            assert!(cut.await.expect("ended").is_err());
            server.run();
            let again = pushed(&client(&server.url), call).await;
            assert!(again.replayed, "what was committed survives the kill, receipt and all");
            let first = u64::from(round - 1) * 3 + 1;
            let seqs: Vec<u64> = again.verdicts.iter().filter_map(Verdict::seq).map(|seq| seq.get()).collect();
            assert_eq!(seqs, [first, first + 1, first + 2]);
        }
        assert_eq!(count(&mut author).await, 15);
    });
}

/// Kills closer and closer to the instant at which a push is there: one that came before it waits longer next time, one that
/// came after it not so long.
#[test]
fn fault_s02_killed_at_any_instant_a_batch_is_there_whole_or_not_at_all() {
    on_both_stores(|server| async move {
        let log = LogId::from_bytes([6; 16]);
        let mut author = device(1, log, &server.url);
        let (mut delay, mut before, mut after) = (Duration::from_millis(4), 0, 0);
        for round in 1..=20_u8 {
            let ops: Vec<Op> = (0..50).map(|_| author.write("notes", [round; 16], vec![b'1'; 200])).collect();
            let call = push_call(log, Some([round; 16]), ops);
            let cut = {
                let (client, call) = (client(&server.url), call.clone());
                tokio::spawn(async move { client.call(call).await })
            };
            tokio::time::sleep(delay).await;
            server.kill();
            let answered = cut.await.expect("ended").is_ok();
            server.run();
            let mut reader = device(99, log, &server.url);
            let there = count(&mut reader).await;
            assert!(there.is_multiple_of(50), "part of a batch is there: {there}");
            if there == usize::from(round) * 50 {
                (after, delay) = (after + 1, delay.mul_f64(0.6));
            } else {
                (before, delay) = (before + 1, delay.mul_f64(1.4));
            }
            let again = pushed(&client(&server.url), call).await;
            assert_eq!(landed(&again.verdicts), 50);
            assert!(!answered || again.replayed, "an acknowledged batch was lost");
        }
        assert_eq!(count(&mut author).await, 1_000);
        assert!(before > 0 && after > 0, "{before} kills came before the commit and {after} after it");
    });
}

#[test]
fn fault_s03_the_same_batch_pushed_twice_at_once_has_one_effect() {
    on_both_stores(|server| async move {
        let log = LogId::from_bytes([7; 16]);
        let mut author = device(1, log, &server.url);
        for round in 1..=50_u8 {
            let ops: Vec<Op> = (0..3).map(|_| author.write("notes", [round; 16], b"{}".to_vec())).collect();
            let both = [(), ()].map(|()| {
                let (client, call) = (client(&server.url), push_call(log, Some([round; 16]), ops.clone()));
                tokio::spawn(async move { pushed(&client, call).await })
            });
            let [one, two] = both;
            let (one, two) = (one.await.expect("answered"), two.await.expect("answered"));
            assert_eq!(one.verdicts, two.verdicts);
            assert_ne!(one.replayed, two.replayed);
        }
        assert_eq!(count(&mut author).await, 150);
    });
}

#[test]
fn fault_s15_a_hole_on_sqlite_stops_that_log_and_no_other() {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let data = tempfile::tempdir().expect("a folder");
        let server = Process::start(data.path(), None);
        let (log, other) = (LogId::from_bytes([8; 16]), LogId::from_bytes([9; 16]));
        fill(&server, log, other).await;
        server.kill();
        let file = rusqlite::Connection::open(data.path().join("syncline.db")).expect("the store's file");
        let gone = file.execute(
            "DELETE FROM op WHERE seq = 5 AND log = (SELECT id FROM log WHERE log = ?1)",
            [log.as_bytes().as_slice()],
        );
        assert_eq!(gone.expect("deleted"), 1);
        drop(file);
        server.run();
        stopped(&server, log, other).await;
    });
}

#[test]
fn fault_s15_a_hole_on_postgres_stops_that_log_and_no_other() {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let data = tempfile::tempdir().expect("a folder");
        let url = postgres::fresh_schema_url().await;
        let server = Process::start(data.path(), Some(&format!("postgres:{url}")));
        let (log, other) = (LogId::from_bytes([8; 16]), LogId::from_bytes([9; 16]));
        fill(&server, log, other).await;
        let pool = sqlx::PgPool::connect(&url).await.expect("the database");
        let gone = sqlx::query("DELETE FROM op WHERE seq = 5 AND log = (SELECT id FROM log WHERE log = $1)")
            .bind(log.as_bytes().as_slice())
            .execute(&pool)
            .await
            .expect("deleted");
        assert_eq!(gone.rows_affected(), 1);
        stopped(&server, log, other).await;
    });
}

async fn fill(server: &Process, log: LogId, other: LogId) {
    for log in [log, other] {
        let mut author = device(1, log, &server.url);
        let ops = (0..10).map(|n| author.write("notes", [n; 16], b"{}".to_vec())).collect();
        assert_eq!(landed(&author.push(ops, 1).await.verdicts), 10);
    }
}

async fn stopped(server: &Process, log: LogId, other: LogId) {
    let client = client(&server.url);
    let read = client.call(Call::Pull { log, cursor: Cursor::START, limit: Default::default() }).await;
    assert_eq!(code(read), ErrorCode::GapHole, "a hole is never stepped over");
    let mut late = device(2, log, &server.url);
    let write = client.call(push_call(log, None, vec![late.write("notes", [1; 16], b"{}".to_vec())])).await;
    assert_eq!(code(write), ErrorCode::LogDamaged);
    let mut reader = device(3, other, &server.url);
    assert_eq!(count(&mut reader).await, 10);
    let op = reader.write("notes", [1; 16], b"{}".to_vec());
    assert_eq!(landed(&reader.push(vec![op], 1).await.verdicts), 1);
}

fn code(answer: Result<Reply, CallError>) -> ErrorCode {
    match answer {
        Err(CallError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}
