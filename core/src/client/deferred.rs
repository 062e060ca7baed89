//! A state that a log begun anew, or put back, does not take: for a while it waits for others to bring what it stands for.
//!
//! A copy that began from a state has the ops after it and not those before it. To put its own behind them it would have to
//! fill their counters, and then whoever holds those ops would be refused. So it only reads, for
//! [`limits::CLIENT_OTHERS_FIRST_MS`], or until the log has seen all that the state has. What must hold: what such a state says is
//! then in the copy, or in a conflict's record, whole.
//!
//! Next: `offer` (which puts it up), `prepare` (which asks), `spent` (how counters are filled).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::commit::DeskChange;
use super::conflict::{Conflict, Outcome};
use super::desk::Drawer;
use super::entry::{Base, Entry, WriteNo};
use super::error::ReplicaError;
use super::events::Event;
use super::gate::lock;
use super::replica::{Inner, entries_of};
use crate::clock::VectorClock;
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits;
use crate::oplog::{ConflictPolicy, ConflictReason, EntityKey, Head, Precondition};
use crate::seq::Seq;
use crate::store::StoreExt as _;
use crate::time::Timestamp;

/// The state that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deferred {
    /// Since when.
    pub(super) since: Timestamp,
    /// Its place in the queue.
    pub(super) no: WriteNo,
    /// What it stands for.
    pub(super) clock: VectorClock,
}

impl Deferred {
    pub(super) fn key() -> EntityKey {
        Drawer::Identity.key(1)
    }

    /// Version byte 1, varint ms, varint number, clock.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = Writer::default();
        out.u8(1);
        out.u64(self.since.ms());
        out.u64(self.no.get());
        self.clock.encode(&mut out);
        out.finish()
    }

    pub(super) fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "a state that waits";
        let mut input = Reader::new(bytes);
        let version = input.u8(WHAT)?;
        if version != 1 {
            return Err(DecodeError::Unknown { what: WHAT, value: version.into() });
        }
        let since = Timestamp::from_ms(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?;
        let no = WriteNo(input.u64(WHAT)?);
        let clock = VectorClock::decode(&mut input)?;
        input.finish()?;
        Ok(Self { since, no, clock })
    }

    /// Whether others still have time to bring what it stands for. A clock that was set back gives them no more of it.
    fn is_recent(&self, now: Timestamp) -> bool {
        (self.since..self.since.plus_ms(limits::CLIENT_OTHERS_FIRST_MS)).contains(&now)
    }
}

impl Inner {
    /// Whether what is offered waits for others.
    pub(super) async fn leaves_it_to_others(&self) -> Result<bool, ReplicaError> {
        let (deferred, renew) = {
            let memory = lock(&self.memory);
            (memory.deferred.clone(), memory.identity.renew)
        };
        let Some(deferred) = deferred else { return Ok(false) };
        let bounds = self.store.bounds(self.places.mirror).await?.filter(|_| !renew);
        let seen = bounds.is_some_and(|bounds| bounds.clock.covers(&deferred.clock));
        if !seen && deferred.is_recent(self.env.env().now) {
            return Ok(true);
        }
        self.let_go_of(&deferred).await?;
        Ok(false)
    }

    /// The state is not offered any more.
    async fn let_go_of(&self, deferred: &Deferred) -> Result<(), ReplicaError> {
        let mut change = DeskChange { gone: vec![Deferred::key()], ..DeskChange::default() };
        let seed = self.entry(deferred.no).await?;
        let mut recorded = false;
        if let Some(seed) = &seed {
            change.gone.push(Drawer::Queue.key(deferred.no.get()));
            recorded = !self.shows_all_of(deferred).await?;
            if recorded {
                let (reason, outcome) = (ConflictReason::Concurrent, Outcome::NotTakenAgain);
                let conflict = Conflict { reason, outcome, theirs: None, entry: seed.clone() };
                change.puts.push((Drawer::Conflicts.key(deferred.no.get()), conflict.to_bytes()));
                self.forget_old_conflicts(&mut change, 1).await?;
            }
            for entry in self.built_on(deferred.no).await? {
                change.puts.push((Drawer::Queue.key(entry.no.get()), entry.to_bytes()));
            }
        }
        self.change_desk(change).await?;
        // What it stood for is found by its own names, or on record.
        self.reload().await?;
        if recorded {
            self.watchers.tell(&Event::Conflict(deferred.no));
        }
        self.moved(&seed);
        // After it, not with it: while nobody heard of that, the state stands in front of the copy, and these behind it.
        self.let_go_of_found().await
    }

