//! The executable specification of a [`Store`]: maps behind one lock, nothing durable. Other stores are compared
//! with it by random runs.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{HeadPage, LogPage, LogSummary, NodePage, NodeQuery, PageLimit, Store, StoreError, StoreErrorKind};
use crate::decide::{
    Decision, Forget, KnownOp, LogView, LogWrites, Reads, Receipt, Scope, SlotKey, Step, TreeWrites, View, WriteSet,
};
use crate::id::{BucketId, EntityId, LogId, LogKey, OpId, RequestId};
use crate::limits;
use crate::oplog::{Collection, EntityKey, Gap, Head, LogBounds, LoggedOp, Snapshot};
use crate::seq::{Anchor, Seq};
use crate::tree::{Change, Found, MemoryTree, Node, Revision, TreeView as _};

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
    tree: Option<MemoryTree>,
    revisions: BTreeMap<(EntityId, Seq), Revision>,
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

    /// A number for everything that is kept: stores that keep the same have the same, within one build of this crate. For
    /// tests that have to know whether they were here before.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut out = DefaultHasher::new();
        let logs = self.lock();
        for (key, stored) in &*logs {
            key.hash(&mut out);
            stored.hash_into(&mut out);
        }
        out.finish()
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
                    // A tree that would not be one is found out before anything is written.
                    let trees = trees(&logs, &writes)?;
                    write(&mut logs, *writes, trees);
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

    async fn nodes(&self, log: LogKey, asked: &NodeQuery, limit: usize) -> Result<NodePage, StoreError> {
        let logs = self.lock();
        let Some(stored) = logs.get(&log) else { return Ok(NodePage::default()) };
        let end = stored.bounds.as_ref().map(LogBounds::end);
        let Some(tree) = &stored.tree else { return Ok(NodePage { end, ..NodePage::default() }) };
        let owned = |(id, node): (EntityId, &Node)| (id, node.clone());
        let mut nodes: Vec<(EntityId, Node)> = match asked {
            NodeQuery::All { after } => {
                let behind = tree.nodes().filter(|(id, _)| after.is_none_or(|after| *id > after));
                behind.take(limit + 1).map(owned).collect()
            }
            NodeQuery::Children { of, after } => tree.children(*of, after.as_ref(), limit + 1).map(owned).collect(),
            NodeQuery::Trash { after } => tree.trash(*after, limit + 1).map(owned).collect(),
            NodeQuery::Leaves { of } => tree.leaves(*of, limit + 1).map(owned).collect(),
            NodeQuery::One(id) => {
                let Ok(found) = tree.node(*id);
                let id = if let Found::Alias(of) = found { of } else { *id };
                tree.get(id).map(|node| (id, node.clone())).into_iter().collect()
            }
        };
        let more = nodes.len() > limit;
        nodes.truncate(limit);
        Ok(NodePage { nodes, more, end })
    }

    async fn revisions(
        &self,
        log: LogKey,
        node: EntityId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        let logs = self.lock();
        let behind = (Bound::Excluded((node, after)), Bound::Included((node, Seq::MAX)));
        let found = logs.get(&log).into_iter().flat_map(|stored| stored.revisions.range(behind));
        Ok(found.take(limit).map(|(_, revision)| *revision).collect())
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
    /// What is an op's or a log's is under the running hash.
    fn hash_into(&self, out: &mut DefaultHasher) {
        self.bounds.as_ref().map(LogBounds::to_bytes).hash(out);
        self.ops.keys().for_each(|seq| seq.hash(out));
        self.known.iter().for_each(|(id, known)| (id, known.seq, known.digest.as_bytes()).hash(out));
        self.heads.iter().for_each(|(key, head)| (key, head.to_bytes()).hash(out));
        self.slots.hash(out);
        for receipt in self.receipts.values() {
            (receipt.request, receipt.fingerprint.as_bytes(), &receipt.answer, receipt.at).hash(out);
        }
        let snapshot = self.snapshot.as_ref();
        snapshot.map(|kept| (kept.seq, kept.anchor, kept.payload.bytes())).hash(out);
        for (id, node) in self.tree.iter().flat_map(MemoryTree::nodes) {
            (id, format!("{node:?}")).hash(out);
        }
        self.revisions.values().for_each(|revision| format!("{revision:?}").hash(out));
    }

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
    for node in &reads.revisions {
        let all = (Bound::Included((*node, Seq::ZERO)), Bound::Included((*node, Seq::MAX)));
        let found = logs.get(&log).into_iter().flat_map(|stored| stored.revisions.range(all));
        let found = found.take(limits::REVISIONS_READ_MAX).map(|(_, revision)| *revision).collect();
        into.revisions.insert(*node, found);
    }
    for asked in reads.tree.iter().cloned() {
        match logs.get(&log).and_then(|stored| stored.tree.as_ref()) {
            Some(tree) => {
                let Ok(()) = into.tree.answer(asked, tree);
            }
            None => into.tree.answer_empty(asked),
        }
    }
    into.asked.add(reads);
}

/// The trees of the logs as they are afterwards, of those whose tree changes.
fn trees(logs: &BTreeMap<LogKey, StoredLog>, writes: &WriteSet) -> Result<BTreeMap<LogKey, MemoryTree>, StoreError> {
    let mut trees = BTreeMap::new();
    for log in writes.logs.iter().filter(|log| !log.tree.changes.is_empty()) {
        let before = logs.get(&log.log).filter(|_| !log.erase).and_then(|stored| stored.tree.as_ref());
        let tree = match (before, log.tree.changes.as_slice()) {
            (Some(tree), changes) => tree.clone().applied(changes),
            (None, [Change::Node { id, node }, rest @ ..]) if **node == Node::root(node.name_stamp) => {
                MemoryTree::new(*id, node.name_stamp).applied(rest)
            }
            (None, _) => return Err(fault("a tree that is not there is changed")),
        };
        trees.insert(log.log, tree.map_err(|damage| fault("the tree would be none").caused_by(damage))?);
    }
    Ok(trees)
}

fn write(logs: &mut BTreeMap<LogKey, StoredLog>, writes: WriteSet, mut trees: BTreeMap<LogKey, MemoryTree>) {
    for log in writes.logs {
        if log.erase {
            logs.remove(&log.log);
        }
        if log.bounds.is_some() {
            let tree = trees.remove(&log.log);
            let stored = logs.entry(log.log).or_default();
            if let Some(tree) = tree {
                stored.tree = Some(tree);
            }
            write_log(stored, log);
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
    let TreeWrites { changes, revisions, forgotten } = writes.tree;
    stored.revisions.extend(revisions.into_iter().map(|revision| ((revision.node, revision.seq), revision)));
    for gone in forgotten {
        stored.revisions.remove(&gone);
    }
    if let Some(tree) =
        stored.tree.as_ref().filter(|_| changes.iter().any(|change| matches!(change, Change::Purge { .. })))
    {
        stored.revisions.retain(|(node, _), _| tree.get(*node).is_some());
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
