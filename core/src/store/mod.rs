//! The pluggable edge: where logs live, where bytes live, how servers wake each other.
//!
//! # Writing a Store
//!
//! 1. Map five tables or key spaces: log (one row of [`LogBounds`] bytes), op, head, slot,
//!    receipt; and one for snapshots.
//! 2. Write [`Store::transact`] as *lock the logs in key order, read their bounds and the scope's reads, loop the
//!    decision, check the writes with [`View::check`](crate::decide::View::check), write, commit durably*.
//!    In this order: [`erase`](crate::decide::LogWrites::erase) or [`rewind`](crate::decide::LogWrites::rewind),
//!    [`forget`](crate::decide::LogWrites::forget), then everything else. A log that is erased and written at once begins anew at the horizon of its new bounds, so its
//!    first op need not be 1 and need not follow what was there; nothing of the old log may show through.
//! 3. Write the four reads, each from one consistent view of the store.
//! 4. Put `store_conformance!` (feature `conformance`) into `tests/conformance.rs`: one named test per case.
//!    Its random runs compare your store with [`MemoryStore`], the executable specification.
//! 5. Add your own crash tests: an acknowledged op survives whatever your backend survives.
//!
//! What must hold: ops come back byte for byte; a committed write set is visible whole or not at all and survives
//! a crash once `transact` returned; a row that does not read is [`StoreErrorKind::Corrupt`], never skipped.

mod blob;
mod error;
mod fanout;
mod gather;
mod memory;
mod memory_blobs;
mod nodes;
mod page;
mod scanner;
mod upload;
mod verify;

pub use blob::{BlobError, BlobId, BlobKey, BlobSource, BlobStat, BlobStore, ByteRange, PutOutcome};
pub use error::{StoreError, StoreErrorKind};
pub use fanout::{Fanout, FanoutError, Interest, MemoryFanout, Signal, SignalSource};
pub use gather::Gather;
pub use memory::MemoryStore;
pub use memory_blobs::{BytesSource, MemoryBlobs};
pub use nodes::{NodePage, NodeQuery};
pub use page::{HeadPage, LogPage, LogSummary, PageLimit};
pub use scanner::{ScanError, Scanner};
pub use upload::{Append, UploadKey, UploadMark, UploadStat};
pub use verify::{Announced, Verified};

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::decide::{Choice, Decision, Scope, Step, View};
use crate::id::{BucketId, EntityId, LogId, LogKey};
use crate::oplog::{Collection, EntityKey, Head, LogBounds, Snapshot};
use crate::seq::Seq;
use crate::tree::Revision;

/// Where logs live. One writing method; four reads. Object-safe: servers hold an `Arc<dyn Store>`.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// A short name for errors and metrics: `"sqlite"`.
    fn name(&self) -> &'static str;

    /// Runs `decision` in one transaction that is serial with every other transaction on the same logs, in every
    /// process. When it returns `Ok(true)` the writes are durable and visible; `Ok(false)` means the decision wrote
    /// nothing. The store may run the decision again from an empty view, after a lost race for example.
    ///
    /// # Errors
    /// [`StoreErrorKind::Runaway`] after [`limits::DECISION_ROUNDS_MAX`](crate::limits::DECISION_ROUNDS_MAX) rounds
    /// or [`DECISION_READS_MAX`](crate::limits::DECISION_READS_MAX) reads, [`StoreErrorKind::Fault`] for writes that
    /// contradict the view, [`StoreErrorKind::OutcomeUnknown`] when the commit was cut off: the same request may
    /// then be repeated, op ids and receipts make it safe. Else whatever the backend met.
    async fn transact(&self, scope: Scope, decision: Decision) -> Result<bool, StoreError>;

    /// Ops with `seq > after` in order, with the bounds and the anchor at `after` from the same consistent read.
    /// A log that does not exist gives an empty page without bounds.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] when a row does not read or its digest does not fit, else the backend's.
    async fn ops_after(&self, log: LogKey, after: Seq, limit: PageLimit) -> Result<LogPage, StoreError>;

    /// Heads of one collection in key order, after one key.
    ///
    /// # Errors
    /// As [`Store::ops_after`].
    async fn heads(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError>;

    /// The snapshot kept for a log, when it is not newer than `at`.
    ///
    /// # Errors
    /// As [`Store::ops_after`].
    async fn snapshot(&self, log: LogKey, at: Seq) -> Result<Option<Snapshot>, StoreError>;

    /// Nodes of a log's tree of files, with the log's end from the same consistent read.
    ///
    /// # Errors
    /// As [`Store::ops_after`].
    async fn nodes(&self, log: LogKey, asked: &NodeQuery, limit: usize) -> Result<NodePage, StoreError>;

    /// The contents that a file had, oldest first, those behind one seq.
    ///
    /// # Errors
    /// As [`Store::ops_after`].
    async fn revisions(
        &self,
        log: LogKey,
        node: EntityId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError>;

    /// The logs of a bucket in id order, after one id.
    ///
    /// # Errors
    /// As [`Store::ops_after`].
    async fn logs(&self, bucket: BucketId, after: Option<LogId>, limit: usize) -> Result<Vec<LogSummary>, StoreError>;
}

/// What callers use: a rule with its own answer.
#[async_trait]
pub trait StoreExt: Store {
    /// Runs a rule in a transaction and returns its answer, that of the run whose writes were committed.
    ///
    /// # Errors
    /// As [`Store::transact`].
    async fn decide<R, F>(&self, scope: Scope, rule: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: Fn(&View) -> Choice<R> + Send + Sync + 'static,
    {
        let answer: Arc<Mutex<Option<R>>> = Arc::default();
        let last = Arc::clone(&answer);
        let decision: Decision = Arc::new(move |view| match rule(view) {
            Choice::Read(more) => Step::Read(more),
            Choice::Done(value, writes) => {
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                writes.map_or(Step::Abort, Step::Commit)
            }
        });
        self.transact(scope, decision).await?;
        let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.take().ok_or_else(|| {
            StoreError::new(StoreErrorKind::Fault, self.name(), "decide").because("the store never ran the decision")
        })
    }

    /// A log's bounds alone; `None` when it does not exist.
    ///
    /// # Errors
    /// As [`Store::ops_after`].
    async fn bounds(&self, log: LogKey) -> Result<Option<LogBounds>, StoreError> {
        Ok(self.ops_after(log, Seq::MAX, PageLimit::default()).await?.bounds)
    }

    /// One head.
    ///
    /// # Errors
    /// As [`Store::ops_after`].
    async fn head(&self, log: LogKey, key: &EntityKey) -> Result<Option<Head>, StoreError> {
        let before = u128::from_be_bytes(*key.entity.as_bytes()).checked_sub(1);
        let after = before
            .map(|id| EntityKey { collection: key.collection.clone(), entity: EntityId::from_bytes(id.to_be_bytes()) });
        let page = self.heads(log, &key.collection, after.as_ref(), 1).await?;
        Ok(page.heads.into_iter().find(|(found, _)| found == key).map(|(_, head)| head))
    }
}

impl<S: Store + ?Sized> StoreExt for S {}
