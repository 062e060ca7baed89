//! Offering again what a server does not have any more: everything this device holds after the place that both know.
//!
//! What must hold: the ops go as they are, under their ids, before everything that was written since; what was put up before
//! stays put up, and no record of a conflict is written over.
//!
//! Next: `rewind` (what the copy was at that place), `keep` (the transaction), `spent` (what an op counts on), `deferred` (a state
//! that was not taken).

use std::collections::BTreeSet;

use super::arrive::Change;
use super::desk::Drawer;
use super::entry::{Base, Entry, Fate as Queued, WriteNo};
use super::error::ReplicaError;
use super::gate::lock;
use super::keep::{Reach, What};
use super::replica::Inner;
use super::session::Kept;
use crate::id::OpId;
use crate::limits;
use crate::oplog::{Draft, FullStateKind, OpKind, Precondition, Snapshot, StateEntities, Subject};
use crate::seq::Seq;

/// Entries to put in the place of those with these numbers, which were offered again before.
pub(super) type Offer = (Vec<Entry>, Vec<WriteNo>);

/// A history that is being left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    /// Up to where the server has it.
    common: Seq,
    /// Up to where the state stands for it that is offered, and the op that offers it.
    seed: Option<(Seq, OpId)>,
    /// The first op that is offered.
    first: Option<OpId>,
}

impl Inner {
    /// Begins anew from a state, with everything this device holds put up to be offered again when the server's history
    /// is another.
    pub(super) async fn begin_anew(&self, snapshot: Box<Snapshot>, parted: bool) -> Result<Kept, ReplicaError> {
        let offer = if parted {
            let mut entries: Vec<Entry> = self.seed().await?.into_iter().collect();
            entries.extend(self.held_after(Seq::ZERO).await?.entries);
            Some(self.again(entries).await?)
        } else {
            None
        };
        let state = self.opened(&snapshot)?.bytes().clone();
        StateEntities::read(state.clone())?.try_for_each(|entity| entity.map(drop))?;
        self.leave(What::Begin { snapshot, state }, offer, Seq::ZERO).await
    }

    /// Back to a place that the server has too, with everything after it put up to be offered again.
    pub(super) async fn rewind(&self, to: Seq) -> Result<Kept, ReplicaError> {
        let held = self.held_after(to).await?;
        if let Some(earlier) = self.earlier(to, &held).await? {
            let offer = self.again(held.entries).await?;
            return self.leave(What::Rewind(Box::new(earlier)), Some(offer), to).await;
        }
        // The copy does not reach back that far. What it began from is offered as a state, and it shows what it has until
        // there is something of the server's to show.
        let mut entries: Vec<Entry> = self.seed().await?.into_iter().collect();
        entries.extend(held.entries);
        let offer = self.again(entries).await?;
        self.leave(What::Renew, Some(offer), Seq::ZERO).await
    }

    /// Leaves the history that the server does not have.
    async fn leave(&self, what: What, offer: Option<Offer>, common: Seq) -> Result<Kept, ReplicaError> {
        *lock(&self.ahead) = None;
        if offer.is_some() {
            self.forget_said();
        }
        let mut outdated = self.unread_after(common).await?;
        if offer.is_some() {
            outdated.extend(self.own_keys().await?);
        }
        let seed = match offer.iter().flat_map(|(entries, _)| entries).find(|entry| entry.is_seed()) {
            Some(seed) => {
                let began = self.store.snapshot(self.places.mirror, Seq::MAX).await?;
                began.map(|snapshot| (snapshot.seq, seed.op.id()))
            }
            None => None,
        };
        let first = |(entries, _): &Offer| entries.first().map(|entry| entry.op.id());
        let leaving = offer.as_ref().map(|offer| Leaving { common, seed, first: first(offer) });
        lock(&self.memory).leaving = leaving;
        let done = self.transact(Change { what, verdicts: None, offer, outdated, reach: Reach::Part }).await?;
        // The desk may have been read again on the way.
        lock(&self.memory).leaving = leaving;
        self.left(done.gap.is_none());
        Ok(Kept { cursor: self.cursor().await?, more: true, gap: done.gap })
    }

    /// What this server does not have waits again, and is told when it is there once more: where the history that had it was
    /// left for `sure`, or what it offers is put up.
    pub(super) fn left(&self, sure: bool) {
        let mut memory = lock(&self.memory);
        let leaving = memory.leaving.take();
        let put_up = |op| memory.pending.named(op).is_some();
        let left = leaving.filter(|leaving| sure || leaving.first.is_some_and(put_up));
        drop(memory);
        if let Some(Leaving { common, seed, .. }) = left {
            self.receipts.unsettle(common, seed);
        }
    }

