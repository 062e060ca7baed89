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
//! Next: `to_offer` in `arrive`, which offers; [`LogWrites`], which prunes.

use std::collections::BTreeSet;

use super::desk::Drawer;
use super::error::ReplicaError;
use super::gate::lock;
use super::replica::Inner;
use super::sealer::Unopened;
use crate::clock::VectorClock;
use crate::decide::{Choice, LogWrites, Reads, Scope, View};
use crate::limits;
use crate::oplog::{LogBounds, LogState, LoggedOp, OpKind, Payload, ReplayStop, Snapshot};
use crate::seq::{Anchor, Seq};
use crate::store::{PageLimit, StoreExt};
use crate::time::Timestamp;

/// How much of the log's history a replica keeps beside its state.
///
/// It bounds how old a backup a server may be set back to with this device giving back what is missing since. A server set
/// back further still goes on with this device: see [`Replica`](super::Replica).
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

/// A state of the copy and its place.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) state: LogState,
    pub(super) seq: Seq,
    anchor: Anchor,
    clock: VectorClock,
    schema_version: u32,
    /// Canonical bytes of the ops replayed.
    bytes: u64,
}

impl Inner {
    /// Lets go of history that need not be kept.
    pub(super) async fn prune(&self) -> Result<(), ReplicaError> {
        let Retain::Window { ops, ms } = self.options.retain else { return Ok(()) };
        let _pass = self.gate.enter().await;
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
        match self.replay(&bounds, to).await? {
            Some(replayed) if replayed.seq >= bounds.first => self.prune_to(bounds, replayed).await,
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
        let one = PageLimit::ops(1).unwrap_or_default();
        let page = self.store.ops_after(self.places.mirror, seq.before(), one).await?;
        Ok(page.ops.first().filter(|logged| logged.seq == seq).map(|logged| logged.accepted_at))
    }

    /// The copy's state after the last batch that ends at or before `to`, as far as it can be read; `None` when there is
    /// nothing to begin from, or when it is too large to be offered.
    pub(super) async fn replay(&self, bounds: &LogBounds, to: Seq) -> Result<Option<Replayed>, ReplicaError> {
        let Some(mut replayed) = self.replay_from(bounds).await? else { return Ok(None) };
        let unread = self.drawer(Drawer::Unread).await?;
        let unread: BTreeSet<u64> = unread.into_iter().map(|(no, _)| no.get()).collect();
        let mut batch: Vec<LoggedOp> = Vec::new();
        let mut after = replayed.seq;
        while after < to {
            let page = self.store.ops_after(self.places.mirror, after, PageLimit::default()).await?;
            let Some(last) = page.ops.last() else { break };
            after = last.seq;
            for logged in page.ops {
                let whole = logged.batch_rest == 0;
                batch.push(logged);
                if !whole {
                    continue;
                }
                let ends = batch.last().map_or(Seq::MAX, |last| last.seq);
                if ends > to || !batch.iter().all(|logged| self.reads(logged)) {
                    return Ok(Some(replayed));
                }
                for logged in batch.drain(..) {
                    if !self.step(&mut replayed, &logged, &unread) {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(replayed))
    }

    async fn replay_from(&self, bounds: &LogBounds) -> Result<Option<Replayed>, ReplicaError> {
        let seq = bounds.first.before();
        let begun = Replayed {
            state: LogState::default(),
            seq,
            anchor: bounds.base,
            clock: VectorClock::new(),
            schema_version: 1,
            bytes: 0,
        };
        if seq == Seq::ZERO {
            return Ok(Some(begun));
        }
        let kept = self.store.snapshot(self.places.mirror, Seq::MAX).await?;
        let Some(snapshot) = kept.filter(|snapshot| snapshot.seq == seq) else { return Ok(None) };
        let payload = match (&snapshot.payload, self.options.sealer.as_deref()) {
            (Payload::Sealed(_), Some(sealer)) => match sealer.open_snapshot(self.places.mirror, &snapshot) {
                Ok(payload) => payload,
                Err(_) => return Ok(None),
            },
            (Payload::Sealed(_), None) => return Ok(None),
            (readable, _) => readable.clone(),
        };
        let state = LogState::from_bytes(payload.bytes().clone())?;
        let Snapshot { clock, schema_version, .. } = snapshot;
        Ok(Some(Replayed { state, clock, schema_version, ..begun }))
    }

    /// Whether this build, with the keys it has, knows what the op says, or that it says nothing.
    fn reads(&self, logged: &LoggedOp) -> bool {
        let Ok(op) = logged.op.read() else { return false };
        let known = !matches!(op.kind(), OpKind::Other(_)) && op.schema_version() <= self.schema.version_max();
        known && !matches!(self.means().open(&op), Err(Unopened::KeyNeeded { .. }))
    }

    /// Whether the state holds what the op did, if it did anything here.
    fn step(&self, replayed: &mut Replayed, logged: &LoggedOp, unread: &BTreeSet<u64>) -> bool {
        let Ok(op) = logged.op.read() else { return false };
        let effect = match self.means().open(&op) {
            Ok(payload) => replayed.state.apply_opened(logged, &op, &payload, &self.schema).map(drop),
            Err(_) => Err(ReplayStop::Unknown(logged.seq)),
        };
        // What had no effect when it came has none now.
        let had_none = || unread.contains(&logged.seq.get());
        if matches!(effect, Err(ReplayStop::TooLarge { .. })) || (effect.is_err() && !had_none()) {
            return false;
        }
        let _ = replayed.clock.join(op.clock());
        replayed.schema_version = replayed.schema_version.max(op.schema_version());
        replayed.bytes += logged.op.bytes().len() as u64;
        (replayed.seq, replayed.anchor) = (logged.seq, logged.anchor);
        true
    }

    async fn prune_to(&self, before: LogBounds, replayed: Replayed) -> Result<(), ReplicaError> {
        let Some(first) = replayed.seq.next() else { return Ok(()) };
        let log = self.places.mirror;
        let snapshot = Snapshot {
            seq: replayed.seq,
            anchor: replayed.anchor,
            clock: replayed.clock,
            schema_version: replayed.schema_version,
            payload: Payload::Plain(replayed.state.to_bytes()),
        };
        let rule = move |view: &View| {
            // Somebody else has the replica by now.
            let Some(bounds) = view.log(log).bounds.clone().filter(|bounds| *bounds == before) else {
                return Choice::Done((), None);
            };
            let bytes = bounds.bytes.saturating_sub(replayed.bytes);
            let bounds = LogBounds { first, base: snapshot.anchor, snapshot: snapshot.seq, bytes, ..bounds };
            let writes = LogWrites {
                snapshot: Some(snapshot.clone()),
                prune_before: Some(first),
                forget_pruned: true,
                ..LogWrites::new(log, bounds)
            };
            Choice::Done((), Some(writes.alone()))
        };
        Ok(self.store.decide(Scope::log(log, Reads::default()), rule).await?)
    }
}
