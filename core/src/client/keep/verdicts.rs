//! What a server's verdict does to the write it is about: placed, met by something newer, to be said otherwise, or parked.
//!
//! What must hold: a write that the server did not take is still somewhere: in the queue, parked, or in a conflict's record.
//!
//! Next: `resolve`, which decides what met something newer.

use super::{
    Conflict, Deferred, Drawer, Entry, Fate, Item, Lane, MirrorWrite, Outcome, ParkReason, Parked, Reach, RejectReason,
    Settled, VectorClock, Verdict, Work,
};

impl<'a> Work<'a> {
    /// What a verdict does to one item; the item back when the op is in the log.
    pub(super) fn verdict(
        &mut self,
        lane: Lane,
        mut item: Item,
        verdict: &Verdict,
        mirror: Option<&MirrorWrite<'a>>,
    ) -> Option<Item> {
        if item.is_filler() {
            return None;
        }
        if let Some(seq) = verdict.seq().or(item.seq) {
            item.seq = Some(seq);
            return Some(item);
        }
        let entry = self.keep.entries.get(&item.no)?;
        match (lane, verdict) {
            (Lane::Again, _) if entry.is_seed() && self.keep.identity.part.is_none() => self.defer(entry),
            (Lane::Again, Verdict::Rejected { reason }) if self.again_later(entry, *reason, mirror) => {}
            (Lane::Again, Verdict::Conflict { reason, .. }) => self.not_again(entry, *reason),
            (Lane::Again, _) => self.not_again(entry, crate::oplog::ConflictReason::Concurrent),
            (Lane::New, Verdict::Conflict { reason, head }) => {
                let fate = Fate::Lost { reason: *reason, head: head.clone() };
                self.put(Drawer::Queue.key(item.no.get()), Entry { fate, ..entry.clone() }.to_bytes());
                self.kept.lost.push(item.no);
            }
            (Lane::New, Verdict::Rejected { reason }) => self.rejected(entry, &item, *reason, mirror),
            (Lane::New, _) => {}
        }
        None
    }

    /// A state that was not taken stays in the queue, and everything behind it.
    fn defer(&mut self, entry: &Entry) {
        let deferred = Deferred { since: self.keep.env.now, no: entry.no, clock: entry.op.clock().clone() };
        self.put(Deferred::key(), deferred.to_bytes());
        self.kept.deferred = Some(deferred);
    }

    /// What a refusal does to an op that is offered again, where it is no loss of it; whether it was dealt with.
    fn again_later(&mut self, entry: &Entry, reason: RejectReason, mirror: Option<&MirrorWrite<'a>>) -> bool {
        let ahead = |reason| matches!(reason, RejectReason::UnknownReplica | RejectReason::ClockAhead);
        match reason {
            // It is in the log otherwise, and shown from here until that was read: it is found by its id then.
            RejectReason::OpIdReused if self.keep.reach != Reach::End || self.kept.stopped.is_some() => true,
            // All was read, and a copy that has a part of it does not have this.
            RejectReason::OpIdReused => {
                self.forget(Drawer::Queue.key(entry.no.get()));
                let (no, op, seq) = (entry.no, entry.op.id(), self.kept.end.seq);
                self.kept.settled.push(Settled { no, op, seq, keys: entry.keys().collect() });
                true
            }
            _ if self.keep.identity.part.is_none() => false,
            // A partial copy has its own ops alone; what others wrote before them may come back later, or never.
            reason if ahead(reason) => {
                let known = mirror.map(|mirror| mirror.clock().clone());
                let known = known.or_else(|| self.mirror_clock()).unwrap_or_default();
                let Some(less) = self.means.claiming(entry, &known, &self.keep.env) else { return false };
                self.put(Drawer::Queue.key(entry.no.get()), less.to_bytes());
                true
            }
            RejectReason::CounterGap { .. } | RejectReason::BatchAborted => {
                let verdicts = self.keep.verdicts.iter().flat_map(|(_, verdicts)| verdicts);
                verdicts.into_iter().any(|verdict| matches!(verdict, Verdict::Rejected { reason } if ahead(*reason)))
            }
            _ => false,
        }
    }

    fn rejected(&mut self, entry: &Entry, item: &Item, reason: RejectReason, mirror: Option<&MirrorWrite<'a>>) {
        match reason {
            RejectReason::CounterReused { .. } => {
                // Once for the whole batch; the entries wait and are sent under the new name.
                if self.kept.identity.replica == self.keep.identity.replica {
                    self.rename();
                }
            }
            RejectReason::CounterGap { expected } => {
                if self.kept.identity.replica == self.keep.identity.replica {
                    self.kept.identity.counter = expected.saturating_sub(1).min(self.kept.identity.counter);
                }
            }
            RejectReason::UnknownReplica | RejectReason::ClockAhead => {
                let known = mirror.map(|mirror| mirror.clock().clone());
                let known = known.or_else(|| self.mirror_clock()).unwrap_or_default();
                match entry.trimmed(&known) {
                    Ok(entry) => self.put(Drawer::Queue.key(item.no.get()), entry.to_bytes()),
                    Err(error) => self.park(entry.clone(), ParkReason::Unsendable(error.to_string())),
                }
            }
            // A copy of this device, or this one before it was set back, wrote it otherwise: it is found by its id once all
            // news was read.
            RejectReason::OpIdReused if self.keep.reach != Reach::End => {}
            RejectReason::BatchAborted => {}
            other => self.park(entry.clone(), ParkReason::Rejected(other)),
        }
    }

    fn mirror_clock(&self) -> Option<VectorClock> {
        self.view.log(self.keep.places.mirror).bounds.as_ref().map(|bounds| bounds.clock.clone())
    }

    fn park(&mut self, entry: Entry, reason: ParkReason) {
        let parked = Parked { reason: reason.clone(), entry: entry.clone() };
        self.forget(Drawer::Queue.key(entry.no.get()));
        self.put(Drawer::Parked.key(entry.no.get()), parked.to_bytes());
        self.kept.parked.push((entry, reason));
    }

    /// A batch applies whole or not at all, so one that cannot go keeps the others here.
    pub(super) fn park_batch(&mut self) {
        let batch = self.kept.parked.iter().find_map(|(entry, _)| entry.batch);
        let entries: Vec<Entry> = self.keep.entries.values().filter(|entry| entry.batch == batch).cloned().collect();
        for entry in entries {
            if !self.kept.parked.iter().any(|(parked, _)| parked.no == entry.no) {
                self.park(entry, ParkReason::Batch);
            }
        }
    }

    /// What applied whole once is not offered again in part.
    pub(super) fn none_again(&mut self, reason: crate::oplog::ConflictReason) {
        for entry in self.keep.entries.values().filter(|entry| entry.is_again() && entry.batch.is_some()) {
            if !self.kept.conflicts.iter().any(|conflict| conflict.no() == entry.no) {
                self.not_again(entry, reason);
            }
        }
    }

    fn not_again(&mut self, entry: &Entry, reason: crate::oplog::ConflictReason) {
        let conflict = Conflict { reason, outcome: Outcome::NotTakenAgain, theirs: None, entry: entry.clone() };
        self.forget(Drawer::Queue.key(entry.no.get()));
        self.put(Drawer::Conflicts.key(entry.no.get()), conflict.to_bytes());
        self.kept.conflicts.push(conflict);
    }
}
