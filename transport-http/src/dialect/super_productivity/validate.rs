//! The thirteen checks on one operation, in their order: the first that fails names the code.
//!
//! What must hold: whatever an operation contains, the answer is about that operation alone. Nothing here fails a
//! batch.

use std::collections::BTreeMap;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use syncline::time::Timestamp;

use super::op::{OpType, Unsealed, WireOp};

/// How far ahead an author's time may be; beyond it counts as this much ahead.
pub(super) const DRIFT_MS_MAX: u64 = 60_000;
/// How old an operation may be.
pub(super) const AGE_MS_MAX: u64 = 45 * 24 * 60 * 60 * 1_000;
/// Characters (UTF-16 units) of ids and names.
pub(super) const NAME_MAX: usize = 255;
const CLOCK_ENTRIES_MAX: usize = 100;
const COUNTER_MAX: u64 = 10_000_000;
const PAYLOAD_BYTES_MAX: usize = 20 << 20;
const ENTITY_IDS_MAX: usize = 1_000;
/// Those of the reference server, then those that the app has learned since: to it a refused type is an edit lost for
/// good.
const ENTITY_TYPES: [&str; 22] = [
    "TASK",
    "PROJECT",
    "TAG",
    "NOTE",
    "GLOBAL_CONFIG",
    "TIME_TRACKING",
    "SIMPLE_COUNTER",
    "WORK_CONTEXT",
    "TASK_REPEAT_CFG",
    "ISSUE_PROVIDER",
    "PLANNER",
    "MENU_TREE",
    "METRIC",
    "BOARD",
    "REMINDER",
    "MIGRATION",
    "RECOVERY",
    "ALL",
    "PLUGIN_USER_DATA",
    "PLUGIN_METADATA",
    "ALL_TASKS",
    "SECTION",
];
const IMPORT_REASONS: [&str; 6] =
    ["PASSWORD_CHANGED", "FILE_IMPORT", "BACKUP_RESTORE", "FORCE_UPLOAD", "SERVER_MIGRATION", "REPAIR"];

/// Why one operation is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) code: &'static str,
    pub(super) error: String,
}

impl Rejection {
    pub(super) fn new(code: &'static str, error: impl Into<String>) -> Self {
        Self { code, error: error.into() }
    }
}

/// The fields of an object as they stand in the text; of a repeated one the last, as their parser has it.
pub(super) type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// The text of the operation's id, for the answer about it; empty when it has none that reads.
pub(super) fn id_of(fields: &Fields) -> String {
    read(fields, "id").ok().flatten().unwrap_or_default()
}

/// A field that may be missing. `Err` when it is there and is not a `T`.
pub(super) fn read<T: for<'de> serde::Deserialize<'de>>(fields: &Fields, name: &str) -> Result<Option<T>, ()> {
    fields.get(name).map(|raw| serde_json::from_str(raw.get()).map_err(drop)).transpose()
}

/// Whether a name has 1 to 255 characters.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.encode_utf16().take(NAME_MAX + 1).count() <= NAME_MAX
}

