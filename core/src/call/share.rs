//! Sharing a folder, as it is asked for and answered.

use crate::id::{EntityId, LogId, OpId, ReplicaId};
use crate::seq::Seq;

/// A folder that is to become the tree of a log of its own, so that others may be let in there and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one call")]
pub struct Share {
    /// In whose tree the folder is.
    pub log: LogId,
    /// Kept on retries: it has one effect, and a retry gets the first answer again for as long as the log keeps it.
    pub id: OpId,
    /// Whose copy of the tree it is asked for on.
    pub replica: ReplicaId,
    /// The folder; not the root, and with no mount in it.
    pub folder: EntityId,
    /// The log that is made of it. Its id is made by the author; there is no such log yet.
    pub to: LogId,
    /// The id of the mount that takes the folder's place, made by the author.
    pub mount: EntityId,
}

/// What became of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a device must act on each")]
pub enum Shared {
    /// It is shared: the folder is in the trash, a mount in its place, and all that lived in it in the other log.
    Done {
        /// Where it stands in the log.
        seq: Seq,
    },
    /// The other log does not have all bytes yet, and one call copies no more than
    /// [`SHARE_STEP_BYTES`](crate::limits::SHARE_STEP_BYTES): the same call again. Both trees are as they were.
    Copying {
        /// Files whose bytes are still missing there.
        left: usize,
    },
}
