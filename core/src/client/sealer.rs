//! Where a replica's payloads are encrypted and opened, when they are.

use std::fmt::Debug;

use crate::id::LogKey;
use crate::oplog::{Draft, Op, Payload, Snapshot};
use crate::time::Env;

/// Encrypts what leaves the device and opens what comes. The engine's own is `SharedKeyring`, behind the feature
/// `encryption`.
pub trait Sealer: Debug + Send + Sync + 'static {
    /// The newest key epoch there is a key of; 0 for a sealer that knows no epochs, `None` without a key.
    fn newest(&self) -> Option<u32>;

    /// Whether there is a key of this epoch.
    fn has(&self, epoch: u32) -> bool;

    /// The payload of `draft`, sealed under the key of `epoch`; everything else in the draft may be bound to it, nothing of
    /// it changes after.
    ///
    /// # Errors
    /// [`Unsealed`].
    fn seal(&self, log: LogKey, draft: &Draft, epoch: u32, env: &Env) -> Result<Payload, Unsealed>;

    /// The readable payload of a sealed op.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn open(&self, log: LogKey, op: &Op) -> Result<Payload, Unopened>;

    /// The state of a snapshot, sealed under the key of `epoch`.
    ///
    /// # Errors
    /// [`Unsealed`].
    fn seal_snapshot(&self, log: LogKey, snapshot: &Snapshot, epoch: u32, env: &Env) -> Result<Payload, Unsealed>;

    /// The readable state of a sealed snapshot.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn open_snapshot(&self, log: LogKey, snapshot: &Snapshot) -> Result<Payload, Unopened>;
}

/// Why something is not sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(clippy::exhaustive_enums, reason = "a key is missing, or the content does not go")]
pub enum Unsealed {
    /// There is no key of this epoch. The write waits for it.
    #[error("the key of epoch {epoch} is not here")]
    KeyNeeded {
        /// Which key.
        epoch: u32,
    },
    /// It cannot be sealed with any key, for example because it would be too large. The write is parked.
    #[error("{0}")]
    Refused(String),
}

/// Why something sealed cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(clippy::exhaustive_enums, reason = "a key is missing or wrong, or the bytes are not what was sealed")]
pub enum Unopened {
    /// It needs a key that is not here. Nothing is judged corrupt because of it: reading stops until the key comes.
    #[error("the key of epoch {epoch} is not here")]
    KeyNeeded {
        /// Which key; 0 where nobody can say.
        epoch: u32,
    },
    /// The key of this epoch that is here is another than it was sealed with. Reading stops as for a missing key.
    #[error("the key of epoch {epoch} that is here is not the one it was sealed with")]
    WrongKey {
        /// Which key.
        epoch: u32,
    },
    /// It was sealed with a key that is here, and is not what was sealed.
    #[error("it was altered after it was sealed")]
    Tampered,
    /// Sealed by another program, or by a newer version of this one.
    #[error("it is sealed in a way this version does not know")]
    Unknown,
}
