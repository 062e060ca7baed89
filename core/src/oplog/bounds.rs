//! What a log knows of itself: one small row, read and locked first in every transaction.

use super::sealing::Sealing;
use crate::clock::VectorClock;
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{LogKey, OpId};
use crate::seq::{Anchor, Cursor, Origin, Seq};
use crate::time::Timestamp;

/// Where a log begins and ends, and the sums kept so that no call needs its history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a store's row; adapters read and write every field")]
pub struct LogBounds {
    /// When the log was made, by the server's clock.
    pub created_at: Timestamp,
    /// The horizon: first seq still kept. 1 until something was pruned; `last + 1` when nothing is kept.
    pub first: Seq,
    /// Last seq given out; [`Seq::ZERO`] for an empty log.
    pub last: Seq,
    /// Running hash at `first − 1`.
    pub base: Anchor,
    /// Running hash at `last`.
    pub tip: Anchor,
    /// Highest counter of every replica that ever had an op decided here, accepted or not.
    pub clock: VectorClock,
    /// The newest full-state op.
    pub full_state: Option<FullStateMark>,
    /// Seq of the newest stored snapshot, or [`Seq::ZERO`].
    pub snapshot: Seq,
    /// Canonical bytes of all ops still kept.
    pub bytes: u64,
    /// The stored log was found to contradict itself: nothing more is written until an operator repaired it.
    pub damaged: bool,
    /// Whether payloads are sealed; fixed when the log was made.
    pub sealing: Sealing,
    /// The key epoch that sealed payloads are under; 0 until the first one, or the first rotation. Only rises.
    pub key_epoch: u32,
}

/// The newest full-state op: heads older than it no longer say anything.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "part of a store's row")]
pub struct FullStateMark {
    /// Its place.
    pub seq: Seq,
    /// Its id.
    pub op: OpId,
    /// What it had seen: an op that had not seen as much is superseded.
    pub clock: VectorClock,
    /// What the whole log had seen when it was accepted: what a reader knows that starts from it.
    pub seen: VectorClock,
}

impl LogBounds {
    /// The bounds of a log at the moment it is made.
    #[must_use]
    pub fn new(log: LogKey, origin: Origin, created_at: Timestamp) -> Self {
        let genesis = Anchor::genesis(log, origin);
        Self {
            created_at,
            first: Seq::FIRST,
            last: Seq::ZERO,
            base: genesis,
            tip: genesis,
            clock: VectorClock::new(),
            full_state: None,
            snapshot: Seq::ZERO,
            bytes: 0,
            damaged: false,
            sealing: Sealing::default(),
            key_epoch: 0,
        }
    }

    /// Where a reader stands that has everything.
    #[must_use]
    pub const fn end(&self) -> Cursor {
        Cursor { seq: self.last, anchor: Some(self.tip) }
    }

    /// Canonical bytes, version 2, in field order; optional parts behind a 0/1 byte.
    #[must_use]
    pub fn to_bytes(&self) -> bytes::Bytes {
        let mut out = Writer::with_capacity(192);
        out.u8(2);
        out.u64(self.created_at.ms());
        out.u64(self.first.get());
        out.u64(self.last.get());
        out.fixed(&self.base.to_bytes());
        out.fixed(&self.tip.to_bytes());
        self.clock.encode(&mut out);
        match &self.full_state {
            None => out.u8(0),
            Some(mark) => {
                out.u8(1);
                out.u64(mark.seq.get());
                out.fixed(mark.op.as_bytes());
                mark.clock.encode(&mut out);
                mark.seen.encode(&mut out);
            }
        }
        out.u64(self.snapshot.get());
        out.u64(self.bytes);
        out.u8(u8::from(self.damaged));
        out.u8(self.sealing.code());
        out.u64(self.key_epoch.into());
        out.finish()
    }

    /// The inverse of [`LogBounds::to_bytes`]. Version 1, from before logs had a policy on sealing, still reads: such a log
    /// is optional and at epoch 0.
    ///
    /// # Errors
    /// When the bytes are not canonical or the bounds contradict themselves.
    pub fn from_bytes(bytes: bytes::Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "log bounds";
        let mut input = Reader::new(bytes);
        let version = input.u8(WHAT)?;
        if !(1..=2).contains(&version) {
            return Err(DecodeError::Unknown { what: WHAT, value: version.into() });
        }
        let seq = |input: &mut Reader| Seq::new(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT));
        let mut bounds = Self {
            created_at: Timestamp::from_ms(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?,
            first: seq(&mut input)?,
            last: seq(&mut input)?,
            base: Anchor::from_bytes(input.fixed(WHAT)?),
            tip: Anchor::from_bytes(input.fixed(WHAT)?),
            clock: VectorClock::decode(&mut input)?,
            full_state: match input.u8(WHAT)? {
                0 => None,
                1 => Some(FullStateMark {
                    seq: seq(&mut input)?,
                    op: OpId::from_bytes(input.fixed(WHAT)?),
                    clock: VectorClock::decode(&mut input)?,
                    seen: VectorClock::decode(&mut input)?,
                }),
                other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
            },
            snapshot: seq(&mut input)?,
            bytes: input.u64(WHAT)?,
            damaged: match input.u8(WHAT)? {
                0 => false,
                1 => true,
                other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
            },
            sealing: Sealing::default(),
            key_epoch: 0,
        };
        if version > 1 {
            let code = input.u8(WHAT)?;
            bounds.sealing = Sealing::from_code(code).ok_or(DecodeError::Unknown { what: WHAT, value: code.into() })?;
            bounds.key_epoch = u32::try_from(input.u64(WHAT)?).map_err(|_| DecodeError::NotCanonical(WHAT))?;
        }
        input.finish()?;
        let sane = bounds.first >= Seq::FIRST && bounds.first.before() <= bounds.last;
        if sane { Ok(bounds) } else { Err(DecodeError::NotCanonical(WHAT)) }
    }
}
