//! What a replica remembers of its desk while it is open. A cache: the desk is the truth, and is read again in doubt.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::deferred::Deferred;
use super::desk::{Identity, Lane, Sent};
use super::entry::{Entry, WriteNo};
use super::gate::lock;
use super::offer::Leaving;
use super::receipt::{Fate, Watched};
use super::sealer::Sealer;
use crate::clock::VectorClock;
use crate::id::{LogKey, OpId};
use crate::oplog::{EntityKey, LogState, Payload};
use crate::seq::Seq;

/// The desk in short.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) identity: Identity,
    pub(super) again: Option<Arc<Sent>>,
    pub(super) new: Option<Arc<Sent>>,
    pub(super) pending: Pending,
    /// Writes that lost and are to be resolved before the next batch.
    pub(super) lost: Vec<WriteNo>,
    pub(super) parked: u64,
    pub(super) conflicts: u64,
    /// Those of them that wait for somebody to choose.
    pub(super) open: u64,
    pub(super) unread: u64,
    /// Counters that were filled, or found spent, while ops are offered again: the copy does not show them.
    pub(super) spent: VectorClock,
    /// A history that is being left: nobody may hear whether it was.
    pub(super) leaving: Option<Leaving>,
    /// A waiting write that is being taken back.
    pub(super) dropping: Option<WriteNo>,
    /// The state that waits for others to bring what it stands for.
    pub(super) deferred: Option<Deferred>,
    /// Where the copy ended when it was last looked at for history to let go of.
    pub(super) prune_tried: Seq,
}

impl Memory {
    pub(super) fn new(identity: Identity, opens: Opens) -> Self {
        Self {
            identity,
            again: None,
            new: None,
            pending: Pending { opens, ..Pending::default() },
            lost: Vec::new(),
            parked: 0,
            conflicts: 0,
            open: 0,
            unread: 0,
            spent: VectorClock::new(),
            leaving: None,
            dropping: None,
            deferred: None,
            prune_tried: Seq::ZERO,
        }
    }

    pub(super) const fn sent(&self, lane: Lane) -> Option<&Arc<Sent>> {
        match lane {
            Lane::Again => self.again.as_ref(),
            Lane::New => self.new.as_ref(),
        }
    }

    /// The ops under way that say earlier writes too, by those.
    pub(super) fn heirs(&self) -> BTreeMap<WriteNo, OpId> {
        let items = self.again.iter().chain(&self.new).flat_map(|sent| &sent.items);
        items.flat_map(|item| item.covers.iter().map(|no| (*no, item.op.id()))).collect()
    }

    pub(super) fn set_sent(&mut self, lane: Lane, sent: Option<Sent>) {
        let sent = sent.map(Arc::new);
        match lane {
            Lane::Again => self.again = sent,
            Lane::New => self.new = sent,
        }
    }
}

/// Which entities have writes that the mirror does not show yet. Holds keys and numbers, not contents, but for full
/// states: what the newest of those says of an entity is shown instead of what the mirror says.
#[derive(Debug, Default)]
pub(super) struct Pending {
    by_entity: HashMap<EntityKey, Vec<WriteNo>>,
    /// `None` for one that is offered again whose key is not here, which shows when it is back in the log, or of a newer
    /// build, which has no effect here.
    states: BTreeMap<WriteNo, Option<Arc<LogState>>>,
    ops: HashMap<WriteNo, OpId>,
    by_op: HashMap<OpId, WriteNo>,
    opens: Opens,
}

/// With what full states that wait are read.
#[derive(Debug, Default, Clone)]
pub(super) struct Opens {
    /// Of which log, and what opens it.
    pub(super) sealer: Option<(LogKey, Arc<dyn Sealer>)>,
    /// The newest schema version that this build understands.
    pub(super) version_max: u32,
}

impl Pending {
    pub(super) fn add(&mut self, entry: &Entry) {
        self.name(entry.no, entry.op.id());
        if entry.op.full_state().is_some() {
            let payload = match (entry.op.payload(), &self.opens.sealer) {
                _ if entry.op.schema_version() > self.opens.version_max => None,
                (Payload::Sealed(_), Some((log, sealer))) => sealer.open(*log, &entry.op).ok(),
                (Payload::Sealed(_), None) => None,
                (readable, _) => Some(readable.clone()),
            };
            let state = payload.and_then(|payload| LogState::from_bytes(payload.bytes().clone()).ok());
            self.states.insert(entry.no, state.map(Arc::new));
        }
        entry.keys().for_each(|key| self.place(entry.no, key));
    }

    /// Adds a write of one entity that is on its way to the desk.
    pub(super) fn promise(&mut self, no: WriteNo, op: OpId, key: EntityKey) {
        self.name(no, op);
        self.place(no, key);
    }

    fn name(&mut self, no: WriteNo, op: OpId) {
        self.ops.insert(no, op);
        self.by_op.insert(op, no);
    }

    fn place(&mut self, no: WriteNo, key: EntityKey) {
        let numbers = self.by_entity.entry(key).or_default();
        // Nearly always the newest; ops offered again come before.
        let at = numbers.partition_point(|known| *known < no);
        if numbers.get(at) != Some(&no) {
            numbers.insert(at, no);
        }
    }

    pub(super) fn remove(&mut self, no: WriteNo, keys: impl Iterator<Item = EntityKey>) {
        for key in keys {
            if let Some(numbers) = self.by_entity.get_mut(&key) {
                numbers.retain(|known| *known != no);
                if numbers.is_empty() {
                    self.by_entity.remove(&key);
                }
            }
        }
        self.states.remove(&no);
        if let Some(op) = self.ops.remove(&no)
            && self.by_op.get(&op) == Some(&no)
        {
            self.by_op.remove(&op);
        }
    }

