//! An operation of theirs, and the op of ours that carries it.
//!
//! The op's payload is their JSON in one spelling, so that a download gives it back field for field and a retry of
//! the same operation makes the same bytes. What must hold: [`WireOp::seal`] depends on the operation alone.
//!
//! Next: `validate` makes these from what a client sent.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use syncline::clock::{ClockError, VectorClock};
use syncline::codec::Writer;
use syncline::id::ReplicaId;
use syncline::limits;
use syncline::oplog::{
    Collection, Draft, DraftError, EntityKey, FullStateKind, JsonFault, Op, OpBytes, OpKind, Payload, Precondition,
    Subject,
};
use syncline::seq::Seq;
use syncline::time::{Hlc, Timestamp};

use super::names;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum OpType {
    #[serde(rename = "CRT")]
    Create,
    #[serde(rename = "UPD")]
    Update,
    #[serde(rename = "DEL")]
    Delete,
    #[serde(rename = "MOV")]
    Move,
    #[serde(rename = "BATCH")]
    Batch,
    #[serde(rename = "SYNC_IMPORT")]
    SyncImport,
    #[serde(rename = "BACKUP_IMPORT")]
    BackupImport,
    #[serde(rename = "REPAIR")]
    Repair,
}

impl OpType {
    /// The three that replace the whole state, with the number that stands for them in an op's time: restore points
    /// are listed from times alone, without reading states of 20 MiB.
    const FULL: [(Self, u16, &'static str, &'static str); 3] = [
        (Self::SyncImport, 0, "SYNC_IMPORT", "Full sync import"),
        (Self::BackupImport, 1, "BACKUP_IMPORT", "Backup restore"),
        (Self::Repair, 2, "REPAIR", "Auto-repair"),
    ];

    pub(super) fn is_full_state(self) -> bool {
        self.full_code().is_some()
    }

    fn full_code(self) -> Option<u16> {
        Self::FULL.iter().find(|(kind, ..)| *kind == self).map(|(_, code, ..)| *code)
    }

    /// Name and description of the full state with this number.
    pub(super) fn described(code: u16) -> (&'static str, &'static str) {
        let found = Self::FULL.iter().find(|(_, known, ..)| *known == code);
        found.map_or(("SYNC_IMPORT", "Full sync import"), |(.., name, text)| (name, text))
    }
}

/// An operation as it is kept and given back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireOp {
    pub(super) id: String,
    pub(super) client_id: String,
    pub(super) action_type: String,
    pub(super) op_type: OpType,
    pub(super) entity_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) entity_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) entity_ids: Option<Vec<String>>,
    pub(super) payload: Box<RawValue>,
    pub(super) vector_clock: BTreeMap<String, u64>,
    pub(super) timestamp: u64,
    pub(super) schema_version: serde_json::Number,
    pub(super) is_payload_encrypted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sync_import_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) repair_base_server_seq: Option<u64>,
}

/// Why an operation does not become an op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unsealed {
    /// More content than the engine takes.
    TooLarge,
    /// A clock the engine does not take.
    Clock(ClockError),
    /// A time outside what the engine can say.
    Time,
    /// Anything else.
    Other(String),
}

impl WireOp {
    /// The op that carries this operation. `seeds`: it may only be the first full state of its log.
    pub(super) fn seal(&self, seeds: bool) -> Result<Op, Unsealed> {
        self.seal_after(seeds, &VectorClock::new())
    }

    /// The same, as if its author had seen this much more.
    pub(super) fn seal_after(&self, seeds: bool, seen: &VectorClock) -> Result<Op, Unsealed> {
        let text = serde_json::to_vec(self).map_err(|error| Unsealed::Other(error.to_string()))?;
        let text = Bytes::from(text);
        match self.draft(Payload::Json(text.clone()), seeds, seen)?.seal() {
            // Payloads have more nodes here than the engine reads of JSON, and a repeated key is theirs to repeat: then
            // the text is carried without being looked at.
            Err(DraftError::Json(JsonFault::TooManyNodes { .. } | JsonFault::Malformed(_))) => {
                self.draft(Payload::Plain(text), seeds, seen)?.seal().map_err(Unsealed::from)
            }
            sealed => sealed.map_err(Unsealed::from),
        }
    }

