//! Resolving: writes that lost are written again, given up with a record, or left to be chosen, as their policy says.
//!
//! Called with the mirror at the server's end, so that what a write lost to can be looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use super::commit::DeskChange;
use super::conflict::{Choose, Conflict, Outcome, Ruling, rule};
use super::desk::Drawer;
use super::entry::{Base, Entry, Fate as Queued, WriteNo};
use super::error::ReplicaError;
use super::events::Event;
use super::gate::lock;
use super::mirror::Unreadable;
use super::parked::{ParkReason, Parked};
use super::receipt::{Fate, Receipt};
use super::replica::{Inner, PLAIN_WRITE, Replica, entries_of};
use crate::clock::VectorClock;
use crate::limits;
use crate::oplog::{ConflictPolicy, ConflictReason, Draft, Op, Payload, Precondition};
use crate::seq::Seq;
use crate::store::{PageLimit, StoreExt};

impl Replica {
    /// Parked writes, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn parked(&self) -> Result<Vec<Parked>, ReplicaError> {
        let found = self.inner.drawer(Drawer::Parked).await?;
        let read = found.into_iter().map(|(no, bytes)| Parked::from_bytes(no, bytes));
        read.collect::<Result<_, _>>().map_err(ReplicaError::Corrupt)
    }

    /// Ops of the log that have no effect here, with the reason.
    ///
    /// # Errors
    /// The store's.
    pub async fn unread(&self) -> Result<Vec<(Seq, Unreadable)>, ReplicaError> {
        let found = self.inner.drawer(Drawer::Unread).await?;
        let read = found.into_iter().filter_map(|(no, bytes)| {
            Some((Seq::new(no.get())?, Unreadable::from_code(bytes.first().copied().unwrap_or_default())))
        });
        Ok(read.collect())
    }

    /// Conflicts, open and ended, oldest first; the newest [`limits::CONFLICTS_KEPT_MAX`] of those that ended.
    ///
    /// # Errors
    /// The store's.
    pub async fn conflicts(&self) -> Result<Vec<Conflict>, ReplicaError> {
        let found = self.inner.drawer(Drawer::Conflicts).await?;
        let means = self.inner.means();
        let read = found.into_iter().map(|(no, bytes)| {
            let conflict = Conflict::from_bytes(no, bytes).map_err(ReplicaError::Corrupt)?;
            let sealed = conflict.entry.op.payload().is_sealed();
            // Without its key it stays as it is.
            let opened = sealed.then(|| means.open(&conflict.entry.op).ok()).flatten();
            Ok(opened.and_then(|payload| conflict.saying(payload)).unwrap_or(conflict))
        });
        read.collect()
    }

    /// Sends a parked write again, with another content when one is given. Of a batch, every write is sent again.
    ///
    /// # Errors
    /// When it is not parked, or as [`Replica::write`].
    pub async fn retry(&self, no: WriteNo, instead: Option<Payload>) -> Result<(), ReplicaError> {
        let _pass = self.inner.enter().await?;
        let parked = self.parked().await?;
        let chosen = parked.iter().find(|parked| parked.no() == no).ok_or(ReplicaError::NoSuchWrite(no))?;
        let batch = chosen.entry.batch;
        let together = |other: &&Parked| other.no() == no || (batch.is_some() && other.entry.batch == batch);
        let (seen, clock) = self.inner.seen_now().await?;
        let mut change = DeskChange::default();
        let mut again = Vec::new();
        for parked in parked.iter().filter(together) {
            let mut entry = self.inner.on_top(&parked.entry, seen, &clock).await?;
            let instead = instead.clone().filter(|_| entry.no == no);
            let sealed = parked.entry.is_again() && parked.entry.op.payload().is_sealed();
            if instead.is_some() || sealed {
                let payload = match instead {
                    Some(payload) => payload,
                    None => self.inner.means().open(&parked.entry.op)?,
                };
                let draft = Draft { payload, ..entry.op.draft().clone() };
                // Of what had been in the log before, the seal holds for the op that it was.
                let draft = if sealed { self.inner.sealed(draft, &self.inner.env.env())? } else { draft };
                entry.op = draft.seal()?;
            }
            change.gone.push(Drawer::Parked.key(entry.no.get()));
            change.puts.push((Drawer::Queue.key(entry.no.get()), entry.to_bytes()));
            again.push(entry);
        }
        self.inner.change_desk(change).await?;
        {
            let mut memory = lock(&self.inner.memory);
            again.iter().for_each(|entry| memory.pending.add(entry));
            memory.parked = memory.parked.saturating_sub(again.len() as u64);
        }
        again.iter().for_each(|entry| self.inner.receipts.tell(entry.no, Fate::Waiting));
        self.inner.moved(&again);
        self.inner.edited.ring();
        Ok(())
    }

    /// Gives a parked write up; of a batch, all of it.
    ///
    /// # Errors
    /// When it is not parked.
    pub async fn discard(&self, no: WriteNo) -> Result<(), ReplicaError> {
        let _pass = self.inner.enter().await?;
        let parked = self.parked().await?;
        let chosen = parked.iter().find(|parked| parked.no() == no).ok_or(ReplicaError::NoSuchWrite(no))?;
        let batch = chosen.entry.batch;
        let together = |other: &&Parked| other.no() == no || (batch.is_some() && other.entry.batch == batch);
        let gone: Vec<WriteNo> = parked.iter().filter(together).map(Parked::no).collect();
        let keys = gone.iter().map(|no| Drawer::Parked.key(no.get())).collect();
        self.inner.change_desk(DeskChange { gone: keys, ..DeskChange::default() }).await?;
        let mut memory = lock(&self.inner.memory);
        memory.parked = memory.parked.saturating_sub(gone.len() as u64);
        drop(memory);
        gone.iter().for_each(|no| self.inner.receipts.tell(*no, Fate::Discarded));
        Ok(())
    }

    /// Decides a conflict, or decides one anew; its record goes. The receipt of the write that this makes, if it makes one.
    ///
    /// # Errors
    /// When there is no such conflict, or as [`Replica::write`].
    pub async fn resolve(&self, no: WriteNo, choose: Choose) -> Result<Option<Receipt>, ReplicaError> {
        let pass = self.inner.enter().await?;
        let conflicts = self.conflicts().await?;
        let conflict =
            conflicts.into_iter().find(|conflict| conflict.no() == no).ok_or(ReplicaError::NoSuchWrite(no))?;
        let mut change = DeskChange { gone: vec![Drawer::Conflicts.key(no.get())], ..DeskChange::default() };
        let mut entry = None;
        let payload = match choose {
            Choose::Theirs => None,
            // Where it is still sealed, this says which key it needs.
            Choose::Mine => Some(self.inner.means().open(&conflict.entry.op)?),
            Choose::Instead(payload) => Some(payload),
        };
        if let Some(payload) = payload {
            let (seen, clock) = self.inner.seen_now().await?;
            let mut again = self.inner.on_top(&conflict.entry, seen, &clock).await?;
            let mut identity = lock(&self.inner.memory).identity.clone();
            identity.hlc = identity.hlc.tick(self.inner.env.env().now);
            again.no = identity.next;
            again.batch = None;
            identity.next = WriteNo(again.no.0 + 1);
            let id = crate::OpId::from_bytes(self.inner.env.env().uuid7("chosen"));
            again.op = Draft { id, payload, hlc: identity.hlc, ..again.op.draft().clone() }.seal()?;
            change.puts.push((Drawer::Queue.key(again.no.get()), again.to_bytes()));
            change.identity = Some(identity);
            entry = Some(again);
        }
        self.inner.change_desk(change).await?;
        {
            let mut memory = lock(&self.inner.memory);
            memory.conflicts = memory.conflicts.saturating_sub(1);
            memory.open = memory.open.saturating_sub(u64::from(conflict.is_open()));
            entry.iter().for_each(|entry| memory.pending.add(entry));
        }
        drop(pass);
        self.inner.moved(&entry);
        self.inner.edited.ring();
        Ok(entry.map(|entry| self.inner.receipt(&entry)))
    }
}

