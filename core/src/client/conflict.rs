//! Conflicts as objects: what was meant here, what was there, who won, and what may still be chosen.
//!
//! A collection's policy decides most of them alone, by the total order (hlc, replica, op id); whoever loses is kept here
//! with what it lost to. What no order can decide, a precondition that failed, stays open until somebody chooses.

use bytes::Bytes;

use super::entry::{Entry, Fate, WriteNo};
use crate::codec::{DecodeError, Reader, Writer};
use crate::oplog::{ConflictPolicy, ConflictReason, Draft, DraftError, Op, OpBytes, OpKind, Payload};
use crate::time::AuthoredOrder;

/// How a conflict ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Not yet: choose with [`Replica::resolve`](super::Replica::resolve).
    Open,
    /// What was there stays; the write made here is only kept in this record.
    Theirs,
    /// The write made here was made again on top of what was there.
    Mine,
    /// The server lost this op when it was rolled back, and would not take it again.
    NotTakenAgain,
}

/// One conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// In which way they met.
    pub reason: ConflictReason,
    /// How it ended.
    pub outcome: Outcome,
    /// What was there, when it is kept here.
    pub theirs: Option<OpBytes>,
    pub(super) entry: Entry,
}

/// What somebody decides about an open conflict, or about one that ended otherwise than they like.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "keep what is there, or write again")]
pub enum Choose {
    /// Leave what is there.
    Theirs,
    /// Write what was meant here again, on top of what is there now.
    Mine,
    /// Write this instead, on top of what is there now.
    Instead(Payload),
}

impl Conflict {
    /// The write that was made here.
    #[must_use]
    pub const fn no(&self) -> WriteNo {
        self.entry.no
    }

    /// Whether it waits for somebody to choose.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.outcome == Outcome::Open
    }

    /// What it says. Its payload is readable, but for an op that was in the log before and was sealed with a key that is not
    /// here.
    #[must_use]
    pub const fn mine(&self) -> &Op {
        &self.entry.op
    }

    /// The same, with what it says opened.
    pub(super) fn saying(&self, payload: Payload) -> Option<Self> {
        let op = Draft { payload, ..self.entry.op.draft().clone() }.seal().ok()?;
        Some(Self { entry: Entry { op, ..self.entry.clone() }, ..self.clone() })
    }

    /// Outcome byte, reason, their op behind 0/1, the queued write.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = Writer::default();
        out.u8(match self.outcome {
            Outcome::Open => 0,
            Outcome::Theirs => 1,
            Outcome::Mine => 2,
            Outcome::NotTakenAgain => 3,
        });
        crate::oplog::Verdict::Conflict { reason: self.reason, head: None }.encode(&mut out);
        match &self.theirs {
            None => out.u8(0),
            Some(op) => {
                out.u8(1);
                out.bytes(op.bytes());
            }
        }
        out.bytes(&self.entry.to_bytes());
        out.finish()
    }

    pub(super) fn from_bytes(no: WriteNo, bytes: Bytes) -> Result<Self, DraftError> {
        const WHAT: &str = "a conflict";
        let mut input = Reader::new(bytes);
        let unknown = |value: u8| DecodeError::Unknown { what: WHAT, value: value.into() };
        let outcome = match input.u8(WHAT)? {
            0 => Outcome::Open,
            1 => Outcome::Theirs,
            2 => Outcome::Mine,
            3 => Outcome::NotTakenAgain,
            other => return Err(unknown(other).into()),
        };
        let crate::oplog::Verdict::Conflict { reason, .. } = crate::oplog::Verdict::decode(&mut input)? else {
            return Err(DecodeError::NotCanonical(WHAT).into());
        };
        let theirs = match input.u8(WHAT)? {
            0 => None,
            1 => Some(Op::decode(input.bytes(WHAT)?)?.raw().clone()),
            other => return Err(unknown(other).into()),
        };
        let entry = Entry::from_bytes(no, input.bytes(WHAT)?)?;
        input.finish()?;
        Ok(Self { reason, outcome, theirs, entry })
    }
}

/// What a policy says about a write that met something newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Write it again on top.
    Again,
    /// Theirs says the same: nothing to write, nothing to report.
    Same,
    /// Theirs stays.
    Theirs,
    /// Nobody can say; ask.
    Ask,
}

/// Decides a write that lost. `theirs` is the op that made the entity's present head, when it is kept here and readable,
/// with the same payload form as `mine`.
pub(super) fn rule(policy: ConflictPolicy, entry: &Entry, reason: ConflictReason, theirs: Option<&Op>) -> Ruling {
    let mine = &entry.op;
    match reason {
        // A full state came in between; what this device meant to say, it still means.
        ConflictReason::Superseded => Ruling::Again,
        ConflictReason::AlreadySeeded => Ruling::Theirs,
        ConflictReason::Exists | ConflictReason::VersionMismatch => match theirs {
            Some(theirs) if says_the_same(mine, theirs) => Ruling::Same,
            _ => Ruling::Ask,
        },
        ConflictReason::Concurrent | ConflictReason::Stale => match theirs {
            Some(theirs) if says_the_same(mine, theirs) => Ruling::Same,
            // An atomic batch is written again whole or not at all.
            _ if entry.batch.is_some() => Ruling::Again,
            Some(theirs) if order(mine) > order(theirs) => Ruling::Again,
            Some(_) => Ruling::Theirs,
            // Their op is part of the snapshot this device began from, so it is older than anything written since.
            None if policy == ConflictPolicy::Causal => Ruling::Again,
            None => Ruling::Ask,
        },
    }
}

fn says_the_same(mine: &Op, theirs: &Op) -> bool {
    let both_delete = mine.kind() == OpKind::Delete && theirs.kind() == OpKind::Delete;
    both_delete || (mine.kind() == theirs.kind() && mine.payload() == theirs.payload())
}

fn order(op: &Op) -> AuthoredOrder {
    (op.hlc(), op.replica(), op.id())
}

impl Entry {
    /// The same write on top of what is known now: with this clock, and with a precondition on this version where it had
    /// one.
    pub(super) fn again(&self, seen: crate::seq::Seq, clock: crate::clock::VectorClock) -> Result<Self, DraftError> {
        let op = Draft { clock, ..self.op.draft().clone() }.seal()?;
        Ok(Self { seen, op, fate: Fate::Waiting, ..self.clone() })
    }
}