    fn draft(&self, payload: Payload, seeds: bool, seen: &VectorClock) -> Result<Draft, Unsealed> {
        let mut clock = VectorClock::new();
        for (client, counter) in &self.vector_clock {
            clock.set(names::replica(client), *counter).map_err(Unsealed::Clock)?;
        }
        clock.join(seen).map_err(Unsealed::Clock)?;
        let version = self.schema_version.as_f64().unwrap_or(1.0);
        Ok(Draft {
            id: names::op(&self.id),
            replica: names::replica(&self.client_id),
            subject: self.subject()?,
            kind: self.kind(seeds),
            clock,
            hlc: Hlc {
                ms: Timestamp::from_ms(self.timestamp).ok_or(Unsealed::Time)?,
                counter: self.op_type.full_code().unwrap_or(0),
            },
            schema_version: (1..=100).rev().find(|known| f64::from(*known) <= version).unwrap_or(1),
            precondition: self.precondition(),
            payload,
        })
    }

    fn kind(&self, seeds: bool) -> OpKind {
        match self.op_type {
            OpType::Create => OpKind::Create,
            OpType::Update => OpKind::Update,
            OpType::Delete => OpKind::Delete,
            OpType::Move => OpKind::Move,
            OpType::Batch => OpKind::Batch,
            _ if seeds => OpKind::FullState(FullStateKind::Initial),
            _ => OpKind::FullState(FullStateKind::Recovery),
        }
    }

    /// A repair that names the position it was made for is good for that position only.
    fn precondition(&self) -> Precondition {
        match self.repair_base_server_seq {
            Some(0) if self.op_type == OpType::Repair => Precondition::Absent,
            Some(base) if self.op_type == OpType::Repair => Precondition::Version(Seq::new(base).unwrap_or(Seq::MAX)),
            _ => Precondition::None,
        }
    }

    fn subject(&self) -> Result<Subject, Unsealed> {
        if self.op_type.is_full_state() {
            return Ok(Subject::Log);
        }
        let collection = Collection::new(&self.entity_type).map_err(|error| Unsealed::Other(error.to_string()))?;
        let Some(first) = self.conflict_ids().next() else {
            return Ok(Subject::Entity {
                key: EntityKey { collection, entity: names::entity_of_op(&self.id) },
                also: vec![],
            });
        };
        let entity = names::entity(first);
        let also: BTreeSet<_> = self.conflict_ids().map(names::entity).filter(|other| *other != entity).collect();
        // More entities than the engine watches in one op: the rest is carried and given back, not arbitrated.
        let also = also.into_iter().take(limits::OP_ENTITIES_MAX - 1).collect();
        Ok(Subject::Entity { key: EntityKey { collection, entity }, also })
    }

    /// The entities it may conflict about, the first one first.
    pub(super) fn conflict_ids(&self) -> impl Iterator<Item = &str> {
        self.entity_id.iter().chain(self.entity_ids.iter().flatten()).map(String::as_str)
    }

    /// The client ids it names that do not stand in their replica ids.
    pub(super) fn long_names(&self) -> impl Iterator<Item = String> {
        let clients = std::iter::once(&self.client_id).chain(self.vector_clock.keys());
        clients.filter(|client| names::is_long(client)).cloned()
    }

    /// Reads an operation back from the op that carries it.
    pub(super) fn of(op: &Op) -> Option<Self> {
        serde_json::from_slice(op.payload().bytes()).ok()
    }

