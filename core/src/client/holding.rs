//! Telling the server what this device holds, and hearing what every device does.
//!
//! What must hold: only what is durable here is acknowledged, so never a part of a batch that waits for its rest; what is
//! heard counts for the history it was said of, and is forgotten with it. It costs one small call after a sync that brought
//! something, at most one each [`limits::ACKNOWLEDGE_MS_MIN`]; one that fails is made up for by the next.

use super::commit::DeskChange;
use super::error::ReplicaError;
use super::events::Event;
use super::gate::lock;
use super::replica::{Inner, Replica};
use super::transport::Transport;
use crate::call::{Call, Reply};
use crate::limits;
use crate::seq::{Cursor, Seq};
use crate::time::Timestamp;

/// What was last said to the server, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    seq: Seq,
    at: Timestamp,
    /// It was answered.
    heard: bool,
}

impl Replica {
    /// Says what this device holds, when that is due.
    pub(super) async fn acknowledge(&self, transport: &dyn Transport) -> Result<(), ReplicaError> {
        let inner = &self.inner;
        let cursor = inner.cursor().await?;
        let now = inner.env.env().now;
        if cursor.seq == Seq::ZERO || !inner.is_due(cursor.seq, now) {
            return Ok(());
        }
        *lock(&inner.said) = Some(Said { seq: cursor.seq, at: now, heard: false });
        let call = Call::Acknowledge { log: self.log().log, replica: self.id(), cursor };
        // Whatever goes wrong with it is no matter of the sync that just went well.
        if let Ok(Reply::Acknowledged { stable, devices }) = transport.call(call).await {
            *lock(&inner.said) = Some(Said { seq: cursor.seq, at: now, heard: true });
            inner.learn(cursor, stable, devices).await?;
        }
        Ok(())
    }
}

impl Inner {
    fn is_due(&self, seq: Seq, now: Timestamp) -> bool {
        let Some(said) = *lock(&self.said) else { return true };
        let waits = !said.heard || {
            let memory = lock(&self.memory);
            memory.identity.newest > memory.identity.stable
        };
        let quiet = now.ms().abs_diff(said.at.ms());
        quiet >= limits::ACKNOWLEDGE_MS_MAX || ((said.seq != seq || waits) && quiet >= limits::ACKNOWLEDGE_MS_MIN)
    }

    /// Takes what every device holds in the history that `cursor` is of.
    async fn learn(&self, cursor: Cursor, stable: Seq, devices: usize) -> Result<(), ReplicaError> {
        let _pass = self.enter().await?;
        let origin = |cursor: Cursor| cursor.anchor.map(|anchor| anchor.origin);
        let here = self.cursor().await?;
        if origin(here) != origin(cursor) || here.seq < cursor.seq {
            return Ok(());
        }
        lock(&self.conversation).devices = Some(devices);
        let mut identity = lock(&self.memory).identity.clone();
        let stable = stable.min(here.seq);
        if identity.stable == stable {
            return Ok(());
        }
        identity.stable = stable;
        self.change_desk(DeskChange { identity: Some(identity), ..DeskChange::default() }).await?;
        self.receipts.stable_at(stable);
        self.watchers.tell(&Event::Stable(stable));
        Ok(())
    }
}