    /// Whether a write waits.
    pub(super) fn has(&self, no: WriteNo) -> bool {
        self.ops.contains_key(&no)
    }

    /// The write that waits under an op's id.
    pub(super) fn named(&self, op: OpId) -> Option<WriteNo> {
        self.by_op.get(&op).copied()
    }

    /// The writes on one entity, oldest first.
    pub(super) fn of(&self, key: &EntityKey) -> &[WriteNo] {
        self.by_entity.get(key).map_or(&[], Vec::as_slice)
    }

    /// What the full state of a write says, where it can be read here.
    pub(super) fn state_of(&self, no: WriteNo) -> Option<Arc<LogState>> {
        self.states.get(&no)?.clone()
    }

    /// The newest full state, which stands for everything before it.
    pub(super) fn newest_state(&self) -> Option<(WriteNo, &Arc<LogState>)> {
        self.states.iter().rev().find_map(|(no, state)| Some((*no, state.as_ref()?)))
    }

    /// The newest write that decides what one entity is.
    pub(super) fn newest_of(&self, key: &EntityKey) -> Option<WriteNo> {
        self.of(key).last().copied().max(self.newest_state().map(|(no, _)| no))
    }

    /// The first write after `no` on each entity, in no order.
    pub(super) fn first_after(&self, no: WriteNo) -> impl Iterator<Item = (&EntityKey, WriteNo)> {
        self.by_entity.iter().filter_map(move |(key, numbers)| {
            let first = numbers.iter().find(|later| **later > no)?;
            Some((key, *first))
        })
    }

    /// The ops that are offered again, with their entities.
    pub(super) fn offered_again(&self) -> Vec<(WriteNo, Vec<EntityKey>)> {
        let again = |no: &&WriteNo| **no < WriteNo::FIRST;
        let states = self.states.keys().take_while(again);
        let mut found: BTreeMap<WriteNo, Vec<EntityKey>> = states.map(|no| (*no, Vec::new())).collect();
        for (key, numbers) in &self.by_entity {
            for no in numbers.iter().take_while(again) {
                found.entry(*no).or_default().push(key.clone());
            }
        }
        found.into_iter().collect()
    }

    /// Entities with writes, in no order.
    pub(super) fn entities(&self) -> impl Iterator<Item = &EntityKey> {
        self.by_entity.keys()
    }

    /// Writes in all.
    pub(super) fn len(&self) -> u64 {
        self.ops.len() as u64
    }
}

/// Receipts that somebody still holds.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    held: Mutex<Watching>,
    /// What every device has.
    stable: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Watching {
    by_write: BTreeMap<WriteNo, Weak<Watched>>,
    /// How many there may be before those that nobody holds any more are looked for: each is looked at twice at most for
    /// every one that comes.
    sweep_at: usize,
}

impl Receipts {
    pub(super) fn watch(&self, no: WriteNo, op: OpId) -> Arc<Watched> {
        let watched = Arc::new(Watched::new(op, Arc::clone(&self.stable)));
        let mut held = lock(&self.held);
        if held.by_write.len() >= held.sweep_at {
            held.by_write.retain(|_, watched| watched.strong_count() > 0);
            held.sweep_at = 2 * held.by_write.len() + SWEPT_AT_LEAST;
        }
        held.by_write.insert(no, Arc::downgrade(&watched));
        watched
    }

    pub(super) fn tell(&self, no: WriteNo, fate: Fate) {
        let watched = lock(&self.held).by_write.get(&no).and_then(Weak::upgrade);
        if let Some(watched) = watched {
            watched.set(fate);
        }
    }

    /// A write is in the log, said by this op. Ops that were offered again are found by their own name.
    pub(super) fn settle(&self, no: WriteNo, op: OpId, seq: Seq) {
        let watched = lock(&self.held).by_write.get(&no).and_then(Weak::upgrade);
        match watched {
            Some(watched) => watched.settle(op, seq),
            None if no < WriteNo::FIRST => self.tell_op(op, &Fate::Accepted(seq)),
            None => {}
        }
    }

    /// Tells whoever holds a receipt of the write that this op says.
    pub(super) fn tell_op(&self, op: OpId, fate: &Fate) {
        let told = self.all().into_iter().filter(|watched| watched.is_said_by(op));
        told.for_each(|watched| watched.set(fate.clone()));
    }

    /// The server no longer has what came after `common`. What was in the log up to a place is offered by one op, the state
    /// there, where `seed` says so.
    pub(super) fn unsettle(&self, common: Seq, seed: Option<(Seq, OpId)>) {
        for watched in self.all() {
            let Some(seq) = watched.seq().filter(|seq| *seq > common) else { continue };
            if let Some((_, op)) = seed.filter(|(upto, _)| seq <= *upto) {
                watched.is_now_said_by(op);
            }
            watched.set(Fate::Waiting);
        }
    }

    /// Every device has everything up to here.
    pub(super) fn stable_at(&self, seq: Seq) {
        if self.stable.swap(seq.get(), Ordering::AcqRel) != seq.get() {
            self.all().iter().for_each(|watched| watched.ring());
        }
    }

    /// Those of writes that were last heard of as waiting.
    pub(super) fn waiting(&self) -> Vec<(WriteNo, Arc<Watched>)> {
        let held = lock(&self.held);
        let held = held.by_write.iter().filter_map(|(no, watched)| Some((*no, watched.upgrade()?)));
        held.filter(|(_, watched)| watched.waits()).collect()
    }

    fn all(&self) -> Vec<Arc<Watched>> {
        lock(&self.held).by_write.values().filter_map(Weak::upgrade).collect()
    }
}

/// So few receipts are never swept.
const SWEPT_AT_LEAST: usize = 64;
