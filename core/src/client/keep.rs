//! What came from the server, put into the mirror and the desk by one pure rule in one transaction.
//!
//! What must hold: a write leaves the queue in the transaction in which its op enters the mirror, never before; a lost
//! answer loses nothing, because the page that brings an op settles it as well as a verdict does.

mod hear;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::conflict::{Conflict, Outcome};
use super::deferred::Deferred;
use super::desk::{Drawer, Identity, Item, Lane, Places, Sent, note};
use super::entry::{Base, Entry, Fate, WriteNo};
use super::mirror::{Means, MirrorWrite, Unreadable, keys_of};
use super::own::{own_note, own_notes};
use super::parked::{ParkReason, Parked};
use super::receipt::Settled;
use super::rewind::Earlier;
use super::sealer::{Sealer, Unopened};
use super::sealing::{refused_for_its_seal, take_back};
use crate::call::{LeftOut, PageOp};
use crate::clock::VectorClock;
use crate::decide::{Choice, Forget, LogWrites, Reads, Scope, View, WriteSet};
use crate::digest::Digest;
use crate::id::{OpId, ReplicaId, RequestId};
use crate::oplog::{EntityKey, Gap, RejectReason, Schema, Sealing, Snapshot, Verdict};
use crate::seq::{Cursor, Seq};
use crate::time::Env;

/// What came.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// Ops that follow the mirror, whole batches only, and the cursor after them.
    Ops { ops: Vec<PageOp>, left_out: Vec<LeftOut>, next: Cursor },
    /// The state to begin from: a [`LogState`](crate::oplog::LogState)'s bytes, readable and looked through.
    Begin { snapshot: Box<Snapshot>, state: Bytes },
    /// The mirror as it was at an earlier place.
    Rewind(Box<Earlier>),
    /// The next page begins the mirror anew.
    Renew,
}

/// Everything the rule knows besides what it reads.
#[derive(Debug, Clone)]
pub(super) struct Keep {
    pub(super) places: Places,
    pub(super) schema: Arc<Schema>,
    pub(super) sealer: Option<Arc<dyn Sealer>>,
    pub(super) policy: Sealing,
    pub(super) env: Env,
    pub(super) identity: Identity,
    pub(super) again: Option<Arc<Sent>>,
    pub(super) new: Option<Arc<Sent>>,
    pub(super) what: What,
    /// The verdicts on a lane's batch, one per item.
    pub(super) verdicts: Option<(Lane, Vec<Verdict>)>,
    /// Queue entries that verdicts or new places are about.
    pub(super) entries: BTreeMap<WriteNo, Entry>,
    /// Queue entries whose ops are among those that came.
    pub(super) arrived: BTreeMap<WriteNo, Entry>,
    /// Queue entries to put in place of all that were offered again so far.
    pub(super) offer: Option<(Vec<Entry>, Vec<WriteNo>)>,
    /// Keys of ops without effect, of a history that goes.
    pub(super) outdated: Vec<EntityKey>,
    /// The state that waits for others to bring what it stands for.
    pub(super) deferred: Option<Deferred>,
    pub(super) reach: Reach,
}

/// How far what came goes into the server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Whether that log goes on from the copy was not said: it may be another one by now.
    Unsaid,
    /// There is more.
    Part,
    /// There was no more.
    End,
}

/// What the transaction did.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) identity: Identity,
    pub(super) again: Option<Sent>,
    pub(super) new: Option<Sent>,
    /// Writes whose ops are in the mirror.
    pub(super) settled: Vec<Settled>,
    pub(super) parked: Vec<(Entry, ParkReason)>,
    pub(super) conflicts: Vec<Conflict>,
    /// Writes that met something newer.
    pub(super) lost: Vec<WriteNo>,
    /// The state that waits for others to bring what it stands for.
    pub(super) deferred: Option<Deferred>,
    pub(super) unread: Vec<(Seq, Unreadable)>,
    /// Entities to look at again; `None` for all.
    pub(super) changed: Option<BTreeSet<EntityKey>>,
    pub(super) end: Cursor,
    /// Reading stopped in front of an op for want of a key.
    pub(super) stopped: Option<Unopened>,
    /// The key epoch that the server says the log is at, where it refused what was sealed under another.
    pub(super) epoch_said: Option<u32>,
    /// What came does not fit; nothing was written.
    pub(super) gap: Option<Gap>,
}

