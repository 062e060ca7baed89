//! What became of writes: each that returned is followed until the end.
//!
//! What must hold: a write is excused only when an event took the last disk that had it, and no server's log has it; or
//! when a later one of the same author on the same entity says all that it says, and is somewhere itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use syncline::client::{Fate, Replica};
use syncline::crdt::{Content as _, Counter, Set};
use syncline::decide::{Choice, LogView, Reads, Scope, View};
use syncline::oplog::{EntityKey, FullStateKind, Op, OpKind, Payload, Remainder};
use syncline::store::{MemoryStore, StoreExt as _};
use syncline::{LogKey, OpId, ReplicaId, Seq};

use crate::house::{House, LOG, Room};
use crate::reference::Stood;
use crate::schedule::lock;
use crate::world::{Told, Wrote};

/// Every followed write.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    told: Vec<Told>,
    excused: BTreeSet<usize>,
}

impl Ledger {
    pub(crate) fn follow(&mut self, room: &Room, wrote: Wrote) {
        for (receipt, key) in wrote.writes {
            lock(&room.writes).insert(self.told.len());
            let life = room.life.load(Ordering::Relaxed);
            self.told.push(Told { op: receipt.op(), no: receipt.no(), key, receipt, room: room.number, life });
        }
    }

    /// What was written on, as far as acts said.
    pub(crate) fn keys(&self) -> Vec<EntityKey> {
        self.told.iter().filter_map(|told| told.key.clone()).collect()
    }

    pub(crate) fn len(&self) -> u64 {
        self.told.len() as u64
    }

    pub(crate) fn excused(&self) -> u64 {
        self.excused.len() as u64
    }
}

/// Where writes ended.
struct Fates<'f> {
    log: &'f [Stood],
    told: &'f [Told],
    /// Followed ops that are in the log or were set aside.
    kept: BTreeSet<OpId>,
    /// What was set aside, also of writes that nobody was told of.
    aside: Vec<Aside>,
}

/// A write that was set aside on a device.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    pub(crate) room: usize,
    pub(crate) op: Op,
}

impl Fates<'_> {
    /// Whether a later write of one of these authors on the same entity is somewhere: one that was followed, or one in the
    /// log that nobody was told of, because its act was killed or heard that the outcome is unknown.
    fn says_all(&self, write: &Told, author: &Author) -> bool {
        let is_later =
            |other: &&Told| author.rooms.contains(&other.room) && other.no > write.no && other.key == write.key;
        let followed = self.told.iter().filter(is_later).any(|later| self.kept.contains(&later.op));
        let aside = |other: &&Aside| {
            author.rooms.contains(&other.room)
                && other.op.subject().keys().any(|key| write.key.as_ref() == Some(&key))
                && !self.is_earlier(&other.op, write)
        };
        followed
            || self.aside.iter().any(|other| aside(&other))
            || self.log.iter().any(|stood| author.wrote(&stood.op, write) && !self.is_earlier(&stood.op, write))
    }

    /// Whether an op is known to be that write's, or an earlier one's.
    fn is_earlier(&self, op: &Op, write: &Told) -> bool {
        self.told.iter().any(|told| told.op == op.id() && told.no <= write.no)
    }

    /// Whether the op at a place says the write.
    fn stands_at(&self, seq: Seq, write: &Told) -> bool {
        let at = self.log.binary_search_by_key(&seq, |stood| stood.seq).ok().and_then(|at| self.log.get(at));
        // A state that a log begins with says what the device held that offered it.
        let own = |op: &Op| [write.op, write.receipt.said_by()].contains(&op.id());
        at.is_some_and(|at| own(&at.op) || at.op.full_state() == Some(FullStateKind::Initial))
    }
}

/// Whoever may have sent a write: each device whose disk has it, by whatever names they had.
struct Author {
    rooms: BTreeSet<usize>,
    names: BTreeSet<ReplicaId>,
}

impl Author {
    /// Whether an op is by it, and on the entity of that write.
    fn wrote(&self, op: &Op, write: &Told) -> bool {
        self.names.contains(&op.replica()) && op.subject().keys().any(|key| write.key.as_ref() == Some(&key))
    }
}

/// Takes one of these out; whether there was one.
fn take_one(all: &mut Vec<usize>, this: usize) -> bool {
    let at = all.iter().position(|other| *other == this);
    at.map(|at| all.swap_remove(at)).is_some()
}

/// Which of these ops a store has, or had, in a log.
async fn known(store: &MemoryStore, log: LogKey, ops: &[OpId]) -> BTreeSet<OpId> {
    let mut found = BTreeSet::new();
    for part in ops.chunks(500) {
        let reads = Reads { ops: part.to_vec(), ..Reads::default() };
        let rule = move |view: &View| {
            let LogView { ops, .. } = view.log(log);
            Choice::Done(ops.keys().copied().collect::<Vec<OpId>>(), None)
        };
        // A store in memory that reads cannot fail.
        found.extend(store.decide(Scope::log(log, reads), rule).await.unwrap_or_default());
    }
    found
}

impl House {
    /// After an event that took a disk, or put an older one in its place: what nobody has any more is nobody's fault.
    pub(crate) async fn settle_losses(self: &Arc<Self>) {
        let told: Vec<Told> = lock(&self.ledger).told.clone();
        let ops: Vec<OpId> = told.iter().flat_map(|told| [told.op, told.receipt.said_by()]).collect();
        let mut alive = known(&self.store.kept(), LOG, &ops).await;
        let mut held = BTreeSet::new();
        for room in self.rooms() {
            alive.extend(known(&room.disk.kept(), LOG, &ops).await);
            held.extend(lock(&room.writes).iter().copied());
        }
        let mut ledger = lock(&self.ledger);
        for (index, told) in told.iter().enumerate() {
            // What is on a disk again that was put back is to be kept again.
            if held.contains(&index) || alive.contains(&told.op) {
                ledger.excused.remove(&index);
            } else {
                ledger.excused.insert(index);
            }
        }
    }

