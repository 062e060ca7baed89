//! What came from the server, on its way into the local store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::desk::{Drawer, Lane, Sent};
use super::entry::{Base, Entry, Fate as Queued, WriteNo};
use super::error::ReplicaError;
use super::events::Event;
use super::gate::lock;
use super::keep::{Keep, Kept as Done, Stale, What};
use super::own::own_ops;
use super::parked::{ParkReason, Parked};
use super::receipt::Fate;
use super::replica::{Inner, Replica, entries_of};
use super::resolve::DeskChange;
use super::session::{Came, Kept};
use super::transport::CallError;
use crate::call::{ErrorCode, Page, Place, Pushed, Refusal};
use crate::clock::VectorClock;
use crate::limits;
use crate::oplog::{
    Draft, EntityKey, FullStateKind, Gap, OpKind, Precondition, Snapshot, StateEntities, Subject, Verdict,
};
use crate::seq::{Anchor, Cursor, Seq};
use crate::store::PageLimit;
use crate::time::Timestamp;

impl Replica {
    /// Puts what came into the local store, in one transaction.
    ///
    /// # Errors
    /// The store's; what cannot be read for want of a key; an answer that is none.
    pub async fn keep(&self, came: Came) -> Result<Kept, ReplicaError> {
        let inner = &self.inner;
        let _pass = inner.enter().await?;
        match came {
            Came::Page(page) => inner.take(Some(page), None).await,
            Came::Verdicts(pushed) => inner.take_verdicts(pushed).await,
            Came::Refused(refusal) => inner.take_refusal(&refusal).await,
            Came::TooLarge => inner.make_smaller().await,
            Came::Rewind(to) => inner.rewind(to).await,
            Came::Begin { snapshot, parted } => inner.begin_anew(snapshot, parted).await,
        }
    }

    /// The copy's cursor at a seq; `None` where that is not kept.
    ///
    /// # Errors
    /// The store's.
    pub async fn cursor_at(&self, seq: Seq) -> Result<Option<Cursor>, ReplicaError> {
        let page =
            self.inner.store.ops_after(self.inner.places.mirror, seq, PageLimit::ops(1).unwrap_or_default()).await?;
        Ok(page.anchor.map(|anchor| Cursor { seq, anchor: Some(anchor) }))
    }
}

/// Entries to put in the place of those with these numbers, which were offered again before.
type Offer = (Vec<Entry>, Vec<WriteNo>);

/// What is to become of the mirror and the desk.
#[derive(Debug, Clone)]
struct Change {
    what: What,
    verdicts: Option<(Lane, Vec<Verdict>)>,
    offer: Option<Offer>,
    outdated: Vec<EntityKey>,
    at_end: bool,
}

/// What is read changes now; odd until it is dropped.
struct Changing<'v>(&'v AtomicU64);

