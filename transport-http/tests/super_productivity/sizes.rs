//! Every size of the protocol at its last byte and one beyond, over a socket.
//!
//! A size is one of bytes: what the original counts in UTF-16 units is counted here in the bytes that arrive and are
//! stored, which for text outside ASCII is the smaller allowance.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::common::{Answer, gzip};
use crate::rig::{Rig, User, codes, now, op, with};

const MIB: usize = 1 << 20;
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const BASE64: (&str, &str) = ("content-transfer-encoding", "base64");

async fn upload_packed(user: &User<'_>, ops: Value) -> Value {
    let body = json!({"ops": ops, "clientId": "devA"}).to_string();
    let answer = user.ask("POST", "/api/sync/ops", &[GZIP], &gzip(body.as_bytes())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// A JSON text of so many bytes with its quotes.
fn text(bytes: usize) -> Value {
    "x".repeat(bytes - 2).into()
}

#[tokio::test]
async fn a_payload_of_twenty_mebibytes_is_taken_and_one_more_byte_is_that_operations_rejection() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let ops = json!([
        with(op("1", "devA", "t1", json!({"devA": 1})), "payload", text(20 * MIB)),
        with(op("2", "devA", "t2", json!({"devA": 2})), "payload", text(20 * MIB + 1)),
        op("3", "devA", "t3", json!({"devA": 3})),
    ]);
    let answer = upload_packed(&user, ops).await;
    assert_eq!(codes(&answer), ["accepted", "PAYLOAD_TOO_LARGE", "accepted"]);
    assert_eq!(answer["results"][1]["error"], "Payload too large");
    assert_eq!(answer["latestSeq"], 2);
    let page = user.get("/api/sync/ops?sinceSeq=0").await;
    assert_eq!(page["ops"][0]["op"]["payload"], text(20 * MIB));
    // Two bytes a letter: as many as one letter fewer than fits.
    let letters = |count: usize| Value::from("é".repeat(count));
    let ops = json!([
        with(op("4", "devA", "t4", json!({"devA": 4})), "payload", letters(10 * MIB - 1)),
        with(op("5", "devA", "t5", json!({"devA": 5})), "payload", letters(10 * MIB)),
    ]);
    assert_eq!(codes(&upload_packed(&user, ops).await), ["accepted", "PAYLOAD_TOO_LARGE"]);
}

#[tokio::test]
async fn a_state_is_held_to_the_same_bytes_and_to_its_own_keys_and_depth() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let import = async |state: Value| {
        let body = json!({"state": state, "clientId": "devA", "reason": "recovery", "vectorClock": {"devA": 1}});
        let packed = gzip(body.to_string().as_bytes());
        let answer = user.ask("POST", "/api/sync/snapshot", &[GZIP], &packed).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    assert_eq!(import(text(20 * MIB)).await, json!({"accepted": true, "serverSeq": 1}));
    let refused = import(text(20 * MIB + 1)).await;
    assert_eq!((&refused["accepted"], &refused["error"]), (&json!(false), &json!("Payload too large")));
    let keys = |count: usize| Value::Object((0..count).map(|at| (format!("k{at}"), json!(0))).collect::<Map<_, _>>());
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({ "k": inner }));
    // Lengths of lists count like keys.
    for (state, taken) in [
        (keys(100_000), true),
        (keys(100_001), false),
        (json!({"list": vec![0; 99_999]}), true),
        (json!({"list": vec![0; 100_000]}), false),
        (nested(50), true),
        (nested(51), false),
    ] {
        let answer = import(state).await;
        assert_eq!(answer["accepted"], taken, "{answer}");
        let text = "Payload too complex (max depth 50, max keys 100000)";
        assert!(taken || answer["error"] == text, "{answer}");
    }
    // The same for a full state among operations, and the narrow ones for a list in an ordinary one.
    let full = |id: &str, payload: Value| {
        with(with(op(id, "devA", "a", json!({"devA": 9})), "opType", json!("BACKUP_IMPORT")), "payload", payload)
    };
    let ops = json!([
        full("1", keys(100_000)),
        full("2", nested(51)),
        with(op("3", "devA", "t3", json!({"devA": 10})), "payload", json!({"list": vec![0; 19_999]})),
        with(op("4", "devA", "t4", json!({"devA": 11})), "payload", json!({"list": vec![0; 20_000]})),
    ]);
    assert_eq!(codes(&upload_packed(&user, ops).await), ["accepted", "INVALID_PAYLOAD", "accepted", "INVALID_PAYLOAD"]);
}

#[track_caller]
fn refused(answer: &Answer, status: u16, body: &Value) {
    assert_eq!((answer.status, &answer.json()), (status, body), "{answer:?}");
}

fn error(text: &str) -> Value {
    json!({ "error": text })
}

