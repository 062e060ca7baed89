//! What the log's ops amount to, reckoned a second time: by sorting and adding up where the product merges, so that a rule
//! which is the same on every device, and wrong on every device, is found too.
//!
//! What must hold: it knows the ops, and the newest full state that stands in the log, and nothing of how the product applies
//! them. It is silent about what it does not know: logs whose beginning was dropped and for which no state stands in, and values
//! whose rules have no other way than the product's.

use std::collections::{BTreeMap, BTreeSet};

use syncline::crdt::{Content, Counter, CounterEdit, Register, RegisterEdit, Set, SetEdit};
use syncline::oplog::{ConflictPolicy, EntityKey, LogState, Op, OpKind, Payload, Rules, Schema};
use syncline::{OpId, ReplicaId, Seq, Timestamp, limits};

/// An op of the log, and when the server took it.
pub(crate) struct Stood {
    pub(crate) seq: Seq,
    pub(crate) accepted_at: Timestamp,
    pub(crate) op: Op,
    /// What it says, opened where it is sealed.
    pub(crate) payload: Payload,
}

/// Which of two writes is newer: the later one, as far as the server vouches for the time; then an order that everybody has.
type When = (u64, u16, ReplicaId, Seq);

fn when(stood: &Stood) -> When {
    let (hlc, cap) = (stood.op.hlc(), stood.accepted_at.ms() + limits::CLOCK_DRIFT_MS_MAX);
    let (ms, counter) = if hlc.ms.ms() > cap { (cap, u16::MAX) } else { (hlc.ms.ms(), hlc.counter) };
    (ms, counter, stood.op.replica(), stood.seq)
}

/// Every entity that the log's ops, or the newest full state, name.
pub(crate) fn keys(log: &[Stood]) -> BTreeSet<EntityKey> {
    let of_ops = log.iter().flat_map(|stood| stood.op.subject().keys().collect::<Vec<_>>());
    let state = begins(log).map(|(state, _)| state).unwrap_or_default();
    of_ops.chain(state.iter().map(|(key, _)| key.clone())).collect()
}

/// What each entity must show that can be reckoned here; `None`: nothing.
pub(crate) fn reckon(log: &[Stood], schema: &Schema) -> BTreeMap<EntityKey, Option<serde_json::Value>> {
    let Some((state, after)) = begins(log) else { return BTreeMap::new() };
    let mut entities: BTreeMap<EntityKey, Vec<&Stood>> = keys(log).into_iter().map(|key| (key, Vec::new())).collect();
    for stood in after {
        for key in stood.op.subject().keys() {
            entities.entry(key).or_default().push(stood);
        }
    }
    let entities = entities.into_iter().filter(|(key, _)| !key.collection.is_system());
    let reckoned = entities.filter_map(|(key, ops)| {
        let rules = schema.rules(&key.collection);
        let shown = match (state.get(&key), ops.as_slice()) {
            (None, []) => Some(None),
            (Some(state), []) => stands(state, rules),
            (state, ops) => match rules.reducer.holds() {
                Some(Register::NAME) if state.is_none() => register(ops),
                Some(Counter::NAME) => counter(state, ops),
                Some(Set::NAME) => set(state.map(|state| stands(state, rules)), ops),
                None if rules.policy == ConflictPolicy::Merge && state.is_none() => fields(ops),
                _ => None,
            },
        };
        Some((key, shown?))
    });
    reckoned.collect()
}

/// The newest full state, and what stands after it; of a whole log without one, nothing and everything.
fn begins(log: &[Stood]) -> Option<(LogState, &[Stood])> {
    let Some(at) = log.iter().rposition(|stood| stood.op.full_state().is_some()) else {
        let whole = log.first().is_none_or(|first| first.seq == Seq::FIRST);
        return whole.then(|| (LogState::default(), log));
    };
    match &log[at].payload {
        Payload::Plain(bytes) => Some((LogState::from_bytes(bytes.clone()).ok()?, &log[at + 1..])),
        _ => None,
    }
}

/// What a state shows that nothing came after.
fn stands(state: &[u8], rules: &Rules) -> Option<Option<serde_json::Value>> {
    let shown = rules.reducer.view(state).ok()?;
    let value = shown.map(|text| serde_json::from_slice::<serde_json::Value>(&text)).transpose().ok()?;
    Some(value.filter(|value| *value != serde_json::json!({})))
}

