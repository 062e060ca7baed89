//! Uploads and what comes back with them.

use serde_json::{Value, json};

use crate::rig::{Rig, codes, now, op, with};

#[tokio::test]
async fn what_is_uploaded_comes_back_field_for_field() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let mut sent = op("op-1", "devA", "t1", json!({"devA": 1, "a-name-of-more-than-15": 3}));
    sent["payload"] = json!({"z": 1, "a": {"nul": "\u{0}", "n": 1.25}});
    sent["entityIds"] = json!(["t1", "t2"]);
    let answer = user.upload("devA", json!([sent]), Some(0)).await;
    assert_eq!(answer, json!({"results": [{"opId": "op-1", "accepted": true, "serverSeq": 1}], "latestSeq": 1}));
    let page = user.get("/api/sync/ops?sinceSeq=0&limit=500").await;
    sent["isPayloadEncrypted"] = false.into();
    assert_eq!(page["ops"][0]["op"], sent);
    assert_eq!(page["ops"][0]["serverSeq"], 1);
    assert!(page["ops"][0]["receivedAt"].as_u64().expect("a time") >= sent["timestamp"].as_u64().expect("a time"));
    assert_eq!((&page["hasMore"], &page["latestSeq"]), (&json!(false), &json!(1)));
    for absent in ["gapDetected", "latestSnapshotSeq", "snapshotVectorClock"] {
        assert!(page.get(absent).is_none(), "{absent} is absent, not null");
    }
}

#[tokio::test]
async fn conflicts_are_decided_by_clocks() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let first = op("op-1", "devA", "t1", json!({"devA": 2}));
    let ops = json!([
        op("op-2", "devB", "t1", json!({"devB": 1})),
        op("op-3", "devB", "t1", json!({"devA": 2})),
        op("op-4", "devB", "t1", json!({"devA": 1})),
        op("op-5", "devB", "t2", json!({"devB": 1})),
        op("op-6", "devB", "t1", json!({"devA": 2, "devB": 1, "zero": 0})),
    ]);
    assert_eq!(codes(&user.upload("devA", json!([first]), None).await), ["accepted"]);
    let again = user.upload("devA", json!([op("op-7", "devA", "t1", json!({"devA": 2}))]), None).await;
    assert_eq!(codes(&again), ["accepted"], "the same author may say the same clock again");
    let answer = user.upload("devB", ops, None).await;
    let expected = ["CONFLICT_CONCURRENT", "CONFLICT_STALE", "CONFLICT_STALE", "accepted", "accepted"];
    assert_eq!(codes(&answer), expected);
    let errors: Vec<_> = answer["results"].as_array().unwrap().iter().map(|result| result["error"].clone()).collect();
    assert_eq!(errors[0], "Concurrent modification detected for TASK:t1");
    assert_eq!(errors[1], "Equal vector clocks from different clients for TASK:t1 (client devB vs devA)");
    assert_eq!(errors[2], "Stale operation: server has newer version of TASK:t1");
    assert_eq!(answer["results"][0]["existingClock"], json!({"devA": 2}));
    let seqs: Vec<_> = answer["results"].as_array().unwrap().iter().filter_map(|r| r["serverSeq"].as_u64()).collect();
    assert_eq!(seqs, [3, 4], "rejections burn no number");
}

#[tokio::test]
async fn an_operation_conflicts_about_every_entity_it_names() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let many = with(op("op-1", "devA", "t1", json!({"devA": 1})), "entityIds", json!(["t1", "t2"]));
    assert_eq!(codes(&user.upload("devA", json!([many]), None).await), ["accepted"]);
    let second = user.upload("devB", json!([op("op-2", "devB", "t2", json!({"devB": 1}))]), None).await;
    assert_eq!(codes(&second), ["CONFLICT_CONCURRENT"]);
}

#[tokio::test]
async fn fault_a_poisoned_operation_fails_alone() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let good = op("op-1", "devA", "t1", json!({"devA": 1})).to_string();
    let surrogate = op("op-2", "devA", "t2", json!({"devA": 2})).to_string().replace("\"op-2\"}", "\"\\ud800\"}");
    let name = op("op-3", "devA", "t3", json!({"devA": 3})).to_string().replace("\"t3\"", "\"\\udc00\"");
    let fraction = with(op("op-4", "devA", "t4", json!({"devA": 4})), "timestamp", json!(now() as f64 + 0.5));
    let bad_type = with(op("op-5", "devA", "t5", json!({"devA": 5})), "opType", json!("WHAT"));
    let last = op("op-6", "devA", "t6", json!({"devA": 6}));
    let body = format!("{{\"clientId\":\"devA\",\"ops\":[{good},{surrogate},{name},{fraction},{bad_type},{last}]}}");
    let answer = user.ask("POST", "/api/sync/ops", &[], body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected =
        ["accepted", "INVALID_PAYLOAD", "INVALID_ENTITY_ID", "INVALID_TIMESTAMP", "INVALID_OP_TYPE", "accepted"];
    assert_eq!(codes(&answer.json()), expected);
    assert_eq!(answer.json()["latestSeq"], 2);
}

