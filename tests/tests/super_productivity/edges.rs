//! Every limit of the protocol at one below, at, and one above where that is cheap; the conflict table; gaps; what a
//! page and an answer hold.

use serde_json::{Map, Value, json};

use super::api::{Answer, Api};
use super::ops::{now, run, update};
use super::world::World;

/// One op of `d1` after `change`: its code. What is wrong with one op is never the request's fault.
async fn verdict(account: &Api, number: u64, change: impl FnOnce(&mut Value)) -> Result<(), String> {
    let mut op = run("d1", number, 1).remove(0);
    change(&mut op);
    account.upload("d1", &[op]).await.codes().remove(0).map_or(Ok(()), Err)
}

fn set(key: &'static str, value: impl Into<Value>) -> impl FnOnce(&mut Value) {
    let value = value.into();
    move |op| op[key] = value
}

fn without(key: &'static str) -> impl FnOnce(&mut Value) {
    move |op| drop(op.as_object_mut().expect("an op").remove(key))
}

/// Nested one-key objects around a number.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!({ "k": inner }))
}

fn keys(count: usize) -> Value {
    Value::Object((0..count).map(|number| (format!("k{number}"), json!(0))).collect::<Map<_, _>>())
}

fn clock(entries: u64) -> Value {
    let mut clock: Map<String, Value> = (1..entries).map(|number| (format!("x{number}"), json!(1))).collect();
    clock.insert("d1".to_owned(), json!(1));
    Value::Object(clock)
}

