//! An account's log as the routes use it: the engine's calls, with the account as the caller.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use syncline::access::{Access, Caller};
use syncline::call::{Call, ErrorCode, Page, PageOp, Push, Pushed, Refusal, Reply};
use syncline::clock::VectorClock;
use syncline::decide::KnownOp;
use syncline::id::{EntityId, LogKey, OpId, ReplicaId, RequestId};
use syncline::limits;
use syncline::oplog::{Collection, EntityKey, LogBounds, Op, RestorePoint, Sealing};
use syncline::seq::{Cursor, Seq};
use syncline::server::Server;
use syncline::store::PageLimit;

use super::SuperProductivity;
use super::accounts::Account;
use super::memory::Memory;
use super::names;
use crate::server::env;

/// One account's log.
#[derive(Debug, Clone)]
pub(super) struct Log<'a> {
    sp: &'a SuperProductivity,
    pub(super) key: LogKey,
    caller: Caller,
}

impl<'a> Log<'a> {
    pub(super) fn new(sp: &'a SuperProductivity, account: &Account) -> Self {
        let caller = Caller {
            bucket: account.log.bucket,
            token: None,
            access: Access::Write,
            logs: Some([account.log.log].into()),
            grants: BTreeMap::new(),
            replica: None,
        };
        Self { sp, key: account.log, caller }
    }

    pub(super) fn server(&self) -> &Server {
        self.sp.server()
    }

    pub(super) fn memory(&self) -> &Memory {
        self.sp.memory()
    }

    async fn ask(&self, call: Call) -> Result<Reply, Refusal> {
        self.server().handle(&self.caller, call, env::env()?).await
    }

    /// Asks as the operator of the bucket: a log is made and deleted by nobody else.
    async fn ask_as_operator(&self, call: Call) -> Result<Reply, Refusal> {
        self.server().handle(&Caller::operator(self.key.bucket), call, env::env()?).await
    }

    /// The log's bounds; `None` when nothing was ever written to it.
    pub(super) async fn bounds(&self) -> Result<Option<LogBounds>, Refusal> {
        match self.ask(Call::Status(self.key.log)).await {
            Ok(Reply::Log { bounds, .. }) => Ok(Some(*bounds)),
            Err(refusal) if refusal.code == ErrorCode::LogNotFound => Ok(None),
            Err(refusal) => Err(refusal),
            Ok(_) => Err(mismatch()),
        }
    }

    /// A page after a seq. Gaps by number come back as refusals.
    pub(super) async fn page(&self, after: Seq, ops: usize) -> Result<Page, Refusal> {
        let limit = PageLimit::ops(ops.clamp(1, limits::PAGE_OPS_MAX)).unwrap_or_default();
        let cursor = Cursor { seq: after, anchor: None };
        match self.ask(Call::Pull { log: self.key.log, cursor, limit }).await? {
            Reply::Pulled(page) => Ok(page),
            _ => Err(mismatch()),
        }
    }

