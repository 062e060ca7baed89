//! The executable specification of a [`Store`]: maps behind one lock, nothing durable. Other stores are compared
//! with it by random runs.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{HeadPage, LogPage, LogSummary, PageLimit, Store, StoreError, StoreErrorKind};
use crate::decide::{
    Decision, Forget, KnownOp, LogView, LogWrites, Reads, Receipt, Scope, SlotKey, Step, View, WriteSet,
};
use crate::id::{BucketId, LogId, LogKey, OpId, RequestId};
use crate::limits;
use crate::oplog::{Collection, EntityKey, Gap, Head, LogBounds, LoggedOp, Snapshot};
use crate::seq::{Anchor, Seq};

/// Logs in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    logs: Mutex<BTreeMap<LogKey, StoredLog>>,
}

#[derive(Debug, Clone, Default)]
struct StoredLog {
    bounds: Option<LogBounds>,
    ops: BTreeMap<Seq, LoggedOp>,
    known: BTreeMap<OpId, KnownOp>,
    heads: BTreeMap<EntityKey, Head>,
    slots: BTreeMap<SlotKey, EntityKey>,
    receipts: BTreeMap<RequestId, Receipt>,
    snapshot: Option<Snapshot>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of everything, as a backup or a disk image would be: for tests of what happens when one comes back.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { logs: Mutex::new(self.lock().clone()) }
    }

    /// Whether anything is kept.
    #[must_use]
    pub fn has_any(&self) -> bool {
        !self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LogKey, StoredLog>> {
        // A decision that panicked wrote nothing: writes begin after the last decision call.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn transact(&self, scope: Scope, decision: Decision) -> Result<bool, StoreError> {
        let mut logs = self.lock();
        let mut view = View::new();
        for (log, reads) in scope.parts() {
            within_reads(reads.len())?;
            view.log_mut(*log).bounds = logs.get(log).and_then(|stored| stored.bounds.clone());
            read(&logs, *log, reads.clone(), &mut view);
        }
        for _ in 0..limits::DECISION_ROUNDS_MAX {
            match decision(&view) {
                Step::Read(more) => {
                    for (log, reads) in more {
                        if !scope.parts().iter().any(|(locked, _)| *locked == log) {
                            return Err(fault("a read of a log outside the scope"));
                        }
                        within_reads(view.log(log).asked.len() + reads.len())?;
                        read(&logs, log, reads, &mut view);
                    }
                }
                Step::Abort => return Ok(false),
                Step::Commit(writes) => {
                    writes.logs.iter().try_for_each(|log| view.check(log)).map_err(fault)?;
                    write(&mut logs, *writes);
                    return Ok(true);
                }
            }
        }
        Err(StoreError::new(StoreErrorKind::Runaway, "memory", "transact"))
    }

    async fn ops_after(&self, log: LogKey, after: Seq, limit: PageLimit) -> Result<LogPage, StoreError> {
        let logs = self.lock();
        let Some((stored, bounds)) = logs.get(&log).and_then(|stored| Some((stored, stored.bounds.clone()?))) else {
            return Ok(LogPage { bounds: None, anchor: None, ops: Vec::new() });
        };
        let mut ops = Vec::new();
        let mut bytes = 0;
        for logged in stored.ops.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, logged)| logged) {
            let size = logged.op.bytes().len();
            if !limit.takes(ops.len(), bytes, size) {
                break;
            }
            bytes += size;
            ops.push(logged.clone());
        }
        Ok(LogPage { anchor: stored.anchor(after), bounds: Some(bounds), ops })
    }

    async fn heads(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        let logs = self.lock();
        let mut found: Vec<(EntityKey, Head)> = logs
            .get(&log)
            .into_iter()
            .flat_map(|stored| &stored.heads)
            .filter(|(key, _)| key.collection == *collection && after.is_none_or(|after| *key > after))
            .take(limit + 1)
            .map(|(key, head)| (key.clone(), head.clone()))
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        Ok(HeadPage { heads: found, more })
    }

    async fn snapshot(&self, log: LogKey, at: Seq) -> Result<Option<Snapshot>, StoreError> {
        let logs = self.lock();
        let kept = logs.get(&log).and_then(|stored| stored.snapshot.clone());
        Ok(kept.filter(|snapshot| snapshot.seq <= at))
    }

    async fn logs(&self, bucket: BucketId, after: Option<LogId>, limit: usize) -> Result<Vec<LogSummary>, StoreError> {
        let logs = self.lock();
        let found = logs
            .iter()
            .filter(|(key, _)| key.bucket == bucket && after.is_none_or(|after| key.log > after))
            .filter_map(|(key, stored)| Some(LogSummary { log: key.log, bounds: stored.bounds.clone()? }))
            .take(limit);
        Ok(found.collect())
    }
}

