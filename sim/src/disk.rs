//! A store on a disk that fails, is slow, and whose machine may lose its power before or after a commit.
//!
//! What must hold: what a transaction that came back wrote is there for ever, until an event takes or replaces the whole
//! disk; one that did not come back is there whole or not at all.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use syncline::decide::{Decision, Scope};
use syncline::oplog::{Collection, EntityKey, Snapshot};
use syncline::store::{
    HeadPage, LogPage, LogSummary, MemoryStore, NodePage, NodeQuery, PageLimit, Store, StoreError, StoreErrorKind,
};
use syncline::tree::Revision;
use syncline::{BucketId, EntityId, LogId, LogKey, Seq};

use crate::draw::Draw;
use crate::menu::Mishap;
use crate::schedule::lock;
use crate::weather::Weather;

#[derive(Debug)]
pub(crate) struct Disk {
    kept: Mutex<Arc<MemoryStore>>,
    weather: Arc<Weather>,
    draw: Mutex<Draw>,
    full: Mishap,
    away: Mishap,
    unknown: Mishap,
}

impl Disk {
    pub(crate) fn of_device(weather: &Arc<Weather>, number: u64, kept: MemoryStore) -> Arc<Self> {
        let mishaps = (Mishap::DiskFull, Mishap::DiskError, Mishap::DiskUnknown);
        Self::new(weather, weather.draw(&[1, number]), kept, mishaps)
    }

    pub(crate) fn of_server(weather: &Arc<Weather>) -> Arc<Self> {
        let mishaps = (Mishap::StoreFull, Mishap::StoreAway, Mishap::StoreUnknown);
        Self::new(weather, weather.draw(&[2]), MemoryStore::new(), mishaps)
    }

    fn new(
        weather: &Arc<Weather>,
        draw: Draw,
        kept: MemoryStore,
        (full, away, unknown): (Mishap, Mishap, Mishap),
    ) -> Arc<Self> {
        let kept = Mutex::new(Arc::new(kept));
        Arc::new(Self { kept, weather: Arc::clone(weather), draw: Mutex::new(draw), full, away, unknown })
    }

    /// What is on it, for checks, which no fault hinders.
    pub(crate) fn kept(&self) -> Arc<MemoryStore> {
        Arc::clone(&lock(&self.kept))
    }

    pub(crate) fn replace(&self, kept: MemoryStore) {
        *lock(&self.kept) = Arc::new(kept);
    }

    fn strikes(&self, mishap: Mishap) -> bool {
        self.weather.strikes(mishap, &mut lock(&self.draw))
    }

    fn fails(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.strikes(self.away) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "simulated", operation));
        }
        Ok(())
    }

    /// A moment in which the machine may be killed.
    async fn moment(&self) {
        let ms = if self.strikes(Mishap::DiskSlow) {
            lock(&self.draw).between(10, 3_000)
        } else {
            lock(&self.draw).below(3)
        };
        self.weather.sleep(ms).await;
    }

    /// Reads are quick, and now and then something else happens meanwhile.
    async fn read(&self, operation: &'static str) -> Result<Arc<MemoryStore>, StoreError> {
        let waits = lock(&self.draw).chance(100);
        if waits {
            self.moment().await;
        }
        self.fails(operation)?;
        Ok(self.kept())
    }
}

#[async_trait]
impl Store for Disk {
    fn name(&self) -> &'static str {
        "simulated"
    }

    async fn transact(&self, scope: Scope, decision: Decision) -> Result<bool, StoreError> {
        self.moment().await;
        if self.strikes(self.full) {
            return Err(StoreError::new(StoreErrorKind::Full, "simulated", "transact"));
        }
        self.fails("transact")?;
        let unknown = self.strikes(self.unknown);
        let cut_off = || StoreError::new(StoreErrorKind::OutcomeUnknown, "simulated", "transact");
        if unknown && lock(&self.draw).chance(500) {
            return Err(cut_off());
        }
        let kept = self.kept();
        let done = kept.transact(scope, decision).await;
        // It is done, and nobody knows yet.
        self.moment().await;
        if unknown { Err(cut_off()) } else { done }
    }

    async fn ops_after(&self, log: LogKey, after: Seq, limit: PageLimit) -> Result<LogPage, StoreError> {
        self.read("ops_after").await?.ops_after(log, after, limit).await
    }

    async fn heads(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        self.read("heads").await?.heads(log, collection, after, limit).await
    }

    async fn snapshot(&self, log: LogKey, at: Seq) -> Result<Option<Snapshot>, StoreError> {
        self.read("snapshot").await?.snapshot(log, at).await
    }

    async fn nodes(&self, log: LogKey, asked: &NodeQuery, limit: usize) -> Result<NodePage, StoreError> {
        self.read("nodes").await?.nodes(log, asked, limit).await
    }

    async fn revisions(
        &self,
        log: LogKey,
        node: EntityId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        self.read("revisions").await?.revisions(log, node, after, limit).await
    }

    async fn logs(&self, bucket: BucketId, after: Option<LogId>, limit: usize) -> Result<Vec<LogSummary>, StoreError> {
        self.read("logs").await?.logs(bucket, after, limit).await
    }
}
