//! What came from the server, on its way into the local store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::commit::DeskChange;
use super::desk::{Drawer, Lane, Sent};
use super::entry::{Entry, WriteNo};
use super::error::ReplicaError;
use super::events::Event;
use super::gate::lock;
use super::keep::{Keep, Kept as Done, Reach, Stale, What};
use super::offer::Offer;
use super::own::own_ops;
use super::parked::{ParkReason, Parked};
use super::receipt::Fate;
use super::replica::{Inner, Replica, entries_of};
use super::sealing::refused_for_its_seal;
use super::session::{Came, Kept};
use super::transport::CallError;
use crate::call::{ErrorCode, Page, Place, Pushed, Refusal};
use crate::clock::VectorClock;
use crate::limits;
use crate::oplog::{ConflictPolicy, EntityKey, Gap, Op, Verdict};
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

/// What is to become of the mirror and the desk.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) what: What,
    pub(super) verdicts: Option<(Lane, Vec<Verdict>)>,
    pub(super) offer: Option<Offer>,
    pub(super) outdated: Vec<EntityKey>,
    pub(super) reach: Reach,
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
        let reach = match &page {
            None => Reach::Unsaid,
            Some(page) if page.more => Reach::Part,
            Some(_) => Reach::End,
        };
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
        let done = self.transact(Change { what, verdicts, offer: None, outdated: Vec::new(), reach }).await?;
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

    pub(super) async fn transact(&self, change: Change) -> Result<Done, ReplicaError> {
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
        let Change { what, verdicts, offer, outdated, reach } = change;
        let env = self.env.env();
        let (identity, again, new, deferred) = {
            let memory = lock(&self.memory);
            (memory.identity.clone(), memory.again.clone(), memory.new.clone(), memory.deferred.clone())
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
        let arrived = entries_of(self, self.named_in(&what)).await?;
        let sent = new.iter().flat_map(|sent| &sent.items).filter_map(|item| Some((item.no, item.op.read().ok()?)));
        for (no, op) in sent.chain(arrived.values().map(|entry| (entry.no, entry.op.clone()))) {
            numbers.extend(self.next_after(no, &op));
        }
        let entries = entries_of(self, numbers).await?;
        Ok(Keep {
            places: self.places,
            schema: Arc::clone(&self.schema),
            sealer: self.options.sealer.clone(),
            policy: self.policy(),
            env,
            identity,
            again,
            new,
            what,
            verdicts,
            entries,
            arrived,
            offer,
            outdated,
            deferred,
            reach,
        })
    }

    /// Waiting writes whose ops came from elsewhere: a copy of this device sent them, or somebody offered them again.
    fn named_in(&self, what: &What) -> BTreeSet<WriteNo> {
        let What::Ops { ops, .. } = what else { return BTreeSet::new() };
        let memory = lock(&self.memory);
        ops.iter().filter_map(|op| memory.pending.named(op.op.id())).collect()
    }

    /// The writes on the same entities after this one that may have to name the version it makes.
    fn next_after(&self, no: WriteNo, op: &Op) -> Vec<WriteNo> {
        let versioned = |key: &EntityKey| self.schema.rules(&key.collection).policy == ConflictPolicy::Precondition;
        let memory = lock(&self.memory);
        if op.full_state().is_some() {
            return memory.pending.first_after(no).filter(|(key, _)| versioned(key)).map(|(_, next)| next).collect();
        }
        let of = |key: EntityKey| memory.pending.of(&key).iter().copied().find(|next| *next > no);
        op.subject().keys().filter(versioned).filter_map(of).collect()
    }

    /// Brings the memory to what the transaction left.
    fn remember(&self, keep: &Keep, done: &Done) {
        let mut memory = lock(&self.memory);
        if keep.offer.is_some() {
            // Of another state of the server.
            memory.spent = VectorClock::new();
        }
        memory.deferred = done.deferred.clone();
        if let Some((Lane::Again, verdicts)) = &keep.verdicts {
            let items = keep.again.iter().flat_map(|sent| &sent.items).zip(verdicts);
            // Sealed again, it is tried again.
            let taken_back = verdicts.iter().any(|verdict| refused_for_its_seal(verdict).is_some());
            let judged = |verdict: &Verdict| !taken_back || matches!(verdict, Verdict::Conflict { .. });
            let fillers = items.filter(|(item, verdict)| item.is_filler() && judged(verdict));
            for op in fillers.filter_map(|(item, _)| item.op.read().ok()) {
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
}

fn cursor_after(log: crate::LogKey, from: Cursor, next: Cursor, places: &[Place]) -> Cursor {
    let Some(last) = places.last() else { return from };
    let start = from.anchor.or_else(|| next.anchor.map(|anchor| Anchor::genesis(log, anchor.origin)));
    let anchor = start.map(|start| Place::lead(places, start));
    Cursor { seq: last.seq, anchor }
}
