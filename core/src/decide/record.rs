//! Records: what the engine itself remembers, as entities of a bucket's system log, and notes beside a log.
//!
//! A *record* (a bearer token, an account) changes by an op of the system log, so its history is kept, and by compare
//! and swap, so that any number of servers may change it. A *note* (when a device was last seen) is a head without an
//! op: the last writer wins and nothing is kept of the one before.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Choice, Forget, LogWrites, Reads, SlotKey, View};
use crate::clock::VectorClock;
use crate::id::{BucketId, LogId, LogKey, OpId, ReplicaId};
use crate::oplog::{
    Draft, DraftError, EntityKey, Head, HeadState, LogBounds, LoggedOp, OpKind, Payload, Precondition, Subject,
};
use crate::seq::{Origin, Seq};
use crate::time::{Env, Hlc};

/// The op of a note: none.
const NO_OP: OpId = OpId::from_bytes([0; 16]);

/// A record as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct Record {
    /// What a compare and swap compares.
    pub version: Seq,
    /// Its content.
    pub state: Bytes,
}

/// What a record must be for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "complete, like a precondition")]
pub enum Expect {
    /// Anything.
    Any,
    /// Not there, or deleted.
    Absent,
    /// At this version.
    Version(Seq),
}

/// A change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct RecordWrite {
    /// Which record; its collection begins with `sys.`.
    pub key: EntityKey,
    /// What it must be.
    pub expect: Expect,
    /// What it becomes; `None` deletes it.
    pub state: Option<Bytes>,
    /// Unique names it takes. Holding one already is no error.
    pub take: Vec<SlotKey>,
    /// Unique names it gives up. One that another record holds stays with it.
    pub release: Vec<SlotKey>,
}

/// The outcome of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own answer")]
pub enum RecordWritten {
    /// Done; the record's new version.
    Done(Seq),
    /// The record is not what was expected; what it is. Nothing was changed.
    Moved(Option<Record>),
    /// Another record holds this name. Nothing was changed.
    SlotTaken(SlotKey),
}

impl RecordWrite {
    /// What the rule reads.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let slots = self.take.iter().chain(&self.release).cloned().collect();
        Reads { heads: vec![self.key.clone()], slots, ..Reads::default() }
    }
}

/// The record of a head that is alive and keeps a state.
#[must_use]
pub fn record_of(head: &Head) -> Option<Record> {
    head.live_state().map(|state| Record { version: head.version, state: state.clone() })
}

/// Changes a record. Needs [`RecordWrite::reads`] of the bucket's system log in its scope.
///
/// # Errors
/// When the state is larger than an op's payload.
pub fn write_record(
    bucket: BucketId,
    write: &RecordWrite,
    env: &Env,
    view: &View,
) -> Result<Choice<RecordWritten>, DraftError> {
    let log = LogKey { bucket, log: LogId::SYSTEM };
    let seen = view.log(log);
    let current = seen.heads.get(&write.key).and_then(record_of);
    let as_expected = match write.expect {
        Expect::Any => true,
        Expect::Absent => current.is_none(),
        Expect::Version(version) => current.as_ref().is_some_and(|record| record.version == version),
    };
    if !as_expected {
        return Ok(Choice::Done(RecordWritten::Moved(current), None));
    }
    let others = |slot: &&SlotKey| seen.slots.get(*slot).is_some_and(|holder| *holder != write.key);
    if let Some(taken) = write.take.iter().find(others) {
        return Ok(Choice::Done(RecordWritten::SlotTaken(taken.clone()), None));
    }
    let bounds = match &seen.bounds {
        Some(bounds) => bounds.clone(),
        None => LogBounds::new(log, Origin(env.bytes16("origin")), env.now),
    };
    let held = |slot: &&SlotKey| seen.slots.get(*slot) == Some(&write.key) && !write.take.contains(slot);
    let released = write.release.iter().filter(held).map(|slot| (slot.clone(), None)).collect();
    append(log, write, released, env, bounds)
}

