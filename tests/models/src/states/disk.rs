//! A device's disk: counts commits, and loses power before one of them.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use syncline::decide::{Choice, Decision, LogWrites, Reads, Scope, Step, View};
use syncline::oplog::{Collection, EntityKey, Head, Snapshot};
use syncline::store::{
    HeadPage, LogPage, LogSummary, MemoryStore, NodePage, NodeQuery, PageLimit, Store, StoreError, StoreExt as _,
};
use syncline::tree::Revision;
use syncline::{BucketId, EntityId, LogId, LogKey, Seq};

use super::fixed::LOG;
use super::plant::Plant;

#[derive(Debug)]
pub(crate) struct Disk {
    kept: Arc<MemoryStore>,
    /// Commits that still work.
    commits: AtomicU32,
    off: AtomicBool,
    /// The number of what is kept, for whoever draws.
    stored: Arc<AtomicU64>,
    plant: Plant,
}

impl Disk {
    pub(crate) const fn new(kept: Arc<MemoryStore>, stored: Arc<AtomicU64>, plant: Plant) -> Self {
        Self { kept, commits: AtomicU32::new(u32::MAX), off: AtomicBool::new(false), stored, plant }
    }

    /// So many commits work from now on; the next one meets a power cut.
    pub(crate) fn works_for(&self, commits: u32) {
        self.commits.store(commits, Ordering::Relaxed);
    }

    pub(crate) fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    /// What is stored goes on existing when nobody will write any more.
    async fn commit(&self, scope: Scope, decision: Decision) -> Result<bool, StoreError> {
        let left = self.commits.load(Ordering::Relaxed);
        if left == 0 {
            self.off.store(true, Ordering::Relaxed);
            return pending().await;
        }
        let written = self.kept.transact(scope, decision).await?;
        if written {
            self.stored.store(self.kept.fingerprint(), Ordering::Relaxed);
        }
        if written && left != u32::MAX {
            self.commits.store(left - 1, Ordering::Relaxed);
        }
        Ok(written)
    }

    /// The planted mistake: where the log ends is written in one transaction, what its ops say in the next.
    async fn cursor_first(&self, scope: Scope, decision: Decision) -> Result<bool, StoreError> {
        let late: Arc<Mutex<Vec<(EntityKey, Head)>>> = Arc::default();
        let held = Arc::clone(&late);
        let without: Decision = Arc::new(move |view| {
            let step = decision(view);
            let Step::Commit(mut writes) = step else { return step };
            for log in writes.logs.iter_mut().filter(|log| log.log == LOG && !log.ops.is_empty()) {
                *held.lock().unwrap() = std::mem::take(&mut log.heads);
            }
            Step::Commit(writes)
        });
        let written = self.commit(scope, without).await?;
        let heads = std::mem::take(&mut *late.lock().unwrap());
        if written && !heads.is_empty() {
            let keys = heads.iter().map(|(key, _)| key.clone()).collect();
            let content: Decision = Arc::new(move |view: &View| {
                let Some(bounds) = view.log(LOG).bounds.clone() else { return Step::Abort };
                Step::Commit(LogWrites { heads: heads.clone(), ..LogWrites::new(LOG, bounds) }.alone())
            });
            self.commit(Scope::log(LOG, Reads { heads: keys, ..Reads::default() }), content).await?;
        }
        Ok(written)
    }
}

/// Cuts a log's history off a store, so that nothing of it can be offered again: the planted mistake of a device that lets
/// go of what a server may still lose.
pub(crate) fn let_go_of_history(store: &MemoryStore) {
    let rule = |view: &View| {
        let Some(bounds) = view.log(LOG).bounds.clone() else { return Choice::Done((), None) };
        let Some(after) = bounds.last.next().filter(|after| *after > bounds.first) else {
            return Choice::Done((), None);
        };
        let (first, base) = (after, bounds.tip);
        let bounds = syncline::oplog::LogBounds { first, base, bytes: 0, ..bounds };
        let writes = LogWrites { prune_before: Some(after), forget_pruned: true, ..LogWrites::new(LOG, bounds) };
        Choice::Done((), Some(writes.alone()))
    };
    super::fixed::run(store.decide(Scope::log(LOG, Reads::default()), rule)).unwrap();
}

#[async_trait]
impl Store for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    async fn transact(&self, scope: Scope, decision: Decision) -> Result<bool, StoreError> {
        if self.plant == Plant::CursorFirst {
            return self.cursor_first(scope, decision).await;
        }
        self.commit(scope, decision).await
    }

    async fn ops_after(&self, log: LogKey, after: Seq, limit: PageLimit) -> Result<LogPage, StoreError> {
        self.kept.ops_after(log, after, limit).await
    }

    async fn heads(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        self.kept.heads(log, collection, after, limit).await
    }

    async fn snapshot(&self, log: LogKey, at: Seq) -> Result<Option<Snapshot>, StoreError> {
        self.kept.snapshot(log, at).await
    }

    async fn nodes(&self, log: LogKey, asked: &NodeQuery, limit: usize) -> Result<NodePage, StoreError> {
        self.kept.nodes(log, asked, limit).await
    }

    async fn revisions(
        &self,
        log: LogKey,
        node: EntityId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        self.kept.revisions(log, node, after, limit).await
    }

    async fn logs(&self, bucket: BucketId, after: Option<LogId>, limit: usize) -> Result<Vec<LogSummary>, StoreError> {
        self.kept.logs(bucket, after, limit).await
    }
}