    /// Ops behind it that others brought meanwhile: they were shown from the queue, and are from the copy now.
    async fn let_go_of_found(&self) -> Result<(), ReplicaError> {
        let mut change = DeskChange::default();
        let again = lock(&self.memory).pending.offered_again().into_iter().map(|(no, _)| no);
        let entries = entries_of(self, again).await?;
        let placed = self.placed(entries.values().map(|entry| entry.op.id()).collect()).await?;
        let found = entries.values().filter_map(|entry| Some((entry, *placed.get(&entry.op.id())?)));
        let found: BTreeMap<WriteNo, (&Entry, Seq)> = found.map(|(entry, seq)| (entry.no, (entry, seq))).collect();
        for (no, (entry, seq)) in &found {
            change.gone.push(Drawer::Queue.key(no.get()));
            let next = {
                let memory = lock(&self.memory);
                let after = |key: EntityKey| memory.pending.of(&key).iter().copied().find(|next| next > no);
                entry.keys().filter_map(after).filter(|next| !found.contains_key(next)).collect::<BTreeSet<_>>()
            };
            let next = entries_of(self, next).await?.into_values();
            for next in next.filter(|next| next.base == Base::After(*no)) {
                change.puts.push((Drawer::Queue.key(next.no.get()), next.on(Precondition::Version(*seq))?.to_bytes()));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        self.change_desk(change).await?;
        self.reload().await
    }

    /// Whether the copy has each entity as the state has it, or newer. Of one that edits are merged into, a newer one need not
    /// have all that the state has.
    async fn shows_all_of(&self, deferred: &Deferred) -> Result<bool, ReplicaError> {
        let Some(state) = lock(&self.memory).pending.state_of(deferred.no) else { return Ok(false) };
        for (key, said) in state.iter() {
            let head = self.store.head(self.places.mirror, key).await?;
            let merged = self.schema.rules(&key.collection).policy == ConflictPolicy::Merge;
            let shown = head.is_some_and(|head| {
                let newer = !merged && !deferred.clock.covers(&head.clock);
                newer || head.live_state().is_some_and(|state| *state == said)
            });
            if !shown {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes on the version that the state would have made, on what is there instead.
    async fn built_on(&self, no: WriteNo) -> Result<Vec<Entry>, ReplicaError> {
        let later: Vec<WriteNo> = lock(&self.memory).pending.first_after(no).map(|(_, later)| later).collect();
        let mut entries = Vec::new();
        for entry in entries_of(self, later).await?.into_values().filter(|entry| entry.base == Base::After(no)) {
            let Some(key) = entry.keys().next() else { continue };
            let head = self.store.head(self.places.mirror, &key).await?;
            let there = head.filter(|head: &Head| !head.is_deleted());
            entries.push(entry.on(there.map_or(Precondition::Absent, |head| Precondition::Version(head.version)))?);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_have_their_time_and_no_more_whatever_the_clock_does() {
        let at = |ms| Timestamp::from_ms(1_000 + ms).unwrap();
        let deferred = Deferred { since: at(1), no: WriteNo(1), clock: VectorClock::new() };
        let end = 1 + limits::CLIENT_OTHERS_FIRST_MS;
        assert!(deferred.is_recent(at(1)) && deferred.is_recent(at(end - 1)));
        assert!(!deferred.is_recent(at(end)) && !deferred.is_recent(at(end + 1)));
        assert!(!deferred.is_recent(at(0)), "it was set back");
    }

    #[test]
    fn what_waits_reads_back_as_it_was_written() {
        let mut clock = VectorClock::new();
        clock.set(crate::ReplicaId::from_bytes([7; 16]), 9).unwrap();
        let deferred = Deferred { since: Timestamp::from_ms(5).unwrap(), no: WriteNo(3), clock };
        assert_eq!(Deferred::from_bytes(deferred.to_bytes()).unwrap(), deferred);
        assert!(Deferred::from_bytes(Bytes::from_static(&[2])).is_err());
    }
}
