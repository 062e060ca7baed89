//! What newer versions of the app do, seen in their code: each would lose something with a server that did not know it.

use serde_json::{Value, json};
use syncline_transport_http::dialect::super_productivity::Settings;

use crate::rig::{Rig, codes, op, with};

fn slate(client: &str, op_id: &str, more: &Value) -> Value {
    let mut body = json!({
        "state": {"task": {}}, "clientId": client, "reason": "initial", "vectorClock": {client: 7}, "schemaVersion": 4,
        "opId": op_id, "isCleanSlate": true, "snapshotOpType": "SYNC_IMPORT", "requestId": "snapshot-v1-x",
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

const OP_1: &str = "01234567-89ab-7def-8123-456789abcdef";
const OP_2: &str = "01234567-89ab-7def-8123-456789abcdee";

#[tokio::test]
async fn entities_that_the_app_has_learned_since_are_taken() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let new = |kind: &str| with(op(kind, "devA", "e1", json!({"devA": 1})), "entityType", kind.into());
    let answer = user.upload("devA", json!([new("SECTION"), new("ALL_TASKS"), new("UNICORN")]), None).await;
    assert_eq!(codes(&answer), ["accepted", "accepted", "INVALID_ENTITY_TYPE"]);
}

#[tokio::test]
async fn a_clean_slate_is_never_told_that_something_is_there() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    assert_eq!(user.import("devA", "initial", json!({})).await.status, 200);
    let forced = slate("devB", OP_1, &json!({"syncImportReason": "FORCE_UPLOAD"}));
    assert_eq!(user.post("/api/sync/snapshot", forced.clone()).await, json!({"accepted": true, "serverSeq": 2}));
    assert_eq!(user.post("/api/sync/snapshot", forced).await, json!({"accepted": true, "serverSeq": 2}), "again");
    let page = user.get("/api/sync/ops?sinceSeq=0").await;
    assert_eq!((&page["ops"][0]["op"]["id"], page["ops"].as_array().unwrap().len()), (&json!(OP_1), 1));
    let refused = user.import("devC", "initial", json!({})).await;
    assert_eq!(refused.status, 409, "without a clean slate there is one already");
}

#[tokio::test]
async fn a_repair_wipes_nothing() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    user.upload("devA", json!([op("1", "devA", "t1", json!({"devA": 1}))]), None).await;
    let repair = slate("devA", OP_1, &json!({"snapshotOpType": "REPAIR", "reason": "recovery"}));
    let repair = with(repair, "repairBaseServerSeq", 1.into());
    assert_eq!(user.post("/api/sync/snapshot", repair).await, json!({"accepted": true, "serverSeq": 2}));
    assert!(user.get("/api/sync/ops?sinceSeq=1").await.get("gapDetected").is_none());
    assert_eq!(user.get("/api/sync/restore/1").await["state"], json!({"TASK": {"t1": {"title": "1"}}}));
}

#[tokio::test]
async fn a_full_account_can_be_emptied_by_a_clean_slate() {
    let rig = Rig::with(Settings { quota_bytes: 3_000, ..Settings::default() }).await;
    let user = rig.user("a").await;
    let large = json!({"title": "x".repeat(1_500)});
    let fill = with(op("1", "devA", "t1", json!({"devA": 1})), "payload", large.clone());
    assert_eq!(codes(&user.upload("devA", json!([fill]), None).await), ["accepted"]);
    let body = slate("devA", OP_1, &json!({"state": large, "isCleanSlate": false, "reason": "recovery"})).to_string();
    assert_eq!(user.ask("POST", "/api/sync/snapshot", &[], body.as_bytes()).await.status, 413);
    let emptied = user.post("/api/sync/snapshot", slate("devA", OP_1, &json!({"state": large}))).await;
    assert_eq!(emptied, json!({"accepted": true, "serverSeq": 2}));
    let used = user.get("/api/sync/status").await["storageUsedBytes"].as_u64().unwrap();
    assert!(used < 2_200, "{used}");
    let huge = slate("devA", OP_2, &json!({"state": "x".repeat(3_000)})).to_string();
    assert_eq!(user.ask("POST", "/api/sync/snapshot", &[], huge.as_bytes()).await.status, 413);
}