    /// The op at a seq, when it is kept.
    pub(super) async fn op_at(&self, seq: Seq) -> Result<Option<PageOp>, Refusal> {
        match self.page(seq.before(), 1).await {
            Ok(page) => Ok(page.ops.into_iter().find(|op| op.seq == seq)),
            Err(refusal) if is_numeric_gap(refusal.code) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether an op was ever accepted, and where.
    pub(super) async fn known(&self, id: OpId) -> Result<Option<KnownOp>, Refusal> {
        self.server().known_op(self.key, id).await
    }

    /// Whether the answer to a request is remembered.
    pub(super) async fn is_remembered(&self, request: RequestId) -> Result<bool, Refusal> {
        self.server().remembers(self.key, request).await
    }

    pub(super) async fn push(&self, ops: Vec<Op>, request: Option<RequestId>) -> Result<Pushed, Refusal> {
        let push = Push { log: self.key.log, request, cursor: None, atomic: false, ops };
        match self.ask(Call::Push(push)).await? {
            Reply::Pushed(pushed) => Ok(pushed),
            _ => Err(mismatch()),
        }
    }

    /// Full states that are still kept, newest first.
    pub(super) async fn restore_points(&self, bounds: &LogBounds) -> Result<Vec<RestorePoint>, Refusal> {
        if bounds.full_state.is_none() {
            return Ok(Vec::new());
        }
        match self.ask(Call::RestorePoints { log: self.key.log, limit: limits::LIST_ITEMS_MAX }).await? {
            Reply::RestorePoints(mut points) => {
                points.retain(|point| point.seq >= bounds.first);
                Ok(points)
            }
            _ => Err(mismatch()),
        }
    }

    /// Keeps a state that was built here; a failure to keep it is nobody's loss.
    pub(super) async fn keep(&self, snapshot: syncline::oplog::Snapshot) {
        if let Err(refusal) = self.server().keep_snapshot(self.key, snapshot).await {
            tracing::debug!(%refusal, "a built state is not kept");
        }
    }

    /// Deletes the log with everything in it, whatever is being written to it meanwhile.
    pub(super) async fn delete(&self) -> Result<(), Refusal> {
        loop {
            let Some(bounds) = self.bounds().await? else { break };
            let seen = bounds.end();
            match self.ask_as_operator(Call::DeleteLog { log: self.key.log, seen }).await {
                Ok(_) => break,
                Err(refusal) if refusal.code == ErrorCode::LogMoved => {}
                Err(refusal) => return Err(refusal),
            }
        }
        self.memory().forget(self.key);
        Ok(())
    }

    /// Sets a note beside the log, which is made when it is not there.
    async fn note(&self, key: EntityKey, state: Bytes) -> Result<(), Refusal> {
        if self.server().note(self.key, key.clone(), state.clone()).await? {
            return Ok(());
        }
        self.ask_as_operator(Call::CreateLog { log: self.key.log, sealing: Sealing::Optional }).await?;
        self.server().note(self.key, key, state).await.map(drop)
    }

    /// Keeps the client ids that do not stand in their replica ids, before operations that name them.
    pub(super) async fn keep_names(&self, long: BTreeSet<String>) -> Result<(), Refusal> {
        if long.is_empty() {
            return Ok(());
        }
        // Names that were kept beside a log that was deleted since went with it.
        let origin = self.bounds().await?.map(|bounds| bounds.tip.origin);
        let (of, known) = self.memory().names.get(&self.key).unwrap_or_default();
        if origin.is_some() && of == origin && long.iter().all(|client| known.contains_key(&names::replica(client))) {
            return Ok(());
        }
        let mut kept = self.kept_names().await?;
        for client in long {
            let replica = names::replica(&client);
            if kept.contains_key(&replica) {
                continue;
            }
            let key = EntityKey { collection: clients_kept()?, entity: EntityId::from_bytes(*replica.as_bytes()) };
            self.note(key, Bytes::from(client.clone())).await?;
            kept.insert(replica, client);
        }
        self.memory().names.put(self.key, (origin, kept));
        Ok(())
    }

    async fn kept_names(&self) -> Result<BTreeMap<ReplicaId, String>, Refusal> {
        let notes = self.all_notes(&clients_kept()?).await?;
        let name = |(key, state): (EntityKey, Bytes)| {
            let name = String::from_utf8(state.to_vec()).ok()?;
            Some((ReplicaId::from_bytes(*key.entity.as_bytes()), name))
        };
        Ok(notes.into_iter().filter_map(name).collect())
    }

    /// A clock with the client ids that it was uploaded with.
    pub(super) async fn clock_of(&self, clock: &VectorClock) -> Result<BTreeMap<String, u64>, Refusal> {
        let hashed = |replica: &ReplicaId| names::client(*replica).is_none();
        // What a name's hash stands for is true whatever became of the log.
        let (_, mut kept) = self.memory().names.get(&self.key).unwrap_or_default();
        if clock.iter().any(|(replica, _)| hashed(&replica) && !kept.contains_key(&replica)) {
            kept = self.kept_names().await?;
            self.memory().names.put(self.key, (None, kept.clone()));
        }
        let name = |replica| names::client(replica).or_else(|| kept.get(&replica).cloned());
        Ok(clock.iter().filter_map(|(replica, counter)| Some((name(replica)?, counter))).collect())
    }

    /// The client id of a replica; the replica's own text when it is not kept.
    pub(super) async fn client_of(&self, replica: ReplicaId) -> Result<String, Refusal> {
        if let Some(client) = names::client(replica) {
            return Ok(client);
        }
        let kept = self.kept_names().await?;
        Ok(kept.get(&replica).cloned().unwrap_or_else(|| replica.to_string()))
    }

    /// All notes of one collection.
    pub(super) async fn all_notes(&self, collection: &Collection) -> Result<Vec<(EntityKey, Bytes)>, Refusal> {
        let mut all: Vec<(EntityKey, Bytes)> = Vec::new();
        loop {
            let after = all.last().map(|(key, _)| key.clone());
            let some = self.server().notes(self.key, collection, after.as_ref(), limits::LIST_ITEMS_MAX).await?;
            let last = some.len() < limits::LIST_ITEMS_MAX;
            all.extend(some);
            if last {
                return Ok(all);
            }
        }
    }

    /// Sets a note of a log that exists.
    pub(super) async fn note_beside(&self, key: EntityKey, state: Bytes) -> Result<(), Refusal> {
        self.server().note(self.key, key, state).await.map(drop)
    }
}

/// Whether a refusal only says that a position is outside the log.
pub(super) const fn is_numeric_gap(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::GapServerEmpty | ErrorCode::GapClientAhead | ErrorCode::GapPruned)
}

/// A collection of the dialect, from a literal.
pub(super) fn collection(name: &'static str) -> Result<Collection, Refusal> {
    Collection::new(name).map_err(|error| Refusal::new(ErrorCode::Internal, error.to_string()))
}

fn clients_kept() -> Result<Collection, Refusal> {
    collection("sys.sp.client")
}

fn mismatch() -> Refusal {
    Refusal::new(ErrorCode::Internal, "an answer that does not fit its call")
}