    /// In the end: every followed write is in the log, parked, in a conflict record, taken back, or excused; and where the
    /// process still runs that wrote it, its receipt says what is.
    pub(crate) async fn settle_fates(self: &Arc<Self>, log: &[Stood]) {
        let (told, excused) = {
            let ledger = lock(&self.ledger);
            (ledger.told.clone(), ledger.excused.clone())
        };
        let ops: Vec<OpId> = told.iter().flat_map(|told| [told.op, told.receipt.said_by()]).collect();
        let mut kept = known(&self.store.kept(), LOG, &ops).await;
        let decided = lock(&self.decided).clone();
        let (mut taken_back, mut aside) = (decided.taken_back, decided.given_up);
        for room in self.rooms() {
            let Some(replica) = lock(&room.replica).clone() else { continue };
            let ops = self.set_aside(&replica).await;
            aside.extend(ops.into_iter().map(|op| Aside { room: room.number, op }));
        }
        kept.extend(aside.iter().map(|aside| aside.op.id()));
        let all = Fates { log, told: &told, kept, aside };
        for (index, write) in told.iter().enumerate() {
            let (author, fate) = (self.author_of(index, write), write.receipt.fate());
            let said = format!("write {} (op {}) of device {}, whose fate is {fate:?}", write.no, write.op, write.room);
            // What was dropped from the log cannot be looked at any more.
            let pruned = |seq| log.first().is_none_or(|first| seq < first.seq);
            let says_by_another = matches!(fate, Fate::Accepted(seq) if pruned(seq)) && self.may_fold(write);
            // A process that still runs has heard which op says it; where it does not, any later one may.
            let folded = self.may_fold(write) && !self.still_runs(write) && all.says_all(write, &author);
            let somewhere = all.kept.contains(&write.op)
                || all.kept.contains(&write.receipt.said_by())
                || excused.contains(&index)
                || fate == Fate::Discarded
                || says_by_another
                || folded
                || write.key.is_none() && take_one(&mut taken_back, write.room);
            if !somewhere {
                let promise = "a write ends in the log, parked or in a conflict record";
                self.weather.broke(promise, format!("{said}, is nowhere"));
            }
            if fate == Fate::Waiting && self.still_runs(write) {
                self.weather.broke("a receipt says in the end what became of its write", said.clone());
            }
            if let Fate::Accepted(seq) = fate
                && !pruned(seq)
                && self.still_runs(write)
                && !all.stands_at(seq, write)
                && !self.is_let_go_of(write, seq, log).await
            {
                self.weather.broke("an accepted write is where its receipt says", format!("{said}, is not there"));
            }
        }
    }

    /// Whether a write stands at or before this place, and its device no longer knows where: it has let go of it, or has begun
    /// from a state after it.
    async fn is_let_go_of(&self, write: &Told, seq: Seq, log: &[Stood]) -> bool {
        let Some(room) = self.rooms().get(write.room).cloned() else { return false };
        let first = room.disk.kept().bounds(LOG).await.ok().flatten().map_or(Seq::FIRST, |bounds| bounds.first);
        log.iter().any(|stood| stood.op.id() == write.op && stood.seq < first && stood.seq <= seq)
    }

    fn still_runs(&self, write: &Told) -> bool {
        let rooms = self.rooms();
        rooms.get(write.room).is_some_and(|room| room.life.load(Ordering::Relaxed) == write.life)
    }

    fn author_of(&self, index: usize, write: &Told) -> Author {
        let has_it = |room: &Arc<Room>| room.number == write.room || lock(&room.writes).contains(&index);
        let rooms: Vec<_> = self.rooms().into_iter().filter(has_it).collect();
        let names = rooms.iter().flat_map(|room| lock(&room.names).clone()).collect();
        Author { rooms: rooms.iter().map(|room| room.number).collect(), names }
    }

    /// Whether a later write on the same entity may say all that this one says, so that this one is not sent. Asked is the
    /// entity's reducer, with two writes on one field where any values would do.
    fn may_fold(&self, write: &Told) -> bool {
        let Some(key) = &write.key else { return false };
        let reducer = &self.world.schema.rules(&key.collection).reducer;
        match reducer.holds() {
            Some(holds) => ![Counter::NAME, Set::NAME].contains(&holds),
            None => {
                let (older, newer) = (Payload::Json(r#"{"a":1}"#.into()), Payload::Json(r#"{"a":2}"#.into()));
                reducer.remainder((OpKind::Update, &older), (OpKind::Update, &newer)) == Remainder::Nothing
            }
        }
    }

    /// Ops that are parked or in conflict records on a device.
    async fn set_aside(&self, replica: &Replica) -> Vec<Op> {
        let (parked, conflicts) = (replica.parked().await, replica.conflicts().await);
        match (parked, conflicts) {
            (Ok(parked), Ok(conflicts)) => {
                let parked = parked.iter().map(|parked| parked.op().clone());
                parked.chain(conflicts.iter().map(|conflict| conflict.mine().clone())).collect()
            }
            (Err(error), _) | (_, Err(error)) => {
                self.weather.broke("what was set aside can be read", error.to_string());
                Vec::new()
            }
        }
    }
}
