//! What became of writes: each that returned is followed until the end.
//!
//! What must hold: a write is excused only when an event took the last disk that had it, and no server's log has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use syncline::client::{Fate, Replica};
use syncline::decide::{Choice, LogView, Reads, Scope, View};
use syncline::oplog::EntityKey;
use syncline::store::{MemoryStore, PageLimit, Store as _, StoreExt as _};
use syncline::{LogKey, OpId, Seq};

use crate::house::{House, LOG, Room};
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
            self.told.push(Told { op: receipt.op(), no: receipt.no(), key, receipt });
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.told.len() as u64
    }

    pub(crate) fn excused(&self) -> u64 {
        self.excused.len() as u64
    }
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
        let ops: Vec<OpId> = told.iter().map(|told| told.op).collect();
        let mut alive = known(&self.store.kept(), LOG, &ops).await;
        let mut held = BTreeSet::new();
        for room in self.rooms() {
            alive.extend(known(&room.disk.kept(), LOG, &ops).await);
            held.extend(lock(&room.writes).iter().copied());
        }
        let mut ledger = lock(&self.ledger);
        for (index, told) in told.iter().enumerate() {
            if !held.contains(&index) && !alive.contains(&told.op) {
                ledger.excused.insert(index);
            }
        }
    }

    /// In the end: every followed write is in the log, parked, in a conflict record, taken back, or excused.
    pub(crate) async fn settle_fates(self: &Arc<Self>) {
        let (told, excused) = {
            let ledger = lock(&self.ledger);
            (ledger.told.clone(), ledger.excused.clone())
        };
        let ops: Vec<OpId> = told.iter().map(|told| told.op).collect();
        let in_log = known(&self.store.kept(), LOG, &ops).await;
        let mut kept = in_log.clone();
        kept.extend(lock(&self.given_up).iter().copied());
        for room in self.rooms() {
            let Some(replica) = lock(&room.replica).clone() else { continue };
            kept.extend(self.set_aside(&replica).await);
        }
        let untold = self.untold(&told).await;
        for (index, write) in told.iter().enumerate() {
            if kept.contains(&write.op) || excused.contains(&index) {
                continue;
            }
            // Writes that waited together on one entity were sent as one of them.
            let sent_as_one = write.key.as_ref().is_some_and(|key| untold.contains(key))
                || write.key.is_some()
                    && told
                        .iter()
                        .enumerate()
                        .any(|(other, as_one)| other != index && as_one.key == write.key && kept.contains(&as_one.op));
            if sent_as_one || matches!(write.receipt.fate(), Fate::Accepted(_) | Fate::Discarded) {
                continue;
            }
            let how =
                format!("write {} (op {}), whose fate is {:?}, is nowhere", write.no, write.op, write.receipt.fate());
            self.weather.broke("a write ends in the log, parked or in a conflict record", how);
        }
    }

    /// Entities on which there are writes in the log that nobody was told of: their acts were killed, or heard that the
    /// outcome is unknown.
    async fn untold(&self, told: &[Told]) -> BTreeSet<EntityKey> {
        let told: BTreeSet<OpId> = told.iter().map(|told| told.op).collect();
        let (mut found, mut after, kept) = (BTreeSet::new(), Seq::ZERO, self.store.kept());
        while let Ok(page) = kept.ops_after(LOG, after, PageLimit::default()).await {
            let Some(last) = page.ops.last() else { break };
            after = last.seq;
            let ops = page.ops.iter().filter_map(|logged| logged.op.read().ok()).filter(|op| !told.contains(&op.id()));
            found.extend(ops.flat_map(|op| op.subject().keys().collect::<Vec<_>>()));
        }
        found
    }

    /// Ops that are parked or in conflict records on a device.
    async fn set_aside(&self, replica: &Replica) -> BTreeSet<OpId> {
        let (parked, conflicts) = (replica.parked().await, replica.conflicts().await);
        match (parked, conflicts) {
            (Ok(parked), Ok(conflicts)) => {
                let parked = parked.iter().map(|parked| parked.op().id());
                parked.chain(conflicts.iter().map(|conflict| conflict.mine().id())).collect()
            }
            (Err(error), _) | (_, Err(error)) => {
                self.weather.broke("what was set aside can be read", error.to_string());
                BTreeSet::new()
            }
        }
    }
}
