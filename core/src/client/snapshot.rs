//! Snapshots that devices make and read: under encryption only they can say what a log amounts to.
//!
//! What must hold: a snapshot is taken only where every op up to it was understood, and what a device begins from was sealed
//! by a holder of the key for exactly that place in the log. One that cannot be opened for a better reason than a missing
//! key is no snapshot: reading from the start is what is left.
//!
//! Next: `restore` of a full state is a write like any other; `arrive` begins anew from what is read here.

use super::error::ReplicaError;
use super::gate::lock;
use super::replica::{Inner, Replica};
use super::sealer::{Unopened, Unsealed};
use super::transport::{CallError, Transport};
use crate::call::{Call, ErrorCode, Reply};
use crate::oplog::{Op, Payload, Snapshot};
use crate::seq::{Cursor, Seq};
use crate::store::{PageLimit, StoreExt as _};

impl Replica {
    /// Makes a snapshot of the log as it is known here and gives it to the server, sealed where payloads are; the cursor it
    /// is of, or `None` where there is nothing yet. New devices begin from it, and the server may drop the history before
    /// it. Under encryption a server can make none itself, so some device should do this every few thousand ops.
    ///
    /// # Errors
    /// [`ReplicaError::NotUnderstood`] when an op is from a newer build; a missing key; [`ReplicaError::Call`] when the
    /// server does not take it; the local store's.
    pub async fn put_snapshot(&self, transport: &dyn Transport) -> Result<Option<Cursor>, ReplicaError> {
        match self.offer_snapshot(transport).await {
            Err(ReplicaError::Call(CallError::Refused(refusal))) if refusal.code == ErrorCode::KeyEpochMoved => {
                // No op has told of it yet.
                self.hear_epoch(transport).await?;
                self.offer_snapshot(transport).await
            }
            offered => offered,
        }
    }

    async fn offer_snapshot(&self, transport: &dyn Transport) -> Result<Option<Cursor>, ReplicaError> {
        let Some(snapshot) = self.inner.snapshot().await? else { return Ok(None) };
        let cursor = snapshot.cursor();
        match transport.call(Call::PutSnapshot { log: self.log().log, snapshot: Box::new(snapshot) }).await? {
            Reply::SnapshotKept => Ok(Some(cursor)),
            _ => Err(CallError::Protocol("not an answer to a snapshot".into()).into()),
        }
    }

    /// An answer with what is sealed in it as this device can use it.
    pub(super) async fn usable(
        &self,
        reply: Reply,
        transport: &dyn Transport,
    ) -> Result<Result<Reply, CallError>, ReplicaError> {
        let Reply::Snapshot(Some(snapshot)) = reply else { return Ok(Ok(reply)) };
        let seq = snapshot.seq;
        if !self.inner.means().admits(&snapshot.payload) {
            return Ok(Ok(self.no_snapshot(seq, "not sealed as the log's policy wants it")));
        }
        let why = match self.inner.opened(&snapshot) {
            Ok(_) | Err(Unopened::KeyNeeded { .. } | Unopened::WrongKey { .. }) => {
                return Ok(Ok(Reply::Snapshot(Some(snapshot))));
            }
            Err(why) => why,
        };
        match self.of_full_state(&snapshot, transport).await? {
            Ok(Some(snapshot)) => Ok(Ok(Reply::Snapshot(Some(Box::new(snapshot))))),
            Ok(None) => Ok(Ok(self.no_snapshot(seq, &why.to_string()))),
            Err(error) => Ok(Err(error)),
        }
    }

    fn no_snapshot(&self, seq: Seq, why: &str) -> Reply {
        lock(&self.inner.conversation).error = Some(format!("the server's snapshot at seq {seq}: {why}"));
        Reply::Snapshot(None)
    }

    /// A server answers with a full-state op's own payload, which is bound to that op: it is read as the op, and sealed for
    /// this place. What the op had seen is believed, not what the server says was seen.
    async fn of_full_state(
        &self,
        snapshot: &Snapshot,
        transport: &dyn Transport,
    ) -> Result<Result<Option<Snapshot>, CallError>, ReplicaError> {
        let inner = &self.inner;
        let cursor = Cursor { seq: snapshot.seq.before(), anchor: None };
        let limit = PageLimit::ops(1).unwrap_or_default();
        let page = match transport.call(Call::Pull { log: self.log().log, cursor, limit }).await {
            Ok(Reply::Pulled(page)) => page,
            Ok(_) | Err(CallError::Refused(_)) => return Ok(Ok(None)),
            Err(error) => return Ok(Err(error)),
        };
        let op = page.ops.first().filter(|op| op.seq == snapshot.seq).and_then(|op| op.op.read().ok());
        let same = |op: &Op| op.full_state().is_some() && *op.payload() == snapshot.payload;
        let Some(op) = op.filter(same) else { return Ok(Ok(None)) };
        let payload = match inner.means().open(&op) {
            Ok(payload) => payload,
            Err(Unopened::Tampered | Unopened::Unknown) => return Ok(Ok(None)),
            Err(needed) => return Err(needed.into()),
        };
        let clock = op.clock().clone();
        let snapshot = Snapshot { clock, schema_version: op.schema_version(), payload, ..snapshot.clone() };
        Ok(Ok(Some(inner.seal_snapshot(snapshot)?)))
    }
}

impl Inner {
    /// The copy's state at its end, sealed where payloads are.
    async fn snapshot(&self) -> Result<Option<Snapshot>, ReplicaError> {
        let _pass = self.enter().await?;
        let Some(bounds) = self.store.bounds(self.places.mirror).await? else { return Ok(None) };
        let end = bounds.end();
        let (Some(anchor), false) = (end.anchor, end.seq == Seq::ZERO) else { return Ok(None) };
        let past = self.past(end.seq).await?;
        past.is_whole()?;
        let (state, schema_version) = (past.state, past.schema_version);
        let payload = Payload::Plain(state.to_bytes());
        let snapshot = Snapshot { seq: end.seq, anchor, clock: bounds.clock, schema_version, payload };
        if self.seals() { self.seal_snapshot(snapshot).map(Some) } else { Ok(Some(snapshot)) }
    }

    fn seal_snapshot(&self, snapshot: Snapshot) -> Result<Snapshot, ReplicaError> {
        let epoch = self.epoch_to_seal()?;
        let sealer = self.options.sealer.as_deref().ok_or(Unsealed::KeyNeeded { epoch })?;
        let payload = sealer.seal_snapshot(self.places.mirror, &snapshot, epoch, &self.env.env())?;
        Ok(Snapshot { payload, ..snapshot })
    }
}