    /// Whether `self`, accepted at `accepted_at`, is what `again` repeats. A device encrypts anew for every attempt, so
    /// ciphertext says nothing; and a time that was clamped then is clamped later now.
    pub(super) fn is_repeated_by(&self, again: &Self, accepted_at: Timestamp) -> bool {
        let payload = self.payload.get() == again.payload.get();
        let sealed = self.is_payload_encrypted && again.is_payload_encrypted;
        // It was clamped a moment after the request came, which is a moment before it was accepted.
        let ahead = self.timestamp.saturating_sub(accepted_at.ms());
        let clamped = (1..=limits::CLOCK_DRIFT_MS_MAX).contains(&ahead);
        let time = self.timestamp == again.timestamp || (clamped && again.timestamp >= self.timestamp);
        (payload || sealed) && time && self.same_frame(again)
    }

    /// Whether everything but payload and time is the same.
    pub(super) fn same_frame(&self, again: &Self) -> bool {
        let frame = |op: &Self| {
            let op = Self { payload: RawValue::NULL.to_owned(), timestamp: 0, ..op.clone() };
            serde_json::to_vec(&op).unwrap_or_default()
        };
        frame(self) == frame(again)
    }
}

/// How the text of every operation begins: what else may stand in a log was not written by this dialect.
const BEGIN: &[u8] = b"{\"id\":";

/// The JSON of the operation that an op carries; `None` when it is none of this dialect.
///
/// The op was checked before it was stored, and its bytes against their digest since: so the text is looked for at the
/// end of the bytes, behind its own length, and the op is only read where it is not found like that.
pub(super) fn text(op: &OpBytes) -> Option<Bytes> {
    let bytes = op.bytes();
    let at = bytes.windows(BEGIN.len()).position(|begin| begin == BEGIN)?;
    let mut length = Writer::with_capacity(10);
    length.len(bytes.len() - at);
    if bytes[..at].ends_with(&length.finish()) {
        return Some(bytes.slice(at..));
    }
    op.read().ok().map(|op| op.payload().bytes().clone()).filter(|text| text.starts_with(BEGIN))
}

/// Who wrote the operation of this text: the second of its fields.
pub(super) fn author(text: &[u8]) -> Option<ReplicaId> {
    let mut fields = serde_json::Deserializer::from_slice(&text[BEGIN.len()..]).into_iter::<Cow<'_, str>>();
    fields.next()?.ok()?;
    let client = text[BEGIN.len() + fields.byte_offset()..].strip_prefix(b",\"clientId\":\"")?;
    let end = client.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&client[..end]).ok().map(names::replica)
}

impl From<DraftError> for Unsealed {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::PayloadTooLarge { .. } => Self::TooLarge,
            other => Self::Other(other.to_string()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::dialect::super_productivity) fn wire(json: serde_json::Value) -> WireOp {
        let mut whole = serde_json::json!({
            "id": "op-1", "clientId": "devA", "actionType": "[Task] Update", "opType": "UPD", "entityType": "TASK",
            "payload": {}, "vectorClock": {"devA": 1}, "timestamp": 1_700_000_000_000_u64, "schemaVersion": 1,
            "isPayloadEncrypted": false,
        });
        let serde_json::Value::Object(json) = json else { panic!("an object") };
        whole.as_object_mut().expect("an object").extend(json);
        serde_json::from_value(whole).expect("an operation")
    }

    #[test]
    fn an_operation_comes_back_field_for_field() {
        let op = wire(serde_json::json!({
            "entityId": "t1", "entityIds": ["t1", "t2"], "payload": {"b": 1.50, "a": "\u{0}é"}, "schemaVersion": 1.5,
            "syncImportReason": "FILE_IMPORT",
        }));
        let sealed = op.seal(false).expect("an op");
        assert_eq!(sealed.payload().bytes(), &serde_json::to_vec(&op).expect("text"));
        let back = WireOp::of(&sealed).expect("an operation");
        assert_eq!(serde_json::to_value(&back).unwrap(), serde_json::to_value(&op).unwrap());
        assert_eq!(sealed.subject().keys().count(), 2);
        assert_eq!(op.seal(false).unwrap().digest(), sealed.digest(), "the same operation makes the same bytes");
    }