impl<'v> Changing<'v> {
    fn begin(version: &'v AtomicU64) -> Self {
        version.fetch_add(1, Ordering::AcqRel);
        Self(version)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Inner {
    async fn take_verdicts(&self, pushed: Pushed) -> Result<Kept, ReplicaError> {
        let (lane, sent) = {
            let memory = lock(&self.memory);
            let lane = if memory.again.is_some() { Lane::Again } else { Lane::New };
            (lane, memory.sent(lane).cloned())
        };
        let sent = sent.filter(|sent| sent.items.len() == pushed.verdicts.len());
        let sent = sent.ok_or_else(|| CallError::Protocol("an answer with another number of verdicts".into()))?;
        self.tell_skew(pushed.accepted_at);
        let cursor = self.cursor().await?;
        let page = pushed.newer.map(|page| match own_ops(&sent, &pushed.verdicts, &page, cursor, pushed.accepted_at) {
            Some(ops) => Page { ops, ..page },
            None => page,
        });
        self.take(page, Some((lane, pushed.verdicts))).await
    }

    /// A page of ops, the verdicts on a batch, or both.
    async fn take(&self, page: Option<Page>, verdicts: Option<(Lane, Vec<Verdict>)>) -> Result<Kept, ReplicaError> {
        let cursor = self.cursor().await?;
        let before = lock(&self.ahead).take();
        let from = before.as_ref().map_or(cursor, |ahead| ahead.next);
        let mut more = page.as_ref().is_none_or(|page| page.more);
        let at_end = page.as_ref().is_some_and(|page| !page.more);
        let (mut ops, mut left_out, mut next) = (Vec::new(), Vec::new(), cursor);
        let mut ahead = None;
        if let Some(page) = page {
            if let Err(gap) = self.follows(&page, from) {
                // The verdicts stand whatever the page is; the batch is asked for again and answered the same.
                return Ok(Kept { cursor, more: true, gap: Some(gap) });
            }
            let (end, page_more, page_next) = (page.end, page.more, page.next);
            let mut whole = before.unwrap_or(Page { ops: Vec::new(), left_out: Vec::new(), ..page.clone() });
            whole.ops.extend(page.ops);
            whole.left_out.extend(page.left_out);
            next = page_next;
            let places = whole.places();
            let ends = places.iter().rposition(|place| place.batch_rest == 0).map_or(0, |last| last + 1);
            if ends < places.len() {
                if !page_more {
                    return Ok(Kept { cursor, more: true, gap: Some(Gap::Hole) });
                }
                let last = ends.checked_sub(1).map_or(Seq::ZERO, |last| places[last].seq);
                let rest = whole.ops.split_off(whole.ops.partition_point(|op| op.seq <= last));
                let rest_out = whole.left_out.split_off(whole.left_out.partition_point(|op| op.seq <= last));
                ahead = Some(Page { ops: rest, left_out: rest_out, next, end, more: true });
                next = cursor_after(self.places.mirror, cursor, next, &places[..ends]);
                more = true;
            }
            (ops, left_out) = (whole.ops, whole.left_out);
        }
        let pull_from = ahead.as_ref().map(|ahead| ahead.next);
        let what = What::Ops { ops, left_out, next };
        let done = self.transact(Change { what, verdicts, offer: None, outdated: Vec::new(), at_end }).await?;
        *lock(&self.ahead) = ahead.filter(|_| done.stopped.is_none());
        if let Some(gap) = done.gap {
            return Ok(Kept { cursor, more: true, gap: Some(gap) });
        }
        if let Some(stopped) = done.stopped {
            return Err(stopped.into());
        }
        // While what is held is offered to another history, the copy's end is no place in that one.
        let anew = done.identity.renew || done.end.seq == Seq::ZERO;
        let end = if anew { Cursor::START } else { done.end };
        Ok(Kept { cursor: pull_from.unwrap_or(end), more, gap: None })
    }

    async fn transact(&self, change: Change) -> Result<Done, ReplicaError> {
        for _ in 0..2 {
            let keep = self.gather(change.clone()).await?;
            let scope = keep.scope().map_err(|_| super::replica::lost_answer(&*self.store))?;
            let keep = Arc::new(keep);
            let rule = Arc::clone(&keep);
            let changing = Changing::begin(&self.version);
            match self.change(scope, move |view| rule.rule(view)).await? {
                Ok(done) => {
                    self.remember(&keep, &done);
                    drop(changing);
                    self.announce(&done);
                    return Ok(done);
                }
                Err(Stale) => {
                    drop(changing);
                    self.reload().await?;
                }
            }
        }
        Err(ReplicaError::TakenOver)
    }

    async fn gather(&self, change: Change) -> Result<Keep, ReplicaError> {
        let Change { what, verdicts, offer, outdated, at_end } = change;
        let (identity, again, new) = {
            let memory = lock(&self.memory);
            (memory.identity.clone(), memory.again.clone(), memory.new.clone())
        };
        let mut numbers: BTreeSet<WriteNo> = BTreeSet::new();
        if let Some((lane, verdicts)) = &verdicts {
            let sent = if *lane == Lane::Again { &again } else { &new };
            let judged = sent.iter().flat_map(|sent| sent.items.iter().zip(verdicts));
            numbers.extend(judged.filter(|(_, verdict)| verdict.seq().is_none()).map(|(item, _)| item.no));
            if sent.as_ref().is_some_and(|sent| sent.atomic) && !numbers.is_empty() {
                numbers.extend(sent.iter().flat_map(|sent| sent.items.iter().map(|item| item.no)));
            }
        }
        // Writes on the same entities after those of the batch: they may have to name the version it makes.
        for item in new.iter().flat_map(|sent| &sent.items) {
            let Ok(op) = item.op.read() else { continue };
            let versioned = |key: &EntityKey| {
                self.schema.rules(&key.collection).policy == crate::oplog::ConflictPolicy::Precondition
            };
            let memory = lock(&self.memory);
            for key in op.subject().keys().filter(versioned) {
                numbers.extend(memory.pending.of(&key).iter().find(|no| **no > item.no));
            }
            if op.full_state().is_some() {
                let next = memory.pending.first_after(item.no).filter(|(key, _)| versioned(key));
                numbers.extend(next.map(|(_, no)| no));
            }
        }
        let entries = entries_of(self, numbers).await?;
        Ok(Keep {
            places: self.places,
            schema: Arc::clone(&self.schema),
            sealer: self.options.sealer.clone(),
            policy: self.policy(),
            env: self.env.env(),
            identity,
            again,
            new,
            what,
            verdicts,
            entries,
            offer,
            outdated,
            at_end,
        })
    }

    /// Brings the memory to what the transaction left.
    fn remember(&self, keep: &Keep, done: &Done) {
        let mut memory = lock(&self.memory);
        if keep.offer.is_some() {
            // Of another state of the server.
            memory.spent = VectorClock::new();
        }
        if matches!(keep.verdicts, Some((Lane::Again, _))) {
            let fillers = keep.again.iter().flat_map(|sent| &sent.items).filter(|item| item.is_filler());
            for op in fillers.filter_map(|item| item.op.read().ok()) {
                // Once, whatever was said to it: what cannot be filled is not tried for ever.
                let _ = memory.spent.join(op.clock());
            }
        }
        memory.identity = done.identity.clone();
        memory.set_sent(Lane::Again, done.again.clone());
        memory.set_sent(Lane::New, done.new.clone());
        for settled in &done.settled {
            memory.pending.remove(settled.no, settled.keys.iter().cloned());
        }
        for (entry, _) in &done.parked {
            memory.pending.remove(entry.no, entry.keys());
        }
        for conflict in &done.conflicts {
            memory.pending.remove(conflict.no(), conflict.entry.keys());
        }
        if let Some((entries, _)) = &keep.offer {
            let old: Vec<(WriteNo, Vec<EntityKey>)> = memory.pending.offered_again();
            old.into_iter().for_each(|(no, keys)| memory.pending.remove(no, keys.into_iter()));
            entries.iter().for_each(|entry| memory.pending.add(entry));
        }
        if let Some(epoch) = done.epoch_said {
            lock(&self.sealing).epoch = epoch;
        }
        memory.lost.extend(&done.lost);
        memory.parked += done.parked.len() as u64;
        memory.conflicts += done.conflicts.len() as u64;
        memory.open += done.conflicts.iter().filter(|conflict| conflict.is_open()).count() as u64;
        let outdated = keep.outdated.iter().filter(|key| key.collection == Drawer::Unread.collection()).count();
        memory.unread = memory.unread.saturating_sub(outdated as u64) + done.unread.len() as u64;
    }

    fn announce(&self, done: &Done) {
        self.receipts.stable_at(done.identity.stable);
        for settled in &done.settled {
            self.receipts.settle(settled.no, settled.op, settled.seq);
        }
        for (entry, reason) in &done.parked {
            self.tell_parked(entry.no, reason.clone(), entry);
        }
        for conflict in &done.conflicts {
            self.receipts.tell(conflict.no(), Fate::Lost);
            self.receipts.tell_op(conflict.entry.op.id(), &Fate::Lost);
            self.watchers.tell(&Event::Conflict(conflict.no()));
        }
        match &done.changed {
            None => self.watchers.tell(&Event::Reset),
            Some(keys) if keys.is_empty() => {}
            Some(keys) => self.watchers.tell(&Event::Changed(keys.clone())),
        }
        self.changed.ring();
    }

    fn tell_skew(&self, server: Timestamp) {
        let now = self.env.env().now;
        let apart = now.ms().abs_diff(server.ms());
        let signed = i64::try_from(apart).unwrap_or(i64::MAX);
        let skew = if now >= server { signed } else { -signed };
        let mut conversation = lock(&self.conversation);
        let told = conversation.skew_ms.replace(skew);
        drop(conversation);
        let large = |ms: i64| ms.unsigned_abs() > limits::CLOCK_DRIFT_MS_MAX;
        if large(skew) && !told.is_some_and(large) {
            self.watchers.tell(&Event::Skew { ms: skew });
        }
    }

    /// The request was refused for one of its ops: that one is parked, the others are sent without it.
    async fn take_refusal(&self, refusal: &Refusal) -> Result<Kept, ReplicaError> {
        let reason = ParkReason::Refused { code: refusal.code.name().to_owned(), detail: refusal.detail.clone() };
        let (lane, sent) = self.under_way();
        let at = match (refusal.index, &sent) {
            (Some(index), Some(sent)) => sent.items.get(index),
            (None, Some(sent)) if sent.items.len() == 1 => sent.items.first(),
            _ => None,
        };
        let parked = match at.filter(|_| refusal.code != ErrorCode::RequestIdReused) {
            Some(item) => self.entry(item.no).await?,
            None => None,
        };
        self.unsend(lane, sent.as_deref(), parked, reason, None).await
    }

    async fn make_smaller(&self) -> Result<Kept, ReplicaError> {
        let (lane, sent) = self.under_way();
        let ops = sent.as_ref().map_or(1, |sent| sent.items.len());
        let whole = sent.as_ref().is_some_and(|sent| sent.atomic);
        let first = sent.as_ref().and_then(|sent| sent.items.first()).map(|item| item.no);
        let parked = match first.filter(|_| ops == 1 || whole) {
            Some(no) => self.entry(no).await?,
            None => None,
        };
        let detail = "something on the way takes no request of this size".to_owned();
        let reason = ParkReason::Refused { code: ErrorCode::BodyTooLarge.name().to_owned(), detail };
        let smaller = u32::try_from(ops / 2).unwrap_or(1).max(1);
        self.unsend(lane, sent.as_deref(), parked, reason, Some(smaller)).await
    }

    fn under_way(&self) -> (Lane, Option<Arc<Sent>>) {
        let memory = lock(&self.memory);
        let lane = if memory.again.is_some() { Lane::Again } else { Lane::New };
        (lane, memory.sent(lane).cloned())
    }

    /// Takes a batch back of which nothing was stored, and parks one write of it.
    async fn unsend(
        &self,
        lane: Lane,
        sent: Option<&Sent>,
        parked: Option<Entry>,
        reason: ParkReason,
        batch_max: Option<u32>,
    ) -> Result<Kept, ReplicaError> {
        let mut change = DeskChange { gone: vec![lane.key()], ..DeskChange::default() };
        let mut identity = lock(&self.memory).identity.clone();
        identity.batch_max = batch_max.unwrap_or(identity.batch_max);
        change.identity = Some(identity);
        let mut all: Vec<(Entry, ParkReason)> = Vec::new();
        if let (Some(entry), Some(sent)) = (parked, sent) {
            let others: Vec<WriteNo> = match sent.atomic {
                true => sent.items.iter().map(|item| item.no).filter(|no| *no != entry.no).collect(),
                false => Vec::new(),
            };
            all.push((entry, reason));
            all.extend(entries_of(self, others).await?.into_values().map(|entry| (entry, ParkReason::Batch)));
        }
        for (entry, reason) in &all {
            let parked = Parked { reason: reason.clone(), entry: entry.clone() };
            change.gone.push(Drawer::Queue.key(entry.no.get()));
            change.puts.push((Drawer::Parked.key(entry.no.get()), parked.to_bytes()));
        }
        self.change_desk(change).await?;
        {
            let mut memory = lock(&self.memory);
            memory.set_sent(lane, None);
            all.iter().for_each(|(entry, _)| memory.pending.remove(entry.no, entry.keys()));
            memory.parked += all.len() as u64;
        }
        for (entry, reason) in all {
            self.tell_parked(entry.no, reason, &entry);
        }
        Ok(Kept { cursor: self.cursor().await?, more: false, gap: None })
    }

    /// Begins anew from a state, with everything this device holds put up to be offered again when the server's history
    /// is another.
    async fn begin_anew(&self, snapshot: Box<Snapshot>, parted: bool) -> Result<Kept, ReplicaError> {
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
    async fn rewind(&self, to: Seq) -> Result<Kept, ReplicaError> {
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
        let parted = offer.is_some();
        let done = self.transact(Change { what, verdicts: None, offer, outdated, at_end: false }).await?;
        if parted && done.gap.is_none() {
            // What this server does not have waits again, and is told when it is there once more.
            self.receipts.unsettle(common);
        }
        Ok(Kept { cursor: self.cursor().await?, more: true, gap: done.gap })
    }

    /// These ops before those that are offered again already, as entries of the queue, and the entries they replace.
    async fn again(&self, mut entries: Vec<Entry>) -> Result<Offer, ReplicaError> {
        let old = self.entries_after(None, usize::MAX >> 1).await?;
        let old: Vec<Entry> = old.into_iter().take_while(Entry::is_again).collect();
        let numbers = old.iter().map(|entry| entry.no).collect();
        let known: BTreeSet<crate::OpId> = entries.iter().map(|entry| entry.op.id()).collect();
        entries.extend(old.into_iter().filter(|entry| !known.contains(&entry.op.id())));
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
            id: crate::OpId::from_bytes(env.uuid7("seed")),
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

fn cursor_after(log: crate::LogKey, from: Cursor, next: Cursor, places: &[Place]) -> Cursor {
    let Some(last) = places.last() else { return from };
    let start = from.anchor.or_else(|| next.anchor.map(|anchor| Anchor::genesis(log, anchor.origin)));
    let anchor = start.map(|start| Place::lead(places, start));
    Cursor { seq: last.seq, anchor }
}
