//! What is remembered of the desk is a cache. Where nobody hears how a change of the desk ended, because the store could not
//! say or nobody waited for it, the cache is doubted: the desk is read again before anything else.
//!
//! What must hold: a change of the desk goes through [`Inner::change`], or sees to its doubt itself, as a local write does;
//! once the desk was read again, receipts say what became of their writes in between.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::desk::Drawer;
use super::entry::WriteNo;
use super::error::ReplicaError;
use super::gate::lock;
use super::parked::Parked;
use super::receipt::Fate;
use super::replica::{Inner, entries_of, load, read_identity};
use crate::decide::{Choice, Scope, View};
use crate::id::OpId;
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
        let done = self.store.decide(scope, rule).await?;
        doubt.sure = true;
        Ok(done)
    }

    /// Reads the desk again.
    pub(super) async fn reload(&self) -> Result<(), ReplicaError> {
        let lease = lock(&self.memory).identity.lease;
        let found = read_identity(&self.store, self.places).await?;
        if found.is_none_or(|identity| identity.lease != lease) {
            return Err(ReplicaError::TakenOver);
        }
        let memory = load(&self.store, self.places, &*self.env, lease, None).await?;
        *lock(&self.memory) = memory;
        self.version.fetch_add(2, Ordering::AcqRel);
        self.tell_receipts().await
    }

    /// Tells the receipts of writes that wait no more what became of them.
    async fn tell_receipts(&self) -> Result<(), ReplicaError> {
        let waiting = self.receipts.waiting();
        if waiting.is_empty() {
            return Ok(());
        }
        let numbers: Vec<WriteNo> = waiting.iter().map(|(no, _)| *no).collect();
        let queued = entries_of(self, numbers).await?;
        // Offered again under other numbers.
        let again = self.entries_after(None, usize::MAX >> 1).await?;
        let again: BTreeSet<OpId> =
            again.iter().take_while(|entry| entry.is_again()).map(|entry| entry.op.id()).collect();
        let parked = self.drawer(Drawer::Parked).await?;
        let lost: BTreeSet<WriteNo> = self.drawer(Drawer::Conflicts).await?.into_iter().map(|(no, _)| no).collect();
        let end = self.cursor().await?.seq;
        let waits = |no: &WriteNo, own: OpId| queued.contains_key(no) || again.contains(&own);
        for (no, watched) in waiting.into_iter().filter(|(no, watched)| !waits(no, watched.own())) {
            match parked.iter().find(|(parked, _)| *parked == no) {
                Some((no, bytes)) => {
                    let parked = Parked::from_bytes(*no, bytes.clone()).map_err(ReplicaError::Corrupt)?;
                    watched.set(Fate::Parked(parked.reason));
                }
                None if lost.contains(&no) => watched.set(Fate::Lost),
                // It is in the log, at the end of the copy at the latest.
                None => watched.settle(watched.own(), end),
            }
        }
        Ok(())
    }
}
