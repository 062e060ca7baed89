//! What an op does to one entity, as a reducer sees it: readable content, its author's time, and the server's bound on it.
//!
//! What must hold: everything a reducer may look at is in a [`Change`] and is the same for every reader of the log, so
//! every reader computes the same state. Whether the payload was opened with a key or stood in the op makes no difference.
//!
//! Where next: [`Reducer`](super::Reducer), which applies changes; [`LogState`](super::LogState), which makes them.

use super::op::{Op, OpKind};
use super::payload::Payload;
use crate::crdt::Stamp;
use crate::id::{OpId, ReplicaId};
use crate::time::{Hlc, Timestamp};

/// What one op does to one entity, with its payload readable.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "a reducer's whole input; tests of reducers build it")]
pub struct Change<'a> {
    /// Which op.
    pub op: OpId,
    /// Its author.
    pub replica: ReplicaId,
    /// What it does.
    pub kind: OpKind,
    /// When its author says it was written.
    pub hlc: Hlc,
    /// When the server took it; [`Timestamp::MAX`] while it is not accepted, which bounds nothing.
    pub accepted_at: Timestamp,
    /// Its content. [`Payload::Sealed`] where the reader holds no key.
    pub payload: &'a Payload,
}

impl<'a> Change<'a> {
    /// The op as it is.
    #[must_use]
    pub const fn of(op: &'a Op, accepted_at: Timestamp) -> Self {
        Self::opened(op, accepted_at, op.payload())
    }

    /// The op with what its sealed payload turned out to say.
    #[must_use]
    pub const fn opened(op: &Op, accepted_at: Timestamp, payload: &'a Payload) -> Self {
        Self { op: op.id(), replica: op.replica(), kind: op.kind(), hlc: op.hlc(), accepted_at, payload }
    }

    /// What decides which of two changes is newer.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.moment().stamp()
    }
}