/// The desk is not as this process remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stale;

impl Keep {
    pub(super) fn scope(&self) -> Result<Scope, crate::decide::ScopeError> {
        let mut heads: BTreeSet<EntityKey> = match &self.what {
            What::Ops { ops, .. } => keys_of(ops),
            What::Begin { .. } | What::Rewind(_) | What::Renew => BTreeSet::new(),
        };
        let anchors = match &self.what {
            What::Rewind(earlier) => vec![earlier.end().seq],
            _ => Vec::new(),
        };
        heads.extend(self.entries.values().flat_map(|entry| entry.keys().collect::<Vec<_>>()));
        let ops = self.sent_items().map(|(_, item)| item.op.id()).collect();
        let mirror = Reads { heads: heads.into_iter().collect(), ops, anchors, ..Reads::default() };
        let desk = Reads { heads: vec![Identity::key()], ..Reads::default() };
        Scope::logs(vec![(self.places.mirror, mirror), (self.places.desk, desk)])
    }

    fn sent_items(&self) -> impl Iterator<Item = (Lane, &Item)> {
        let again = self.again.iter().flat_map(|sent| sent.items.iter().map(|item| (Lane::Again, item)));
        again.chain(self.new.iter().flat_map(|sent| sent.items.iter().map(|item| (Lane::New, item))))
    }

    pub(super) fn rule(&self, view: &View) -> Choice<Result<Kept, Stale>> {
        let desk = view.log(self.places.desk);
        let found = desk.heads.get(&Identity::key()).and_then(|head| head.live_state().cloned());
        let Some(desk_bounds) = desk.bounds.clone().filter(|_| found == Some(self.identity.to_bytes())) else {
            return Choice::Done(Err(Stale), None);
        };
        let means = Means {
            places: self.places,
            schema: &self.schema,
            sealer: self.sealer.as_deref(),
            policy: self.policy,
            part: self.identity.part.as_deref(),
        };
        let mut work = Work::new(self, view, means);
        let mirror = match work.mirror() {
            Ok(mirror) => mirror,
            Err(gap) => return Choice::Done(Ok(work.refused(gap)), None),
        };
        work.kept.identity.synced |= self.reach == Reach::End && work.kept.stopped.is_none();
        work.settle(mirror.as_ref());
        work.judge(mirror.as_ref());
        work.arrived(mirror.as_ref());
        work.offer();
        let mut mirror_writes = match &self.what {
            What::Rewind(earlier) => Some(earlier.writes(self.places.mirror)),
            _ => None,
        };
        if let Some(mut mirror) = mirror {
            work.kept.end = mirror.end();
            work.kept.unread = std::mem::take(&mut mirror.unread);
            work.kept.changed = mirror.changed.take();
            work.kept.identity.key_epoch = work.kept.identity.key_epoch.max(mirror.epoch);
            for seq in std::mem::take(&mut mirror.points) {
                work.put(Drawer::point(seq), Bytes::new());
            }
            mirror_writes = Some(mirror.finish());
        }
        for (seq, why) in work.kept.unread.clone() {
            work.put(Drawer::Unread.key(seq.get()), Bytes::copy_from_slice(&[why.code()]));
        }
        let desk_writes = work.desk_writes(self.places, desk_bounds);
        let mut logs: Vec<LogWrites> = mirror_writes.into_iter().chain([desk_writes]).collect();
        logs.sort_by_key(|writes| writes.log);
        Choice::Done(Ok(work.kept), Some(Box::new(WriteSet { logs })))
    }
}

/// The rule while it works.
struct Work<'a> {
    keep: &'a Keep,
    view: &'a View,
    means: Means<'a>,
    kept: Kept,
    puts: BTreeMap<EntityKey, Bytes>,
    gone: BTreeSet<EntityKey>,
}

