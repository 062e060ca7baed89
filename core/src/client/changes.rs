//! The log as a feed: what everybody wrote, in the one order that all devices agree on, from any place in it.

use super::error::ReplicaError;
use super::replica::Replica;
use crate::oplog::{Op, Payload};
use crate::seq::{Cursor, Seq};
use crate::store::PageLimit;
use crate::time::Timestamp;

/// One op of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Its place.
    pub seq: Seq,
    /// When the server took it.
    pub accepted_at: Timestamp,
    /// The op; `None` when this build does not know its form.
    pub op: Option<Op>,
    /// Its content, opened where it was sealed and the key is here.
    pub payload: Option<Payload>,
}

/// Ops that apply together, and where a reader stands after them. Never a part of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// One op, or a whole atomic batch.
    pub changes: Vec<Change>,
    /// Keep it, to go on from here another day.
    pub cursor: Cursor,
}

/// The feed from a place on.
#[derive(Debug)]
pub struct Changes {
    replica: Replica,
    cursor: Cursor,
    ready: std::collections::VecDeque<Step>,
}

impl Replica {
    /// What is in the log after `cursor`, and then what comes. [`Cursor::START`] is the beginning.
    #[must_use]
    pub fn changes(&self, cursor: Cursor) -> Changes {
        Changes { replica: self.clone(), cursor, ready: std::collections::VecDeque::new() }
    }
}

impl Changes {
    /// Waits for the next step.
    ///
    /// # Errors
    /// The store's; [`ReplicaError::Gap`] when this device's history no longer goes on from there, because it began anew
    /// from a snapshot or from another history.
    pub async fn next(&mut self) -> Result<Step, ReplicaError> {
        loop {
            let rung = self.replica.inner.changed.times();
            if let Some(step) = self.try_next().await? {
                return Ok(step);
            }
            self.replica.inner.changed.rung_since(rung).await;
        }
    }

    /// The next step, if one is here.
    ///
    /// # Errors
    /// As [`Changes::next`].
    pub async fn try_next(&mut self) -> Result<Option<Step>, ReplicaError> {
        if let Some(step) = self.ready.pop_front() {
            return Ok(Some(step));
        }
        let inner = &self.replica.inner;
        let (mut at, mut changes) = (self.cursor, Vec::new());
        // A batch may be longer than a page; it is in the mirror whole.
        while self.ready.is_empty() {
            let page = inner.store.ops_after(inner.places.mirror, at.seq, PageLimit::default()).await?;
            if let Some(gap) = page.gap(at) {
                return Err(ReplicaError::Gap(gap));
            }
            if page.ops.is_empty() {
                break;
            }
            for logged in page.ops {
                at = logged.cursor();
                let op = logged.op.read().ok();
                let payload = op.as_ref().and_then(|op| inner.means().open(op).ok());
                changes.push(Change { seq: logged.seq, accepted_at: logged.accepted_at, op, payload });
                if logged.batch_rest == 0 {
                    self.cursor = at;
                    self.ready.push_back(Step { changes: std::mem::take(&mut changes), cursor: at });
                }
            }
        }
        Ok(self.ready.pop_front())
    }
}