/// A write that met something newer, and what becomes of it.
struct Lost {
    entry: Entry,
    reason: ConflictReason,
    theirs: Option<Op>,
    ruling: Ruling,
}

impl Inner {
    /// Everything in a drawer.
    pub(super) async fn drawer(&self, drawer: Drawer) -> Result<Vec<(WriteNo, bytes::Bytes)>, ReplicaError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let collection = drawer.collection();
            let page = self.store.heads(self.places.desk, &collection, after.as_ref(), limits::LIST_ITEMS_MAX).await?;
            after = page.heads.last().map(|(key, _)| key.clone());
            let notes = page
                .heads
                .iter()
                .filter_map(|(key, head)| Some((WriteNo(super::desk::number(key)), head.live_state()?.clone())));
            found.extend(notes);
            if !page.more {
                return Ok(found);
            }
        }
    }

    /// What this device has seen of the log by now.
    pub(super) async fn seen_now(&self) -> Result<(Seq, VectorClock), ReplicaError> {
        let bounds = self.store.bounds(self.places.mirror).await?;
        Ok(bounds.map_or((Seq::ZERO, VectorClock::new()), |bounds| (bounds.last, bounds.clock)))
    }

    /// A write as it would be made now: with everything seen, and on the present version where its policy wants one.
    async fn on_top(&self, entry: &Entry, seen: Seq, clock: &VectorClock) -> Result<Entry, ReplicaError> {
        let mut again = entry.again(seen, clock.clone())?;
        let Some(key) = again.keys().next() else {
            let precondition = match again.op.precondition() {
                Precondition::None => Precondition::None,
                _ if seen == Seq::ZERO => Precondition::Absent,
                _ => Precondition::Version(seen),
            };
            again.op = Draft { precondition, ..again.op.draft().clone() }.seal()?;
            return Ok(again);
        };
        let versioned = self.schema.rules(&key.collection).policy == ConflictPolicy::Precondition
            || again.op.precondition() != Precondition::None;
        if versioned {
            let head = self.store.head(self.places.mirror, &key).await?;
            let precondition = match head {
                Some(head) if !head.is_deleted() => Precondition::Version(head.version),
                _ => Precondition::Absent,
            };
            again.op = Draft { precondition, ..again.op.draft().clone() }.seal()?;
            again.base = Base::Any;
        }
        Ok(again)
    }

    /// Decides every write that lost.
    pub(super) async fn resolve_lost(&self) -> Result<(), ReplicaError> {
        // They stay there until it is done: the store may fail meanwhile.
        let numbers = lock(&self.memory).lost.clone();
        if numbers.is_empty() {
            return Ok(());
        }
        let mut ruled = Vec::new();
        for no in &numbers {
            let Some(entry) = self.entry(*no).await? else { continue };
            let Queued::Lost { reason, .. } = entry.fate.clone() else { continue };
            let theirs = self.theirs(&entry).await?;
            let policy =
                entry.keys().next().map_or(ConflictPolicy::Append, |key| self.schema.rules(&key.collection).policy);
            let ruling = match rule(policy, &entry, reason, theirs.as_ref()) {
                // A partial copy keeps nobody's op: what this one lost to may be newer than itself.
                Ruling::Again if self.is_partial() && theirs.is_none() && reason != ConflictReason::Superseded => {
                    Ruling::Ask
                }
                ruling => ruling,
            };
            ruled.push(Lost { entry, reason, theirs, ruling });
        }
        let parked = self.of_broken_batches(&ruled).await?;
        ruled.retain(|lost| !parked.contains_key(&lost.entry.no));
        let (seen, clock) = self.seen_now().await?;
        let mut change = DeskChange::default();
        let (mut ended, mut same) = (Vec::new(), Vec::new());
        for Lost { entry, reason, theirs, ruling } in ruled {
            let (no, key) = (entry.no, Drawer::Queue.key(entry.no.get()));
            if ruling == Ruling::Again {
                change.puts.push((key, self.on_top(&entry, seen, &clock).await?.to_bytes()));
                continue;
            }
            change.gone.push(key);
            if ruling == Ruling::Same {
                same.push(entry);
                continue;
            }
            let outcome = if ruling == Ruling::Ask { Outcome::Open } else { Outcome::Theirs };
            let theirs = theirs.map(|op| op.raw().clone());
            let conflict = Conflict { reason, outcome, theirs, entry };
            change.puts.push((Drawer::Conflicts.key(no.get()), conflict.to_bytes()));
            ended.push(conflict);
        }
        for (no, parked) in &parked {
            change.gone.push(Drawer::Queue.key(no.get()));
            change.puts.push((Drawer::Parked.key(no.get()), parked.to_bytes()));
        }
        self.forget_old_conflicts(&mut change, ended.len()).await?;
        self.change_desk(change).await?;
        {
            let mut memory = lock(&self.memory);
            memory.lost.retain(|no| !numbers.contains(no));
            for entry in same.iter().chain(ended.iter().map(|conflict| &conflict.entry)) {
                memory.pending.remove(entry.no, entry.keys());
            }
            memory.conflicts += ended.len() as u64;
            memory.open += ended.iter().filter(|conflict| conflict.is_open()).count() as u64;
            parked.values().for_each(|parked| memory.pending.remove(parked.no(), parked.entry.keys()));
            memory.parked += parked.len() as u64;
        }
        for parked in parked.into_values() {
            self.tell_parked(parked.no(), parked.reason, &parked.entry);
        }
        for conflict in &ended {
            self.receipts.tell(conflict.no(), Fate::Lost);
            self.watchers.tell(&Event::Conflict(conflict.no()));
        }
        for entry in &same {
            let version = entry.op.subject().keys().next();
            let head = match version {
                Some(key) => self.store.head(self.places.mirror, &key).await?,
                None => None,
            };
            self.receipts.tell(entry.no, head.map_or(Fate::Lost, |head| Fate::Accepted(head.version)));
        }
        self.moved(same.iter().chain(ended.iter().map(|conflict| &conflict.entry)));
        Ok(())
    }

    /// A batch applies whole or nowhere: where one write of it is left to somebody's choice, the others wait with it.
    async fn of_broken_batches(&self, ruled: &[Lost]) -> Result<BTreeMap<WriteNo, Parked>, ReplicaError> {
        let left = |lost: &&Lost| matches!(lost.ruling, Ruling::Ask | Ruling::Theirs);
        let mut members: BTreeSet<WriteNo> = BTreeSet::new();
        for (first, count) in ruled.iter().filter(left).filter_map(|lost| lost.entry.batch) {
            members.extend((first.0..first.0 + u64::from(count)).map(WriteNo));
        }
        let mut entries = entries_of(self, members).await?;
        ruled.iter().filter(left).for_each(|lost| drop(entries.remove(&lost.entry.no)));
        let parked = |(no, entry)| (no, Parked { reason: ParkReason::Batch, entry });
        Ok(entries.into_iter().map(parked).collect())
    }

    /// The op a write lost to, readable, when it is kept here.
    async fn theirs(&self, entry: &Entry) -> Result<Option<Op>, ReplicaError> {
        let Some(key) = entry.keys().next() else { return Ok(None) };
        let Some(head) = self.store.head(self.places.mirror, &key).await? else { return Ok(None) };
        let one = PageLimit::ops(1).unwrap_or_default();
        let page = self.store.ops_after(self.places.mirror, head.version.before(), one).await?;
        let logged = page.ops.into_iter().next().filter(|logged| logged.op.id() == head.op);
        let Some(op) = logged.and_then(|logged| logged.op.read().ok()) else { return Ok(None) };
        let Ok(payload) = self.means().open(&op) else { return Ok(None) };
        Ok(Draft { payload, ..op.draft().clone() }.seal().ok())
    }

    /// Ended conflicts are kept for a while, not for ever.
    pub(super) async fn forget_old_conflicts(&self, change: &mut DeskChange, new: usize) -> Result<(), ReplicaError> {
        let kept = lock(&self.memory).conflicts + new as u64;
        let over = kept.saturating_sub(limits::CONFLICTS_KEPT_MAX as u64);
        if over == 0 {
            return Ok(());
        }
        let found = self.drawer(Drawer::Conflicts).await?;
        let ended = found.into_iter().filter_map(|(no, bytes)| {
            let conflict = Conflict::from_bytes(no, bytes).ok()?;
            (!conflict.is_open()).then_some(no)
        });
        let gone: Vec<WriteNo> = ended.take(usize::try_from(over).unwrap_or(usize::MAX)).collect();
        let mut memory = lock(&self.memory);
        memory.conflicts = memory.conflicts.saturating_sub(gone.len() as u64);
        drop(memory);
        change.gone.extend(gone.iter().map(|no| Drawer::Conflicts.key(no.get())));
        Ok(())
    }

    /// Tells everyone that what these writes are about may read differently now.
    pub(super) fn moved<'e>(&self, entries: impl IntoIterator<Item = &'e Entry>) {
        self.version.fetch_add(2, Ordering::AcqRel);
        self.tell_moved(entries);
    }

    /// [`Inner::moved`] for writes at the queue's end.
    pub(super) fn added(&self, entries: &[Entry]) {
        self.version.fetch_add(PLAIN_WRITE, Ordering::AcqRel);
        self.tell_moved(entries);
    }

    fn tell_moved<'e>(&self, entries: impl IntoIterator<Item = &'e Entry>) {
        let mut keys = BTreeSet::new();
        let mut everything = false;
        for entry in entries {
            keys.extend(entry.keys());
            everything |= entry.op.full_state().is_some();
        }
        if everything {
            self.watchers.tell(&Event::Reset);
        } else if !keys.is_empty() {
            self.watchers.tell(&Event::Changed(keys));
        }
        self.changed.ring();
    }
}
