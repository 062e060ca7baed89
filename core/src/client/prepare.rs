//! The next batch: from the queue into a durable record of what is about to be sent.
//!
//! Counters are given out here and nowhere else, in the transaction that makes the batch durable: what was sent under a
//! counter is sent again byte for byte until it is decided, and no two ops ever share one. Edits that later ones overwrite
//! are not sent; each field keeps the time at which it was last written.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::commit::DeskChange;
use super::desk::{Drawer, Identity, Item, Lane, Sent};
use super::entry::{Base, Entry, WriteNo};
use super::error::ReplicaError;
use super::gate::lock;
use super::parked::{ParkReason, Parked};
use super::receipt::Fate;
use super::replica::{Inner, Replica};
use super::sealer::Unsealed;
use super::sealing::{Unresealed, epoch_of};
use crate::call::Push;
use crate::clock::VectorClock;
use crate::id::RequestId;
use crate::limits;
use crate::oplog::{Draft, EntityKey, OpBytes, Payload, Precondition, Remainder};
use crate::seq::Cursor;
use crate::store::StoreExt;
use crate::time::Env;

/// Newer writes on the same entity that an older one is compared with.
const OVERWRITES_LOOKED_AT: usize = 16;

/// A batch in the making.
#[derive(Debug)]
struct Made {
    identity: Identity,
    sent: Sent,
    parked: Vec<Parked>,
}

/// A write that goes into a batch, with the earlier ones it makes needless.
#[derive(Debug)]
struct Chosen {
    entry: Entry,
    /// What of it is still worth sending.
    payload: Option<Payload>,
    covers: Vec<WriteNo>,
}

impl Replica {
    /// Makes the next batch of what waits, durably, or gives the one that was made and never answered.
    ///
    /// # Errors
    /// The store's.
    pub async fn prepare(&self) -> Result<Option<Push>, ReplicaError> {
        let inner = &self.inner;
        let _pass = inner.enter().await?;
        inner.resolve_lost().await?;
        if inner.leaves_it_to_others().await? {
            return Ok(None);
        }
        let cursor = inner.cursor().await?;
        for lane in [Lane::Again, Lane::New] {
            let sent = lock(&inner.memory).sent(lane).cloned();
            if let Some(sent) = sent {
                return Ok(Some(inner.push_of(&sent, cursor)?));
            }
            let (entries, atomic) = inner.next_run(lane).await?;
            if entries.is_empty() {
                continue;
            }
            if let Some(sent) = inner.make(lane, entries, atomic).await? {
                return Ok(Some(inner.push_of(&sent, cursor)?));
            }
        }
        Ok(None)
    }
}

impl Inner {
    /// Where the copy ends, in the history that the server has.
    pub(super) async fn cursor(&self) -> Result<Cursor, ReplicaError> {
        if lock(&self.memory).identity.renew {
            return Ok(Cursor::START);
        }
        let bounds = self.store.bounds(self.places.mirror).await?;
        Ok(bounds
            .filter(|bounds| bounds.tip != bounds.base || bounds.first.get() > 1)
            .map_or(Cursor::START, |b| b.end()))
    }

    fn push_of(&self, sent: &Sent, cursor: Cursor) -> Result<Push, ReplicaError> {
        let ops = sent.items.iter().map(|item| item.op.read()).collect::<Result<Vec<_>, _>>();
        Ok(Push {
            log: self.places.mirror.log,
            request: Some(sent.request),
            cursor: Some(cursor),
            atomic: sent.atomic,
            ops: ops.map_err(ReplicaError::Corrupt)?,
        })
    }

    /// The writes at the front of a lane that may go together and still stand.
    async fn next_run(&self, lane: Lane) -> Result<(Vec<Entry>, bool), ReplicaError> {
        loop {
            let (mut entries, atomic) = self.run_of(lane).await?;
            let state = lane == Lane::New && entries.first().is_some_and(|entry| entry.op.full_state().is_some());
            let full = if state { entries.pop() } else { None };
            let Some(entry) = full else { return Ok((entries, atomic)) };
            if let Some(entry) = self.on_own_writes(entry).await? {
                return Ok((vec![entry], atomic));
            }
            self.resolve_lost().await?;
        }
    }