impl StoredLog {
    fn anchor(&self, seq: Seq) -> Option<Anchor> {
        let known = self.bounds.as_ref().and_then(|bounds| Gap::anchor_from_bounds(seq, bounds));
        known.or_else(|| self.ops.get(&seq).map(|logged| logged.anchor))
    }
}

fn within_reads(asked: usize) -> Result<(), StoreError> {
    if asked <= limits::DECISION_READS_MAX {
        return Ok(());
    }
    let detail = format!("more than {} reads", limits::DECISION_READS_MAX);
    Err(StoreError::new(StoreErrorKind::Runaway, "memory", "transact").because(detail))
}

fn fault(what: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Fault, "memory", "transact").because(what)
}

fn read(logs: &BTreeMap<LogKey, StoredLog>, log: LogKey, reads: Reads, view: &mut View) {
    let into: &mut LogView = view.log_mut(log);
    if let Some(stored) = logs.get(&log) {
        let ops = reads.ops.iter().filter_map(|id| Some((*id, *stored.known.get(id)?)));
        into.ops.extend(ops);
        let heads = reads.heads.iter().filter_map(|key| Some((key.clone(), stored.heads.get(key)?.clone())));
        into.heads.extend(heads);
        let slots = reads.slots.iter().filter_map(|key| Some((key.clone(), stored.slots.get(key)?.clone())));
        into.slots.extend(slots);
        let receipts = reads.receipts.iter().filter_map(|id| Some((*id, stored.receipts.get(id)?.clone())));
        into.receipts.extend(receipts);
        into.anchors.extend(reads.anchors.iter().filter_map(|seq| Some((*seq, stored.anchor(*seq)?))));
    }
    into.asked.add(reads);
}

fn write(logs: &mut BTreeMap<LogKey, StoredLog>, writes: WriteSet) {
    for log in writes.logs {
        if log.erase {
            logs.remove(&log.log);
        }
        if log.bounds.is_some() {
            write_log(logs.entry(log.log).or_default(), log);
        }
    }
}

fn write_log(stored: &mut StoredLog, writes: LogWrites) {
    if let Some(to) = writes.rewind {
        stored.ops.retain(|seq, _| *seq <= to);
        stored.known.retain(|_, known| known.seq <= to);
        stored.snapshot = stored.snapshot.take().filter(|snapshot| snapshot.seq <= to);
    }
    stored.bounds = writes.bounds;
    for logged in writes.ops {
        stored.known.insert(logged.op.id(), KnownOp { seq: logged.seq, digest: logged.op.digest() });
        stored.ops.insert(logged.seq, logged);
    }
    match writes.forget {
        Forget::Nothing => {}
        Forget::Heads(gone) => gone.iter().for_each(|key| drop(stored.heads.remove(key))),
        Forget::AllHeads => stored.heads.clear(),
    }
    stored.heads.extend(writes.heads);
    for (key, holder) in writes.slots {
        match holder {
            Some(entity) => stored.slots.insert(key, entity),
            None => stored.slots.remove(&key),
        };
    }
    stored.receipts.extend(writes.receipts.into_iter().map(|receipt| (receipt.request, receipt)));
    if writes.snapshot.is_some() {
        stored.snapshot = writes.snapshot;
    }
    if let Some(seq) = writes.prune_before {
        stored.ops = stored.ops.split_off(&seq);
        if writes.forget_pruned {
            stored.known.retain(|_, known| known.seq >= seq);
        }
    }
    if let Some(time) = writes.receipts_before {
        stored.receipts.retain(|_, receipt| receipt.at >= time);
    }
}
