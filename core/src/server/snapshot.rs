//! Snapshots: what a late reader starts from.

use super::{Server, refuse_store};
use crate::call::{ErrorCode, Refusal, Reply};
use crate::decide::{self, Reads, Scope};
use crate::id::LogKey;
use crate::limits;
use crate::oplog::{LogBounds, Snapshot};
use crate::seq::Seq;
use crate::store::{PageLimit, StoreExt};

impl Server {
    /// The newest state there is. One that lags too far is renewed first when the history can be replayed here; a
    /// sealed or unknown history is served as far as clients have snapshotted it.
    pub(super) async fn get_snapshot(&self, log: LogKey) -> Result<Reply, Refusal> {
        let bounds = self.bounds(log).await?;
        let known = bounds.full_state.as_ref().map_or(Seq::ZERO, |mark| mark.seq).max(bounds.snapshot);
        let lag = bounds.last.get() - known.get();
        if lag >= limits::SNAPSHOT_STALE_OPS
            && let Ok(replayed) = self.replay(log, &bounds, bounds.last).await
            && let Some(snapshot) = replayed.snapshot()
        {
            self.keep(log, snapshot.clone()).await?;
            return Ok(Reply::Snapshot(Some(Box::new(snapshot))));
        }
        self.known_snapshot(log, &bounds).await.map(|snapshot| Reply::Snapshot(snapshot.map(Box::new)))
    }

    async fn known_snapshot(&self, log: LogKey, bounds: &LogBounds) -> Result<Option<Snapshot>, Refusal> {
        let kept = self.store.snapshot(log, Seq::MAX).await.map_err(refuse_store)?;
        let Some(mark) = bounds.full_state.as_ref().filter(|mark| kept.as_ref().is_none_or(|kept| kept.seq < mark.seq))
        else {
            return Ok(kept);
        };
        // The full-state op is its own snapshot; its payload is not stored twice.
        let one = PageLimit::ops(1).unwrap_or_default();
        let page = self.store.ops_after(log, mark.seq.before(), one).await.map_err(refuse_store)?;
        let logged = page.ops.first().filter(|logged| logged.seq == mark.seq);
        let logged = logged.ok_or_else(|| Refusal::new(ErrorCode::GapHole, "a full-state op is missing"))?;
        let op = logged.op.read().map_err(|_| Refusal::new(ErrorCode::LogDamaged, "a full-state op does not read"))?;
        Ok(Some(Snapshot {
            seq: logged.seq,
            anchor: logged.anchor,
            clock: mark.seen.clone(),
            schema_version: op.schema_version(),
            payload: op.payload().clone(),
        }))
    }

    /// A client's snapshot. A sealed one is taken on its word; a plain one must be what replaying gives.
    pub(super) async fn put_snapshot(&self, log: LogKey, snapshot: Snapshot) -> Result<Reply, Refusal> {
        let given = snapshot.payload.bytes().len();
        if given > limits::FULL_STATE_BYTES_MAX {
            let detail = format!("a snapshot has at most {} bytes, not {given}", limits::FULL_STATE_BYTES_MAX);
            return Err(Refusal::new(ErrorCode::BodyTooLarge, detail));
        }
        let bounds = self.bounds(log).await?;
        if bounds.damaged {
            return Err(Refusal::new(ErrorCode::LogDamaged, "the log is damaged and takes no writes"));
        }
        let sealed = snapshot.payload.is_sealed();
        if snapshot.seq == Seq::ZERO || (snapshot.seq > bounds.last && !sealed) {
            return Err(Refusal::new(ErrorCode::NoSuchSeq, "the snapshot's seq is not in the log"));
        }
        if sealed {
            return self.keep(log, snapshot).await.map(|()| Reply::SnapshotKept);
        }
        // The state must be right to the byte. Clock and schema version depend on where a replay began, so they are
        // not compared; those of the replay here are kept, because readers will build on them.
        let replayed = self.replay(log, &bounds, snapshot.seq).await?;
        let own = replayed.snapshot().filter(|own| (own.anchor, &own.payload) == (snapshot.anchor, &snapshot.payload));
        let Some(own) = own else {
            let detail = "the snapshot is not what replaying the log to its seq gives";
            return Err(Refusal::new(ErrorCode::SnapshotMismatch, detail));
        };
        self.keep(log, own).await.map(|()| Reply::SnapshotKept)
    }

    async fn keep(&self, log: LogKey, snapshot: Snapshot) -> Result<(), Refusal> {
        let reads = Reads { anchors: vec![snapshot.seq], ..Reads::default() };
        let rule = move |view: &decide::View| decide::keep_snapshot(log, &snapshot, view);
        match self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)? {
            None => Ok(()),
            Some(gap) => Err(Refusal::gap(gap, None)),
        }
    }
}
