//! Restore: the state at an earlier seq becomes the present one, by a full-state op like any other.
//!
//! Nothing is deleted: the log goes on, the ops in between stay in it, and the restore can be taken back. Ops that
//! others wrote without having seen the restore are superseded, and their authors are told.

use std::sync::Arc;

use super::{Server, refuse_store};
use crate::call::{ErrorCode, Refusal, Reply};
use crate::codec::Writer;
use crate::decide::upload::{read_restore_point, restore_points};
use crate::decide::{Reads, Recalled, Scope, Upload, Uploaded, recall};
use crate::digest::Digest;
use crate::id::{LogKey, OpId, ReplicaId, RequestId};
use crate::limits;
use crate::oplog::{
    Draft, FullStateKind, LogBounds, Op, OpKind, Payload, Precondition, RestorePoint, Subject, Verdict,
};
use crate::seq::{Cursor, Seq};
use crate::store::StoreExt;
use crate::time::{Env, Hlc};

impl Server {
    pub(super) async fn restore_points(&self, log: LogKey, limit: usize) -> Result<Reply, Refusal> {
        if limit == 0 || limit > limits::LIST_ITEMS_MAX {
            let detail = format!("a listing has 1 to {} items", limits::LIST_ITEMS_MAX);
            return Err(Refusal::new(ErrorCode::LimitOutOfRange, detail));
        }
        let page = self.store.heads(log, &restore_points(), None, limit).await.map_err(refuse_store)?;
        Ok(Reply::RestorePoints(page.heads.iter().filter_map(|(_, head)| read_restore_point(head)).collect()))
    }

    pub(super) async fn restore(
        &self,
        log: LogKey,
        to: Seq,
        seen: Cursor,
        request: RequestId,
        env: Env,
    ) -> Result<Reply, Refusal> {
        let fingerprint = fingerprint(b"restore\0", to, seen);
        if let Some(reply) = self.recalled(log, request, fingerprint).await? {
            return Ok(reply);
        }
        let bounds = self.unmoved(log, seen).await?;
        if to == Seq::ZERO || to > bounds.last {
            let detail = format!("seq {to} is not in the log, which ends at {}", bounds.last);
            return Err(Refusal::new(ErrorCode::NoSuchSeq, detail));
        }
        self.restore_to(log, to, &bounds, (request, fingerprint), env).await
    }

    pub(super) async fn undo_restore(
        &self,
        log: LogKey,
        seen: Cursor,
        request: RequestId,
        env: Env,
    ) -> Result<Reply, Refusal> {
        let fingerprint = fingerprint(b"undo\0", Seq::ZERO, seen);
        if let Some(reply) = self.recalled(log, request, fingerprint).await? {
            return Ok(reply);
        }
        let bounds = self.unmoved(log, seen).await?;
        let newest = self.restore_points_upto(log, bounds.last).await?;
        // A device's restore is one like ours, and an import is taken back in the same way.
        let restored = newest.filter(|point| point.seq == bounds.last && point.kind == FullStateKind::Recovery);
        let Some(point) = restored else {
            let detail = "the newest op is not a restore; restore to a seq instead";
            return Err(Refusal::new(ErrorCode::NothingToUndo, detail));
        };
        self.restore_to(log, point.seq.before(), &bounds, (request, fingerprint), env).await
    }

