//! Where readers start, whole states, restores, quota, deletion.

use serde_json::{Value, json};
use syncline_transport_http::dialect::super_productivity::Settings;

use crate::rig::{Rig, codes, op, with};

#[tokio::test]
async fn a_late_device_starts_at_the_newest_full_state() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    user.upload("devA", json!([op("1", "devA", "t1", json!({"devA": 1, "a-name-of-more-than-15": 4}))]), None).await;
    let made = user.import("devB", "recovery", json!({"task": {}})).await;
    assert_eq!(made.json(), json!({"accepted": true, "serverSeq": 2}));
    user.upload("devA", json!([op("3", "devA", "t1", json!({"devA": 2, "devB": 9}))]), None).await;
    let page = user.get("/api/sync/ops?sinceSeq=0&limit=500").await;
    let seqs: Vec<_> = page["ops"].as_array().unwrap().iter().map(|op| op["serverSeq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [2, 3]);
    assert_eq!(page["latestSnapshotSeq"], 2);
    assert_eq!(page["snapshotVectorClock"], json!({"devA": 1, "devB": 9, "a-name-of-more-than-15": 4}));
    let import = &page["ops"][0]["op"];
    assert_eq!((&import["opType"], &import["entityType"]), (&json!("SYNC_IMPORT"), &json!("ALL")));
    assert_eq!(import["actionType"], "[SP_ALL] Load(import) all data");
    assert!(import.get("entityId").is_none());
    let ahead = user.get("/api/sync/ops?sinceSeq=2").await;
    assert_eq!(ahead["latestSnapshotSeq"], 2);
    assert!(ahead.get("snapshotVectorClock").is_none());
}

#[tokio::test]
async fn positions_that_do_not_fit_are_gaps_however_large() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let empty = user.get("/api/sync/ops?sinceSeq=5").await;
    assert_eq!((&empty["gapDetected"], &empty["latestSeq"]), (&json!(true), &json!(0)));
    assert!(user.get("/api/sync/ops?sinceSeq=0").await.get("gapDetected").is_none());
    user.upload("devA", json!([op("1", "devA", "t1", json!({"devA": 1}))]), None).await;
    for far in ["2", "4294967296", "9007199254740993", "18446744073709551616", "1e30"] {
        let page = user.get(&format!("/api/sync/ops?sinceSeq={far}")).await;
        assert_eq!((&page["gapDetected"], &page["ops"]), (&json!(true), &json!([])), "{far}");
    }
    assert!(user.get("/api/sync/ops?sinceSeq=1").await.get("gapDetected").is_none());
    for wrong in ["", "?sinceSeq=x", "?sinceSeq=-1", "?sinceSeq=0&limit=0", "?sinceSeq=0&limit=1001"] {
        let answer = user.ask("GET", &format!("/api/sync/ops{wrong}"), &[], b"").await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("Validation failed")), "{wrong}");
    }
}

#[tokio::test]
async fn of_two_that_seed_an_account_one_wins() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let (one, two) = tokio::join!(user.import("devA", "initial", json!({})), user.import("devB", "initial", json!({})));
    let (won, lost) = if one.status == 200 { (one, two) } else { (two, one) };
    assert_eq!((won.status, lost.status), (200, 409));
    let lost = lost.json();
    assert_eq!((&lost["error"], &lost["errorCode"]), (&json!("SYNC_IMPORT_EXISTS"), &json!("SYNC_IMPORT_EXISTS")));
    let page = user.get("/api/sync/ops?sinceSeq=0").await;
    assert_eq!(lost["existingImportId"], page["ops"][0]["op"]["id"]);
    assert_eq!(user.import("devB", "recovery", json!(null)).await.status, 200);
}

