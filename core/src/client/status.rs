//! "Is everything safe?", answered in one look.

use super::gate::lock;
use super::receipt::Tier;
use super::replica::Replica;
use super::session::Phase;
use crate::oplog::Sealing;
use crate::seq::Seq;
use crate::time::Timestamp;

/// What the conversation with the server left to tell.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) phase: Option<Phase>,
    pub(super) error: Option<String>,
    pub(super) skew_ms: Option<i64>,
    pub(super) devices: Option<usize>,
}

/// How a replica stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Writes that are only on this device, without the parked ones.
    pub unsynced: u64,
    /// Writes that were refused and wait for somebody to look at them.
    pub parked: u64,
    /// Conflicts on record, open ones among them.
    pub conflicts: u64,
    /// Conflicts that wait for somebody to choose ([`Replica::resolve`]): what was written here is kept in them alone.
    pub open_conflicts: u64,
    /// Ops of the log that have no effect here, because this build does not understand them or they were altered.
    pub unread: u64,
    /// The log was once read to its end.
    pub synced_once: bool,
    /// When a server last answered, by this device's clock; `None` if none ever did.
    pub last_contact: Option<Timestamp>,
    /// How the conversation stands; `None` while nobody syncs.
    pub phase: Option<Phase>,
    /// What went wrong since it last went right, for people.
    pub error: Option<String>,
    /// The log's policy on sealed payloads; `None` before a server was asked.
    pub sealing: Option<Sealing>,
    /// The highest key epoch of which something was opened here, or to which this device rotated; 0 before the first.
    pub key_epoch: u32,
    /// By how much this device's clock is ahead of the server's, as of the last push.
    pub skew_ms: Option<i64>,
    /// How far everything written here has come.
    pub reached: Tier,
    /// The stable frontier, as last heard: every device that counts has everything up to here.
    pub stable: Seq,
    /// How many devices count, this one included; `None` while no server said so since the replica was opened.
    pub devices: Option<usize>,
}

impl Status {
    /// Whether everything written here is in the server's log, and nothing waits for a decision.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        self.unsynced == 0 && self.parked == 0 && self.open_conflicts == 0
    }
}

impl Replica {
    /// How things stand now. Reads memory only.
    #[must_use]
    pub fn status(&self) -> Status {
        let memory = lock(&self.inner.memory);
        let conversation = lock(&self.inner.conversation);
        Status {
            unsynced: memory.pending.len(),
            parked: memory.parked,
            conflicts: memory.conflicts,
            open_conflicts: memory.open,
            unread: memory.unread,
            synced_once: memory.identity.synced,
            last_contact: Some(memory.identity.contact).filter(|at| *at > Timestamp::default()),
            phase: conversation.phase,
            error: conversation.error.clone(),
            sealing: memory.identity.sealing,
            key_epoch: memory.identity.key_epoch,
            skew_ms: conversation.skew_ms,
            reached: match &memory.identity {
                _ if memory.pending.len() > 0 || memory.parked > 0 => Tier::Local,
                identity if identity.newest > identity.stable => Tier::Server,
                _ => Tier::EveryDevice,
            },
            stable: memory.identity.stable,
            devices: conversation.devices,
        }
    }

    /// What happens to it from now on.
    #[must_use]
    pub fn events(&self) -> super::events::Events {
        self.inner.watchers.listen()
    }
}