#[tokio::test]
async fn a_repetition_is_a_duplicate_and_a_used_id_is_not() {
    let rig = Rig::start().await;
    let (one, two) = (rig.user("a").await, rig.user("b").await);
    let mut sealed = op("op-1", "devA", "t1", json!({"devA": 1}));
    sealed["payload"] = "Y2lwaGVy".into();
    sealed["isPayloadEncrypted"] = true.into();
    assert_eq!(codes(&one.upload("devA", json!([sealed]), None).await), ["accepted"]);
    assert_eq!(codes(&one.upload("devA", json!([sealed]), None).await), ["DUPLICATE_OPERATION"]);
    let anew = with(sealed.clone(), "payload", json!("b3RoZXI="));
    assert_eq!(codes(&one.upload("devA", json!([anew]), None).await), ["DUPLICATE_OPERATION"], "encrypted anew");
    let other = with(sealed.clone(), "entityId", json!("t2"));
    assert_eq!(codes(&one.upload("devA", json!([other]), None).await), ["INVALID_OP_ID"]);
    assert_eq!(
        codes(&two.upload("devA", json!([sealed]), None).await),
        ["accepted"],
        "another account's ids are its own"
    );
    assert_eq!(one.get("/api/sync/ops?sinceSeq=0").await["latestSeq"], 1);
    let ahead = with(op("op-2", "devA", "t3", json!({"devA": 2})), "timestamp", json!(now() + 3_600_000));
    assert_eq!(codes(&one.upload("devA", json!([ahead]), None).await), ["accepted"]);
    assert_eq!(codes(&one.upload("devA", json!([ahead]), None).await), ["DUPLICATE_OPERATION"], "clamped later now");
}

#[tokio::test]
async fn a_named_request_is_answered_once_and_for_these_operations_only() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let body = |id: &str| {
        let ops = json!([op(id, "devA", id, json!({"devA": 1}))]);
        json!({ "ops": ops, "clientId": "devA", "requestId": "r-1", "lastKnownServerSeq": 0 })
    };
    let first = body("op-1");
    let answered = user.post("/api/sync/ops", first.clone()).await;
    assert!(answered.get("deduplicated").is_none());
    let again = user.post("/api/sync/ops", first).await;
    assert_eq!(again["deduplicated"], true);
    assert_eq!(again["results"], answered["results"]);
    let other = user.post("/api/sync/ops", body("op-2")).await;
    assert!(other.get("deduplicated").is_none(), "the same name, other operations");
    assert_eq!(codes(&other), ["accepted"]);
}

#[tokio::test]
async fn others_operations_come_back_with_an_upload() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    for batch in 0..7 {
        let ops: Vec<Value> =
            (0..100).map(|at| format!("a{batch}-{at}")).map(|id| op(&id, "devA", &id, json!({"devA": 1}))).collect();
        user.upload("devA", ops.into(), None).await;
    }
    let own = user.upload("devA", json!([op("x", "devA", "x", json!({"devA": 1}))]), Some(0)).await;
    assert!(own.get("newOps").is_none(), "nobody else wrote");
    let answer = user.upload("devB", json!([op("b", "devB", "b", json!({"devB": 1}))]), Some(3)).await;
    let news = answer["newOps"].as_array().expect("news");
    assert_eq!((news.len(), &news[0]["serverSeq"], &news[499]["serverSeq"]), (500, &json!(4), &json!(503)));
    assert_eq!((&answer["hasMorePiggyback"], &answer["latestSeq"]), (&json!(true), &json!(702)));
    let rest = user.upload("devB", json!([op("c", "devB", "c", json!({"devB": 2}))]), Some(503)).await;
    assert_eq!(rest["newOps"].as_array().expect("news").len(), 198);
    assert!(rest.get("hasMorePiggyback").is_none());
    let page = user.get("/api/sync/ops?sinceSeq=0&limit=700&excludeClient=devB").await;
    assert_eq!((page["ops"].as_array().unwrap().len(), &page["hasMore"]), (700, &json!(true)));
}

#[tokio::test]
async fn eight_devices_at_the_same_instant_are_all_served() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    for round in 0..20 {
        let one = |device: usize| {
            let (client, id) = (format!("dev{device}"), format!("{round}-{device}"));
            let user = &user;
            async move { user.upload(&client, json!([op(&id, &client, &id, json!({&client: 1}))]), Some(0)).await }
        };
        let answers = futures_util::future::join_all((0..8).map(one)).await;
        assert!(answers.iter().all(|answer| codes(answer) == ["accepted"]), "{answers:?}");
    }
    let page = user.get("/api/sync/ops?sinceSeq=0").await;
    let seqs: Vec<u64> = page["ops"].as_array().unwrap().iter().map(|op| op["serverSeq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=160).collect::<Vec<u64>>(), "no number is missing");
}