#[tokio::test]
async fn a_state_upload_that_names_its_operation_may_be_repeated() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let body = json!({
        "state": {"a": 1}, "clientId": "devA", "reason": "initial", "vectorClock": {"devA": 1},
        "opId": "01234567-89ab-7def-8123-456789abcdef", "snapshotOpType": "BACKUP_IMPORT",
    });
    let first = user.post("/api/sync/snapshot", body.clone()).await;
    assert_eq!(first, json!({"accepted": true, "serverSeq": 1}));
    assert_eq!(user.post("/api/sync/snapshot", body.clone()).await, first);
    let other = with(body, "state", json!({"a": 2}));
    assert_eq!(user.post("/api/sync/snapshot", other).await["errorCode"], "INVALID_OP_ID");
    let points = user.get("/api/sync/restore-points").await;
    assert_eq!(points["restorePoints"][0]["type"], "BACKUP_IMPORT");
}

#[tokio::test]
async fn a_stale_repair_is_refused_and_a_clean_slate_keeps_numbering() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    user.upload("devA", json!([op("1", "devA", "t1", json!({"devA": 1}))]), None).await;
    let repair = |base: u64| {
        json!({
            "state": {}, "clientId": "devA", "reason": "recovery", "vectorClock": {"devA": 2},
            "opId": "01234567-89ab-7def-8123-456789abcde0", "snapshotOpType": "REPAIR", "repairBaseServerSeq": base,
        })
    };
    assert_eq!(user.post("/api/sync/snapshot", repair(0)).await["errorCode"], "REPAIR_STALE");
    assert_eq!(user.post("/api/sync/snapshot", repair(1)).await, json!({"accepted": true, "serverSeq": 2}));
    let slate = json!({
        "state": {"b": 1}, "clientId": "devA", "reason": "recovery", "vectorClock": {"devA": 3},
        "opId": "01234567-89ab-7def-8123-456789abcde1", "isCleanSlate": true,
    });
    assert_eq!(user.post("/api/sync/snapshot", slate).await, json!({"accepted": true, "serverSeq": 3}));
    let page = user.get("/api/sync/ops?sinceSeq=1").await;
    assert_eq!((&page["ops"][0]["serverSeq"], &page["latestSeq"]), (&json!(3), &json!(3)));
    assert_eq!(page["gapDetected"], true, "what the device would need next is gone");
}

#[tokio::test]
async fn the_state_at_a_seq_depends_on_nothing_but_its_operations() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    assert_eq!(user.get("/api/sync/snapshot").await["serverSeq"], 0, "an empty account has an empty state");
    user.upload("devA", json!([op("1", "devA", "t1", json!({"devA": 1}))]), None).await;
    user.import("devA", "recovery", json!({"task": {"t9": {}}})).await;
    let many: Vec<Value> =
        (0..100_u64).map(|at| op(&format!("x{at}"), "devA", &format!("t{at}"), json!({"devA": 10 + at}))).collect();
    user.upload("devA", many.into(), None).await;
    let state = user.get("/api/sync/snapshot").await;
    assert_eq!((&state["serverSeq"], &state["schemaVersion"]), (&json!(102), &json!(1)));
    assert_eq!(state["state"]["task"], json!({"t9": {}}));
    assert_eq!(state["state"]["TASK"]["t0"], json!({"title": "x0"}));
    user.upload("devA", json!([op("y", "devA", "t0", json!({"devA": 200}))]), None).await;
    let newest = user.get("/api/sync/snapshot").await;
    assert_eq!(newest["state"]["TASK"]["t0"], json!({"title": "y"}), "from a kept state and what follows it");
    assert_eq!(user.get("/api/sync/restore/102").await["state"], state["state"]);
    assert_eq!(user.get("/api/sync/restore/1.9").await["state"], json!({"TASK": {"t1": {"title": "1"}}}));
    assert_eq!(user.get("/api/sync/restore/2").await["state"], json!({"task": {"t9": {}}}));
    for (target, error) in [
        ("0", "Invalid serverSeq parameter (must be a positive integer)"),
        ("x", "Invalid serverSeq parameter (must be a positive integer)"),
        ("104", "Target sequence 104 exceeds latest sequence 103"),
    ] {
        let answer = user.ask("GET", &format!("/api/sync/restore/{target}"), &[], b"").await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(error)), "{target}");
    }
    let points = user.get("/api/sync/restore-points?limit=30").await;
    let point = &points["restorePoints"][0];
    assert_eq!((&point["serverSeq"], &point["clientId"]), (&json!(2), &json!("devA")));
    assert_eq!((&point["type"], &point["description"]), (&json!("SYNC_IMPORT"), &json!("Full sync import")));
    for wrong in ["0", "101", "x"] {
        let answer = user.ask("GET", &format!("/api/sync/restore-points?limit={wrong}"), &[], b"").await;
        assert_eq!(answer.json()["error"], "Invalid limit parameter (must be 1-100)");
    }
    let status = user.get("/api/sync/status").await;
    assert_eq!((&status["latestSeq"], &status["devicesOnline"]), (&json!(103), &json!(1)));
    assert!(status["snapshotAge"].is_u64() && status["storageUsedBytes"].as_u64() > Some(1_000), "{status}");
}