    /// The writes at the front of a lane that may go together.
    async fn run_of(&self, lane: Lane) -> Result<(Vec<Entry>, bool), ReplicaError> {
        let max = usize::try_from(lock(&self.memory).identity.batch_max).unwrap_or(usize::MAX).max(1);
        let mut after = match lane {
            Lane::Again => None,
            Lane::New => Some(WriteNo(WriteNo::FIRST.0 - 1)),
        };
        let (mut run, mut bytes): (Vec<Entry>, usize) = (Vec::new(), 0);
        let mut held: Vec<WriteNo> = Vec::new();
        let mut last_of: HashMap<EntityKey, usize> = HashMap::new();
        'reading: loop {
            let page = self.entries_after(after, limits::BATCH_OPS_MAX).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.no);
            for entry in page {
                let other_lane = lane == Lane::Again && !entry.is_again();
                let size = entry.op.bytes().len() + SEALING_BYTES;
                // The server goes from key epoch to key epoch, and takes nothing of another one.
                let epochs = (run.first().and_then(|first| epoch_of(first.op.payload())), epoch_of(entry.op.payload()));
                let other_epoch = matches!(epochs, (Some(first), Some(this)) if first != this);
                // A batch and a full state go alone, and are never cut.
                let part = match (run.first().map(|first| first.batch), entry.batch) {
                    (None, _) | (Some(None), None) => true,
                    (Some(first), batch) => first == batch,
                };
                let alone = entry.op.full_state().is_some() && !run.is_empty();
                let whole = entry.batch.is_some();
                if other_lane
                    || !part
                    || other_epoch
                    || alone
                    || (!whole && (run.len() >= max || bytes + size > limits::BATCH_BYTES_MAX))
                {
                    break 'reading;
                }
                // It names the version that an earlier write will make, so it goes after that one was answered.
                if matches!(entry.base, Base::After(no) if run.iter().any(|earlier| earlier.no == no) || held.contains(&no))
                {
                    held.push(entry.no);
                    continue;
                }
                for key in entry.keys().collect::<Vec<_>>() {
                    let before = last_of.insert(key, run.len()).filter(|_| lane == Lane::New && !whole);
                    if let Some(before) = before
                        && self.saw_what_an_earlier_did_not(&run[before], &entry).await?
                    {
                        break 'reading;
                    }
                }
                bytes += size;
                let full = entry.op.full_state().is_some();
                run.push(entry);
                if full {
                    break 'reading;
                }
            }
        }
        let atomic = run.first().is_some_and(|first| first.batch.is_some_and(|(_, count)| count > 1));
        Ok((run, atomic))
    }

    async fn make(&self, lane: Lane, entries: Vec<Entry>, atomic: bool) -> Result<Option<Sent>, ReplicaError> {
        let env = self.env.env();
        let identity = lock(&self.memory).identity.clone();
        let chosen = if lane == Lane::New && !atomic { self.still_worth(entries) } else { whole(entries) };
        let mut made = self.seal(&identity, chosen, atomic, lane, &env)?;
        if lane == Lane::Again {
            made.sent = self.filled(made.sent, &env).await?;
        }
        self.keep_made(lane, &made).await?;
        let Made { sent, parked, .. } = made;
        let mut memory = lock(&self.memory);
        memory.set_sent(lane, (!sent.items.is_empty()).then(|| sent.clone()));
        for parked in &parked {
            memory.pending.remove(parked.no(), parked.entry.keys());
            memory.parked += 1;
        }
        drop(memory);
        self.version.fetch_add(2, Ordering::AcqRel);
        for parked in parked {
            self.tell_parked(parked.no(), parked.reason, &parked.entry);
        }
        Ok((!sent.items.is_empty()).then_some(sent))
    }

    pub(super) fn tell_parked(&self, no: WriteNo, reason: ParkReason, entry: &Entry) {
        self.receipts.tell(no, Fate::Parked(reason.clone()));
        self.watchers.tell(&super::events::Event::Parked(no, reason));
        self.moved([entry]);
    }

    async fn keep_made(&self, lane: Lane, made: &Made) -> Result<(), ReplicaError> {
        let mut puts: Vec<_> =
            made.parked.iter().map(|parked| (Drawer::Parked.key(parked.no().get()), parked.to_bytes())).collect();
        if !made.sent.items.is_empty() {
            puts.push((lane.key(), made.sent.to_bytes()));
        }
        let gone = made.parked.iter().map(|parked| Drawer::Queue.key(parked.no().get())).collect();
        self.change_desk(DeskChange { puts, gone, identity: Some(made.identity.clone()) }).await
    }

    /// Whether a write has seen a full state, or what the copy began from, that the one before it on the same entity has not.
    /// The server may find the earlier one superseded and take the later one, and the earlier, made again, would come last.
    async fn saw_what_an_earlier_did_not(&self, earlier: &Entry, later: &Entry) -> Result<bool, ReplicaError> {
        if earlier.op.clock() == later.op.clock() {
            return Ok(false);
        }
        let (replica, counter, renew, unread) = {
            let memory = lock(&self.memory);
            let identity = &memory.identity;
            (identity.replica, identity.counter, identity.renew, memory.unread > 0)
        };
        if renew {
            return Ok(false);
        }
        if unread {
            // One that a newer build wrote is not known to be a full state.
            return Ok(true);
        }
        let Some(bounds) = self.store.bounds(self.places.mirror).await? else { return Ok(false) };
        let state = bounds.full_state.as_ref();
        let covers = |entry: &Entry, seen: &VectorClock| {
            // It is sent with a counter after all that this device said.
            let mut clock = entry.op.clock().clone();
            clock.set(replica, counter + 1).is_ok() && clock.covers(seen)
        };
        let blind = |entry: &Entry| {
            entry.seen < bounds.first.before() || state.is_some_and(|state| !covers(entry, &state.clock))
        };
        Ok(blind(earlier) && !blind(later))
    }

    /// Leaves out what later writes of the same run overwrite.
    fn still_worth(&self, entries: Vec<Entry>) -> Vec<Chosen> {
        let mut newer: HashMap<EntityKey, Vec<usize>> = HashMap::new();
        let mut chosen: Vec<Chosen> = whole(entries);
        for index in (0..chosen.len()).rev() {
            let entry = &chosen[index].entry;
            let Some(key) = entry.keys().next() else { continue };
            let reducer = &self.schema.rules(&key.collection).reducer;
            let (mut payload, mut heir, mut joined) = (entry.op.payload().clone(), None, None);
            // Joined, an older edit would come after others that stand between them.
            let alone = entry.op.precondition() == Precondition::None && entry.op.subject().keys().count() == 1;
            for (nearest, later) in newer.get(&key).into_iter().flatten().rev().take(OVERWRITES_LOOKED_AT).enumerate() {
                let later_entry = &chosen[*later].entry;
                let one = (entry.op.kind(), &payload);
                let other = (later_entry.op.kind(), later_entry.op.payload());
                match reducer.remainder(one, other) {
                    Remainder::Whole if nearest == 0 && alone => {
                        // What the later one says by now, with what it was joined with.
                        let by_now = chosen[*later].payload.as_ref().unwrap_or(other.1);
                        joined = reducer.joined(one, (other.0, by_now));
                        if joined.is_some() {
                            heir = Some(*later);
                            break;
                        }
                    }
                    Remainder::Whole => {}
                    Remainder::Part(part) => payload = part,
                    Remainder::Nothing => {
                        heir = Some(*later);
                        break;
                    }
                }
            }
            match heir {
                Some(heir) => {
                    let mut covered = std::mem::take(&mut chosen[index].covers);
                    covered.push(chosen[index].entry.no);
                    chosen[heir].covers.extend(covered);
                    if joined.is_some() {
                        chosen[heir].payload = joined;
                    }
                    chosen[index].payload = None;
                }
                None => {
                    chosen[index].payload = Some(payload);
                    newer.entry(key).or_default().push(index);
                }
            }
        }
        chosen.retain(|chosen| chosen.payload.is_some());
        chosen
    }

    fn seal(
        &self,
        identity: &Identity,
        chosen: Vec<Chosen>,
        atomic: bool,
        lane: Lane,
        env: &Env,
    ) -> Result<Made, ReplicaError> {
        let mut identity = identity.clone();
        let (mut items, mut parked) = (Vec::with_capacity(chosen.len()), Vec::new());
        let all: Vec<Entry> =
            if atomic { chosen.iter().map(|chosen| chosen.entry.clone()).collect() } else { Vec::new() };
        for Chosen { entry, payload, covers } in chosen {
            let sealed = match lane {
                Lane::Again => self.seal_again(&entry, env),
                Lane::New => self.seal_one(&identity, &entry, payload, env),
            };
            match sealed.map_err(|why| why.want()) {
                Ok(op) => {
                    identity.counter += u64::from(lane == Lane::New);
                    items.push(Item { no: entry.no, covers, seq: None, op });
                }
                Err(Ok(key)) => return Err(key.into()),
                Err(Err(why)) => parked.push(Parked { reason: ParkReason::Unsendable(why), entry }),
            }
        }
        if atomic && !parked.is_empty() {
            // All or nothing: what could have gone stays with what could not.
            let known: Vec<WriteNo> = parked.iter().map(Parked::no).collect();
            let others = all.into_iter().filter(|entry| !known.contains(&entry.no));
            parked.extend(others.map(|entry| Parked { reason: ParkReason::Batch, entry }));
            items.clear();
        }
        let request = RequestId::from_bytes(env.bytes16("request"));
        Ok(Made { identity, sent: Sent { request, atomic, items }, parked })
    }

    /// An op that was accepted once goes as it is, unless the log has come to another key epoch since.
    fn seal_again(&self, entry: &Entry, env: &Env) -> Result<OpBytes, Unresealed> {
        match self.sealed_again(&entry.op, env)? {
            None => Ok(entry.op.raw().clone()),
            Some(draft) => Ok(draft.seal().map_err(refused)?.raw().clone()),
        }
    }

    fn seal_one(
        &self,
        identity: &Identity,
        entry: &Entry,
        payload: Option<Payload>,
        env: &Env,
    ) -> Result<OpBytes, Unresealed> {
        let mut clock = entry.op.clock().clone();
        clock.set(identity.replica, identity.counter + 1).map_err(refused)?;
        let draft = entry.op.draft().clone();
        let payload = payload.unwrap_or_else(|| draft.payload.clone());
        let draft = self.sealed(Draft { replica: identity.replica, clock, payload, ..draft }, env)?;
        Ok(draft.seal().map_err(refused)?.raw().clone())
    }
}

fn refused(why: impl std::fmt::Display) -> Unsealed {
    Unsealed::Refused(why.to_string())
}

fn whole(entries: Vec<Entry>) -> Vec<Chosen> {
    entries
        .into_iter()
        .map(|entry| Chosen { payload: Some(entry.op.payload().clone()), entry, covers: Vec::new() })
        .collect()
}

/// What sealing adds to a payload, at most, besides padding.
const SEALING_BYTES: usize = 256;