/// The edits of ops that say nothing but edits.
fn edits<C: Content>(ops: &[&Stood]) -> Option<Vec<C::Edit>> {
    let edit = |stood: &&Stood| match (stood.op.kind(), &stood.payload) {
        (OpKind::Delete, _) => None,
        (_, Payload::Plain(bytes)) => C::read_edit(bytes.clone()).ok(),
        _ => None,
    };
    ops.iter().map(edit).collect()
}

/// The newest write.
fn register(ops: &[&Stood]) -> Option<Option<serde_json::Value>> {
    let newest = edits::<Register>(ops)?.into_iter().zip(ops).max_by_key(|(_, stood)| when(stood));
    let (RegisterEdit(text), _) = newest?;
    text.map(|text| serde_json::from_slice(&text)).transpose().ok()
}

/// The sum.
fn counter(state: Option<&[u8]>, ops: &[&Stood]) -> Option<Option<serde_json::Value>> {
    let (mut sum, mut counted) = match state {
        Some(state) => {
            let before = Counter::decode(bytes::Bytes::copy_from_slice(state)).ok()?;
            (before.value(), before.exists())
        }
        None => (0, false),
    };
    for edit in edits::<Counter>(ops)? {
        let CounterEdit::Add(by) = edit else { return None };
        sum = sum.checked_add(by)?;
        counted |= by != 0;
    }
    Some(counted.then(|| sum.into()))
}

/// Every element with an add that nobody named who took it away or added it anew. Of a state one sees the elements and not
/// their adds, so where one of those was named, it is not known whether another is left.
#[allow(clippy::option_option, reason = "no state, one that does not read, one that shows nothing")]
fn set(before: Option<Option<Option<serde_json::Value>>>, ops: &[&Stood]) -> Option<Option<serde_json::Value>> {
    let before: Vec<serde_json::Value> = match before {
        None | Some(Some(None)) => Vec::new(),
        Some(Some(Some(serde_json::Value::Array(elements)))) => elements,
        Some(_) => return None,
    };
    let later: BTreeSet<OpId> = ops.iter().map(|stood| stood.op.id()).collect();
    let mut adds: Vec<(OpId, bytes::Bytes)> = Vec::new();
    let mut named: BTreeSet<(OpId, bytes::Bytes)> = BTreeSet::new();
    for (edit, stood) in edits::<Set>(ops)?.into_iter().zip(ops) {
        let (elements, added) = match edit {
            SetEdit::Add(elements) => (elements, true),
            SetEdit::Remove(elements) => (elements, false),
        };
        for (text, gone) in elements {
            named.extend(gone.into_iter().filter(|gone| gone.id != stood.op.id()).map(|gone| (gone.id, text.clone())));
            if added {
                adds.push((stood.op.id(), text));
            }
        }
    }
    let read = |text: &bytes::Bytes| serde_json::from_slice::<serde_json::Value>(text).ok();
    let there = adds.iter().filter(|add| !named.contains(*add)).map(|(_, text)| read(text));
    let there: Vec<serde_json::Value> = there.collect::<Option<_>>()?;
    let unsure = named.iter().filter(|(id, _)| !later.contains(id)).map(|(_, text)| read(text));
    let unsure: Vec<serde_json::Value> = unsure.collect::<Option<_>>()?;
    if before.iter().any(|element| unsure.contains(element) && !there.contains(element)) {
        return None;
    }
    // In the order of their texts, each once, as they are shown.
    let values: BTreeMap<String, serde_json::Value> =
        before.into_iter().chain(there).map(|value| (value.to_string(), value)).collect();
    Some((!values.is_empty()).then(|| values.into_values().collect::<Vec<_>>().into()))
}

/// Of each field the newest write, where no newer delete ended it.
fn fields(ops: &[&Stood]) -> Option<Option<serde_json::Value>> {
    let deleted = ops.iter().filter(|stood| stood.op.kind() == OpKind::Delete).map(|stood| when(stood)).max();
    let mut newest: BTreeMap<String, (When, serde_json::Value)> = BTreeMap::new();
    for stood in ops.iter().filter(|stood| stood.op.kind() != OpKind::Delete) {
        let Payload::Json(text) = &stood.payload else { return None };
        let written: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text).ok()?;
        for (name, value) in written.into_iter().filter(|_| deleted.is_none_or(|deleted| deleted < when(stood))) {
            if newest.get(&name).is_none_or(|(known, _)| *known < when(stood)) {
                newest.insert(name, (when(stood), value));
            }
        }
    }
    let fields: serde_json::Map<_, _> = newest.into_iter().map(|(name, (_, value))| (name, value)).collect();
    Some((!fields.is_empty()).then(|| fields.into()))
}
