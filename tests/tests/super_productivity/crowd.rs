//! Eight devices of one account upload at the same instant, a hundred rounds: ten accounts of ten rounds each, because
//! an account may upload a hundred times a minute.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::ops::update;
use super::world::{World, on_both};

const DEVICES: u64 = 8;
const ACCOUNTS: u64 = 10;
const ROUNDS: u64 = 10;

on_both!(
    a_crowd,
    eight_devices_at_once_a_hundred_rounds_on_sqlite,
    eight_devices_at_once_a_hundred_rounds_on_two_servers
);

/// Every op is accepted and numbered once, nobody sees an internal error.
async fn a_crowd(world: &World) {
    for account in 0..ACCOUNTS {
        let api = world.account(&format!("crowd{account}")).await;
        let barrier = Arc::new(Barrier::new(usize::try_from(DEVICES).expect("few")));
        let mut devices = JoinSet::new();
        for device in 0..DEVICES {
            let api = if device % 2 == 0 { api.clone() } else { world.elsewhere(&api) };
            let barrier = barrier.clone();
            devices.spawn(async move {
                let (name, mut cursor, mut seqs) = (format!("device{device}"), 0, Vec::new());
                for round in 1..=ROUNDS {
                    let id = format!("{name}-{round}");
                    let op = update(&id, &name, &id, &json!({ &name: round }));
                    let body = json!({"ops": [op], "clientId": name, "lastKnownServerSeq": cursor});
                    barrier.wait().await;
                    let answer = api.post_gzip("/api/sync/ops", &body).await.ok();
                    assert_eq!(answer["results"][0]["accepted"], true, "{answer}");
                    seqs.extend(answer["results"][0]["serverSeq"].as_u64());
                    cursor = answer["latestSeq"].as_u64().expect("latestSeq");
                }
                seqs
            });
        }
        let mut seqs: Vec<u64> = devices.join_all().await.into_iter().flatten().collect();
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=DEVICES * ROUNDS).collect::<Vec<_>>(), "dense");
        let page = world.elsewhere(&api).page(0, 500).await;
        let stored: Vec<u64> =
            page["ops"].as_array().unwrap().iter().filter_map(|op| op["serverSeq"].as_u64()).collect();
        assert_eq!(stored, seqs);
    }
}