#[tokio::test]
async fn a_plain_body_is_read_up_to_its_last_byte() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let library = json!({
        "statusCode": 413, "code": "FST_ERR_CTP_BODY_TOO_LARGE", "error": "Payload Too Large",
        "message": "Request body is too large",
    });
    for (target, most) in [("/api/sync/ops", 20 * MIB), ("/api/sync/snapshot", 30 * MIB)] {
        let blank = vec![b' '; most + 1];
        refused(&user.ask("POST", target, &[], &blank).await, 413, &library);
        // At the limit it is read, and blanks are no JSON.
        refused(&user.ask("POST", target, &[], &blank[..most]).await, 400, &error("Invalid JSON"));
    }
    // One operation that fills the body to the byte.
    let mut whole = json!({"ops": [op("1", "devA", "t1", json!({"devA": 1}))], "clientId": "devA"}).to_string();
    whole.extend(std::iter::repeat_n(' ', 20 * MIB - whole.len()));
    let answer = user.ask("POST", "/api/sync/ops", &[], whole.as_bytes()).await;
    assert_eq!(codes(&answer.json()), ["accepted"]);
}

#[tokio::test]
async fn a_packed_body_is_measured_before_and_after_unpacking() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let (compressed, decompressed) = (error("Compressed payload too large"), error("Decompressed payload too large"));
    let damaged = error("Failed to decompress gzip body");
    let rubbish = vec![0; 30 * MIB];
    for (target, most) in [("/api/sync/ops", 10 * MIB), ("/api/sync/snapshot", 30 * MIB)] {
        refused(&user.ask("POST", target, &[GZIP], &rubbish[..most]).await, 400, &damaged);
        // Base64 is allowed what it makes of as many bytes.
        let phone = STANDARD.encode(&rubbish[..most]);
        refused(&user.ask("POST", target, &[GZIP, BASE64], phone.as_bytes()).await, 400, &damaged);
        let bomb = gzip(&vec![b' '; 100 * MIB + 1]);
        let spaces = gzip(&vec![b' '; 100 * MIB]);
        for (headers, packed) in [(&[GZIP][..], false), (&[GZIP, BASE64], true)] {
            let body = |bytes: &[u8]| if packed { STANDARD.encode(bytes).into_bytes() } else { bytes.to_vec() };
            refused(&user.ask("POST", target, headers, &body(&bomb)).await, 413, &decompressed);
            refused(&user.ask("POST", target, headers, &body(&spaces)).await, 400, &damaged);
        }
    }
    refused(&user.ask("POST", "/api/sync/ops", &[GZIP], &rubbish[..=10 * MIB]).await, 413, &compressed);
    let phone = STANDARD.encode(&rubbish[..10 * MIB + 1_024]);
    refused(&user.ask("POST", "/api/sync/ops", &[GZIP, BASE64], phone.as_bytes()).await, 413, &compressed);
}

#[tokio::test]
async fn a_known_position_may_be_any_number() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    user.upload("devB", json!([op("b", "devB", "b", json!({"devB": 1}))]), None).await;
    let far = ["4294967296", "9007199254740993", "18446744073709551616", "1e30"];
    let near = ["0", "-1", "-1e30", "0.5"];
    for (at, known) in far.iter().chain(&near).enumerate() {
        let id = format!("op{at}");
        let op = op(&id, "devA", &id, json!({"devA": at + 1}));
        let body = format!(r#"{{"ops":[{op}],"clientId":"devA","lastKnownServerSeq":{known}}}"#);
        let answer = user.ask("POST", "/api/sync/ops", &[], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{known}: {answer:?}");
        let (answer, behind) = (answer.json(), near.contains(known));
        assert_eq!((codes(&answer), &answer["latestSeq"]), (vec!["accepted"], &json!(at + 2)), "{known}");
        assert_eq!(answer["newOps"].as_array().map(Vec::len), behind.then_some(1), "{known}: {answer}");
    }
}

/// Ciphertext of the years before Argon2, and any other: whoever cannot read it has no business changing it.
#[tokio::test]
async fn ciphertext_of_any_age_passes_through_byte_for_byte() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let texts = [
        "oKGio6Slpqeoqaqr72g8LnQqSdiX7zRWVJbpnkJw5GwthYY=",
        "AAECAwQFBgcICQoLDA0OD6ChoqOkpaanqKmqq/FUrE0Jaf9kQqw+8oBJ5JT689jolfJKjTRQYuGNLEMipzbR8g==",
        "not even base64 \u{1}\u{0} \"\\/ é \u{1f600}",
    ];
    let sealed = |(at, text): (usize, &&str)| {
        let id = format!("op{at}");
        let op = with(op(&id, "devA", &id, json!({"devA": at + 1})), "payload", json!(text));
        with(op, "isPayloadEncrypted", json!(true))
    };
    let ops: Vec<Value> = texts.iter().enumerate().map(sealed).collect();
    assert_eq!(codes(&user.upload("devA", ops.clone().into(), None).await), ["accepted"; 3]);
    let page = user.get("/api/sync/ops?sinceSeq=0").await;
    let back: Vec<&Value> = page["ops"].as_array().expect("ops").iter().map(|op| &op["op"]).collect();
    assert_eq!(back, ops.iter().collect::<Vec<_>>());
    assert!(ops[0]["timestamp"].as_u64() <= Some(now()));
}
