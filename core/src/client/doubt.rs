//! What is remembered of the desk is a cache. Where nobody hears how a change of the desk ended, because the store could not
//! say or nobody waited for it, the cache is doubted: the desk is read again before anything else.
//!
//! What must hold: a change of the desk goes through [`Inner::change`], or sees to its doubt itself, as a local write does;
//! once the desk was read again, receipts say what became of their writes in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::desk::Drawer;
use super::entry::WriteNo;
use super::error::ReplicaError;
use super::gate::lock;
use super::parked::Parked;
use super::receipt::{Fate, Watched};
use super::replica::{Begin, Inner, load};
use crate::decide::{Choice, Reads, Scope, View};
use crate::id::OpId;
use crate::limits;
use crate::oplog::Head;
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
        let lease = lock(&self.memory).identity.lease;
        let memory = load(&self.store, self.places, &*self.env, lease, Begin::Held, self.schema.version_max()).await?;
        *lock(&self.memory) = memory;
        self.version.fetch_add(2, Ordering::AcqRel);
        self.tell_receipts().await?;
        doubt.sure = true;
        Ok(())
    }

    /// Tells the receipts of writes that wait no more what became of them.
    async fn tell_receipts(&self) -> Result<(), ReplicaError> {
        let told: Vec<(WriteNo, Arc<Watched>)> = {
            let memory = lock(&self.memory);
            // What is not in another history is offered to it, or comes from there.
            if memory.identity.renew {
                return Ok(());
            }
            let waits = |no: WriteNo, op: OpId| memory.pending.has(no) || memory.pending.named(op).is_some();
            self.receipts.waiting().into_iter().filter(|(no, watched)| !waits(*no, watched.said_by())).collect()
        };
        if told.is_empty() {
            return Ok(());
        }
        let placed = self.placed(told.iter().map(|(_, watched)| watched.said_by()).collect()).await?;
        let end = self.cursor().await?.seq;
        for (no, watched) in told {
            let op = watched.said_by();
            match placed.get(&op) {
                Some(seq) => watched.settle(op, *seq),
                None => match self.on_record(no).await? {
                    Some(fate) => watched.set(fate),
                    // It is in the log, at the end of the copy at the latest, among what the copy let go of or with
                    // another write.
                    None => watched.settle(op, end),
                },
            }
        }
        Ok(())
    }

    /// The places of those of these ops that the copy has.
    async fn placed(&self, ops: Vec<OpId>) -> Result<BTreeMap<OpId, Seq>, ReplicaError> {
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

    /// What is on record of a write that does not wait.
    async fn on_record(&self, no: WriteNo) -> Result<Option<Fate>, ReplicaError> {
        let head = self.store.head(self.places.desk, &Drawer::Parked.key(no.get())).await?;
        if let Some(bytes) = head.as_ref().and_then(Head::live_state) {
            let parked = Parked::from_bytes(no, bytes.clone()).map_err(ReplicaError::Corrupt)?;
            return Ok(Some(Fate::Parked(parked.reason)));
        }
        let head = self.store.head(self.places.desk, &Drawer::Conflicts.key(no.get())).await?;
        Ok(head.map(|_| Fate::Lost))
    }
}