    #[test]
    fn text_and_author_are_found_without_reading_the_op() {
        let stray = serde_json::json!({"{\"id\":": {"{\"id\":\"x\",\"clientId\":\"devB": "{\"id\":"}});
        for (id, client, payload) in [
            ("op-1", "devA", serde_json::json!({})),
            ("\"},\"clientId\":\"devB\"", "devA-with-a-name-of-more-than-15-bytes", stray),
            ("\u{0}é\\", "d", serde_json::json!({"long": "x".repeat(20_000)})),
        ] {
            let clock: BTreeMap<String, u64> = (0..60).map(|number| (format!("device-{number}"), number)).collect();
            let op = wire(serde_json::json!({
                "id": id, "clientId": client, "entityId": "t1", "payload": payload, "vectorClock": clock,
            }));
            let sealed = op.seal(false).expect("an op");
            let found = text(sealed.raw()).expect("a text");
            assert_eq!(&found, sealed.payload().bytes());
            assert_eq!(author(&found), Some(sealed.replica()));
        }
    }

    #[test]
    fn an_op_that_is_not_of_this_dialect_has_no_text() {
        let mut draft = wire(serde_json::json!({"entityId": "t1"})).seal(false).expect("an op").draft().clone();
        for foreign in [&b"{}"[..], b"{\"title\":{\"id\":1}}", b"x{\"id\":\"a\"}"] {
            draft.payload = Payload::Plain(Bytes::from_static(foreign));
            assert_eq!(text(draft.clone().seal().expect("an op").raw()), None);
        }
    }

    #[test]
    fn an_operation_without_entities_conflicts_with_nothing() {
        let (one, two) = (
            wire(serde_json::json!({"entityType": "ALL"})),
            wire(serde_json::json!({"entityType": "ALL", "id": "op-2"})),
        );
        let keys = |op: &WireOp| op.seal(false).unwrap().subject().keys().collect::<Vec<_>>();
        assert_ne!(keys(&one), keys(&two));
    }

    #[test]
    fn more_entities_than_the_engine_watches_are_still_carried() {
        let ids: Vec<String> = (0..1_100).map(|number| format!("t{number}")).collect();
        let op = wire(serde_json::json!({"entityId": "t0", "entityIds": ids}));
        let sealed = op.seal(false).expect("an op");
        assert_eq!(sealed.subject().keys().count(), limits::OP_ENTITIES_MAX);
        assert_eq!(WireOp::of(&sealed).unwrap().entity_ids.unwrap().len(), 1_100);
    }

    #[test]
    fn a_repetition_is_known_by_everything_but_ciphertext_and_a_clamped_time() {
        let at = Timestamp::from_ms(1_700_000_000_000).unwrap();
        let stored = wire(serde_json::json!({"payload": "aaaa", "isPayloadEncrypted": true, "entityId": "t1"}));
        let again = |change: serde_json::Value| {
            let mut value = serde_json::to_value(&stored).unwrap();
            for (key, field) in change.as_object().unwrap() {
                value[key] = field.clone();
            }
            serde_json::from_value::<WireOp>(value).unwrap()
        };
        assert!(stored.is_repeated_by(&again(serde_json::json!({"payload": "bbbb"})), at));
        assert!(!stored.is_repeated_by(&again(serde_json::json!({"entityId": "t2"})), at));
        assert!(!stored.is_repeated_by(&again(serde_json::json!({"isPayloadEncrypted": false})), at));
        assert!(!stored.is_repeated_by(&again(serde_json::json!({"timestamp": 1_700_000_000_001_u64})), at));
        let clamped = WireOp { timestamp: at.ms() + 60_000, ..stored.clone() };
        assert!(clamped.is_repeated_by(&WireOp { timestamp: at.ms() + 65_000, ..stored.clone() }, at));
        assert!(clamped.is_repeated_by(&WireOp { timestamp: at.ms() + 65_000, ..stored.clone() }, at.plus_ms(20)));
        let plain = WireOp { is_payload_encrypted: false, ..stored.clone() };
        let other = again(serde_json::json!({"payload": "bbbb", "isPayloadEncrypted": false}));
        assert!(!plain.is_repeated_by(&other, at));
    }
}
