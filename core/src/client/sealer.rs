//! Where a replica's payloads are encrypted and opened, when they are.

use std::fmt::Debug;

use crate::id::LogKey;
use crate::oplog::{Draft, Op, Payload, Snapshot};
use crate::time::Env;

/// Encrypts what leaves the device and opens what comes. The engine's own is in `seal`, behind the feature `encryption`.
pub trait Sealer: Debug + Send + Sync + 'static {
    /// The payload of `draft`, sealed; everything else in the draft may be bound to it, nothing of it changes after.
    ///
    /// # Errors
    /// When it cannot be sealed; the write is parked.
    fn seal(&self, log: LogKey, draft: &Draft, env: &Env) -> Result<Payload, String>;

    /// The readable payload of a sealed op.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn open(&self, log: LogKey, op: &Op) -> Result<Payload, Unopened>;

    /// The state of a snapshot, sealed.
    ///
    /// # Errors
    /// When it cannot be sealed.
    fn seal_snapshot(&self, log: LogKey, snapshot: &Snapshot, env: &Env) -> Result<Payload, String>;

    /// The readable state of a sealed snapshot.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn open_snapshot(&self, log: LogKey, snapshot: &Snapshot) -> Result<Payload, Unopened>;
}

/// Why something sealed cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(clippy::exhaustive_enums, reason = "a key is missing, or the bytes are not what was sealed")]
pub enum Unopened {
    /// It needs a key that is not here, or another key than the one here. Nothing is judged corrupt because of it: reading
    /// stops until the key comes.
    #[error("the key of epoch {epoch} is not here")]
    KeyNeeded {
        /// Which key.
        epoch: u32,
    },
    /// It was sealed with a key that is here, and is not what was sealed.
    #[error("it was altered after it was sealed")]
    Tampered,
}