#[tokio::test]
async fn an_op_that_had_not_seen_the_newest_state_learns_what_to_dominate() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    user.upload("devB", json!([op("1", "devB", "t1", json!({"devB": 1}))]), None).await;
    assert_eq!(user.import("devA", "recovery", json!({})).await.status, 200);
    let late = op("2", "devB", "t1", json!({"devB": 2}));
    let answer = user.upload("devB", json!([late]), Some(1)).await;
    assert_eq!(codes(&answer), ["CONFLICT_CONCURRENT"]);
    assert_eq!(answer["results"][0]["existingClock"], json!({"devA": 9}));
    assert_eq!(answer["newOps"][0]["op"]["opType"], "SYNC_IMPORT", "and has it at once");
    let anew = op("3", "devB", "t1", json!({"devB": 3, "devA": 9}));
    assert_eq!(codes(&user.upload("devB", json!([anew]), Some(2)).await), ["accepted"]);
    let unaware = op("4", "devC", "t2", json!({"devC": 1, "devA": 9}));
    assert_eq!(
        codes(&user.upload("devC", json!([unaware]), Some(3)).await),
        ["accepted"],
        "a full state stands for all"
    );
}

#[tokio::test]
async fn time_added_by_two_devices_counts_twice() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let adds = |id: &str, client: &str, clock: Value| {
        let delta = with(op(id, client, "t1", clock), "actionType", "[TimeTracking] Sync time spent".into());
        with(delta, "payload", json!({"taskId": "t1", "date": "2026-08-01", "duration": 60_000}))
    };
    let theirs = adds("2", "devB", json!({"devB": 1}));
    assert_eq!(codes(&user.upload("devA", json!([adds("1", "devA", json!({"devA": 1}))]), None).await), ["accepted"]);
    assert_eq!(codes(&user.upload("devB", json!([theirs]), None).await), ["accepted"]);
    assert_eq!(codes(&user.upload("devB", json!([theirs]), None).await), ["DUPLICATE_OPERATION"]);
    let page = user.get("/api/sync/ops?sinceSeq=0").await;
    assert_eq!(page["ops"][1]["op"]["vectorClock"], json!({"devB": 1}), "as it was uploaded");
    assert_eq!(
        codes(&user.upload("devA", json!([adds("3", "devA", json!({"devA": 1}))]), None).await),
        ["CONFLICT_STALE"]
    );
    let edit = op("4", "devC", "t1", json!({"devC": 1}));
    assert_eq!(codes(&user.upload("devC", json!([edit]), None).await), ["CONFLICT_CONCURRENT"], "an edit does not add");
    let edit = op("5", "devC", "t1", json!({"devA": 1, "devB": 1, "devC": 1}));
    assert_eq!(codes(&user.upload("devC", json!([edit]), None).await), ["accepted"]);
    assert_eq!(
        codes(&user.upload("devB", json!([adds("6", "devB", json!({"devB": 2}))]), None).await),
        ["CONFLICT_CONCURRENT"],
        "nor does time pass an edit"
    );
}

#[tokio::test]
async fn a_device_that_only_reads_is_there_too() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    user.upload("devA", json!([op("1", "devA", "t1", json!({"devA": 1}))]), None).await;
    user.get("/api/sync/ops?sinceSeq=0&excludeClient=devB&limit=500").await;
    let devices = user.get("/api/sync/devices").await;
    let mut seen: Vec<_> = devices["devices"].as_array().unwrap().iter().map(|device| &device["clientId"]).collect();
    seen.sort_by_key(|id| id.to_string());
    assert_eq!(seen, ["devA", "devB"]);
    assert_eq!(user.get("/api/sync/status").await["devicesOnline"], 2);
}

#[tokio::test]
async fn a_page_with_nothing_in_it_never_promises_more() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let mut counter = 0_u64;
    for _ in 0..245 {
        let batch: Vec<Value> = (0..100)
            .map(|_| {
                counter += 1;
                op(&format!("x{counter}"), "devA", "t1", json!({"devA": counter}))
            })
            .collect();
        user.upload("devA", batch.into(), None).await;
    }
    user.upload("devB", json!([op("theirs", "devB", "t2", json!({"devB": 1}))]), None).await;
    let mut since = 0;
    let mut found = Vec::new();
    for _ in 0..4 {
        let page = user.get(&format!("/api/sync/ops?sinceSeq={since}&excludeClient=devA&limit=500")).await;
        let ops = page["ops"].as_array().unwrap();
        assert!(!ops.is_empty() || page["hasMore"] == false, "{page}");
        found.extend(ops.iter().map(|op| op["op"]["id"].clone()));
        let latest = page["latestSeq"].as_u64().unwrap();
        assert!(latest > since || latest == counter + 1, "the device gets on");
        since = latest;
    }
    assert_eq!((found, since), (vec![json!("theirs")], counter + 1));
}
