//! How the conversation stands, in words an application can show.

use crate::call::ErrorCode;
use crate::client::{ReplicaError, Unopened};
use crate::id::LogId;
use crate::oplog::Sealing;
use crate::time::Timestamp;

/// The settings of one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "settings without hidden defaults")]
pub struct SessionOptions {
    /// The log to keep in step.
    pub log: LogId,
    /// This device never had the whole log: it downloads before it uploads.
    pub fresh: bool,
    /// A fresh device asks the application before it keeps anything of a log that has content.
    pub confirm_first: bool,
    /// Milliseconds after which to ask for news even if no wake came;
    /// [`limits::CLIENT_POLL_MS`](crate::limits::CLIENT_POLL_MS) where nothing speaks for another.
    pub poll_ms: u64,
}

/// Where the conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// No network: waits for [`Input::Online`](super::Input::Online).
    Offline,
    /// Something is under way.
    Working,
    /// In step with the server as far as known: waits for an edit, a wake, or the time to ask.
    Live,
    /// Something failed and is tried again by itself.
    Backoff {
        /// Not before this.
        until: Timestamp,
        /// Failures in a row before this one.
        attempt: u32,
        /// What failed.
        why: Setback,
    },
    /// It does not go on by itself, or only after minutes. What is written locally stays and keeps waiting.
    Halted(Halt),
}

/// What failed, where trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setback {
    /// No connection.
    Unreachable,
    /// The connection ended before the answer.
    Interrupted,
    /// The answer does not read, or answers something else: perhaps a proxy's page.
    Protocol,
    /// The server said no for now, or a gap came again right after it was dealt with.
    Refused(ErrorCode),
    /// Push after push had no effect.
    NoProgress,
}

/// Why the conversation stopped. [`Input::Online`](super::Input::Online) makes it begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Halt {
    /// The credentials are not good, or not good enough. Where they are good enough to read, news is still asked for, and
    /// what waits is offered each time.
    SignIn,
    /// The server no longer, or not yet, speaks this client's protocol.
    Upgrade,
    /// The application did not want the log's content on this device.
    Declined,
    /// Under the log's name the server has another log: deleted and made again, or another server. Nothing was changed.
    ForeignLog,
    /// An operator must look. Tried again after some minutes at most.
    Operator(ErrorCode),
    /// The call itself is wrong: a bug on one of both sides.
    Refused(ErrorCode),
    /// What is in the log, or what is to be sent, needs the key of this epoch, which is not here; 0 where nobody can say
    /// which. [`Input::Unlocked`](super::Input::Unlocked) goes on; tried again after some minutes, too.
    KeyNeeded {
        /// Which key.
        epoch: u32,
    },
    /// The key of this epoch that is here is not the one the log was sealed with. As [`Halt::KeyNeeded`].
    WrongKey {
        /// Which key.
        epoch: u32,
    },
    /// The log's policy on sealed payloads, which this is, is not one that this replica was opened for. Nothing was sent.
    Sealing(Sealing),
}

impl Halt {
    /// The halt that ends with a key; `None` for what no key opens.
    #[must_use]
    pub const fn for_want_of_a_key(why: Unopened) -> Option<Self> {
        match why {
            Unopened::KeyNeeded { epoch } => Some(Self::KeyNeeded { epoch }),
            Unopened::WrongKey { epoch } => Some(Self::WrongKey { epoch }),
            Unopened::Tampered | Unopened::Unknown => None,
        }
    }

    /// What a call returns that this halt ended, where it has to do with keys.
    pub(in crate::client) const fn error(self) -> Option<ReplicaError> {
        match self {
            Self::KeyNeeded { epoch } => Some(ReplicaError::Unopened(Unopened::KeyNeeded { epoch })),
            Self::WrongKey { epoch } => Some(ReplicaError::Unopened(Unopened::WrongKey { epoch })),
            Self::Sealing(sealing) => Some(ReplicaError::Sealing(sealing)),
            _ => None,
        }
    }
}