fn append(
    log: LogKey,
    write: &RecordWrite,
    mut slots: Vec<(SlotKey, Option<EntityKey>)>,
    env: &Env,
    mut bounds: LogBounds,
) -> Result<Choice<RecordWritten>, DraftError> {
    let id = OpId::from_bytes(env.uuid7("system op"));
    let Some((seq, logged, head)) = record_op(id, &write.key, write.state.as_ref(), env, &mut bounds)? else {
        return Ok(Choice::Done(RecordWritten::Moved(None), None));
    };
    slots.extend(write.take.iter().map(|slot| (slot.clone(), Some(write.key.clone()))));
    let writes =
        LogWrites { ops: vec![logged], heads: vec![(write.key.clone(), head)], slots, ..LogWrites::new(log, bounds) };
    Ok(Choice::Done(RecordWritten::Done(seq), Some(writes.alone())))
}

/// The op that makes a record what it is to be, as the log's next, and the head it leaves; `None` at the end of the number
/// line.
pub(super) fn record_op(
    id: OpId,
    key: &EntityKey,
    state: Option<&Bytes>,
    env: &Env,
    bounds: &mut LogBounds,
) -> Result<Option<(Seq, LoggedOp, Head)>, DraftError> {
    let op = Draft {
        id,
        replica: ReplicaId::SERVER,
        subject: Subject::Entity { key: key.clone(), also: Vec::new() },
        kind: if state.is_some() { OpKind::Update } else { OpKind::Delete },
        clock: VectorClock::new(),
        hlc: Hlc { ms: env.now, counter: 0 },
        schema_version: 1,
        precondition: Precondition::None,
        payload: Payload::Plain(state.cloned().unwrap_or_default()),
    }
    .seal()?;
    let Some(seq) = bounds.last.next() else { return Ok(None) };
    let state = match state {
        None => HeadState::Tombstone(env.now),
        Some(state) => HeadState::Live(Some(state.clone())),
    };
    let head = Head { version: seq, op: op.id(), replica: op.replica(), clock: VectorClock::new(), state };
    bounds.tip = bounds.tip.extend(op.digest(), env.now);
    bounds.last = seq;
    bounds.bytes += op.bytes().len() as u64;
    let logged = LoggedOp { seq, anchor: bounds.tip, accepted_at: env.now, batch_rest: 0, op: op.raw().clone() };
    Ok(Some((seq, logged, head)))
}

/// Sets a note of a log; `false` when the log does not exist.
#[must_use]
pub fn set_note(log: LogKey, key: &EntityKey, state: &Bytes, view: &View) -> Choice<bool> {
    let Some(bounds) = view.log(log).bounds.clone() else {
        return Choice::Done(false, None);
    };
    let head = note_head(&bounds, state.clone());
    let writes = LogWrites { heads: vec![(key.clone(), head)], ..LogWrites::new(log, bounds) };
    Choice::Done(true, Some(writes.alone()))
}

/// The head that a note is.
pub(super) fn note_head(bounds: &LogBounds, state: Bytes) -> Head {
    Head {
        version: bounds.last,
        op: NO_OP,
        replica: ReplicaId::SERVER,
        clock: VectorClock::new(),
        state: HeadState::Live(Some(state)),
    }
}

/// Forgets notes of a log, as if they had never been; how many there were. A head that an op made is no note and stays.
/// Needs the heads of these keys in its reads.
#[must_use]
pub fn forget_notes(log: LogKey, keys: &[EntityKey], view: &View) -> Choice<usize> {
    let seen = view.log(log);
    let is_note = |key: &&EntityKey| seen.heads.get(*key).is_some_and(|head| head.op == NO_OP);
    let gone: BTreeSet<EntityKey> = keys.iter().filter(is_note).cloned().collect();
    let Some(bounds) = seen.bounds.clone().filter(|_| !gone.is_empty()) else {
        return Choice::Done(0, None);
    };
    let count = gone.len();
    let forget = Forget::Heads(gone.into_iter().collect());
    Choice::Done(count, Some(LogWrites { forget, ..LogWrites::new(log, bounds) }.alone()))
}