/// Whether a client id is 1 to 255 of `A–Z a–z 0–9 _ -`.
pub(super) fn is_client_id(id: &str) -> bool {
    is_name(id) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Checks an operation that `client` uploads at `now`.
pub(super) fn operation(fields: &Fields, client: &str, now: Timestamp) -> Result<WireOp, Rejection> {
    let author: Option<String> = read(fields, "clientId").unwrap_or_default();
    if author.as_deref() != Some(client) {
        let text = format!(
            "Operation clientId \"{}\" does not match request clientId \"{client}\"",
            author.unwrap_or_default()
        );
        return Err(Rejection::new("INVALID_CLIENT_ID", text));
    }
    let id = named(fields, "id").ok_or_else(|| Rejection::new("INVALID_OP_ID", "Invalid operation ID"))?;
    let op_type: OpType =
        read(fields, "opType").ok().flatten().ok_or_else(|| Rejection::new("INVALID_OP_TYPE", "Invalid opType"))?;
    let action_type =
        named(fields, "actionType").ok_or_else(|| Rejection::new("INVALID_OP_TYPE", "Invalid actionType"))?;
    let entity_type = entity_type(fields)?;
    let (entity_id, entity_ids) = entities(fields)?;
    if entity_id.is_none() && !op_type.is_full_state() && entity_type != "ALL" && entity_type != "RECOVERY" {
        let name = fields.get("opType").map_or("", |raw| raw.get().trim_matches('"'));
        let text = format!("Operation {name} on {entity_type} requires entityId");
        return Err(Rejection::new("MISSING_ENTITY_ID", text));
    }
    let payload =
        fields.get("payload").ok_or_else(|| Rejection::new("INVALID_PAYLOAD", "Operation payload is required"))?;
    let schema_version = schema_version(fields)?;
    let vector_clock = clock(fields)?;
    let is_payload_encrypted = encrypted(fields)?;
    check_payload(payload, op_type)?;
    let timestamp = timestamp(fields, now)?;
    let (sync_import_reason, repair_base_server_seq) = extensions(fields)?;
    Ok(WireOp {
        id,
        client_id: client.to_owned(),
        action_type,
        op_type,
        entity_type,
        entity_id,
        entity_ids,
        payload: (*payload).to_owned(),
        vector_clock,
        timestamp,
        schema_version,
        is_payload_encrypted,
        sync_import_reason,
        repair_base_server_seq,
    })
}

fn named(fields: &Fields, name: &str) -> Option<String> {
    read::<String>(fields, name).ok().flatten().filter(|text| is_name(text))
}

fn entity_type(fields: &Fields) -> Result<String, Rejection> {
    let given: String = read(fields, "entityType").ok().flatten().unwrap_or_default();
    if ENTITY_TYPES.contains(&given.as_str()) {
        return Ok(given);
    }
    let shown: String = given.chars().take(NAME_MAX).collect();
    Err(Rejection::new("INVALID_ENTITY_TYPE", format!("Invalid entityType: {shown}")))
}

fn entities(fields: &Fields) -> Result<(Option<String>, Option<Vec<String>>), Rejection> {
    let invalid = |text: &str| Rejection::new("INVALID_ENTITY_ID", text);
    let id: Option<String> = read(fields, "entityId").map_err(|()| invalid("Invalid entityId"))?;
    if id.as_deref().is_some_and(|id| !is_name(id) || id.trim().is_empty()) {
        return Err(invalid("Invalid entityId format or length"));
    }
    let ids: Option<Vec<String>> = read(fields, "entityIds").map_err(|()| invalid("Invalid entityIds"))?;
    let wrong = |ids: &Vec<String>| ids.len() > ENTITY_IDS_MAX || ids.iter().any(|id| !is_name(id));
    if ids.as_ref().is_some_and(wrong) {
        return Err(invalid("Invalid entityIds"));
    }
    Ok((id, ids))
}

/// 1 to 100; fractions pass.
pub(super) fn schema_version(fields: &Fields) -> Result<serde_json::Number, Rejection> {
    let given: Option<serde_json::Number> = read(fields, "schemaVersion").unwrap_or_default();
    let inside = |version: &serde_json::Number| version.as_f64().is_some_and(|value| (1.0..=100.0).contains(&value));
    given.filter(inside).ok_or_else(|| Rejection::new("INVALID_SCHEMA_VERSION", "Invalid schema version"))
}

/// The clock with what can be kept of it.
pub(super) fn clock(fields: &Fields) -> Result<BTreeMap<String, u64>, Rejection> {
    let invalid = |text: &str| Rejection::new("INVALID_VECTOR_CLOCK", text);
    let given: Option<Fields> = match fields.get("vectorClock") {
        None => None,
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| invalid("Vector clock must be an object"))?,
    };
    let given = given.ok_or_else(|| invalid("Vector clock must be an object"))?;
    if given.len() > CLOCK_ENTRIES_MAX {
        return Err(invalid("Vector clock has too many entries (max 100)"));
    }
    let mut clock = BTreeMap::new();
    for (client, raw) in given {
        let number: serde_json::Number =
            serde_json::from_str(raw.get()).map_err(|_| invalid("Vector clock values must be numbers"))?;
        if let Some(counter) = whole(&number).filter(|counter| is_name(&client) && *counter <= COUNTER_MAX) {
            clock.insert(client, counter);
        }
    }
    Ok(clock)
}

/// A number that is a whole one from 0 on, however it is written.
pub(super) fn whole(number: &serde_json::Number) -> Option<u64> {
    number.as_u64().or_else(|| {
        let value =
            number.as_f64().filter(|value| value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(value))?;
        format!("{:.0}", value.abs()).parse().ok()
    })
}

fn encrypted(fields: &Fields) -> Result<bool, Rejection> {
    let given = read(fields, "isPayloadEncrypted").ok().unwrap_or(None);
    match (given, fields.contains_key("isPayloadEncrypted")) {
        (Some(given), _) => Ok(given),
        (None, false) => Ok(false),
        (None, true) => Err(Rejection::new("INVALID_PAYLOAD", "isPayloadEncrypted must be a boolean")),
    }
}

