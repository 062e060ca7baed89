//! A store whose transactions are cut off, as by a process that dies or a disk that is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use syncline::decide::{Decision, Scope};
use syncline::oplog::{Collection, EntityKey, Snapshot};
use syncline::store::{
    HeadPage, LogPage, LogSummary, NodePage, NodeQuery, PageLimit, Store, StoreError, StoreErrorKind,
};
use syncline::tree::Revision;
use syncline::{BucketId, EntityId, LogId, LogKey, Seq};

/// A store whose transactions fail from one on, or that one alone: before anything is written, or the first of them after
/// all is.
#[derive(Debug)]
pub(crate) struct Cut {
    store: Arc<dyn Store>,
    left: AtomicUsize,
    writes: AtomicBool,
    once: bool,
    kind: StoreErrorKind,
}

impl Cut {
    /// Nobody can say whether the transaction that was cut off happened.
    pub(crate) fn new(store: Arc<dyn Store>, left: usize, writes: bool) -> Self {
        let kind = StoreErrorKind::OutcomeUnknown;
        Self { store, left: left.into(), writes: writes.into(), once: false, kind }
    }

    /// The same, and everything works after it.
    pub(crate) fn once(store: Arc<dyn Store>, left: usize, writes: bool) -> Self {
        Self { once: true, ..Self::new(store, left, writes) }
    }

    /// No room: nothing is written, and it is known that nothing was.
    pub(crate) fn full(store: Arc<dyn Store>, left: usize) -> Self {
        Self { kind: StoreErrorKind::Full, ..Self::new(store, left, false) }
    }

    /// From now on everything works.
    pub(crate) fn mend(&self) {
        self.left.store(usize::MAX, Ordering::Relaxed);
    }
}

#[async_trait]
impl Store for Cut {
    fn name(&self) -> &'static str {
        "cut"
    }

    async fn transact(&self, scope: Scope, decision: Decision) -> Result<bool, StoreError> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(1)));
        if left != Ok(0) {
            return self.store.transact(scope, decision).await;
        }
        if self.once {
            self.mend();
        }
        if self.writes.swap(false, Ordering::Relaxed) {
            self.store.transact(scope, decision).await?;
        }
        Err(StoreError::new(self.kind, "cut", "transact"))
    }

    async fn ops_after(&self, log: LogKey, after: Seq, limit: PageLimit) -> Result<LogPage, StoreError> {
        self.store.ops_after(log, after, limit).await
    }

    async fn heads(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        self.store.heads(log, collection, after, limit).await
    }

    async fn snapshot(&self, log: LogKey, at: Seq) -> Result<Option<Snapshot>, StoreError> {
        self.store.snapshot(log, at).await
    }

    async fn nodes(&self, log: LogKey, asked: &NodeQuery, limit: usize) -> Result<NodePage, StoreError> {
        self.store.nodes(log, asked, limit).await
    }

    async fn revisions(
        &self,
        log: LogKey,
        node: EntityId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        self.store.revisions(log, node, after, limit).await
    }

    async fn logs(&self, bucket: BucketId, after: Option<LogId>, limit: usize) -> Result<Vec<LogSummary>, StoreError> {
        self.store.logs(bucket, after, limit).await
    }
}
