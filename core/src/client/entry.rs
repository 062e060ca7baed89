//! A write that the server has not taken yet, as it stands in the offline queue.
//!
//! It holds an op as its author meant it: with what this device had seen when it was written, and without a counter.
//! The counter comes when a batch is made, so that edits may be merged, dropped or rewritten before that without
//! leaving a hole in the author's numbers.

use std::fmt;

use bytes::Bytes;

use crate::clock::VectorClock;
use crate::codec::{DecodeError, Reader, Writer};
use crate::oplog::{ConflictReason, Draft, DraftError, EntityKey, FullStateKind, Head, Op, Precondition, Verdict};
use crate::seq::Seq;

/// The number of a local write: counts up for the life of the local store and names the write to its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteNo(pub(super) u64);

impl WriteNo {
    /// Smaller numbers are for ops that are offered again; they go before everything written here.
    pub(super) const FIRST: Self = Self(1 << 40);

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for WriteNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which version of its entity a write builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// It does not say.
    Any,
    /// The op's own precondition.
    Stated,
    /// The version that this earlier write will have made.
    After(WriteNo),
}

/// Where a write stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// To be sent, or under way.
    Waiting,
    /// The server has something newer; to be resolved once that has been read.
    Lost { reason: ConflictReason, head: Option<Box<Head>> },
}

/// One write of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its place.
    pub(super) no: WriteNo,
    /// The first write and the number of writes of the atomic batch it belongs to.
    pub(super) batch: Option<(WriteNo, u32)>,
    /// What it builds on.
    pub(super) base: Base,
    /// Where the local history ended when it was written.
    pub(super) seen: Seq,
    /// Where it stands.
    pub(super) fate: Fate,
    /// What it says. Of a write made here: not sealed for sending, its clock is what was seen, its payload readable. Of
    /// an op that is offered again: as it was accepted once.
    pub(super) op: Op,
}

impl Entry {
    /// The write, on this version of its entity.
    pub(super) fn on(&self, precondition: Precondition) -> Result<Self, DraftError> {
        let op = Draft { precondition, ..self.op.draft().clone() }.seal()?;
        Ok(Self { base: Base::Stated, op, ..self.clone() })
    }

    /// Whether it is an op that the server had accepted once and lost.
    pub(super) fn is_again(&self) -> bool {
        self.no < WriteNo::FIRST
    }

    /// Whether it is the state that a copy began from.
    pub(super) fn is_seed(&self) -> bool {
        self.op.full_state() == Some(FullStateKind::Initial) && self.op.precondition() == Precondition::Absent
    }

    /// The entities it changes.
    pub(super) fn keys(&self) -> impl Iterator<Item = EntityKey> + '_ {
        self.op.subject().keys()
    }

    /// The write with a clock that claims no more than `known`.
    pub(super) fn trimmed(&self, known: &VectorClock) -> Result<Self, DraftError> {
        let mut clock = VectorClock::new();
        for (replica, counter) in self.op.clock().iter() {
            // Smaller than an entry that was within the limits.
            let _ = clock.set(replica, counter.min(known.get(replica)));
        }
        let op = Draft { clock, ..self.op.draft().clone() }.seal()?;
        Ok(Self { op, ..self.clone() })
    }

    /// Version byte 1; batch: 0 | 1 first count; base: 0 | 1 | 2 write; varint seen; fate: 0 | 1 + verdict; op.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(self.op.bytes().len() + 32);
        out.u8(1);
        match self.batch {
            None => out.u8(0),
            Some((first, count)) => {
                out.u8(1);
                out.u64(first.0);
                out.u64(count.into());
            }
        }
        match self.base {
            Base::Any => out.u8(0),
            Base::Stated => out.u8(1),
            Base::After(no) => {
                out.u8(2);
                out.u64(no.0);
            }
        }
        out.u64(self.seen.get());
        match &self.fate {
            Fate::Waiting => out.u8(0),
            Fate::Lost { reason, head } => {
                out.u8(1);
                Verdict::Conflict { reason: *reason, head: head.clone() }.encode(&mut out);
            }
        }
        out.bytes(self.op.bytes());
        out.finish()
    }

    pub(super) fn from_bytes(no: WriteNo, bytes: Bytes) -> Result<Self, DraftError> {
        const WHAT: &str = "a queued write";
        let mut input = Reader::new(bytes);
        let unknown = |value: u8| DecodeError::Unknown { what: WHAT, value: value.into() };
        let version = input.u8(WHAT)?;
        if version != 1 {
            return Err(unknown(version).into());
        }
        let batch = match input.u8(WHAT)? {
            0 => None,
            1 => {
                let first = WriteNo(input.u64(WHAT)?);
                let count = u32::try_from(input.u64(WHAT)?).map_err(|_| DecodeError::NotCanonical(WHAT))?;
                Some((first, count))
            }
            other => return Err(unknown(other).into()),
        };
        let base = match input.u8(WHAT)? {
            0 => Base::Any,
            1 => Base::Stated,
            2 => Base::After(WriteNo(input.u64(WHAT)?)),
            other => return Err(unknown(other).into()),
        };
        let seen = Seq::new(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?;
        let fate = match input.u8(WHAT)? {
            0 => Fate::Waiting,
            1 => match Verdict::decode(&mut input)? {
                Verdict::Conflict { reason, head } => Fate::Lost { reason, head },
                _ => return Err(DecodeError::NotCanonical(WHAT).into()),
            },
            other => return Err(unknown(other).into()),
        };
        let op = Op::decode(input.bytes(WHAT)?)?;
        input.finish()?;
        Ok(Self { no, batch, base, seen, fate, op })
    }
}
