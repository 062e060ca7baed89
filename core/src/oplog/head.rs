//! The head: what arbitration needs to know about an entity, and nothing that grows with its history.

use bytes::Bytes;

use crate::clock::VectorClock;
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{OpId, ReplicaId};
use crate::seq::Seq;
use crate::time::Timestamp;

/// The current accepted state of an entity. At most one per entity.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the arbitration table is built from every field")]
pub struct Head {
    /// Seq of the op that made it; the entity's ETag.
    pub version: Seq,
    /// That op.
    pub op: OpId,
    /// Its author.
    pub replica: ReplicaId,
    /// What the op had seen; for a merging collection, what all its ops together had seen.
    pub clock: VectorClock,
    /// Alive or deleted.
    pub state: HeadState,
}

/// Alive or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "an entity is alive or deleted")]
pub enum HeadState {
    /// Alive; with its state where somebody keeps one (system entities, client replicas), without on the upload path.
    Live(Option<Bytes>),
    /// Deleted, since when by the server's clock. Kept until the retention horizon.
    Tombstone(Timestamp),
}

impl Head {
    /// The head without its state: what a conflicting author is told.
    #[must_use]
    pub fn summary(&self) -> Self {
        let state = match self.state {
            HeadState::Live(_) => HeadState::Live(None),
            HeadState::Tombstone(since) => HeadState::Tombstone(since),
        };
        Self { version: self.version, op: self.op, replica: self.replica, clock: self.clock.clone(), state }
    }

    /// Whether the entity may be alive and its state is not kept here.
    pub(crate) const fn is_evicted(&self) -> bool {
        matches!(self.state, HeadState::Live(None))
    }

    /// Whether the entity is deleted.
    #[must_use]
    pub const fn is_deleted(&self) -> bool {
        matches!(self.state, HeadState::Tombstone(_))
    }

    /// The state, where one is kept.
    #[must_use]
    pub const fn live_state(&self) -> Option<&Bytes> {
        match &self.state {
            HeadState::Live(Some(state)) => Some(state),
            _ => None,
        }
    }

    /// Canonical bytes: version varint, op 16, replica 16, clock, then 0 | 1 + length + state | 2 + varint ms.
    pub fn encode(&self, out: &mut Writer) {
        out.u64(self.version.get());
        out.fixed(self.op.as_bytes());
        out.fixed(self.replica.as_bytes());
        self.clock.encode(out);
        match &self.state {
            HeadState::Live(None) => out.u8(0),
            HeadState::Live(Some(state)) => {
                out.u8(1);
                out.bytes(state);
            }
            HeadState::Tombstone(since) => {
                out.u8(2);
                out.u64(since.ms());
            }
        }
    }

    /// [`Head::encode`] into fresh bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(64);
        self.encode(&mut out);
        out.finish()
    }

    /// The inverse of [`Head::encode`].
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        const WHAT: &str = "a head";
        let version = Seq::new(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?;
        let op = OpId::from_bytes(input.fixed(WHAT)?);
        let replica = ReplicaId::from_bytes(input.fixed(WHAT)?);
        let clock = VectorClock::decode(input)?;
        let state = match input.u8(WHAT)? {
            0 => HeadState::Live(None),
            1 => HeadState::Live(Some(input.bytes(WHAT)?)),
            2 => HeadState::Tombstone(Timestamp::from_ms(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?),
            other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
        };
        Ok(Self { version, op, replica, clock, state })
    }

    /// [`Head::decode`] of whole bytes.
    ///
    /// # Errors
    /// When the bytes are not exactly one head.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let head = Self::decode(&mut input)?;
        input.finish()?;
        Ok(head)
    }
}
