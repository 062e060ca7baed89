//! What the reference server got wrong, one test each (section 18 of the protocol notes): ours must not. Numbers 11 and
//! 13 are about work that grows with history; `counted` has them.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::api::{Api, gzip};
use super::ops::{run, update};
use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn weakness_01_parallel_uploads_of_one_account_all_succeed() {
    let world = World::two_on_postgres(&[]).await;
    let account = world.account("w01").await;
    let mut uploads = JoinSet::new();
    for device in 0..8 {
        let (name, api) = (format!("d{device}"), world.elsewhere(&account));
        uploads.spawn(async move { api.upload(&name, &run(&name, 1, 1)).await.codes() });
    }
    assert_eq!(uploads.join_all().await, vec![vec![None]; 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn weakness_02_a_duplicate_burns_no_number() {
    let world = World::sqlite(&[]);
    let account = world.account("w02").await;
    let ops = run("d1", 1, 1);
    assert_eq!(account.upload("d1", &ops).await.codes(), [None]);
    for _ in 0..3 {
        assert_eq!(account.upload("d1", &ops).await.codes(), [Some("DUPLICATE_OPERATION".into())]);
    }
    let next = account.upload("d1", &run("d1", 2, 1)).await.ok();
    assert_eq!(next["results"][0]["serverSeq"], 2);
    let page = account.page(1, 500).await;
    assert_eq!((page.get("gapDetected"), &page["ops"][0]["serverSeq"]), (None, &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn weakness_03_a_poisoned_op_is_refused_alone() {
    let world = World::two_on_postgres(&[]).await;
    let account = world.account("w03").await;
    let poisons = [
        // Text that is whole is kept, and comes back as it was.
        (r#""payload":{"title":"\u0000"}"#, None),
        (r#""entityId":"a\u0000b""#, None),
        (r#""id":"a\u0000b""#, None),
        (r#""payload":{"title":"\ud800"}"#, Some("INVALID_PAYLOAD")),
        (r#""payload":{"\udfff":1}"#, Some("INVALID_PAYLOAD")),
        (r#""payload":{"n":1e999}"#, Some("INVALID_PAYLOAD")),
        (r#""timestamp":1700000000000.5"#, Some("INVALID_TIMESTAMP")),
        (r#""actionType":"\ud800""#, Some("INVALID_OP_TYPE")),
    ];
    for (number, (poison, expected)) in poisons.iter().enumerate() {
        let from = u64::try_from(number).unwrap() * 3 + 1;
        let mut ops: Vec<String> = run("d1", from, 3).iter().map(Value::to_string).collect();
        let mut middle: Value = serde_json::from_str(&ops[1]).unwrap();
        let fields = middle.as_object_mut().unwrap();
        fields.remove(poison.split('"').nth(1).unwrap());
        ops[1] = format!("{{{poison},{}", &middle.to_string()[1..]);
        let body = format!(r#"{{"ops":[{}],"clientId":"d1"}}"#, ops.join(","));
        let codes = account.post_text("/api/sync/ops", body).await.codes();
        assert_eq!((&codes[0], &codes[2]), (&None, &None), "{poison}: {codes:?}");
        assert_eq!(codes[1].as_deref(), *expected, "{poison}");
    }
    assert_eq!(account.upload("d1", &run("d1", 1_000, 1)).await.codes(), [None], "the account goes on");
    account.page(0, 500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weakness_04_another_account_s_op_id_neither_blocks_nor_leaks() {
    let world = World::two_on_postgres(&[]).await;
    let (one, other) = (world.account("w04a").await, world.account("w04b").await);
    let mine = update("shared-id", "d1", "t1", &json!({"d1": 1}));
    let theirs = update("shared-id", "d2", "t2", &json!({"d2": 1}));
    assert_eq!(one.upload("d1", std::slice::from_ref(&mine)).await.codes(), [None]);
    assert_eq!(other.upload("d2", std::slice::from_ref(&theirs)).await.codes(), [None]);
    assert_eq!(one.page(0, 10).await["ops"][0]["op"]["entityId"], "t1");
    assert_eq!(other.page(0, 10).await["ops"][0]["op"]["entityId"], "t2");
}

#[tokio::test(flavor = "multi_thread")]
async fn weakness_05_an_id_with_other_content_is_no_duplicate() {
    let world = World::sqlite(&[]);
    let account = world.account("w05").await;
    let op = update("x", "d1", "t1", &json!({"d1": 1}));
    let mut other = op.clone();
    other["entityId"] = "t2".into();
    other["payload"] = json!({"title": "another"});
    assert_eq!(account.upload("d1", std::slice::from_ref(&op)).await.codes(), [None]);
    assert_eq!(account.upload("d1", &[other]).await.codes(), [Some("INVALID_OP_ID".into())]);
    assert_eq!(account.upload("d1", &[op]).await.codes(), [Some("DUPLICATE_OPERATION".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn weakness_06_a_request_id_used_again_with_other_ops_drops_nothing() {
    let world = World::two_on_postgres(&[]).await;
    let account = world.account("w06").await;
    let body = |from| json!({"ops": run("d1", from, 2), "clientId": "d1", "requestId": "r1", "lastKnownServerSeq": 0});
    let (asked, again) = (body(1), body(3));
    let first = account.post("/api/sync/ops", &asked).await.ok();
    let repeated = world.elsewhere(&account).post("/api/sync/ops", &asked).await.ok();
    assert_eq!(first.get("deduplicated"), None);
    assert_eq!((&repeated["results"], &repeated["deduplicated"]), (&first["results"], &json!(true)));
    let other = account.post("/api/sync/ops", &again).await.ok();
    assert_eq!((other.get("deduplicated"), &other["results"][1]["serverSeq"]), (None, &json!(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn weakness_07_an_op_about_many_entities_is_remembered_for_each() {
    let world = World::sqlite(&[]);
    let account = world.account("w07").await;
    let mut many = update("many", "d1", "t1", &json!({"d1": 1}));
    many["entityIds"] = json!(["t1", "t2", "t3"]);
    assert_eq!(account.upload("d1", &[many]).await.codes(), [None]);
    assert_eq!(account.page(0, 10).await["ops"][0]["op"]["entityIds"], json!(["t1", "t2", "t3"]));
    let concurrent = [update("c2", "d2", "t2", &json!({"d2": 1})), update("c3", "d2", "t4", &json!({"d2": 2}))];
    assert_eq!(account.upload("d2", &concurrent).await.codes(), [Some("CONFLICT_CONCURRENT".into()), None]);
    let mut back = update("back", "d1", "t9", &json!({"d1": 2}));
    back["entityIds"] = json!(["t9", "t4"]);
    assert_eq!(account.upload("d1", &[back]).await.codes(), [Some("CONFLICT_CONCURRENT".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn weakness_08_a_full_state_replaces_and_a_kept_snapshot_changes_no_restore() {
    let world = World::sqlite(&[]);
    let account = world.account("w08").await;
    account.upload("d1", &run("d1", 1, 2)).await.ok();
    let state = json!({"NOTE": {"n1": {"text": "all there is"}}});
    account.snapshot("d1", "recovery", &json!({"d1": 3}), &state).await.ok();
    account.upload("d1", &run("d1", 4, 2)).await.ok();
    let restores = async || {
        let mut states = Vec::new();
        for seq in 1..=5 {
            states.push(account.get(&format!("/api/sync/restore/{seq}")).await.ok()["state"].clone());
        }
        states
    };
    let before = restores().await;
    assert_eq!(before[2], state);
    assert_eq!(before[3]["NOTE"], state["NOTE"]);
    assert_eq!(account.get("/api/sync/snapshot").await.ok()["state"], before[4]);
    assert_eq!(restores().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn weakness_09_a_snapshot_never_spreads_a_ciphertext() {
    let world = World::sqlite(&[]);
    let account = world.account("w09").await;
    account.upload("d1", &run("d1", 1, 1)).await.ok();
    let mut hidden = run("d1", 2, 1);
    hidden[0]["payload"] =
        "AAECAwQFBgcICQoLDA0OD6ChoqOkpaanqKmqq/FUrE0Jaf9kQqw+8oBJ5JT689jolfJKjTRQYuGNLEMipzbR8g==".into();
    hidden[0]["isPayloadEncrypted"] = true.into();
    account.upload("d1", &hidden).await.ok();
    let snapshot = account.get("/api/sync/snapshot").await;
    assert_eq!((snapshot.status, &snapshot.body["errorCode"]), (400, &json!("ENCRYPTED_OPS_NOT_SUPPORTED")));
    let before = account.get("/api/sync/restore/1").await.ok();
    assert_eq!(before["state"], json!({"TASK": {"d1-1": {"title": "d1-1"}}}));
    assert_eq!(account.get("/api/sync/restore/2").await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn weakness_10_odd_requests_are_answered() {
    let world = World::sqlite(&[]);
    let account = world.account("w10").await;
    // `Api` fails on any 500.
    let empty = account.get("/api/sync/snapshot").await;
    assert_eq!((&empty.body["state"], &empty.body["serverSeq"]), (&json!({}), &json!(0)), "{}", empty.status);
    for text in ["{", "", "[1,", "nul", "\u{0}"] {
        assert_eq!(account.post_text("/api/sync/ops", text.to_owned()).await.status, 400, "{text:?}");
    }
    let body = json!({"ops": run("d1", 1, 1), "clientId": "d1"});
    let bytes = gzip(body.to_string().as_bytes());
    let request = account.request(reqwest::Method::POST, "/api/sync/ops").header("Content-Encoding", "GZIP");
    assert_eq!(Api::send(request.body(bytes)).await.codes(), [None]);
    for since in [1_u64 << 31, 1 << 32, (1 << 32) + 1, (1 << 53) - 1] {
        let page = account.page(since, 500).await;
        assert_eq!(
            (&page["gapDetected"], &page["latestSeq"], page["ops"].as_array().map(Vec::len)),
            (&json!(true), &json!(1), Some(0)),
            "{since}"
        );
    }
    for since in ["9007199254740992", "9007199254740993", "18446744073709551616", "99999999999999999999999999"] {
        let answer = account.get(&format!("/api/sync/ops?sinceSeq={since}")).await;
        assert_eq!((answer.status, &answer.body["gapDetected"]), (200, &json!(true)), "{since}: {}", answer.body);
    }
}

/// Half a gigabyte in half a megabyte.
#[tokio::test(flavor = "multi_thread")]
async fn weakness_12_a_body_is_measured_while_it_is_inflated() {
    let world = World::sqlite(&[]);
    let account = world.account("w12").await;
    let bomb = gzip(&vec![b' '; 512 << 20]);
    for path in ["/api/sync/ops", "/api/sync/snapshot"] {
        let request = account.request(reqwest::Method::POST, path).header("Content-Encoding", "gzip");
        let answer = Api::send(request.body(bomb.clone())).await;
        assert_eq!((answer.status, answer.body), (413, json!({"error": "Decompressed payload too large"})));
    }
    let peak = world.peak_kib();
    assert!(peak < 300 << 10, "the server held {peak} KiB");
}
