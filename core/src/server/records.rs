//! What the engine remembers for those who build on it at the edge: records, notes, kept snapshots, pruning.
//!
//! These are not calls: no client reaches them. A dialect or an embedder does, and answers for whom it asks.

use super::{Server, refuse_store};
use crate::call::{ErrorCode, Refusal};
use crate::decide::{self, KnownOp, Prune, Pruned, Reads, Record, RecordWrite, RecordWritten, Scope, SlotKey};
use crate::id::{BucketId, LogId, LogKey, OpId, RequestId};
use crate::oplog::{Collection, EntityKey, Snapshot};
use crate::seq::Seq;
use crate::store::{PageLimit, StoreExt};
use crate::time::Env;

impl Server {
    /// A record of a bucket, one read.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn record(&self, bucket: BucketId, key: &EntityKey) -> Result<Option<Record>, Refusal> {
        let log = LogKey { bucket, log: LogId::SYSTEM };
        let head = self.store.head(log, key).await.map_err(refuse_store)?;
        Ok(head.as_ref().and_then(decide::record_of))
    }

    /// The record that holds a unique name.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn record_in_slot(
        &self,
        bucket: BucketId,
        slot: SlotKey,
    ) -> Result<Option<(EntityKey, Record)>, Refusal> {
        let log = LogKey { bucket, log: LogId::SYSTEM };
        let asked = slot.clone();
        let reads = Reads { slots: vec![slot], ..Reads::default() };
        let rule = move |view: &decide::View| decide::Choice::Done(view.log(log).slots.get(&asked).cloned(), None);
        let Some(key) = self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)? else {
            return Ok(None);
        };
        Ok(self.record(bucket, &key).await?.map(|record| (key, record)))
    }

    /// The records of one collection in id order, after one.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn records(
        &self,
        bucket: BucketId,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<Vec<(EntityKey, Record)>, Refusal> {
        let log = LogKey { bucket, log: LogId::SYSTEM };
        self.alive(log, collection, after, limit).await
    }

    /// Changes a record by compare and swap, atomically with the unique names it takes and gives up.
    ///
    /// # Errors
    /// [`ErrorCode::Malformed`] for a state that is too large or a collection that is not the engine's, else the
    /// store's failure.
    pub async fn write_record(&self, bucket: BucketId, write: RecordWrite, env: Env) -> Result<RecordWritten, Refusal> {
        if !write.key.collection.is_system() {
            return Err(Refusal::new(ErrorCode::Malformed, "a record's collection begins with sys."));
        }
        let scope = Scope::log(LogKey { bucket, log: LogId::SYSTEM }, write.reads());
        let rule = move |view: &decide::View| match decide::write_record(bucket, &write, &env, view) {
            Ok(decide::Choice::Done(written, writes)) => decide::Choice::Done(Ok(written), writes),
            Ok(decide::Choice::Read(more)) => decide::Choice::Read(more),
            Err(error) => decide::Choice::Done(Err(error), None),
        };
        let written = self.store.decide(scope, rule).await.map_err(refuse_store)?;
        written.map_err(|error| Refusal::new(ErrorCode::Malformed, error.to_string()))
    }

    /// Sets a note of a log; `false` when the log does not exist. The last writer wins.
    ///
    /// # Errors
    /// [`ErrorCode::Malformed`] for a collection that is not the engine's, else the store's failure.
    pub async fn note(&self, log: LogKey, key: EntityKey, state: bytes::Bytes) -> Result<bool, Refusal> {
        if !key.collection.is_system() {
            return Err(Refusal::new(ErrorCode::Malformed, "a note's collection begins with sys."));
        }
        let rule = move |view: &decide::View| decide::set_note(log, &key, &state, view);
        self.store.decide(Scope::log(log, Reads::default()), rule).await.map_err(refuse_store)
    }

    /// Forgets notes of a log; how many of them there were. What is no note stays, and what is absent is no error.
    ///
    /// # Errors
    /// [`ErrorCode::Malformed`] for a collection that is not the engine's, else the store's failure: for more than
    /// [`DECISION_READS_MAX`](crate::limits::DECISION_READS_MAX) keys too.
    pub async fn forget_notes(&self, log: LogKey, keys: Vec<EntityKey>) -> Result<usize, Refusal> {
        if !keys.iter().all(|key| key.collection.is_system()) {
            return Err(Refusal::new(ErrorCode::Malformed, "a note's collection begins with sys."));
        }
        let reads = Reads { heads: keys.clone(), ..Reads::default() };
        let rule = move |view: &decide::View| decide::forget_notes(log, &keys, view);
        self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)
    }

    /// The notes of one collection of a log in id order, after one.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn notes(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<Vec<(EntityKey, bytes::Bytes)>, Refusal> {
        let alive = self.alive(log, collection, after, limit).await?;
        Ok(alive.into_iter().map(|(key, record)| (key, record.state)).collect())
    }

    /// Reads on past tombstones, so that a short answer means that there is no more.
    async fn alive(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<Vec<(EntityKey, Record)>, Refusal> {
        let (mut found, mut after) = (Vec::new(), after.cloned());
        loop {
            let page = self.store.heads(log, collection, after.as_ref(), limit).await.map_err(refuse_store)?;
            after = page.heads.last().map(|(key, _)| key.clone());
            found.extend(page.heads.into_iter().filter_map(|(key, head)| Some((key, decide::record_of(&head)?))));
            if !page.more || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// Where an op was accepted, whether or not it is still kept; `None` when its id was never accepted.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn known_op(&self, log: LogKey, op: OpId) -> Result<Option<KnownOp>, Refusal> {
        let reads = Reads { ops: vec![op], ..Reads::default() };
        let rule = move |view: &decide::View| decide::Choice::Done(view.log(log).ops.get(&op).copied(), None);
        self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)
    }

    /// Whether the answer to a request is remembered, so that repeating it changes nothing.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn remembers(&self, log: LogKey, request: RequestId) -> Result<bool, Refusal> {
        let reads = Reads { receipts: vec![request], ..Reads::default() };
        let rule = move |view: &decide::View| decide::Choice::Done(view.log(log).receipts.contains_key(&request), None);
        self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)
    }

    /// The snapshot a log keeps, when it is not newer than `at`. Builds nothing.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn kept_snapshot(&self, log: LogKey, at: Seq) -> Result<Option<Snapshot>, Refusal> {
        self.store.snapshot(log, at).await.map_err(refuse_store)
    }

    /// Keeps a snapshot on the word of whoever builds on the engine; its place in the log is checked, its content is
    /// not. Clients go through [`Call::PutSnapshot`](crate::call::Call::PutSnapshot), which checks both.
    ///
    /// # Errors
    /// The gap that its place shows, else the store's failure.
    pub async fn keep_snapshot(&self, log: LogKey, snapshot: Snapshot) -> Result<(), Refusal> {
        self.keep(log, snapshot).await
    }

    /// Drops ops before a seq, at most up to the newest full state, which stands in for them. Their ids stay
    /// known. The work is that of reading what goes.
    ///
    /// # Errors
    /// [`ErrorCode::LogMoved`] when no full state stands in for what would go or somebody else pruned meanwhile,
    /// [`ErrorCode::LogNotFound`], else the store's failure.
    pub async fn prune(&self, log: LogKey, before: Seq) -> Result<Pruned, Refusal> {
        let bounds = self.bounds(log).await?;
        let nothing = || Refusal::new(ErrorCode::LogMoved, "nothing stands in for what would be dropped");
        if before > bounds.first && !decide::is_stood_in_for(before, &bounds) {
            return Err(nothing());
        }
        let (mut bytes, mut at) = (0, bounds.first.before());
        while at < before.before() {
            let page = self.store.ops_after(log, at, PageLimit::default()).await.map_err(refuse_store)?;
            let Some(last) = page.ops.last().map(|logged| logged.seq) else { break };
            let gone = page.ops.iter().filter(|logged| logged.seq < before);
            bytes += gone.map(|logged| logged.op.bytes().len() as u64).sum::<u64>();
            at = last;
        }
        let plan = Prune { log, before, first: bounds.first, bytes };
        let reads = Reads { anchors: vec![before.before()], ..Reads::default() };
        let rule = move |view: &decide::View| decide::prune(&plan, view);
        let pruned = self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)?;
        pruned.ok_or_else(nothing)
    }
}
