//! A device: a replica on a file of its own, and a way to the server that counts its calls.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use syncline::call::{Call, Reply};
use syncline::client::{CallError, Map, Replica, ReplicaOptions, Transport};
use syncline::store::SignalSource;
use syncline::{EntityId, LogKey};
use syncline_storage_sqlite::{Durability, SqliteOptions, SqliteStore};
use syncline_transport_http::client::{Background, HttpClient, SystemEnv};

use super::site;

/// A replica on a file, and its way to the server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Device {
    /// What applications hold.
    pub replica: Replica,
    /// Its way to the server.
    pub way: Arc<Counted>,
    /// What it is kept in.
    pub store: Arc<SqliteStore>,
    env: Arc<SystemEnv>,
}

impl Device {
    /// Opens the file, made when it is not there.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(file: &Path, place: LogKey, url: &str, durability: Durability) -> anyhow::Result<Self> {
        let env = Arc::new(SystemEnv::new()?);
        let store = Arc::new(SqliteStore::open(SqliteOptions::device(file).durability(durability))?);
        let replica = Replica::open(store.clone(), place, env.clone(), ReplicaOptions::default()).await?;
        let way = Arc::new(Counted { way: site::way(url)?, calls: AtomicU64::new(0) });
        Ok(Self { replica, way, store, env })
    }

    /// Syncs once; how many round trips that took.
    ///
    /// # Errors
    /// Why it did not come to the end.
    pub async fn sync(&self) -> anyhow::Result<u64> {
        let before = self.way.calls.load(Ordering::Relaxed);
        let status = self.replica.sync_once(&*self.way).await?;
        anyhow::ensure!(status.is_safe(), "{status:?}");
        Ok(self.way.calls.load(Ordering::Relaxed) - before)
    }

    /// Keeps it in step from now on.
    #[must_use]
    pub fn keep_in_step(&self) -> Background {
        Background::start(self.replica.clone(), self.way.clone(), self.env.clone())
    }

    /// An entity.
    ///
    /// # Errors
    /// Never: the collection's name is one.
    pub fn map(&self, entity: EntityId) -> anyhow::Result<Map> {
        Ok(self.replica.collection(site::COLLECTION)?.map(entity))
    }

    /// The entities there are, in order.
    ///
    /// # Errors
    /// The store's.
    pub async fn entities(&self) -> anyhow::Result<Vec<EntityId>> {
        let all = self.replica.collection(site::COLLECTION)?;
        let mut found = Vec::new();
        loop {
            let page = all.ids(found.last().copied(), 1_000).await?;
            if page.is_empty() {
                return Ok(found);
            }
            found.extend(page);
        }
    }
}

/// A way that counts its calls.
#[derive(Debug)]
pub struct Counted {
    way: HttpClient,
    calls: AtomicU64,
}

#[async_trait]
impl Transport for Counted {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.way.call(call).await
    }

    async fn wakes(&self, log: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
        Transport::wakes(&self.way, log).await
    }
}
