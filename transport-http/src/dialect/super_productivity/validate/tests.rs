//! Each check at its edge.

use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000_000;

fn check_text(text: &str) -> Result<WireOp, Rejection> {
    let fields: Fields = serde_json::from_str(text).expect("an object");
    operation(&fields, "devA", Timestamp::from_ms(NOW).expect("a time"))
}

fn check(change: Value) -> Result<WireOp, Rejection> {
    let mut whole = json!({
        "id": "op-1", "clientId": "devA", "actionType": "[Task] Update", "opType": "UPD", "entityType": "TASK",
        "entityId": "t1", "payload": {}, "vectorClock": {"devA": 1}, "timestamp": NOW, "schemaVersion": 1,
    });
    let Value::Object(change) = change else { panic!("an object") };
    for (key, value) in change {
        match value {
            Value::String(text) if text == "ABSENT" => {
                whole.as_object_mut().expect("an object").remove(&key);
            }
            value => whole[key] = value,
        }
    }
    check_text(&whole.to_string())
}

fn code(change: Value) -> &'static str {
    check(change).err().map_or("accepted", |rejection| rejection.code)
}

#[test]
fn each_check_has_its_code() {
    let long = "x".repeat(256);
    let cases = [
        (json!({}), "accepted"),
        (json!({"clientId": "devB"}), "INVALID_CLIENT_ID"),
        (json!({"id": ""}), "INVALID_OP_ID"),
        (json!({"id": long}), "INVALID_OP_ID"),
        (json!({"id": "x".repeat(255)}), "accepted"),
        (json!({"opType": "NOPE"}), "INVALID_OP_TYPE"),
        (json!({"entityType": "NOPE"}), "INVALID_ENTITY_TYPE"),
        (json!({"entityId": " "}), "INVALID_ENTITY_ID"),
        (json!({"entityId": long}), "INVALID_ENTITY_ID"),
        (json!({"entityId": null}), "INVALID_ENTITY_ID"),
        (json!({"entityId": "ABSENT"}), "MISSING_ENTITY_ID"),
        (json!({"entityId": "ABSENT", "entityIds": ["t1"]}), "MISSING_ENTITY_ID"),
        (json!({"entityId": "ABSENT", "entityType": "ALL"}), "accepted"),
        (json!({"entityId": "ABSENT", "opType": "REPAIR"}), "accepted"),
        (json!({"payload": "ABSENT"}), "INVALID_PAYLOAD"),
        (json!({"schemaVersion": 0}), "INVALID_SCHEMA_VERSION"),
        (json!({"schemaVersion": 1.5}), "accepted"),
        (json!({"schemaVersion": 100}), "accepted"),
        (json!({"schemaVersion": 101}), "INVALID_SCHEMA_VERSION"),
        (json!({"vectorClock": []}), "INVALID_VECTOR_CLOCK"),
        (json!({"vectorClock": {"a": "1"}}), "INVALID_VECTOR_CLOCK"),
        (json!({"payload": []}), "INVALID_PAYLOAD"),
        (json!({"payload": null}), "INVALID_PAYLOAD"),
        (json!({"payload": null, "opType": "DEL"}), "accepted"),
        (json!({"payload": {"entities": []}, "opType": "BATCH"}), "INVALID_PAYLOAD"),
        (json!({"payload": {"entities": {}}, "opType": "BATCH"}), "accepted"),
        (json!({"payload": null, "opType": "SYNC_IMPORT"}), "accepted"),
        (json!({"timestamp": 1.5}), "INVALID_TIMESTAMP"),
        (json!({"timestamp": "now"}), "INVALID_TIMESTAMP"),
        (json!({"timestamp": NOW - AGE_MS_MAX}), "accepted"),
        (json!({"timestamp": NOW - AGE_MS_MAX - 1}), "INVALID_TIMESTAMP"),
        (json!({"timestamp": -1}), "INVALID_TIMESTAMP"),
    ];
    for (change, expected) in cases {
        let shown: String = change.to_string().chars().take(80).collect();
        assert_eq!(code(change), expected, "{shown}");
    }
}