/// Each is taken, or this code; where the reference fails the whole request, the batch goes on here as at newer ones.
#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_an_op_is_checked_at_its_limit() {
    type Change = Box<dyn FnOnce(&mut Value)>;
    let long = |count: usize| "x".repeat(count);
    let rows: Vec<(&str, Change, Option<&str>)> = vec![
        ("another client", Box::new(set("clientId", "d2")), Some("INVALID_CLIENT_ID")),
        ("id 255", Box::new(set("id", long(255))), None),
        ("id 256", Box::new(set("id", long(256))), Some("INVALID_OP_ID")),
        ("id empty", Box::new(set("id", "")), Some("INVALID_OP_ID")),
        ("opType", Box::new(set("opType", "NOPE")), Some("INVALID_OP_TYPE")),
        ("entityType", Box::new(set("entityType", "NOPE")), Some("INVALID_ENTITY_TYPE")),
        ("entityId 255", Box::new(set("entityId", long(255))), None),
        ("entityId 256", Box::new(set("entityId", long(256))), Some("INVALID_ENTITY_ID")),
        ("entityId blank", Box::new(set("entityId", " \t")), Some("INVALID_ENTITY_ID")),
        ("entityId missing", Box::new(without("entityId")), Some("MISSING_ENTITY_ID")),
        ("payload missing", Box::new(without("payload")), Some("INVALID_PAYLOAD")),
        ("schema 0", Box::new(set("schemaVersion", 0)), Some("INVALID_SCHEMA_VERSION")),
        ("schema 1", Box::new(set("schemaVersion", 1)), None),
        ("schema 100", Box::new(set("schemaVersion", 100)), None),
        ("schema 101", Box::new(set("schemaVersion", 101)), Some("INVALID_SCHEMA_VERSION")),
        ("clock 100", Box::new(set("vectorClock", clock(100))), None),
        ("clock 101", Box::new(set("vectorClock", clock(101))), Some("INVALID_VECTOR_CLOCK")),
        ("clock array", Box::new(set("vectorClock", json!([]))), Some("INVALID_VECTOR_CLOCK")),
        ("clock text", Box::new(set("vectorClock", json!({"d1": "1"}))), Some("INVALID_VECTOR_CLOCK")),
        ("depth 20", Box::new(set("payload", nested(20))), None),
        ("depth 21", Box::new(set("payload", nested(21))), Some("INVALID_PAYLOAD")),
        ("keys 20000", Box::new(set("payload", keys(20_000))), None),
        ("keys 20001", Box::new(set("payload", keys(20_001))), Some("INVALID_PAYLOAD")),
        ("array", Box::new(set("payload", json!([1]))), Some("INVALID_PAYLOAD")),
        ("null", Box::new(set("payload", Value::Null)), Some("INVALID_PAYLOAD")),
        ("number", Box::new(set("payload", 1)), Some("INVALID_PAYLOAD")),
        ("45 days less a minute", Box::new(set("timestamp", now() - 45 * 86_400_000 + 60_000)), None),
        (
            "45 days and a minute",
            Box::new(set("timestamp", now() - 45 * 86_400_000 - 60_000)),
            Some("INVALID_TIMESTAMP"),
        ),
    ];
    let world = World::sqlite(&[]);
    let account = world.account("fields").await;
    for (number, (name, change, expected)) in (1..).zip(rows) {
        let code = verdict(&account, number, change).await;
        assert_eq!(code, expected.map_or(Ok(()), |expected| Err(expected.to_owned())), "{name}");
    }
    // With several faults the first check of the list decides.
    let first = verdict(&account, 900, |op| {
        op["entityType"] = "NOPE".into();
        op["schemaVersion"] = 101.into();
    });
    assert_eq!(first.await, Err("INVALID_ENTITY_TYPE".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn shapes_that_the_op_type_allows_are_taken() {
    let world = World::sqlite(&[]);
    let account = world.account("shapes").await;
    let rows = [
        ("DEL", Value::Null, true),
        ("DEL", json!("text"), true),
        ("DEL", json!([1]), false),
        ("UPD", json!("ciphertext"), true),
        ("BATCH", json!({"entities": {"a": {}}}), true),
        ("BATCH", json!({"entities": [1]}), false),
        ("BATCH", json!({"entities": 1}), false),
        ("MOV", json!({}), true),
    ];
    for (number, (op_type, payload, taken)) in (1..).zip(rows) {
        let code = verdict(&account, number, |op| {
            op["opType"] = op_type.into();
            op["payload"] = payload.clone();
        });
        let expected = if taken { Ok(()) } else { Err("INVALID_PAYLOAD".to_owned()) };
        assert_eq!(code.await, expected, "{op_type} {payload}");
    }
    assert_eq!(
        verdict(&account, 90, |op| {
            set("entityType", "ALL")(op);
            without("entityId")(op);
        })
        .await,
        Ok(())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_are_cleaned_and_timestamps_clamped() {
    let world = World::sqlite(&[]);
    let account = world.account("clean").await;
    let (kept, dropped) = ("k".repeat(255), "k".repeat(256));
    let mut op =
        update("x", "d1", "t1", &json!({"d1": 1, "zero": 0, "most": 10_000_000, "minus": -1, "half": 0.5, "": 1}));
    op["vectorClock"][&kept] = 1.into();
    op["vectorClock"][&dropped] = 1.into();
    op["timestamp"] = (now() + 3_600_000).into();
    op["unknown"] = "not stored".into();
    assert_eq!(account.upload("d1", &[op]).await.codes(), [None]);
    let page = account.page(0, 10).await;
    let stored = &page["ops"][0]["op"];
    let mut expected = json!({"d1": 1, "zero": 0, "most": 10_000_000});
    expected[&kept] = 1.into();
    assert_eq!(stored["vectorClock"], expected);
    let stamp = stored["timestamp"].as_u64().unwrap();
    assert!(stamp <= now() + 60_000 && stamp > now() + 30_000, "clamped to a minute ahead");
    assert_eq!((stored.get("unknown"), stored.get("entityIds")), (None, None), "absent, never null");
    assert_eq!(stored["isPayloadEncrypted"], false);
}

/// Section 12.4, every cell: the stored clock is {d1:2, d2:2}, written by d1.
#[tokio::test(flavor = "multi_thread")]
async fn each_pair_of_clocks_gets_the_verdict_of_the_table() {
    let world = World::sqlite(&[]);
    let account = world.account("table").await;
    let (concurrent, stale) = (Some("CONFLICT_CONCURRENT"), Some("CONFLICT_STALE"));
    let rows = [
        (json!({"d1": 3, "d2": 2}), None, None),
        (json!({"d1": 2, "d2": 2}), None, stale),
        (json!({"d1": 3, "d2": 1}), concurrent, concurrent),
        (json!({"d1": 1, "d2": 2}), stale, stale),
        (json!({}), stale, stale),
    ];
    for (number, (clock, same, other)) in rows.iter().enumerate() {
        for (client, expected) in [("d1", same), ("d2", other)] {
            let entity = format!("{client}-{number}");
            let stored = update(&format!("s-{entity}"), "d1", &entity, &json!({"d1": 2, "d2": 2}));
            assert_eq!(account.upload("d1", &[stored]).await.codes(), [None]);
            let op = update(&format!("i-{entity}"), client, &entity, clock);
            let codes = account.upload(client, &[op]).await.codes();
            assert_eq!(codes[0].as_deref(), *expected, "{clock} of {client}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_and_a_page_have_their_limits() {
    let world = World::sqlite(&[]);
    let account = world.account("batch").await;
    let many = account.upload("d1", &run("d1", 1, 101)).await;
    let error = "Too many operations (max 100)";
    let expected = json!({"error": error, "errorCode": "PAYLOAD_TOO_LARGE", "maxOpsPerBatch": 100});
    assert_eq!((many.status, many.body), (413, expected));
    assert_eq!(account.upload("d1", &[]).await.status, 400);
    assert_eq!(account.upload("d1", &run("d1", 1, 100)).await.codes(), vec![None; 100]);
    let asked = async |query: &str| account.get(&format!("/api/sync/ops?{query}")).await;
    let count = |answer: Answer| answer.ok()["ops"].as_array().unwrap().len();
    assert_eq!(count(asked("sinceSeq=").await), 100);
    assert_eq!(count(asked("sinceSeq=99&limit=1").await), 1);
    assert_eq!(count(asked("sinceSeq=0&limit=1000").await), 100);
    assert_eq!(count(asked("sinceSeq=0&excludeClient=d1").await), 0);
    assert_eq!(asked("sinceSeq=0&limit=99").await.ok()["hasMore"], true);
    assert_eq!(asked("sinceSeq=0&limit=100").await.ok()["hasMore"], false);
    for query in [
        "",
        "sinceSeq=-1",
        "sinceSeq=1.5",
        "sinceSeq=x",
        "sinceSeq=0&limit=0",
        "sinceSeq=0&limit=1001",
        "sinceSeq=0&excludeClient=a%20b",
    ] {
        let answer = asked(query).await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("Validation failed")), "{query}");
    }
    for (length, status) in [(1, 200), (64, 200), (65, 400)] {
        let body = json!({"ops": run("d1", 200 + length, 1), "clientId": "d1", "requestId": "r".repeat(usize::try_from(length).unwrap())});
        assert_eq!(account.post("/api/sync/ops", &body).await.status, status, "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piggyback_of_five_hundred_says_when_there_is_more() {
    let world = World::sqlite(&[]);
    let account = world.account("piggyback").await;
    for hundred in 0..5 {
        account.upload("d1", &run("d1", hundred * 100 + 1, 100)).await.ok();
    }
    let body = |from, cursor| json!({"ops": run("d2", from, 1), "clientId": "d2", "lastKnownServerSeq": cursor});
    let exactly = account.post("/api/sync/ops", &body(1, 0)).await.ok();
    assert_eq!(exactly["newOps"].as_array().map(Vec::len), Some(500));
    assert_eq!((&exactly["hasMorePiggyback"], &exactly["latestSeq"]), (&json!(true), &json!(501)));
    let fewer = account.post("/api/sync/ops", &body(2, 1)).await.ok();
    assert_eq!((fewer["newOps"].as_array().map(Vec::len), fewer.get("hasMorePiggyback")), (Some(499), None));
    let none = account.post("/api/sync/ops", &body(3, 503)).await.ok();
    assert_eq!((none.get("newOps"), none.get("gapDetected")), (None, None));
    let silent = account.upload("d2", &run("d2", 4, 1)).await.ok();
    assert_eq!(silent.get("newOps"), None, "no cursor, no ops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_seen_at_its_boundary() {
    let world = World::sqlite(&[]);
    let account = world.account("gap").await;
    let gap = async |since: u64| account.page(since, 10).await.get("gapDetected").cloned();
    assert_eq!((gap(0).await, gap(1).await), (None, Some(json!(true))), "an empty server");
    account.upload("d1", &run("d1", 1, 3)).await.ok();
    assert_eq!((gap(2).await, gap(3).await, gap(4).await), (None, None, Some(json!(true))), "ahead of the server");
    account.snapshot("d1", "initial", &json!({"d1": 4}), &json!({})).await.ok();
    account.upload("d1", &run("d1", 5, 1)).await.ok();
    let page = account.page(1, 10).await;
    let seqs: Vec<u64> = page["ops"].as_array().unwrap().iter().filter_map(|op| op["serverSeq"].as_u64()).collect();
    assert_eq!((page.get("gapDetected"), seqs), (None, vec![4, 5]), "a skip is no gap");
    assert_eq!((&page["latestSnapshotSeq"], &page["snapshotVectorClock"]), (&json!(4), &json!({"d1": 4})));
    let after = account.page(4, 10).await;
    assert_eq!((&after["latestSnapshotSeq"], after.get("snapshotVectorClock")), (&json!(4), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_has_wider_limits_and_one_first_import() {
    let world = World::sqlite(&[]);
    let account = world.account("snapshot").await;
    let upload = async |reason: &str, state: Value| account.snapshot("d1", reason, &json!({"d1": 1}), &state).await;
    assert_eq!(upload("recovery", nested(50)).await.ok(), json!({"accepted": true, "serverSeq": 1}));
    assert_eq!(upload("recovery", nested(51)).await.ok()["accepted"], false);
    for state in [Value::Null, json!("text"), json!({})] {
        assert_eq!(upload("migration", state).await.ok()["accepted"], true);
    }
    let exists = upload("initial", json!({})).await;
    assert_eq!((exists.status, &exists.body["errorCode"]), (409, &json!("SYNC_IMPORT_EXISTS")));
    let page = account.page(3, 10).await;
    assert_eq!(exists.body["existingImportId"], page["ops"][0]["op"]["id"]);
    let op = &page["ops"][0]["op"];
    assert_eq!((&op["actionType"], &op["opType"]), (&json!("[SP_ALL] Load(import) all data"), &json!("SYNC_IMPORT")));
    assert_eq!((&op["entityType"], op.get("entityId"), &op["payload"]), (&json!("ALL"), None, &json!({})));
    assert_eq!(upload("nonsense", json!({})).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_token_learns_nothing() {
    let world = World::sqlite(&[]);
    let account = world.account("auth").await;
    let missing = json!({"error": "Missing or invalid Authorization header"});
    let invalid = json!({"error": "Invalid token"});
    let paths = [
        "/api/sync/ops?sinceSeq=0",
        "/api/sync/status",
        "/api/sync/snapshot",
        "/api/sync/restore-points",
        "/api/sync/restore/1",
    ];
    for path in paths {
        let answer = Api::send(reqwest::Client::new().get(format!("{}{path}", account.base))).await;
        assert_eq!((answer.status, &answer.body), (401, &missing), "{path}");
        let mut forged = account.clone();
        forged.token.pop();
        let answer = forged.get(path).await;
        assert_eq!((answer.status, &answer.body), (401, &invalid), "{path}");
    }
    let lost = account.get("/api/sync/nowhere").await;
    assert_eq!(
        (lost.status, &lost.body),
        (404, &json!({"message": "Route GET:/api/sync/nowhere not found", "error": "Not Found", "statusCode": 404}))
    );
    let health = Api::send(reqwest::Client::new().get(format!("{}/health", account.base))).await;
    assert_eq!(health.ok(), json!({"status": "ok", "db": "connected"}));
}
