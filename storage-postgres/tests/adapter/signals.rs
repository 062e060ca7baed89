//! Two fan-outs on one schema stand for two server processes.

use std::time::Duration;

use bytes::Bytes;
use sqlx::{Connection as _, PgConnection};
use syncline::conformance::support::log;
use syncline::store::{Fanout as _, Interest, Signal, SignalSource};
use syncline::{ReplicaId, Seq};
use syncline_storage_postgres::{EPHEMERAL_BYTES_MAX, PostgresFanout, PostgresOptions, SignalTooLarge};
use syncline_tests::rig::postgres::fresh_schema_url;
use tokio::time::timeout;

fn wake(number: u8, seq: u64) -> Signal {
    Signal::Wake { log: log(number), seq: Seq::new(seq).unwrap() }
}

fn ephemeral(bytes: usize) -> Signal {
    Signal::Ephemeral { log: log(1), from: ReplicaId::from_bytes([3; 16]), payload: Bytes::from(vec![7; bytes]) }
}

async fn next(source: &mut Box<dyn SignalSource>) -> Signal {
    timeout(Duration::from_secs(20), source.next()).await.unwrap().unwrap()
}

async fn pair() -> (PostgresFanout, PostgresFanout, String) {
    let url = fresh_schema_url().await;
    let options = PostgresOptions::new(format!("{url}&application_name={}", &url[url.len() - 16..]));
    let one = PostgresFanout::connect(&options).await.unwrap();
    (one, PostgresFanout::connect(&options).await.unwrap(), url)
}

#[tokio::test]
async fn a_signal_reaches_this_process_and_the_other_once() {
    let (one, two, _) = pair().await;
    let mut here = one.subscribe(Interest::Logs(vec![log(1)])).await.unwrap();
    let mut there = two.subscribe(Interest::Logs(vec![log(1)])).await.unwrap();
    one.publish(wake(2, 9)).await.unwrap();
    one.publish(wake(1, 4)).await.unwrap();
    for source in [&mut here, &mut there] {
        assert_eq!(next(source).await, wake(1, 4));
    }
    one.publish(ephemeral(5)).await.unwrap();
    // From the other side, behind it: an echo of the first would come in between.
    for source in [&mut here, &mut there] {
        assert_eq!(next(source).await, ephemeral(5));
    }
    two.publish(ephemeral(6)).await.unwrap();
    for source in [&mut here, &mut there] {
        assert_eq!(next(source).await, ephemeral(6));
    }
}

#[tokio::test]
async fn an_ephemeral_is_relayed_up_to_its_limit_and_refused_above() {
    let (one, two, _) = pair().await;
    let mut there = two.subscribe(Interest::Everything).await.unwrap();
    for bytes in [0, EPHEMERAL_BYTES_MAX - 1, EPHEMERAL_BYTES_MAX] {
        one.publish(ephemeral(bytes)).await.unwrap();
        assert_eq!(next(&mut there).await, ephemeral(bytes));
    }
    let refused = one.publish(ephemeral(EPHEMERAL_BYTES_MAX + 1)).await.unwrap_err();
    let refused = refused.0.downcast_ref::<SignalTooLarge>().copied();
    assert_eq!(refused, Some(SignalTooLarge(EPHEMERAL_BYTES_MAX + 1)));
}

/// Connections of the bus are cut; signals sent meanwhile may be lost, later ones arrive.
#[tokio::test]
async fn a_bus_that_was_cut_comes_back_by_itself() {
    let (one, two, url) = pair().await;
    let mut there = two.subscribe(Interest::Everything).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1")
        .bind(&url[url.len() - 16..])
        .fetch_all(&mut connection)
        .await
        .unwrap();
    // Each try is a wake of its own, until one comes through.
    let mut seq = 0;
    let arrived = loop {
        seq += 1;
        one.publish(wake(1, seq)).await.unwrap();
        if let Ok(signal) = timeout(Duration::from_millis(100), there.next()).await {
            break signal;
        }
        assert!(seq < 200, "the bus did not come back");
    };
    assert!(matches!(arrived, Some(Signal::Wake { .. })));
}