#[test]
fn the_first_check_that_fails_names_the_code() {
    let wrong = json!({"opType": "NOPE", "entityType": "NOPE", "payload": [], "timestamp": 0});
    assert_eq!(code(wrong), "INVALID_OP_TYPE");
    assert_eq!(code(json!({"vectorClock": 1, "payload": [], "timestamp": 0})), "INVALID_VECTOR_CLOCK");
    assert_eq!(code(json!({"payload": [], "timestamp": 0})), "INVALID_PAYLOAD");
}

#[test]
fn a_time_ahead_is_clamped() {
    let stored = |timestamp: Value| check(json!({ "timestamp": timestamp })).expect("accepted").timestamp;
    assert_eq!(stored(json!(NOW + 60_000)), NOW + 60_000);
    assert_eq!(stored(json!(NOW + 60_001)), NOW + 60_000);
    assert_eq!(stored(json!(1e300)), NOW + 60_000);
}

#[test]
fn a_clock_keeps_what_can_be_kept() {
    let clock = json!({"a": 1, "": 2, "b": 1.5, "c": -1, "d": 10_000_000, "e": 10_000_001, "f": 0, "g": 3.0});
    let kept = check(json!({ "vectorClock": clock })).expect("accepted").vector_clock;
    assert_eq!(serde_json::to_value(kept).unwrap(), json!({"a": 1, "d": 10_000_000, "f": 0, "g": 3}));
    let entries = |count: u32| Value::Object((0..count).map(|at| (format!("c{at}"), json!(-1))).collect());
    assert_eq!(code(json!({ "vectorClock": entries(100) })), "accepted");
    assert_eq!(code(json!({ "vectorClock": entries(101) })), "INVALID_VECTOR_CLOCK");
    assert_eq!(code(json!({ "vectorClock": {} })), "accepted");
}

fn nested(depth: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
}

fn with_payload(op_type: &str, payload: &str) -> &'static str {
    let text = format!(
        r#"{{"id":"o","clientId":"devA","actionType":"a","opType":"{op_type}","entityType":"TASK","entityId":"t",
        "payload":{payload},"vectorClock":{{}},"timestamp":{NOW},"schemaVersion":1}}"#
    );
    check_text(&text).err().map_or("accepted", |rejection| rejection.code)
}

#[test]
fn depth_and_keys_are_held_to_the_number() {
    assert_eq!(with_payload("UPD", &nested(20)), "accepted");
    assert_eq!(with_payload("UPD", &nested(21)), "INVALID_PAYLOAD");
    assert_eq!(with_payload("SYNC_IMPORT", &nested(50)), "accepted");
    assert_eq!(with_payload("SYNC_IMPORT", &nested(51)), "INVALID_PAYLOAD");
    assert_eq!(with_payload("SYNC_IMPORT", &nested(100_000)), "INVALID_PAYLOAD");
    let keys = |count: usize| format!(r#"{{"a":[{}1]}}"#, "1,".repeat(count - 2));
    assert_eq!(with_payload("UPD", &keys(20_000)), "accepted");
    assert_eq!(with_payload("UPD", &keys(20_001)), "INVALID_PAYLOAD");
}

#[test]
fn a_payload_of_most_keys_still_seals() {
    let payload = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(19_998));
    let op = check(json!({ "payload": serde_json::from_str::<Value>(&payload).unwrap() })).expect("accepted");
    assert!(op.seal(false).is_ok());
    let twice = check_text(&format!(
        r#"{{"id":"o","clientId":"devA","actionType":"a","opType":"UPD","entityType":"TASK","entityId":"t",
        "payload":{{"a":1,"a":2}},"vectorClock":{{}},"timestamp":{NOW},"schemaVersion":1}}"#
    ));
    assert!(twice.expect("accepted").seal(false).is_ok(), "a repeated key is theirs to repeat");
}

#[test]
fn fault_poison_values_are_rejections_of_their_operation() {
    assert_eq!(with_payload("UPD", r#"{"a":"\ud800"}"#), "INVALID_PAYLOAD");
    assert_eq!(with_payload("UPD", r#"{"\udfff":1}"#), "INVALID_PAYLOAD");
    assert_eq!(with_payload("UPD", r#"{"a":1e999}"#), "INVALID_PAYLOAD");
    // U+0000 is a character like any other here: it is stored and given back.
    assert_eq!(with_payload("UPD", r#"{"a":"\u0000"}"#), "accepted");
}
