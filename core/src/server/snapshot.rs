//! Snapshots: what a late reader starts from.

use super::sealing::refuse_payload;
use super::{Server, refuse_store};
use crate::call::{ErrorCode, Refusal, Reply};
use crate::decide::{self, Reads, Scope};
use crate::id::LogKey;
use crate::limits;
use crate::oplog::{LogBounds, ReplayStop, Snapshot};
use crate::seq::Seq;
use crate::store::{PageLimit, StoreExt};

/// Refusals of a replay that say something about the history, not about the store.
fn is_beyond_us(refusal: &Refusal) -> bool {
    use ErrorCode::{GapPruned, ReplayTooLarge, SealedHistory, UnknownHistory};
    matches!(refusal.code, GapPruned | ReplayTooLarge | SealedHistory | UnknownHistory)
}

impl Server {
    /// The newest state there is. One that lags too far is renewed first, as far as one call may replay: what was
    /// reached is kept, and the next call goes on from there. A sealed or unknown history is served as far as clients
    /// have snapshotted it.
    pub(super) async fn get_snapshot(&self, log: LogKey) -> Result<Reply, Refusal> {
        let bounds = self.bounds(log).await?;
        let known = bounds.full_state.as_ref().map_or(Seq::ZERO, |mark| mark.seq).max(bounds.snapshot);
        if bounds.last.get() - known.get() >= limits::SNAPSHOT_STALE_OPS
            && let Some(snapshot) = self.renew(log, &bounds, known).await?
        {
            return Ok(Reply::Snapshot(Some(Box::new(snapshot))));
        }
        self.known_snapshot(log, &bounds).await.map(|snapshot| Reply::Snapshot(snapshot.map(Box::new)))
    }

    async fn renew(&self, log: LogKey, bounds: &LogBounds, known: Seq) -> Result<Option<Snapshot>, Refusal> {
        let mut replayed = match self.base(log, bounds, bounds.last).await {
            Ok(base) => base,
            Err(refusal) if is_beyond_us(&refusal) => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let stop = self.advance(log, &mut replayed, bounds.last).await?;
        let good = !matches!(stop, Some(ReplayStop::TooLarge { .. }));
        let worth_keeping = good && replayed.cursor.seq.get() >= known.get() + limits::SNAPSHOT_STALE_OPS;
        let Some(snapshot) = replayed.snapshot().filter(|_| worth_keeping) else { return Ok(None) };
        self.keep(log, snapshot.clone()).await?;
        Ok(Some(snapshot))
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

    /// A client's snapshot. A plain one must be what replaying gives. A sealed one is taken on its word where the
    /// history cannot be read here, and only there: a state that can be checked is not replaced by one that cannot.
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
        decide::admit_snapshot(&bounds, &snapshot.payload).map_err(refuse_payload)?;
        let sealed = snapshot.payload.is_sealed();
        if snapshot.seq == Seq::ZERO || (snapshot.seq > bounds.last && !sealed) {
            return Err(Refusal::new(ErrorCode::NoSuchSeq, "the snapshot's seq is not in the log"));
        }
        if sealed {
            return self.put_sealed(log, &bounds, snapshot).await;
        }
        // The state must be right to the byte. Clock and schema version depend on where a replay began, so they are
        // not compared; those of the replay here are kept, because readers will build on them.
        let replayed = self.replay(log, &bounds, snapshot.seq).await?;
        let own = replayed.snapshot().filter(|own| (own.anchor, &own.payload) == (snapshot.anchor, &snapshot.payload));
        let Some(own) = own else {
            let detail = "the snapshot is not what replaying the log to its seq gives";
            return Err(Refusal::new(ErrorCode::SnapshotMismatch, detail));
        };
        self.take(log, own).await
    }

    async fn put_sealed(&self, log: LogKey, bounds: &LogBounds, snapshot: Snapshot) -> Result<Reply, Refusal> {
        if !bounds.clock.covers(&snapshot.clock) {
            let detail = "the snapshot's clock names what this log never had";
            return Err(Refusal::new(ErrorCode::SnapshotMismatch, detail));
        }
        match self.replay(log, bounds, snapshot.seq.min(bounds.last)).await {
            Ok(_) => {
                let detail = "the history can be read here, so its snapshot must be plain";
                Err(Refusal::new(ErrorCode::SnapshotMismatch, detail))
            }
            Err(refusal) if is_beyond_us(&refusal) => self.take(log, snapshot).await,
            Err(refusal) => Err(refusal),
        }
    }

    pub(super) async fn keep(&self, log: LogKey, snapshot: Snapshot) -> Result<(), Refusal> {
        let reads = Reads { anchors: vec![snapshot.seq], ..Reads::default() };
        let rule = move |view: &decide::View| decide::keep_snapshot(log, &snapshot, view);
        match self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)? {
            None => Ok(()),
            Some(gap) => Err(Refusal::gap(gap, None)),
        }
    }
}
