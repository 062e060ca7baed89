//! The daily clean-up as devices meet it: what it takes away, what it never does, and who comes back after it. The day
//! is an argument; operations are as old as it says.

use std::time::Duration;

use serde_json::{Value, json};
use syncline::time::Timestamp;

use crate::rig::{Rig, User, codes, now, op};

fn in_days(days: u64) -> Timestamp {
    Timestamp::from_ms(now() + days * 86_400_000).expect("a time")
}

async fn seqs(user: &User<'_>, since: u64) -> (Vec<u64>, Value) {
    let page = user.get(&format!("/api/sync/ops?sinceSeq={since}")).await;
    let ops = page["ops"].as_array().expect("ops").iter();
    (ops.filter_map(|op| op["serverSeq"].as_u64()).collect(), page)
}

#[tokio::test]
async fn after_the_clean_up_an_old_device_is_told_and_served_and_numbers_go_on() {
    let rig = Rig::start().await;
    let (user, without) = (rig.user("a").await, rig.user("b").await);
    for account in [&user, &without] {
        for number in 1..=3 {
            let id = format!("op{number}");
            let made = account.upload("devA", json!([op(&id, "devA", &id, json!({"devA": number}))]), None).await;
            assert_eq!(codes(&made), ["accepted"]);
        }
    }
    // Built states are no operations: an account that has only those keeps all it has.
    without.get("/api/sync/snapshot").await;
    assert_eq!(user.import("devA", "recovery", json!({"task": {}})).await.json()["serverSeq"], 4);
    user.upload("devA", json!([op("op5", "devA", "op5", json!({"devA": 10}))]), None).await;
    let used = async || user.get("/api/sync/status").await["storageUsedBytes"].as_u64().expect("bytes");
    let before = used().await;

    assert_eq!(rig.dialect.clean_up(in_days(44)).await.expect("cleaned"), 0, "not yet");
    assert_eq!(rig.dialect.clean_up(in_days(46)).await.expect("cleaned"), 3);
    assert_eq!(rig.dialect.clean_up(in_days(46)).await.expect("cleaned"), 0, "it is done once");
    assert!(used().await < before, "what is gone takes no room");

    // Gap case 3, at its boundary: what stands before the full state is all that a device may lack.
    for (since, gap) in [(0, None), (1, Some(&json!(true))), (2, Some(&json!(true))), (3, None), (4, None)] {
        let (served, page) = seqs(&user, since).await;
        assert_eq!(page.get("gapDetected"), gap, "{since}: {page}");
        let expected: &[u64] = if since < 4 { &[4, 5] } else { &[5] };
        assert_eq!((served, &page["latestSeq"]), (expected.to_vec(), &json!(5)), "{since}");
        if since < 4 {
            assert_eq!((&page["latestSnapshotSeq"], &page["snapshotVectorClock"]), (&json!(4), &json!({"devA": 9})));
        }
    }
    assert_eq!(seqs(&without, 0).await.0, [1, 2, 3], "nothing stands in for them");
    assert_eq!(without.get("/api/sync/restore/2").await["serverSeq"], 2);

    // Even when everything but the state is long gone, the next number is the next one, and old ids are known.
    let next = user.upload("devA", json!([op("op6", "devA", "op6", json!({"devA": 11}))]), Some(5)).await;
    assert_eq!((&next["results"][0]["serverSeq"], &next["latestSeq"]), (&json!(6), &json!(6)));
    let again = user.upload("devA", json!([op("op1", "devA", "op1", json!({"devA": 1}))]), None).await;
    assert_eq!(codes(&again), ["DUPLICATE_OPERATION"]);
    assert_eq!(user.get("/api/sync/status").await["latestSeq"], 6);
}

#[tokio::test]
async fn several_servers_may_clean_up_at_once() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    for number in 1..=20 {
        let id = format!("op{number}");
        user.upload("devA", json!([op(&id, "devA", &id, json!({"devA": number}))]), None).await;
    }
    user.import("devA", "recovery", json!({})).await;
    let day = in_days(46);
    let cleaned = futures_util::future::join_all((0..4).map(|_| rig.dialect.clean_up(day)));
    let gone: u64 = tokio::time::timeout(Duration::from_secs(30), cleaned)
        .await
        .expect("an end")
        .into_iter()
        .map(|gone| gone.expect("cleaned"))
        .sum();
    assert_eq!((gone, seqs(&user, 0).await.0), (20, vec![21]));
}