    async fn recalled(&self, log: LogKey, request: RequestId, fingerprint: Digest) -> Result<Option<Reply>, Refusal> {
        let reads = Reads { receipts: vec![request], ..Reads::default() };
        let rule = move |view: &crate::decide::View| recall(log, request, fingerprint, view);
        match self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)? {
            Recalled::Nothing => Ok(None),
            Recalled::Reused => {
                Err(Refusal::new(ErrorCode::RequestIdReused, "the request id was used for another request"))
            }
            Recalled::Answer(verdicts, end) => restored(&verdicts, end).map(Some),
        }
    }

    async fn unmoved(&self, log: LogKey, seen: Cursor) -> Result<LogBounds, Refusal> {
        let bounds = self.bounds(log).await?;
        if bounds.end() == seen {
            return Ok(bounds);
        }
        let detail = "the log does not end where the caller saw it end";
        Err(Refusal::new(ErrorCode::LogMoved, detail).with_end(bounds.end()))
    }

    async fn restore_to(
        &self,
        log: LogKey,
        to: Seq,
        bounds: &LogBounds,
        request: (RequestId, Digest),
        env: Env,
    ) -> Result<Reply, Refusal> {
        let replayed = self.replay(log, bounds, to).await?;
        // The restore counts as a step of the server, so that only a clock which has seen it covers it: an author that
        // was up to date just before writes without having seen it too. Where a hundred replicas fill the clock there
        // is no room for this, and such an author's op stands.
        let mut clock = bounds.clock.clone();
        let _ = clock.set(ReplicaId::SERVER, clock.get(ReplicaId::SERVER) + 1);
        let op = Draft {
            id: OpId::from_bytes(env.uuid7("restore")),
            replica: ReplicaId::SERVER,
            subject: Subject::Log,
            kind: OpKind::FullState(FullStateKind::Recovery),
            clock,
            hlc: Hlc { ms: env.now, counter: 0 },
            schema_version: replayed.schema_version,
            // Somebody may have written since: then the decision refuses, and nothing of theirs is covered up.
            precondition: Precondition::Version(bounds.last),
            payload: Payload::Plain(replayed.state.to_bytes()),
        };
        let op: Op = op.seal().map_err(|error| Refusal::new(ErrorCode::ReplayTooLarge, error.to_string()))?;
        let input =
            Upload { log, request: Some(request), cursor: Some(bounds.end()), atomic: true, ops: Arc::from([op]) };
        match self.upload(input, env).await? {
            Uploaded::Done { verdicts, after, .. } => {
                let reply = restored(&verdicts, after)?;
                self.wake(log, after).await;
                Ok(reply)
            }
            Uploaded::Gap(gap, bounds) => Err(self.refuse_gap(log, gap, bounds.as_deref()).await),
            Uploaded::RequestReused => {
                Err(Refusal::new(ErrorCode::RequestIdReused, "the request id was used for another request"))
            }
            Uploaded::Damaged => Err(Refusal::new(ErrorCode::LogDamaged, "the log is damaged and takes no writes")),
        }
    }

    async fn restore_points_upto(&self, log: LogKey, to: Seq) -> Result<Option<RestorePoint>, Refusal> {
        // Restore points stand newest first by key, so the first one at or before `to` is one probe away.
        let after = crate::decide::upload::restore_point_before(to);
        let page = self.store.heads(log, &restore_points(), after.as_ref(), 1).await.map_err(refuse_store)?;
        Ok(page.heads.first().and_then(|(_, head)| read_restore_point(head)))
    }
}

/// The newest full-state op at or before `to`.
pub(super) async fn newest_full_state(
    server: &Server,
    log: LogKey,
    bounds: &LogBounds,
    to: Seq,
) -> Result<Option<Seq>, Refusal> {
    match &bounds.full_state {
        None => Ok(None),
        Some(mark) if mark.seq <= to => Ok(Some(mark.seq)),
        Some(_) => Ok(server.restore_points_upto(log, to).await?.map(|point| point.seq)),
    }
}

fn fingerprint(what: &[u8], to: Seq, seen: Cursor) -> Digest {
    let mut out = Writer::default();
    out.fixed(what);
    out.u64(to.get());
    out.u64(seen.seq.get());
    out.fixed(&seen.anchor.map_or([0; 48], crate::seq::Anchor::to_bytes));
    Digest::of(&[&out.finish()])
}

fn restored(verdicts: &[Verdict], end: Cursor) -> Result<Reply, Refusal> {
    match verdicts.first().and_then(Verdict::seq) {
        Some(seq) => Ok(Reply::Restored { seq, end }),
        None => Err(Refusal::new(ErrorCode::LogMoved, "the log moved on while the state was built")),
    }
}