fn timestamp(fields: &Fields, now: Timestamp) -> Result<u64, Rejection> {
    let invalid = |text: &str| Rejection::new("INVALID_TIMESTAMP", text);
    let given: Option<serde_json::Number> = read(fields, "timestamp").unwrap_or_default();
    let given = given.ok_or_else(|| invalid("Invalid timestamp"))?;
    let latest = now.plus_ms(DRIFT_MS_MAX).ms();
    let value = given.as_f64().unwrap_or(0.0);
    if value.fract() != 0.0 {
        return Err(invalid("Timestamp must be a whole number of milliseconds"));
    }
    // Far beyond what any clock says: clamped like every time ahead of ours.
    let given = if value > 9e15 { latest } else { whole(&given).unwrap_or(0) };
    if given < now.ms().saturating_sub(AGE_MS_MAX) {
        return Err(invalid("Operation too old"));
    }
    Ok(given.min(latest))
}

pub(super) fn extensions(fields: &Fields) -> Result<(Option<String>, Option<u64>), Rejection> {
    let invalid = || Rejection::new("INVALID_PAYLOAD", "Invalid full-state metadata");
    let reason: Option<String> = read(fields, "syncImportReason").map_err(|()| invalid())?;
    if reason.as_deref().is_some_and(|reason| !IMPORT_REASONS.contains(&reason)) {
        return Err(invalid());
    }
    let base: Option<u64> = read(fields, "repairBaseServerSeq").map_err(|()| invalid())?;
    Ok((reason, base))
}

/// Complexity, size and shape.
pub(super) fn check_payload(payload: &RawValue, op_type: OpType) -> Result<(), Rejection> {
    let (depth, keys) = if op_type.is_full_state() { (50, 100_000) } else { (20, 20_000) };
    let mut walk = Walk { depth_max: depth, keys_left: keys, too_complex: false };
    let mut parser = serde_json::Deserializer::from_str(payload.get());
    let read = Node { walk: &mut walk, depth: 0 }.deserialize(&mut parser);
    if walk.too_complex {
        let text = format!("Payload too complex (max depth {depth}, max keys {keys})");
        return Err(Rejection::new("INVALID_PAYLOAD", text));
    }
    // Text that not every reader understands alike, a lone surrogate for example.
    read.map_err(|error| Rejection::new("INVALID_PAYLOAD", format!("Payload is not valid JSON: {error}")))?;
    if payload.get().len() > PAYLOAD_BYTES_MAX {
        return Err(too_large());
    }
    let first = payload.get().as_bytes().first();
    let fits = match op_type {
        _ if op_type.is_full_state() => true,
        OpType::Delete => matches!(first, Some(b'n' | b'{' | b'"')),
        OpType::Batch if first == Some(&b'{') => batch_fits(payload),
        _ => matches!(first, Some(b'{' | b'"')),
    };
    if fits { Ok(()) } else { Err(Rejection::new("INVALID_PAYLOAD", "Invalid payload structure")) }
}

fn batch_fits(payload: &RawValue) -> bool {
    let fields: Fields = serde_json::from_str(payload.get()).unwrap_or_default();
    fields.get("entities").is_none_or(|entities| entities.get().starts_with('{'))
}

fn too_large() -> Rejection {
    Rejection::new("PAYLOAD_TOO_LARGE", "Payload too large")
}

impl From<Unsealed> for Rejection {
    fn from(fault: Unsealed) -> Self {
        match fault {
            Unsealed::TooLarge => too_large(),
            Unsealed::Clock(error) => Self::new("INVALID_VECTOR_CLOCK", error.to_string()),
            Unsealed::Time => Self::new("INVALID_TIMESTAMP", "Invalid timestamp"),
            Unsealed::Other(text) => Self::new("INVALID_PAYLOAD", text),
        }
    }
}

struct Walk {
    depth_max: usize,
    keys_left: usize,
    too_complex: bool,
}

struct Node<'w> {
    walk: &'w mut Walk,
    depth: usize,
}

impl Node<'_> {
    fn child<E: Error>(&mut self) -> Result<Node<'_>, E> {
        let Some(left) = self.walk.keys_left.checked_sub(1) else {
            self.walk.too_complex = true;
            return Err(E::custom("too many keys"));
        };
        self.walk.keys_left = left;
        Ok(Node { depth: self.depth + 1, walk: self.walk })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > self.walk.depth_max {
            self.walk.too_complex = true;
            return Err(D::Error::custom("too deep"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        // The first element is looked for before it is counted.
        loop {
            let mut probe = Counted { node: &mut self };
            if seq.next_element_seed(&mut probe)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<std::borrow::Cow<'de, str>>()?.is_some() {
            map.next_value_seed(&mut Counted { node: &mut self })?;
        }
        Ok(())
    }
}

/// A child that is counted when it is there.
struct Counted<'c, 'w> {
    node: &'c mut Node<'w>,
}

impl<'de> DeserializeSeed<'de> for &mut Counted<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.node.child::<D::Error>()?.deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests;
