//! The embedded [`Store`] of syncline, over SQLite: one file, one process, any async runtime or none.
//!
//! ```no_run
//! use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
//!
//! let store = SqliteStore::open(SqliteOptions::new("data/syncline.db"))?;
//! # Ok::<(), syncline::store::StoreError>(())
//! ```
//!
//! One thread writes and puts waiting decisions into one transaction; a few threads read. Answers come through
//! plain futures. What must hold is what [`Store`] says, and: what was acknowledged survives a power cut; a second
//! process, a network file system, a newer schema, a damaged or exchanged file are refused with a typed error.
//!
//! Next: `transact` (group commit), `decide` and `write` (one decision), `read`, `tree` (files), `schema` (the tables), `guard`
//! (whose file it is). Unix only.

mod bodies;
mod db;
mod decide;
mod error;
mod guard;
mod options;
mod queue;
mod read;
mod reply;
mod rows;
mod schema;
mod transact;
mod tree;
mod verify;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use async_trait::async_trait;
use syncline::decide::{Decision, Scope};
use syncline::id::{BucketId, EntityId, LogId, LogKey};
use syncline::oplog::{Collection, EntityKey, Snapshot};
use syncline::seq::Seq;
use syncline::store::{
    HeadPage, LogPage, LogSummary, NodePage, NodeQuery, PageLimit, Store, StoreError, StoreErrorKind,
};
use syncline::tree::Revision;

pub use options::{Durability, SqliteOptions};

use db::{Db, Source};
use error::{Failed, Outcome};
use guard::Guard;
use read::Readers;
use transact::{Job, Writer};

pub(crate) const NAME: &str = "sqlite";

/// Decisions that may wait for their turn; the next one is told that the store is busy.
const WAITING_MAX: usize = 4_096;

/// Logs in one SQLite file.
///
/// Dropping it answers what is waiting, stops its threads, and gives the file free; it blocks until that is done.
#[derive(Debug)]
pub struct SqliteStore {
    // In drop order: the writer goes last and leaves a file without a write-ahead log behind.
    readers: Readers,
    writer: WriterHandle,
    statements: Arc<AtomicU64>,
    contradictions: Vec<LogKey>,
}

#[derive(Debug)]
struct WriterHandle {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the file, made or brought to this version's schema when needed. Blocks on the disk: call it where that
    /// is allowed.
    ///
    /// # Errors
    /// [`StoreErrorKind::Locked`] when another store has the file open, [`StoreErrorKind::Unsupported`] for a newer
    /// schema, another program's database, a network file system or one without locks,
    /// [`StoreErrorKind::Corrupt`] for a damaged file, [`StoreErrorKind::Busy`] when a foreign connection holds it,
    /// [`StoreErrorKind::Full`] and [`StoreErrorKind::Unavailable`] when the disk is full or fails.
    pub fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        Self::start(options).map_err(|failed| failed.during("open"))
    }

    fn start(options: SqliteOptions) -> Outcome<Self> {
        let guard = Guard::take(&options.path, options.network_file_system)?;
        let statements = Arc::<AtomicU64>::default();
        let source = Arc::new(Source { options, guard, statements: Arc::clone(&statements) });
        let db = Db::writer(&source)?;
        schema::migrate(&db)?;
        verify::structure(&db)?;
        let contradictions = verify::contradictions(&db)?;
        let readers = Readers::start(&source)?;
        let (jobs, queue) = sync_channel(WAITING_MAX);
        let writer = Writer::new(source, queue, db);
        let thread = spawn("syncline-write", move || writer.run())?;
        let writer = WriterHandle { jobs: Some(jobs), thread: Some(thread) };
        Ok(Self { readers, writer, statements, contradictions })
    }

    /// The logs whose last op did not fit their row when the file was opened, in key order. They take no new ops
    /// and answer [`StoreErrorKind::Corrupt`]; every other log is served.
    #[must_use]
    pub fn contradictions(&self) -> &[LogKey] {
        &self.contradictions
    }

    /// How many statements were executed since the store was opened: the work done, whatever the machine. Tests
    /// and benches count with it that no call costs more as a log grows.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn transact(&self, scope: Scope, decision: Decision) -> Result<bool, StoreError> {
        let (answer, reply) = reply::pair();
        let job = Job { scope, decision, since: Instant::now(), answer };
        let failed = |kind, why| Failed::new(kind, why).during("transact");
        let stopped = "the writer thread has stopped";
        match self.writer.jobs.as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => {
                return Err(failed(StoreErrorKind::Busy, "too many transactions are waiting"));
            }
            Some(Err(TrySendError::Disconnected(_))) | None => {
                return Err(failed(StoreErrorKind::Unavailable, stopped));
            }
        }
        reply.await.unwrap_or_else(|| Err(failed(StoreErrorKind::OutcomeUnknown, stopped)))
    }

    async fn ops_after(&self, log: LogKey, after: Seq, limit: PageLimit) -> Result<LogPage, StoreError> {
        self.readers.run("ops_after", move |db| read::ops_after(db, log, after, limit)).await
    }

    async fn heads(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        self.readers.heads(log, collection.clone(), after.cloned(), limit).await
    }

    async fn snapshot(&self, log: LogKey, at: Seq) -> Result<Option<Snapshot>, StoreError> {
        self.readers.run("snapshot", move |db| read::snapshot(db, log, at)).await
    }

    async fn nodes(&self, log: LogKey, asked: &NodeQuery, limit: usize) -> Result<NodePage, StoreError> {
        let asked = asked.clone();
        self.readers.run("nodes", move |db| tree::nodes(db, log, &asked, limit)).await
    }

    async fn revisions(
        &self,
        log: LogKey,
        node: EntityId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        self.readers.run("revisions", move |db| tree::revisions(db, log, node, after, limit)).await
    }

    async fn logs(&self, bucket: BucketId, after: Option<LogId>, limit: usize) -> Result<Vec<LogSummary>, StoreError> {
        self.readers.run("logs", move |db| read::logs(db, bucket, after, limit)).await
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Outcome<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| Failed::new(StoreErrorKind::Unavailable, format!("cannot start a thread: {error}")))
}

/// Waits for a thread, unless it is the one that drops the store.
fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != std::thread::current().id() {
        // A thread that panicked has left nothing to put in order: its answers were closed by unwinding.
        let _ = thread.join();
    }
}
