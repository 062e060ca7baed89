//! How much history a replica keeps, and how it lets go of the rest.
//!
//! What a copy needs of old ops: to offer them again to a server that was rolled back, to find the place where two
//! histories part, to fill an emptied server, to feed [`Changes`](super::Changes). So nothing goes before something else
//! stands in for it: the state at the horizon is put beside the ops that are left, in the transaction in which the others
//! go. An emptied server is filled with that state and what came after it.
//!
//! What must hold: the horizon lies at the end of a batch; it never passes an op that this build, or the keys it has,
//! cannot read; a state too large for a full-state op is not put in the place of ops, which could then not be offered.
//!
//! Next: `offer`, which offers; [`LogWrites`], which prunes.

use super::commit::DeskChange;
use super::error::ReplicaError;
use super::gate::lock;
use super::mirror::Unreadable;
use super::past::Past;
use super::replica::Inner;
use crate::decide::LogWrites;
use crate::limits;
use crate::oplog::{LogBounds, Payload, Snapshot};
use crate::seq::Seq;
use crate::store::{PageLimit, StoreExt};
use crate::time::Timestamp;

/// How much of the log's history a replica keeps beside its state.
///
/// It bounds how old a backup a server may be set back to with this device giving back what is missing since. Of a server
/// set back further this device leaves it to others with the older history, for
/// [`CLIENT_OTHERS_FIRST_MS`](limits::CLIENT_OTHERS_FIRST_MS), and sends nothing meanwhile; where none comes, its state is
/// kept as a [`Conflict`](super::Conflict), whole, and not merged by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retain {
    /// All of it.
    Everything,
    /// An op is kept while it is among the newest, or young. A quarter more may be kept, so that not every sync prunes.
    Window {
        /// The newest so many.
        ops: u64,
        /// Those that the server took not longer ago than so many milliseconds before the newest.
        ms: u64,
    },
}

impl Default for Retain {
    fn default() -> Self {
        Self::Window { ops: limits::REPLICA_OPS_KEPT, ms: limits::REPLICA_OPS_KEPT_MS }
    }
}

impl Inner {
    /// Lets go of history that need not be kept.
    pub(super) async fn prune(&self) -> Result<(), ReplicaError> {
        let Retain::Window { ops, ms } = self.options.retain else { return Ok(()) };
        if self.is_partial() {
            return self.prune_own(ops, ms).await;
        }
        let _pass = self.enter().await?;
        let Some(bounds) = self.store.bounds(self.places.mirror).await? else { return Ok(()) };
        let spare = ops / 4;
        let tried = lock(&self.memory).prune_tried;
        let grown = bounds.last.get().saturating_sub(tried.get()) > spare;
        let held = bounds.last.get() - bounds.first.before().get();
        // A history that is about to be replaced is offered again as it is.
        if held <= ops.saturating_add(spare) || !grown || lock(&self.memory).identity.renew {
            return Ok(());
        }
        lock(&self.memory).prune_tried = bounds.last;
        let newest = Seq::new(bounds.last.get() - ops).unwrap_or_default();
        let to = self.last_older(&bounds, newest, ms).await?;
        if to.get().saturating_sub(bounds.first.before().get()) <= spare {
            return Ok(());
        }
        match self.readable_to(to).await? {
            Some(past) if past.cursor.seq >= bounds.first => self.prune_to(bounds, past).await,
            _ => Ok(()),
        }
    }

    /// The last place up to `to` whose op is older than `ms` before the newest.
    async fn last_older(&self, bounds: &LogBounds, to: Seq, ms: u64) -> Result<Seq, ReplicaError> {
        let Some(newest) = self.accepted_at(bounds.last).await? else { return Ok(Seq::ZERO) };
        let young = newest.minus_ms(ms);
        let (mut old, mut high) = (bounds.first.before().get(), to.get());
        while old < high {
            let middle = old + (high - old).div_ceil(2);
            let at = self.accepted_at(Seq::new(middle).unwrap_or_default()).await?;
            if at.is_some_and(|at| at <= young) {
                old = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(Seq::new(old).unwrap_or_default())
    }

    async fn accepted_at(&self, seq: Seq) -> Result<Option<Timestamp>, ReplicaError> {
        Ok(self.logged(seq).await?.map(|logged| logged.accepted_at))
    }

    /// The copy's state at the end of the batch that `to` is in, or before the first op that is not understood; `None` when
    /// there is no such place, a key is missing, or the state is too large to be offered.
    async fn readable_to(&self, to: Seq) -> Result<Option<Past>, ReplicaError> {
        let rest = self.logged(to).await?.map_or(0, |logged| logged.batch_rest);
        let past = match self.past(Seq::new(to.get() + u64::from(rest)).unwrap_or(to)).await {
            Ok(past) => past,
            Err(error) => return unless_unreadable(error),
        };
        let Some(stop) = past.unread().iter().find(|(_, why)| *why == Unreadable::Unknown) else {
            return Ok(Some(past));
        };
        match self.past(stop.0.before()).await {
            Ok(past) => Ok(Some(past)),
            Err(error) => unless_unreadable(error),
        }
    }

    async fn prune_to(&self, before: LogBounds, past: Past) -> Result<(), ReplicaError> {
        let (Some(first), Some(anchor)) = (past.cursor.seq.next(), past.cursor.anchor) else { return Ok(()) };
        let gone = self.bytes_between(before.first, past.cursor.seq).await?;
        let snapshot = Snapshot {
            seq: past.cursor.seq,
            anchor,
            clock: past.clock,
            schema_version: past.schema_version,
            payload: Payload::Plain(past.state.to_bytes()),
        };
        let bytes = before.bytes.saturating_sub(gone);
        let bounds = LogBounds { first, base: anchor, snapshot: snapshot.seq, bytes, ..before.clone() };
        let writes = LogWrites {
            snapshot: Some(snapshot),
            prune_before: Some(first),
            forget_pruned: true,
            ..LogWrites::new(self.places.mirror, bounds)
        };
        // What was not understood, and goes, is no matter any more: a full state that was came after it.
        let gone = self.unknown_before(first).await?;
        let unread = gone.len() as u64;
        self.change_both(before, writes, DeskChange { gone, ..DeskChange::default() }).await?;
        let mut memory = lock(&self.memory);
        memory.unread = memory.unread.saturating_sub(unread);
        Ok(())
    }

    /// Canonical bytes of the ops from `first` to `last`.
    async fn bytes_between(&self, first: Seq, last: Seq) -> Result<u64, ReplicaError> {
        let (mut bytes, mut after) = (0, first.before());
        while after < last {
            let page = self.store.ops_after(self.places.mirror, after, PageLimit::default()).await?;
            let Some(end) = page.ops.last() else { break };
            after = end.seq;
            let gone = page.ops.iter().take_while(|logged| logged.seq <= last);
            bytes += gone.map(|logged| logged.op.bytes().len() as u64).sum::<u64>();
        }
        Ok(bytes)
    }
}

/// What cannot be read is kept; nothing else is wrong with that.
fn unless_unreadable(error: ReplicaError) -> Result<Option<Past>, ReplicaError> {
    match error {
        ReplicaError::Unopened(_)
        | ReplicaError::StateTooLarge(_)
        | ReplicaError::InsideBatch(_)
        | ReplicaError::NotKept(_) => Ok(None),
        other => Err(other),
    }
}
