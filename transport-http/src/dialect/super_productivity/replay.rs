//! Replay: the state that operations add up to, as the original's server builds it.
//!
//! A pure function of the operations in order. What must hold: a full state *replaces*; so the state at a seq is the
//! same whether a replay began at the start of the log, at a full state or at a kept state.

use serde_json::{Map, Value};

use super::op::{OpType, WireOp};

/// Bytes of JSON a state may reach.
pub(super) const STATE_BYTES_MAX: usize = 100 << 20;

/// State under construction.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    root: Value,
    /// At least the bytes of the state, so that its size is looked at only now and then.
    bytes_bound: usize,
}

/// Why a state cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Only devices can read it.
    Encrypted,
    /// Larger than [`STATE_BYTES_MAX`].
    TooLarge,
}

impl State {
    /// The empty state.
    pub(super) fn new() -> Self {
        Self::from_value(Value::Object(Map::new()))
    }

    /// A state to go on from.
    pub(super) fn from_value(root: Value) -> Self {
        let bytes_bound = size(&root);
        Self { root, bytes_bound }
    }

    /// The state.
    pub(super) fn into_value(self) -> Value {
        self.root
    }

    /// Applies the next operation.
    ///
    /// # Errors
    /// When it cannot be read here, or the state outgrows its limit; the state is then only good for being dropped.
    pub(super) fn apply(&mut self, op: &WireOp) -> Result<(), Stop> {
        if op.is_payload_encrypted {
            return Err(Stop::Encrypted);
        }
        self.bytes_bound += op.payload.get().len() + 512;
        // Checked when the operation was accepted.
        let payload: Value = serde_json::from_str(op.payload.get()).unwrap_or(Value::Null);
        if op.op_type.is_full_state() {
            self.root = full_state(payload);
        } else {
            self.change(op, payload);
        }
        if self.bytes_bound > STATE_BYTES_MAX {
            self.bytes_bound = size(&self.root);
        }
        if self.bytes_bound > STATE_BYTES_MAX { Err(Stop::TooLarge) } else { Ok(()) }
    }

    fn change(&mut self, op: &WireOp, payload: Value) {
        // A state that is no object has nothing that could be changed by type.
        let Value::Object(root) = &mut self.root else { return };
        let slice = root.entry(op.entity_type.as_str()).or_insert_with(|| Value::Object(Map::new()));
        if !slice.is_object() {
            *slice = Value::Object(Map::new());
        }
        let Value::Object(slice) = slice else { return };
        match (op.op_type, payload) {
            (OpType::Delete, _) => {
                op.conflict_ids().for_each(|id| {
                    slice.remove(id);
                });
            }
            (OpType::Batch, Value::Object(mut payload)) if payload.contains_key("entities") => {
                if let Some(Value::Object(entities)) = payload.remove("entities") {
                    entities.into_iter().for_each(|(id, fields)| merge(slice, &id, fields));
                }
            }
            (_, payload) => {
                if let Some(id) = &op.entity_id {
                    merge(slice, id, payload);
                }
            }
        }
    }
}

/// What a full state's payload means.
fn full_state(payload: Value) -> Value {
    match payload {
        Value::Object(mut payload) if payload.contains_key("appDataComplete") => {
            payload.remove("appDataComplete").unwrap_or_default()
        }
        other => other,
    }
}

/// `{...old, ...new}`: shallow, nested objects are replaced.
fn merge(slice: &mut Map<String, Value>, id: &str, fields: Value) {
    let Value::Object(fields) = fields else { return };
    match slice.get_mut(id) {
        Some(Value::Object(old)) => old.extend(fields),
        _ => {
            slice.insert(id.to_owned(), Value::Object(fields));
        }
    }
}

fn size(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting cannot fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::op::tests::wire;
    use super::*;

    fn replay(ops: &[Value]) -> Value {
        let mut state = State::new();
        ops.iter().for_each(|op| state.apply(&wire(op.clone())).expect("a plain operation"));
        state.into_value()
    }

    #[test]
    fn changes_merge_shallowly_under_their_type() {
        let state = replay(&[
            json!({"opType": "CRT", "entityId": "t1", "payload": {"title": "a", "sub": {"x": 1}}}),
            json!({"entityId": "t1", "payload": {"sub": {"y": 2}}}),
            json!({"opType": "MOV", "entityId": "t2", "payload": {"at": 3}}),
        ]);
        assert_eq!(state, json!({"TASK": {"t1": {"title": "a", "sub": {"y": 2}}, "t2": {"at": 3}}}));
    }

    #[test]
    fn a_full_state_replaces_everything() {
        let import = json!({"opType": "SYNC_IMPORT", "entityType": "ALL", "payload": {"task": {"ids": []}}});
        let state = replay(&[json!({"entityId": "t1", "payload": {"title": "a"}}), import]);
        assert_eq!(state, json!({"task": {"ids": []}}));
        let wrapped = json!({"opType": "BACKUP_IMPORT", "entityType": "ALL", "payload": {"appDataComplete": {"a": 1}}});
        assert_eq!(replay(&[wrapped]), json!({"a": 1}));
    }

    #[test]
    fn a_deletion_removes_all_it_names() {
        let state = replay(&[
            json!({"opType": "BATCH", "entityId": "x", "payload": {"entities": {"t1": {"a": 1}, "t2": {}, "t3": {}}}}),
            json!({"opType": "DEL", "entityId": "t1", "entityIds": ["t2"], "payload": null}),
        ]);
        assert_eq!(state, json!({"TASK": {"t3": {}}}));
    }

    #[test]
    fn an_operation_without_entities_touches_nothing_but_its_type() {
        assert_eq!(replay(&[json!({"entityType": "ALL", "payload": {"a": 1}})]), json!({"ALL": {}}));
    }

    #[test]
    fn ciphertext_stops_a_replay() {
        let op = wire(json!({"entityId": "t1", "payload": "YWJj", "isPayloadEncrypted": true}));
        assert_eq!(State::new().apply(&op), Err(Stop::Encrypted));
    }

    #[test]
    fn going_on_from_a_kept_state_gives_what_the_whole_replay_gives() {
        let ops = [
            json!({"entityId": "t1", "payload": {"a": 1}}),
            json!({"opType": "SYNC_IMPORT", "entityType": "ALL", "payload": {"TASK": {"t9": {"b": 2}}}}),
            json!({"entityId": "t9", "payload": {"c": 3}}),
            json!({"opType": "DEL", "entityId": "t9", "payload": null}),
        ];
        for cut in 0..=ops.len() {
            let mut state = State::from_value(replay(&ops[..cut]));
            ops[cut..].iter().for_each(|op| state.apply(&wire(op.clone())).expect("plain"));
            assert_eq!(state.into_value(), replay(&ops), "cut at {cut}");
        }
    }
}
