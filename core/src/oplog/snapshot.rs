//! Snapshots: the full state up to and including a seq, so that a late joiner need not read history.

use super::op::FullStateKind;
use super::part::Part;
use super::payload::Payload;
use super::state::LogState;
use crate::clock::VectorClock;
use crate::id::{OpId, ReplicaId};
use crate::seq::{Anchor, Cursor, Seq};
use crate::time::{Hlc, Timestamp};

/// The state of a log at `seq`. Replaying the ops after it gives the present.
///
/// A plain one is a [`LogState`](super::LogState) in canonical bytes and equals the replay of the log to its seq,
/// byte for byte. A sealed one was made by a client and is taken on its word; its place in the log is not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a store's row; adapters build it")]
pub struct Snapshot {
    /// The last op it includes.
    pub seq: Seq,
    /// The log's running hash there.
    pub anchor: Anchor,
    /// What all ops up to there had seen.
    pub clock: VectorClock,
    /// The newest schema version among the ops it includes.
    pub schema_version: u32,
    /// The state.
    pub payload: Payload,
}

impl Snapshot {
    /// The same with nothing but the entities of a part, where it can be read here. A sealed one stays whole: its reader
    /// leaves out the rest.
    #[must_use]
    pub fn only(self, part: &Part) -> Self {
        let Payload::Plain(bytes) = &self.payload else { return self };
        let Ok(mut state) = LogState::from_bytes(bytes.clone()) else { return self };
        state.retain_part(part);
        Self { payload: Payload::Plain(state.to_bytes()), ..self }
    }

    /// Where a reader continues after taking it.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        Cursor { seq: self.seq, anchor: Some(self.anchor) }
    }
}

/// A place in the log worth going back to: a full-state op, and with it the position just before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct RestorePoint {
    /// The full-state op.
    pub seq: Seq,
    /// Its id.
    pub op: OpId,
    /// Why it was written.
    pub kind: FullStateKind,
    /// Who wrote it; [`ReplicaId::SERVER`] for a restore.
    pub replica: ReplicaId,
    /// When, by its author.
    pub hlc: Hlc,
    /// When, by the server.
    pub accepted_at: Timestamp,
}
