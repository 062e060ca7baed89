//! Sharing a folder, and what became of it.

use super::*;
use crate::call::{Share, Shared};

/// The body of a share; the log is named by the route.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct ShareJson {
    /// Kept on retries.
    pub id: OpId,
    /// Whose copy of the tree it is asked for on.
    pub replica: ReplicaId,
    /// The folder.
    pub folder: EntityId,
    /// The log that is made of it.
    pub to: LogId,
    /// The mount that takes its place.
    pub mount: EntityId,
}

/// The answer: where the share stands, or how many files' bytes are still to be copied.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct SharedJson {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    seq: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    left: Option<usize>,
}

impl ShareJson {
    /// The JSON form of a share.
    #[must_use]
    pub const fn of(share: &Share) -> Self {
        let Share { id, replica, folder, to, mount, .. } = *share;
        Self { id, replica, folder, to, mount }
    }

    /// The share.
    #[must_use]
    pub const fn read(self, log: LogId) -> Share {
        let Self { id, replica, folder, to, mount } = self;
        Share { log, id, replica, folder, to, mount }
    }
}

impl SharedJson {
    /// The JSON form of what became of a share.
    #[must_use]
    pub const fn of(shared: &Shared) -> Self {
        match *shared {
            Shared::Done { seq } => Self { seq: Some(seq), left: None },
            Shared::Copying { left } => Self { seq: None, left: Some(left) },
        }
    }

    /// What became of it.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(self) -> Result<Shared, WireError> {
        match (self.seq, self.left) {
            (Some(seq), None) => Ok(Shared::Done { seq }),
            (None, Some(left)) => Ok(Shared::Copying { left }),
            _ => Err(WireError::Json("a folder is shared, or its bytes are being copied".into())),
        }
    }
}
