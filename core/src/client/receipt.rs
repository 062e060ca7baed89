//! What an author holds of a write: how far it has come, and a way to wait for more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::entry::WriteNo;
use super::gate::{Bell, lock};
use super::parked::ParkReason;
use crate::id::OpId;
use crate::oplog::EntityKey;
use crate::seq::Seq;

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// On this device's disk.
    Local,
    /// In the server's log, durably.
    Server,
    /// On the disk of every device that counts: one that has synced, and was not silent for longer than
    /// [`limits::REPLICA_SILENT_MS_MAX`](crate::limits::REPLICA_SILENT_MS_MAX) since.
    EveryDevice,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// On this disk, waiting to be sent or under way.
    Waiting,
    /// In the log, unless a server that was rolled back loses it: then it waits again. A write whose every field was overwritten before it was sent has the place of the one that did it.
    /// Where this device has begun from a state after it, or has let go of it, it is a place at or after the write's own.
    Accepted(Seq),
    /// Refused; see [`Replica::parked`](super::Replica::parked).
    Parked(ParkReason),
    /// Somebody else's write won; see [`Replica::conflicts`](super::Replica::conflicts).
    Lost,
    /// It was taken back here before it was sent.
    Discarded,
}

/// A write whose op is in the copy of the log.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    pub(super) no: WriteNo,
    /// The op that says it.
    pub(super) op: OpId,
    pub(super) seq: Seq,
    pub(super) keys: Vec<EntityKey>,
}

#[derive(Debug)]
pub(super) struct Watched {
    /// The op that the write is.
    own: OpId,
    fate: Mutex<Option<Fate>>,
    /// The op that says it, once it is in the log.
    op: Mutex<Option<OpId>>,
    stable: Arc<AtomicU64>,
    bell: Bell,
}

impl Watched {
    pub(super) fn new(own: OpId, stable: Arc<AtomicU64>) -> Self {
        Self { own, fate: Mutex::default(), op: Mutex::default(), stable, bell: Bell::default() }
    }

    pub(super) fn settle(&self, op: OpId, seq: Seq) {
        *lock(&self.op) = Some(op);
        self.set(Fate::Accepted(seq));
    }

    pub(super) fn waits(&self) -> bool {
        matches!(*lock(&self.fate), None | Some(Fate::Waiting))
    }

    pub(super) const fn own(&self) -> OpId {
        self.own
    }

    /// The ops that may say it: its own, and that of a later write with which it was sent as one.
    pub(super) fn ops(&self) -> Vec<OpId> {
        let other = lock(&self.op).filter(|op| *op != self.own);
        std::iter::once(self.own).chain(other).collect()
    }

    /// It was sent as one with a later write, or is in a state that is offered.
    pub(super) fn is_now_said_by(&self, op: OpId) {
        *lock(&self.op) = Some(op);
    }

    pub(super) fn is_said_by(&self, op: OpId) -> bool {
        *lock(&self.op) == Some(op)
    }

    /// Its place in the log, while it has one.
    pub(super) fn seq(&self) -> Option<Seq> {
        match *lock(&self.fate) {
            Some(Fate::Accepted(seq)) => Some(seq),
            _ => None,
        }
    }

    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    pub(super) fn set(&self, fate: Fate) {
        *lock(&self.fate) = Some(fate);
        self.bell.ring();
    }
}

/// The receipt of a write. It says what happens while the replica is open; whoever has to know later asks
/// [`Replica::status`](super::Replica::status).
#[derive(Debug, Clone)]
pub struct Receipt {
    pub(super) no: WriteNo,
    pub(super) op: OpId,
    pub(super) watched: Arc<Watched>,
}

/// A write will not get where somebody waits for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the write {no} will not be in the log: {fate:?}")]
pub struct NotReached {
    /// Which write.
    pub no: WriteNo,
    /// What became of it.
    pub fate: Fate,
}

impl Receipt {
    /// The write's number, by which it is found among the parked and the conflicts.
    #[must_use]
    pub const fn no(&self) -> WriteNo {
        self.no
    }

    /// The op that the write is, for ever: what elements and nodes that it makes are named by.
    #[must_use]
    pub const fn op(&self) -> OpId {
        self.op
    }

    /// The op that says the write in the log, as far as this process heard: its own, or that of a later write with which it was
    /// sent as one, or of a full state that it is in.
    #[must_use]
    pub fn said_by(&self) -> OpId {
        lock(&self.watched.op).unwrap_or(self.op)
    }

    fn stable(&self) -> u64 {
        self.watched.stable.load(Ordering::Acquire)
    }

    /// What became of it so far.
    #[must_use]
    pub fn fate(&self) -> Fate {
        lock(&self.watched.fate).clone().unwrap_or(Fate::Waiting)
    }

    /// Waits until the write has come this far, which takes a server and somebody who syncs; its place in the log, once
    /// it has one. Every device takes the others to sync, too; that they did is heard of at this one's next sync, so within
    /// [`limits::CLIENT_POLL_MS`](crate::limits::CLIENT_POLL_MS) or so.
    ///
    /// # Errors
    /// When it was refused, lost or taken back, and so will never be there.
    pub async fn reached(&self, tier: Tier) -> Result<Option<Seq>, NotReached> {
        if tier == Tier::Local {
            return Ok(match self.fate() {
                Fate::Accepted(seq) => Some(seq),
                _ => None,
            });
        }
        let seq = loop {
            let rung = self.watched.bell.times();
            match self.fate() {
                Fate::Accepted(seq) if tier < Tier::EveryDevice || seq.get() <= self.stable() => break seq,
                Fate::Waiting | Fate::Accepted(_) => self.watched.bell.rung_since(rung).await,
                fate => return Err(NotReached { no: self.no, fate }),
            }
        };
        Ok(Some(seq))
    }
}