#[tokio::test]
async fn ciphertext_is_refused_by_name_where_a_state_is_asked_for() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let mut sealed = op("op-1", "devA", "t1", json!({"devA": 1}));
    sealed["payload"] = "Y2lwaGVy".into();
    sealed["isPayloadEncrypted"] = true.into();
    user.upload("devA", json!([sealed]), None).await;
    for target in ["/api/sync/snapshot", "/api/sync/restore/1"] {
        let answer = user.ask("GET", target, &[], b"").await;
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(answer.json()["errorCode"], "ENCRYPTED_OPS_NOT_SUPPORTED");
        assert!(answer.json()["error"].as_str().expect("text").starts_with("ENCRYPTED_OPS_NOT_SUPPORTED"));
    }
}

#[tokio::test]
async fn a_full_account_gives_up_old_restore_points_and_then_refuses() {
    let rig = Rig::with(Settings { quota_bytes: 20_000, ..Settings::default() }).await;
    let user = rig.user("a").await;
    let big = json!({"x": "y".repeat(6_000)});
    for _ in 0..2 {
        assert_eq!(user.import("devA", "recovery", big.clone()).await.status, 200);
    }
    assert_eq!(user.import("devA", "recovery", json!({"x": "y".repeat(8_000)})).await.status, 200);
    let points = user.get("/api/sync/restore-points").await;
    assert_eq!(points["restorePoints"].as_array().unwrap().len(), 2, "the oldest went");
    let late = user.get("/api/sync/ops?sinceSeq=0").await;
    assert_eq!((&late["ops"][0]["serverSeq"], late.get("gapDetected")), (&json!(3), None));
    let refused = user.import("devA", "recovery", json!({"x": "y".repeat(19_000)})).await;
    assert_eq!(refused.status, 413, "{refused:?}");
    let body = refused.json();
    assert_eq!(body["errorCode"], "STORAGE_QUOTA_EXCEEDED");
    assert_eq!((&body["storageQuotaBytes"], &body["autoCleanupAttempted"]), (&json!(20_000), &json!(true)));
    assert_eq!(body["cleanupStats"]["deletedRestorePoints"], 1);
    assert!(body["storageUsedBytes"].is_u64() && body["cleanupStats"]["freedBytes"].as_u64() > Some(5_000), "{body}");
}

#[tokio::test]
async fn deleted_data_is_gone_and_numbering_begins_again() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let long = "a-name-of-more-than-15";
    for _ in 0..2 {
        let made = user.upload(long, json!([op("1", long, "t1", json!({long: 1}))]), None).await;
        assert_eq!((codes(&made)[0], &made["latestSeq"]), ("accepted", &json!(1)));
        user.import(long, "recovery", json!({})).await;
        let page = user.get("/api/sync/ops?sinceSeq=0").await;
        assert_eq!(page["snapshotVectorClock"], json!({long: 9}), "long names are kept again");
        let deleted = user.ask("DELETE", "/api/sync/data", &[], b"").await;
        assert_eq!((deleted.status, deleted.json()), (200, json!({"success": true})));
    }
    assert_eq!(user.ask("DELETE", "/api/sync/data", &[], b"").await.json(), json!({"success": true}));
    let status = user.get("/api/sync/status").await;
    assert_eq!((&status["latestSeq"], &status["storageUsedBytes"]), (&json!(0), &json!(0)));
    assert!(status.get("snapshotAge").is_none());
}