    /// These ops before those that are offered again already, as entries of the queue, and the entries they replace.
    async fn again(&self, mut entries: Vec<Entry>) -> Result<Offer, ReplicaError> {
        let old = self.offered_again().await?;
        // While nothing has come in the place of what is shown, the state that it began from is the one that is offered.
        let renew = lock(&self.memory).identity.renew;
        if let (Some(seed), Some(offered)) =
            (entries.first_mut().filter(|entry| renew && entry.is_seed()), old.iter().find(|entry| entry.is_seed()))
        {
            seed.op = offered.op.clone();
        }
        let numbers = old.iter().map(|entry| entry.no).collect();
        let known: BTreeSet<OpId> = entries.iter().map(|entry| entry.op.id()).collect();
        let old = old.into_iter().filter(|entry| !known.contains(&entry.op.id()));
        entries.extend(old.map(|entry| Entry { batch: left_of_batch(&entry), ..entry }));
        number(&mut entries, self.last_on_record().await?);
        Ok((entries, numbers))
    }

    /// The last number of an op offered again that a conflict or a parked write bears: a record is never written over.
    async fn last_on_record(&self) -> Result<u64, ReplicaError> {
        let mut last = 0;
        for drawer in [Drawer::Conflicts, Drawer::Parked] {
            let found = self.drawer(drawer).await?;
            let again = found.into_iter().map(|(no, _)| no).filter(|no| *no < WriteNo::FIRST);
            last = again.map(WriteNo::get).max().unwrap_or_default().max(last);
        }
        Ok(last)
    }

    /// The state this device began from, as the first content of an empty log.
    async fn seed(&self) -> Result<Option<Entry>, ReplicaError> {
        let Some(snapshot) = self.store.snapshot(self.places.mirror, Seq::MAX).await? else { return Ok(None) };
        let payload = self.opened(&snapshot)?;
        let env = self.env.env();
        let identity = lock(&self.memory).identity.clone();
        // The seed stands for what the snapshot had seen and takes no counter of its own: the ops after it have theirs.
        let clock = snapshot.clock.clone();
        let draft = Draft {
            id: OpId::from_bytes(env.uuid7("seed")),
            replica: identity.replica,
            subject: Subject::Log,
            kind: OpKind::FullState(FullStateKind::Initial),
            clock,
            hlc: identity.hlc.tick(env.now),
            schema_version: snapshot.schema_version,
            precondition: Precondition::Absent,
            payload,
        };
        let op = self.sealed(draft, &env)?.seal()?;
        let no = WriteNo(0);
        Ok(Some(Entry { no, batch: None, base: Base::Any, seen: Seq::ZERO, fate: Queued::Waiting, op }))
    }

    /// The ops that are put up already.
    async fn offered_again(&self) -> Result<Vec<Entry>, ReplicaError> {
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let after = found.last().map(|entry| entry.no);
            let page = self.entries_after(after, limits::LIST_ITEMS_MAX).await?;
            let whole = page.len() == limits::LIST_ITEMS_MAX && page.iter().all(Entry::is_again);
            found.extend(page.into_iter().take_while(Entry::is_again));
            if !whole {
                return Ok(found);
            }
        }
    }
}

/// The batch of an entry of the queue, with how many of it follow instead of how many it has.
fn left_of_batch(entry: &Entry) -> Option<(WriteNo, u32)> {
    let (first, count) = entry.batch?;
    let behind = entry.no.get().saturating_sub(first.get()).saturating_add(1);
    Some((first, count.saturating_sub(u32::try_from(behind).unwrap_or(u32::MAX))))
}

/// Numbers entries after `last` and finds the batches: in a batch the counts of what follows run down to 0.
fn number(entries: &mut [Entry], last: u64) {
    let no = |index: usize| WriteNo(last + index as u64 + 1);
    let mut first = 0;
    for index in 0..entries.len() {
        entries[index].no = no(index);
        let rest = entries[index].batch.map_or(0, |(_, rest)| rest);
        if rest > 0 && index + 1 < entries.len() {
            continue;
        }
        let count = u32::try_from(index + 1 - first).unwrap_or(u32::MAX);
        let batch = (count > 1).then_some((no(first), count));
        entries[first..=index].iter_mut().for_each(|entry| entry.batch = batch);
        first = index + 1;
    }
}
