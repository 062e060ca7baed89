//! Bytes: the calls and replies as native JSON, and the heavy ones as compact binary.
//!
//! Domain types are not serialisable themselves; each has a counterpart here that is converted, so that a name in
//! code can change without changing the wire. Unknown fields are refused; unknown payloads are not looked at.

pub mod binary;
pub mod json;

use crate::json::check_json;
use crate::limits;
use crate::oplog::Payload;

/// The media type of the binary form.
pub const BINARY_MEDIA_TYPE: &str = "application/vnd.syncline.v1";
/// The media type of the JSON form.
pub const JSON_MEDIA_TYPE: &str = "application/json";
/// Protocol versions this build speaks, oldest and newest.
pub const PROTOCOL_VERSIONS: std::ops::RangeInclusive<u32> = 1..=1;

/// Why a body does not become a call or a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Not the JSON expected: syntax, an unknown or repeated field, a value out of range.
    #[error("{0}")]
    Json(String),
    /// Not the binary form expected.
    #[error("{0}")]
    Binary(#[from] crate::codec::DecodeError),
    /// One op of a batch is not an op.
    #[error("op {index}: {error}")]
    Op {
        /// Which one, counted from 0.
        index: usize,
        /// Why.
        error: crate::oplog::DraftError,
    },
    /// A commit without ops, or with too many.
    #[error(transparent)]
    Commit(#[from] crate::tree::CommitError),
}

/// Whether a state that says it is JSON is: what one form takes, the other can say.
fn check_state(payload: &Payload) -> Result<(), WireError> {
    match payload {
        Payload::Json(text) => {
            check_json(text, limits::FULL_STATE_JSON_NODES_MAX).map_err(|fault| WireError::Json(fault.to_string()))
        }
        _ => Ok(()),
    }
}

impl From<serde_json::Error> for WireError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}
