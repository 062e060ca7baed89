//! Ops as they go over the wire, made one by one.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The wall clock, in milliseconds.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("in range")
}

/// An update of a task by one client.
pub(crate) fn update(id: &str, client: &str, entity: &str, clock: &Value) -> Value {
    json!({
        "id": id,
        "clientId": client,
        "actionType": "[Task] Update",
        "opType": "UPD",
        "entityType": "TASK",
        "entityId": entity,
        "payload": {"title": id},
        "vectorClock": clock,
        "timestamp": now(),
        "schemaVersion": 1,
    })
}

/// Ops of one client about as many tasks, numbered from `from`.
pub(crate) fn run(client: &str, from: u64, count: u64) -> Vec<Value> {
    let numbers = from..from + count;
    numbers
        .map(|number| {
            let name = format!("{client}-{number}");
            update(&name, client, &name, &json!({ client: number }))
        })
        .collect()
}
