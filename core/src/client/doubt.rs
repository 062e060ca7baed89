//! What is remembered of the desk is a cache. Where nobody hears how a change of the desk ended, because the store could not
//! say or nobody waited for it, the cache is doubted: the desk is read again before anything else, also before it is read from.
//!
//! What must hold: a change of the desk goes through [`Inner::change`], or sees to its doubt itself, as a local write does;
//! once the desk was read again, receipts say what became of their writes in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::conflict::Conflict;
use super::desk::Drawer;
use super::entry::WriteNo;
use super::error::ReplicaError;
use super::gate::lock;
use super::memory::Memory;
use super::parked::Parked;
use super::receipt::{Fate, Watched};
use super::replica::{Begin, Inner, load, opens};
use crate::decide::{Choice, Reads, Scope, View};
use crate::id::OpId;
use crate::limits;
use crate::seq::Seq;
use crate::store::{StoreError, StoreExt};

/// A change of the desk on its way.
struct Doubt<'i> {
    doubtful: &'i AtomicBool,
    sure: bool,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if !self.sure {
            self.doubtful.store(true, Ordering::Release);
        }
    }
}

impl Inner {
    /// Changes the desk.
    pub(super) async fn change<R, F>(&self, scope: Scope, rule: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: Fn(&View) -> Choice<R> + Send + Sync + 'static,
    {
        let mut doubt = Doubt { doubtful: &self.doubtful, sure: false };
        let done = self.store.decide(scope, rule).await;
        doubt.sure = done.as_ref().map_or_else(|error| error.kind().wrote_nothing(), |_| true);
        done
    }

    /// Reads the desk again.
    pub(super) async fn reload(&self) -> Result<(), ReplicaError> {
        let mut doubt = Doubt { doubtful: &self.doubtful, sure: false };
        let (lease, leaving, dropping) = {
            let memory = lock(&self.memory);
            // What is under way now may not be in what is read.
            let heirs = memory.heirs();
            for (no, watched) in self.receipts.waiting() {
                heirs.get(&no).into_iter().for_each(|heir| watched.is_now_said_by(*heir));
            }
            (memory.identity.lease, memory.leaving, memory.dropping)
        };
        let read =
            load(&self.store, self.places, &*self.env, lease, Begin::Held, opens(&self.options, self.places)).await?;
        *lock(&self.memory) = Memory { leaving, ..read };
        self.version.fetch_add(2, Ordering::AcqRel);
        self.left(false);
        if let Some(no) = dropping.filter(|no| !lock(&self.memory).pending.has(*no)) {
            self.receipts.tell(no, Fate::Discarded);
        }
        self.tell_receipts().await?;
        doubt.sure = true;
        Ok(())
    }

    /// Tells the receipts of writes that wait no more what became of them.
    async fn tell_receipts(&self) -> Result<(), ReplicaError> {
        let (told, renew) = {
            let memory = lock(&self.memory);
            let waits = |no: WriteNo, watched: &Watched| {
                memory.pending.has(no) || watched.ops().iter().any(|op| memory.pending.named(*op).is_some())
            };
            let mut told = self.receipts.waiting();
            told.retain(|(no, watched)| !waits(*no, watched));
            (told, memory.identity.renew)
        };
        if told.is_empty() {
            return Ok(());
        }
        // What is of another history than the server's has no place.
        let ops = told.iter().flat_map(|(_, watched)| watched.ops()).collect();
        let placed = if renew { BTreeMap::new() } else { self.placed(ops).await? };
        let mut left = Vec::new();
        for (no, watched) in told {
            match watched.ops().into_iter().find_map(|op| Some((op, *placed.get(&op)?))) {
                Some((op, seq)) => watched.settle(op, seq),
                None => left.push((no, watched)),
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        let (by_no, by_op) = self.on_record().await?;
        let bounds = self.store.bounds(self.places.mirror).await?;
        // What is not among the ops that are kept came before them: a full state among those says it, or else what the copy
        // began from or let go of, at its end at the latest.
        let said_at = bounds.map_or(Seq::ZERO, |bounds| {
            let state = bounds.full_state.as_ref().filter(|mark| mark.seq >= bounds.first);
            state.map_or(bounds.last, |mark| mark.seq)
        });
        for (no, watched) in left {
            if let Some(fate) = by_no.get(&no).or_else(|| watched.ops().iter().find_map(|op| by_op.get(op))) {
                watched.set(fate.clone());
            } else if !renew {
                watched.settle(watched.own(), said_at);
            }
        }
        Ok(())
    }

    /// The places of those of these ops that the copy has.
    pub(super) async fn placed(&self, ops: Vec<OpId>) -> Result<BTreeMap<OpId, Seq>, ReplicaError> {
        let mirror = self.places.mirror;
        let mut placed = BTreeMap::new();
        for some in ops.chunks(limits::BATCH_OPS_MAX) {
            let reads = Reads { ops: some.to_vec(), ..Reads::default() };
            let rule = move |view: &View| {
                let found = view.log(mirror).ops.iter().map(|(op, known)| (*op, known.seq));
                Choice::Done(found.collect::<Vec<_>>(), None)
            };
            placed.extend(self.store.decide(Scope::log(mirror, reads), rule).await?);
        }
        Ok(placed)
    }

    /// What is on record of writes that do not wait, by their numbers, and by their ops: those that were offered again had
    /// other numbers.
    async fn on_record(&self) -> Result<(BTreeMap<WriteNo, Fate>, BTreeMap<OpId, Fate>), ReplicaError> {
        let (mut by_no, mut by_op) = (BTreeMap::new(), BTreeMap::new());
        for (no, bytes) in self.drawer(Drawer::Parked).await? {
            let parked = Parked::from_bytes(no, bytes).map_err(ReplicaError::Corrupt)?;
            by_no.insert(no, Fate::Parked(parked.reason.clone()));
            by_op.insert(parked.entry.op.id(), Fate::Parked(parked.reason));
        }
        for (no, bytes) in self.drawer(Drawer::Conflicts).await? {
            let conflict = Conflict::from_bytes(no, bytes).map_err(ReplicaError::Corrupt)?;
            by_no.insert(no, Fate::Lost);
            by_op.insert(conflict.entry.op.id(), Fate::Lost);
        }
        Ok((by_no, by_op))
    }
}
