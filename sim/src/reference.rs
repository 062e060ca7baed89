//! What the log's ops amount to, reckoned a second time: by sorting and adding up where the product merges, so that a rule
//! which is the same on every device, and wrong on every device, is found too.
//!
//! What must hold: it knows the ops and nothing of how the product applies them. It is silent about what it does not know:
//! sealed payloads, pruned logs, full states, and values whose rules have no other way than the product's.

use std::collections::{BTreeMap, BTreeSet};

use syncline::crdt::{Content, Counter, CounterEdit, Register, RegisterEdit, Set, SetEdit};
use syncline::oplog::{ConflictPolicy, EntityKey, Op, OpKind, Payload, Schema, Subject};
use syncline::{OpId, ReplicaId, Seq, Timestamp, limits};

/// An op of the log, and when the server took it.
pub(crate) struct Stood {
    pub(crate) seq: Seq,
    pub(crate) accepted_at: Timestamp,
    pub(crate) op: Op,
}

/// Which of two writes is newer: the later one, as far as the server vouches for the time; then an order that everybody has.
type When = (u64, u16, ReplicaId, Seq);

fn when(stood: &Stood) -> When {
    let (hlc, cap) = (stood.op.hlc(), stood.accepted_at.ms() + limits::CLOCK_DRIFT_MS_MAX);
    let (ms, counter) = if hlc.ms.ms() > cap { (cap, u16::MAX) } else { (hlc.ms.ms(), hlc.counter) };
    (ms, counter, stood.op.replica(), stood.seq)
}

/// What each entity must show that can be reckoned here; `None`: nothing.
pub(crate) fn reckon(log: &[Stood], schema: &Schema) -> BTreeMap<EntityKey, Option<serde_json::Value>> {
    let whole = log.first().is_none_or(|first| first.seq == Seq::FIRST);
    let states = log.iter().any(|stood| stood.op.full_state().is_some());
    let mut entities: BTreeMap<EntityKey, Vec<&Stood>> = BTreeMap::new();
    for stood in log.iter().filter(|_| whole && !states) {
        if let Subject::Entity { key, .. } = stood.op.subject() {
            entities.entry(key.clone()).or_default().push(stood);
        }
    }
    let reckoned = entities.into_iter().filter(|(key, _)| !key.collection.is_system()).filter_map(|(key, ops)| {
        let rules = schema.rules(&key.collection);
        let shown = match rules.reducer.holds() {
            Some(Register::NAME) => register(&ops),
            Some(Counter::NAME) => counter(&ops),
            Some(Set::NAME) => set(&ops),
            None if rules.policy == ConflictPolicy::Merge => fields(&ops),
            _ => None,
        };
        Some((key, shown?))
    });
    reckoned.collect()
}

/// The edits of ops that say nothing but edits.
fn edits<C: Content>(ops: &[&Stood]) -> Option<Vec<C::Edit>> {
    let edit = |stood: &&Stood| match (stood.op.kind(), stood.op.payload()) {
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
fn counter(ops: &[&Stood]) -> Option<Option<serde_json::Value>> {
    let (mut sum, mut counted) = (0_i64, false);
    for edit in edits::<Counter>(ops)? {
        let CounterEdit::Add(by) = edit else { return None };
        sum = sum.checked_add(by)?;
        counted |= by != 0;
    }
    Some(counted.then(|| sum.into()))
}

/// Every element with an add that nobody named who took it away.
fn set(ops: &[&Stood]) -> Option<Option<serde_json::Value>> {
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
    let there: BTreeSet<bytes::Bytes> =
        adds.into_iter().filter(|add| !named.contains(add)).map(|(_, text)| text).collect();
    let values: Vec<serde_json::Value> =
        there.iter().map(|text| serde_json::from_slice(text)).collect::<Result<_, _>>().ok()?;
    Some((!values.is_empty()).then(|| values.into()))
}

/// Of each field the newest write, where no newer delete ended it.
fn fields(ops: &[&Stood]) -> Option<Option<serde_json::Value>> {
    let deleted = ops.iter().filter(|stood| stood.op.kind() == OpKind::Delete).map(|stood| when(stood)).max();
    let mut newest: BTreeMap<String, (When, serde_json::Value)> = BTreeMap::new();
    for stood in ops.iter().filter(|stood| stood.op.kind() != OpKind::Delete) {
        let Payload::Json(text) = stood.op.payload() else { return None };
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