impl<'a> Work<'a> {
    fn new(keep: &'a Keep, view: &'a View, means: Means<'a>) -> Self {
        let end = view.log(keep.places.mirror).bounds.as_ref().map_or(Cursor::START, crate::oplog::LogBounds::end);
        let kept = Kept {
            identity: keep.identity.clone(),
            again: keep.again.as_deref().cloned(),
            new: keep.new.as_deref().cloned(),
            settled: Vec::new(),
            parked: Vec::new(),
            conflicts: Vec::new(),
            lost: Vec::new(),
            deferred: keep.deferred.clone(),
            unread: Vec::new(),
            changed: Some(BTreeSet::new()),
            end,
            stopped: None,
            epoch_said: None,
            gap: None,
        };
        Self { keep, view, means, kept, puts: BTreeMap::new(), gone: BTreeSet::new() }
    }

    fn refused(mut self, gap: Gap) -> Kept {
        self.kept.gap = Some(gap);
        self.kept
    }

    fn put(&mut self, key: EntityKey, bytes: Bytes) {
        self.gone.remove(&key);
        self.puts.insert(key, bytes);
    }

    fn forget(&mut self, key: EntityKey) {
        self.puts.remove(&key);
        self.gone.insert(key);
    }

    /// The mirror with what came; `None` when nothing of it changes.
    fn mirror(&mut self) -> Result<Option<MirrorWrite<'a>>, Gap> {
        let before = self.view.log(self.keep.places.mirror);
        let now = self.keep.env.now;
        self.kept.identity.contact = now;
        match &self.keep.what {
            What::Renew => {
                self.kept.identity.renew = true;
                self.kept.identity.stable = Seq::ZERO;
                Ok(None)
            }
            What::Rewind(earlier) => {
                self.kept.identity.renew = false;
                self.kept.identity.stable = self.kept.identity.stable.min(earlier.end().seq);
                self.kept.end = earlier.end();
                self.kept.changed = earlier.changed();
                Ok(None)
            }
            What::Begin { snapshot, state } => {
                self.kept.identity.renew = false;
                self.kept.identity.stable = Seq::ZERO;
                if snapshot.clock.get(self.kept.identity.replica) > self.kept.identity.counter {
                    self.rename();
                }
                MirrorWrite::from_snapshot(self.means, before, (**snapshot).clone(), state.clone(), now)
                    .map(Some)
                    .ok_or(Gap::Hole)
            }
            What::Ops { ops, left_out, next } if ops.is_empty() && left_out.is_empty() => {
                let ends_there = self.kept.end == *next || self.kept.end.seq == Seq::ZERO;
                if ends_there || self.kept.identity.renew { Ok(None) } else { Err(Gap::Diverged) }
            }
            What::Ops { ops, left_out, next } => {
                let origin = next.anchor.ok_or(Gap::Diverged)?.origin;
                let anew = self.kept.identity.renew || self.kept.end.seq == Seq::ZERO;
                let begin = || match MirrorWrite::go_on(self.means, before).filter(|_| !anew) {
                    Some(mirror) => mirror,
                    None => MirrorWrite::from_start(self.means, before, origin, now),
                };
                let (mirror, read, passed, needed) = MirrorWrite::applied(begin, ops, left_out);
                self.kept.stopped = needed;
                if needed.is_some() && read.is_empty() && passed.is_empty() {
                    return Ok(None);
                }
                passed.iter().for_each(|op| self.hear_of(op));
                if needed.is_none() && mirror.end() != *next {
                    return Err(Gap::Diverged);
                }
                self.kept.identity.renew = false;
                read.iter().for_each(|op| self.hear(op));
                Ok(Some(mirror))
            }
        }
    }

    /// Gives the ops of sent batches the places in which they were found in the log.
    fn settle(&mut self, mirror: Option<&MirrorWrite<'a>>) {
        let mut found: BTreeMap<OpId, Seq> = BTreeMap::new();
        let goes_on = matches!(self.keep.what, What::Ops { .. }) && !self.keep.identity.renew;
        if goes_on {
            let known = &self.view.log(self.keep.places.mirror).ops;
            found.extend(known.iter().map(|(id, known)| (*id, known.seq)));
        } else {
            // Places in a history that the server no longer has say nothing.
            let common = match &self.keep.what {
                What::Rewind(earlier) => earlier.end().seq,
                _ => Seq::ZERO,
            };
            let sent = [&mut self.kept.again, &mut self.kept.new];
            let items = sent.into_iter().flatten().flat_map(|sent| &mut sent.items);
            items.for_each(|item| item.seq = item.seq.filter(|seq| *seq <= common));
        }
        if let (What::Ops { ops, left_out, .. }, Some(mirror)) = (&self.keep.what, mirror) {
            let last = mirror.end().seq;
            found.extend(ops.iter().filter(|op| op.seq <= last).map(|op| (op.op.id(), op.seq)));
            let digests: BTreeMap<Digest, Seq> =
                left_out.iter().filter(|op| op.seq <= last).map(|op| (op.digest, op.seq)).collect();
            let known =
                self.keep.sent_items().filter_map(|(_, item)| Some((item.op.id(), *digests.get(&item.op.digest())?)));
            found.extend(known);
        }
        for sent in [&mut self.kept.again, &mut self.kept.new].into_iter().flatten() {
            for item in &mut sent.items {
                item.seq = item.seq.or_else(|| found.get(&item.op.id()).copied());
            }
        }
    }

    /// Takes the verdicts, then everything that is in the mirror by now off the queue.
    fn judge(&mut self, mirror: Option<&MirrorWrite<'a>>) {
        let last = mirror.map_or(self.kept.end, MirrorWrite::end).seq;
        if let Some((lane, verdicts)) = &self.keep.verdicts {
            let sent = match lane {
                Lane::Again => self.kept.again.take(),
                Lane::New => self.kept.new.take(),
            };
            if let Some(mut sent) = sent {
                let items = std::mem::take(&mut sent.items);
                let atomic = sent.atomic;
                let mut left = Vec::new();
                // What was refused for its seal is sealed again, and what came behind it goes with it.
                let seal = verdicts.iter().find_map(refused_for_its_seal);
                for (item, verdict) in items.into_iter().zip(verdicts) {
                    match seal {
                        Some(reason) if verdict.seq().or(item.seq).is_none() => {
                            let own = (*lane == Lane::New).then_some(&item);
                            self.kept.epoch_said = take_back(&mut self.kept.identity, own, reason);
                        }
                        _ => left.extend(self.verdict(*lane, item, verdict, mirror)),
                    }
                }
                if atomic && self.kept.parked.iter().any(|(entry, _)| entry.batch.is_some()) {
                    self.park_batch();
                }
                if atomic && let Some(reason) = self.kept.conflicts.first().map(|conflict| conflict.reason) {
                    self.none_again(reason);
                }
                if left.len() < verdicts.len() {
                    sent.request = self.for_the_rest();
                }
                sent.items = left;
                match lane {
                    Lane::Again => self.kept.again = Some(sent),
                    Lane::New => self.kept.new = Some(sent),
                }
            }
        }
        // A place says something in the history that it was given in.
        let last = if self.keep.reach == Reach::Unsaid { Seq::ZERO } else { last };
        for lane in [Lane::Again, Lane::New] {
            self.finish(lane, last);
        }
    }

    /// Takes what the mirror shows off the queue. A batch that was not answered yet is kept whole, so that the same
    /// request can be asked again, unless all of it is there.
    fn finish(&mut self, lane: Lane, last: Seq) {
        let sent = match lane {
            Lane::Again => &mut self.kept.again,
            Lane::New => &mut self.kept.new,
        };
        // A state that waits is shown instead of the copy, and what came after it is shown with it, until that is let go of.
        if lane == Lane::New && self.kept.deferred.is_some() {
            return;
        }
        let Some(mut batch) = sent.take() else { return };
        let shown: Vec<Item> =
            batch.items.iter().filter(|item| item.seq.is_some_and(|seq| seq <= last)).cloned().collect();
        let own: Vec<(EntityKey, Bytes)> = match self.keep.identity.part {
            // The mirror keeps no ops; of those that others may not have, one copy more is kept here.
            Some(_) => own_notes(&batch, last, self.keep.env.now),
            None => Vec::new(),
        };
        for item in &shown {
            let keys: Vec<EntityKey> = item.op.read().map(|op| op.subject().keys().collect()).unwrap_or_default();
            let Some(seq) = item.seq else { continue };
            self.kept.identity.newest = self.kept.identity.newest.max(seq);
            let settled = |no: &WriteNo| Settled { no: *no, op: item.op.id(), seq, keys: keys.clone() };
            self.kept.settled.extend(item.covers.iter().chain([&item.no]).map(settled));
        }
        own.into_iter().for_each(|(key, bytes)| self.put(key, bytes));
        if batch.is_settled() {
            batch.items.retain(|item| item.seq.is_some_and(|seq| seq > last));
            if !shown.is_empty() {
                batch.request = self.for_the_rest();
            }
        }
        for item in &shown {
            for no in item.covers.iter().chain([&item.no]) {
                self.forget(Drawer::Queue.key(no.get()));
            }
            self.base_of_next(item.no, item.seq);
        }
        if batch.items.is_empty() {
            self.forget(lane.key());
        } else {
            self.put(lane.key(), batch.to_bytes());
            let kept = match lane {
                Lane::Again => &mut self.kept.again,
                Lane::New => &mut self.kept.new,
            };
            *kept = Some(batch);
        }
    }

    /// What is left of a batch is asked for again under a name of its own: the first one stands for the whole of it.
    fn for_the_rest(&self) -> RequestId {
        RequestId::from_bytes(self.keep.env.bytes16("the rest of a batch"))
    }

    /// A later write of ours on the same entity builds on the version this one has made; after a full state, so does the
    /// next one on every entity.
    fn base_of_next(&mut self, no: WriteNo, seq: Option<Seq>) {
        let Some(seq) = seq else { return };
        let precondition = crate::oplog::Precondition::Version(seq);
        for next in self.keep.entries.values().filter(|entry| entry.base == Base::After(no)) {
            if let Ok(entry) = next.on(precondition) {
                self.put(Drawer::Queue.key(next.no.get()), entry.to_bytes());
            }
        }
    }

    /// Takes off the queue what came from elsewhere without having been sent from here: a copy of this device sent it, or
    /// somebody else offered it again.
    fn arrived(&mut self, mirror: Option<&MirrorWrite<'a>>) {
        let (What::Ops { ops, .. }, Some(mirror)) = (&self.keep.what, mirror) else { return };
        if self.kept.deferred.is_some() {
            return;
        }
        let last = mirror.end().seq;
        let sent: BTreeSet<WriteNo> =
            self.keep.sent_items().flat_map(|(_, item)| item.covers.iter().chain([&item.no])).copied().collect();
        let places: BTreeMap<OpId, &PageOp> = ops.iter().map(|op| (op.op.id(), op)).collect();
        for entry in self.keep.arrived.values().filter(|entry| !sent.contains(&entry.no)) {
            let Some(op) = places.get(&entry.op.id()).filter(|op| op.seq <= last) else { continue };
            self.forget(Drawer::Queue.key(entry.no.get()));
            if self.keep.identity.part.is_some() {
                self.put(Drawer::Own.key(op.seq.get()), own_note(self.keep.env.now, op));
            }
            if !entry.is_again() {
                self.kept.identity.newest = self.kept.identity.newest.max(op.seq);
            }
            let keys = entry.keys().collect();
            self.kept.settled.push(Settled { no: entry.no, op: entry.op.id(), seq: op.seq, keys });
            self.base_of_next(entry.no, Some(op.seq));
        }
    }

    /// Ops the server lost take the place of those that were offered again before.
    fn offer(&mut self) {
        self.keep.outdated.iter().for_each(|key| self.forget(key.clone()));
        let Some((entries, old)) = &self.keep.offer else { return };
        old.iter().for_each(|no| self.forget(Drawer::Queue.key(no.get())));
        for entry in entries {
            self.put(Drawer::Queue.key(entry.no.get()), entry.to_bytes());
        }
        self.kept.again = None;
        self.forget(Lane::Again.key());
        self.kept.deferred = None;
        self.forget(Deferred::key());
    }

    fn desk_writes(&mut self, places: Places, bounds: crate::oplog::LogBounds) -> LogWrites {
        self.puts.insert(Identity::key(), self.kept.identity.to_bytes());
        let heads = std::mem::take(&mut self.puts).into_iter().map(|(key, bytes)| (key, note(bytes))).collect();
        let gone: Vec<EntityKey> = std::mem::take(&mut self.gone).into_iter().collect();
        let forget = if gone.is_empty() { Forget::Nothing } else { Forget::Heads(gone) };
        LogWrites { heads, forget, ..LogWrites::new(places.desk, bounds) }
    }
}
