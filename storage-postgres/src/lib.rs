//! The [`Store`] and [`Fanout`] of syncline over PostgreSQL 15 or newer.
//!
//! What must hold: what core's `MemoryStore` does, durably and for any number of server processes at once; correctness
//! rests on the lock of a log's row and on nothing a session remembers, so a pooler in transaction mode may stand
//! between (see [`PostgresOptions::statement_cache`]).
//!
//! Next: `transact` is the one way to write; `read` has the reads; `tree` the files beside a log; `notify` wakes other servers.
//!
//! [`Fanout`]: syncline::store::Fanout

mod error;
mod load;
mod notify;
mod pool;
mod read;
mod rows;
mod schema;
mod transact;
mod tree;
mod write;

use std::str::FromStr as _;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use syncline::decide::{Decision, Scope};
use syncline::oplog::{Collection, EntityKey, Snapshot};
use syncline::store::{
    HeadPage, LogPage, LogSummary, NodePage, NodeQuery, PageLimit, Store, StoreError, StoreErrorKind,
};
use syncline::tree::Revision;
use syncline::{BucketId, EntityId, LogId, LogKey, Seq, limits};

pub use notify::{EPHEMERAL_BYTES_MAX, PostgresFanout, SignalTooLarge};

use crate::pool::Pool;
use crate::read::Reader;

/// Where the database is and how to use it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// `postgres://user:password@host/database`. Tables are made in the first schema of its search path; add
    /// `?options=-csearch_path%3Dname` for another one.
    pub url: String,
    /// Connections at most, 1 at least. Each transaction and each read holds one.
    pub connections: usize,
    /// How long to wait for a free connection before [`StoreErrorKind::Busy`].
    pub wait: Duration,
    /// How long one statement may take before [`StoreErrorKind::Timeout`]; also all of a transaction up to its commit.
    pub timeout: Duration,
    /// Keep prepared statements. To be switched off behind a pooler in transaction mode that does not know them.
    pub statement_cache: bool,
}

impl PostgresOptions {
    /// The database at `url` with 16 connections, core's time limits and prepared statements.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections: 16,
            wait: Duration::from_secs(limits::POOL_WAIT_S),
            timeout: Duration::from_secs(limits::STORE_TIMEOUT_S),
            statement_cache: true,
        }
    }

    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, StoreError> {
        let options = PgConnectOptions::from_str(&self.url);
        let options = options.map_err(|error| error::new(StoreErrorKind::Unsupported, "connect").caused_by(error))?;
        Ok(if self.statement_cache { options } else { options.statement_cache_capacity(0) })
    }
}

/// Logs in PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    timeout: Duration,
    in_transaction: bool,
}

impl PostgresStore {
    /// Connects, and makes or brings up to date the tables. Any number of servers may do so at once.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unsupported`] for an address that does not parse, a read replica, or a schema made by a newer
    /// version; [`StoreErrorKind::Unavailable`] when the server does not answer.
    pub async fn connect(options: &PostgresOptions) -> Result<Self, StoreError> {
        let pool = Pool::new(options)?;
        schema::migrate(&pool).await?;
        Ok(Self { pool, timeout: options.timeout, in_transaction: !options.statement_cache })
    }

    /// Round trips to the server so far: how much work calls make, for tests and metrics.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.pool.statements()
    }

    const fn reader(&self) -> Reader<'_> {
        Reader { pool: &self.pool, limit: self.timeout, in_transaction: self.in_transaction }
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn name(&self) -> &'static str {
        error::STORE
    }

    async fn transact(&self, scope: Scope, decision: Decision) -> Result<bool, StoreError> {
        transact::transact(&self.pool, self.timeout, &scope, &decision).await
    }

    async fn ops_after(&self, log: LogKey, after: Seq, limit: PageLimit) -> Result<LogPage, StoreError> {
        self.reader().ops_after(log, after, limit).await
    }

    async fn heads(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        self.reader().heads(log, collection, after, limit).await
    }

    async fn snapshot(&self, log: LogKey, at: Seq) -> Result<Option<Snapshot>, StoreError> {
        self.reader().snapshot(log, at).await
    }

    async fn nodes(&self, log: LogKey, asked: &NodeQuery, limit: usize) -> Result<NodePage, StoreError> {
        tree::nodes(&self.reader(), log, asked, limit).await
    }

    async fn revisions(
        &self,
        log: LogKey,
        node: EntityId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        tree::revisions(&self.reader(), log, node, after, limit).await
    }

    async fn logs(&self, bucket: BucketId, after: Option<LogId>, limit: usize) -> Result<Vec<LogSummary>, StoreError> {
        self.reader().logs(bucket, after, limit).await
    }
}
