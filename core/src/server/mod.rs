//! The server: `handle(caller, call, env) → reply`, over the traits, without a socket, a runtime or a clock.
//!
//! Each family of calls has a file. What must hold: a caller sees only its own bucket; nothing is answered as
//! accepted before it is durable; and apart from caches nothing lives in this process, so any number of servers
//! over one store behave as one.

mod admin;
mod auth;
mod blobs;
mod files;
mod groups;
mod holders;
mod links;
mod manifests;
mod partly;
mod pull;
mod push;
mod records;
mod replay;
mod restore;
mod retain;
mod scans;
mod sealing;
mod share;
mod snapshot;
mod sweep;
mod together;
mod tree;

use std::sync::Arc;

pub use crate::decide::{Expect, Pruned, Record, RecordWrite, RecordWritten};
pub use blobs::{blob_space, refuse_blob};
pub use links::Linked;
pub use manifests::JudgedManifests;
pub use retain::RetainedTree;
pub use scans::ScannedBlobs;
pub use sweep::SweptBlobs;

use crate::access::{Access, Caller, Passwords};
use crate::call::{Call, ErrorCode, Refusal, Reply};
use crate::id::{BucketId, LogId, LogKey};
use crate::oplog::{Gap, LogBounds, Schema};
use crate::store::{Fanout, Store, StoreError, StoreErrorKind, StoreExt};
use crate::time::Env;

/// A sync server over a store.
#[derive(Debug, Clone)]
pub struct Server {
    store: Arc<dyn Store>,
    fanout: Arc<dyn Fanout>,
    schema: Arc<Schema>,
    blobs: Option<Arc<dyn crate::store::BlobStore>>,
    passwords: Option<Arc<dyn Passwords>>,
    proofs: Arc<links::Proofs>,
}

impl Server {
    /// A server with these rules over this store, waking readers through this bus.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, fanout: Arc<dyn Fanout>, schema: Schema) -> Self {
        Self { store, fanout, schema: Arc::new(schema), blobs: None, passwords: None, proofs: Arc::default() }
    }

    /// The bus, for whoever delivers its signals to clients.
    #[must_use]
    pub fn fanout(&self) -> &Arc<dyn Fanout> {
        &self.fanout
    }

    /// Answers one call.
    ///
    /// # Errors
    /// A [`Refusal`] with its code; nothing was changed unless the code is [`ErrorCode::OutcomeUnknown`].
    pub async fn handle(&self, caller: &Caller, call: Call, env: Env) -> Result<Reply, Refusal> {
        match call {
            Call::CreateLog { log, sealing } => {
                self.create_log(permit(caller, Access::Admin, log)?, sealing, env).await
            }
            Call::RotateKeys { log, from } => self.rotate_keys(permit(caller, Access::Write, log)?, from).await,
            Call::Status(log) => self.status(permit(caller, Access::Read, log)?).await,
            Call::Logs { after, limit } => self.logs(caller, after, limit).await,
            Call::DeleteLog { log, seen } => self.delete_log(permit(caller, Access::Admin, log)?, seen, env).await,
            Call::Push(push) => self.push(caller, permit(caller, Access::Write, push.log)?, push, env).await,
            Call::Pull { log, cursor, limit } => {
                self.pull(permit(caller, Access::Read, log)?, cursor, limit).await.map(Reply::Pulled)
            }
            Call::GetSnapshot(log) => self.get_snapshot(permit(caller, Access::Read, log)?).await,
            Call::PutSnapshot { log, snapshot } => {
                self.put_snapshot(permit(caller, Access::Write, log)?, *snapshot).await
            }
            Call::RestorePoints { log, limit } => self.restore_points(permit(caller, Access::Read, log)?, limit).await,
            Call::Restore { log, to, seen, request } => {
                self.restore(permit(caller, Access::Write, log)?, to, seen, request, env).await
            }
            Call::UndoRestore { log, seen, request } => {
                self.undo_restore(permit(caller, Access::Write, log)?, seen, request, env).await
            }
            Call::Acknowledge { log, replica, cursor } => {
                let log = permit(caller, Access::Read, log)?;
                self.acknowledge(caller, crate::decide::Acknowledge { log, replica, cursor }, env).await
            }
            Call::Devices(log) => self.devices(permit(caller, Access::Read, log)?).await,
            Call::Reserve { log, blobs } => self.reserve(permit(caller, Access::Write, log)?, blobs, env).await,
            Call::BlobUsage(log) => self.blob_usage(permit(caller, Access::Read, log)?).await.map(Reply::BlobUsage),
            Call::SetBlobQuota { log, quota } => {
                self.set_blob_quota(permit(caller, Access::Admin, log)?, quota).await.map(Reply::BlobUsage)
            }
            Call::SetScanning { log, policy } => self.set_scanning(permit(caller, Access::Admin, log)?, policy).await,
            Call::Scans { log, after, limit } => self.scans(permit(caller, Access::Admin, log)?, after, limit).await,
            Call::ReleaseBlob { log, blob } => self.release_blob(permit(caller, Access::Admin, log)?, blob, env).await,
            Call::RescanBlob { log, blob } => self.rescan_blob(permit(caller, Access::Admin, log)?, blob).await,
            Call::MakeLink(new) => self.make_link(caller, permit(caller, Access::Admin, new.log)?, new, env).await,
            Call::Links { log, after, limit } => self.links(permit(caller, Access::Admin, log)?, after, limit).await,
            Call::RevokeLink { log, link } => self.revoke_link(permit(caller, Access::Admin, log)?, link, env).await,
            Call::KeepManifest { log, manifest } => {
                let log = permit(caller, Access::Write, log)?;
                self.keep_manifest(log, manifest, env).await.map(Reply::ManifestKept)
            }
            Call::Commit(commit) => self.commit(caller, permit(caller, Access::Write, commit.log)?, commit, env).await,
            Call::ShareFolder(share) => {
                self.share_folder(caller, permit(caller, Access::Admin, share.log)?, share, env).await
            }
            Call::Nodes { log, asked, limit } => self.nodes(permit(caller, Access::Read, log)?, asked, limit).await,
            Call::Revisions { log, node, after, limit } => {
                self.revisions(permit(caller, Access::Read, log)?, node, after, limit).await
            }
            Call::PurgeTrash { log, node } => {
                self.purge_trash(permit(caller, Access::Admin, log)?, node, env).await.map(Reply::Purged)
            }
            Call::TreeTerms(log) => self.tree_terms(permit(caller, Access::Read, log)?).await,
            Call::SetTreeTerms { log, terms } => self.set_tree_terms(permit(caller, Access::Admin, log)?, terms).await,
            Call::MintToken { name, access, logs, replica, expires_at } => {
                let record = admin::NewToken { name, access, logs, replica, expires_at };
                self.mint_token(bucket_of_admin(caller)?, record, env).await
            }
            Call::Partly { part, call } => self.partly(caller, &part, *call, env).await,
            Call::RotateToken(token) => self.rotate_token(caller, token, env).await,
            Call::Tokens { after, limit } => self.tokens(bucket_of_admin(caller)?, after, limit).await,
            Call::CreateGroup { name } => self.create_group(bucket_of_admin(caller)?, name, env).await,
            Call::Groups { after, limit } => self.groups(bucket_of_admin(caller)?, after, limit).await,
            Call::DeleteGroup(group) => self.delete_group(bucket_of_admin(caller)?, group, env).await,
            Call::SetMember { group, token, member } => {
                self.set_member(bucket_of_admin(caller)?, group, token, member, env).await
            }
            Call::SetGrant { group, log, access } => {
                self.set_grant(permit(caller, Access::Admin, log)?, group, access, env).await
            }
            Call::RevokeToken(token) => self.revoke_token(bucket_of_admin(caller)?, token, env).await,
        }
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn ready(&self) -> Result<(), Refusal> {
        let nobody = BucketId::from_bytes([0; 16]);
        self.store.logs(nobody, None, 1).await.map(drop).map_err(refuse_store)
    }

    async fn bounds(&self, log: LogKey) -> Result<LogBounds, Refusal> {
        let bounds = self.store.bounds(log).await.map_err(refuse_store)?;
        bounds.ok_or_else(|| Refusal::new(ErrorCode::LogNotFound, "no such log"))
    }

    /// A hole found while reading stops the log for writers too; other logs go on.
    async fn refuse_gap(&self, log: LogKey, gap: Gap, bounds: Option<&LogBounds>) -> Refusal {
        if let Some(origin) = bounds.filter(|_| gap == Gap::Hole).map(|bounds| bounds.tip.origin) {
            let scope = crate::decide::Scope::log(log, crate::decide::Reads::default());
            let marked = self.store.decide(scope, move |view| crate::decide::mark_damaged(log, origin, view)).await;
            if let Err(error) = marked {
                return refuse_store(error);
            }
        }
        Refusal::gap(gap, bounds)
    }
}

/// The system log is the engine's own: it is reached through its own calls, by those who may administer the bucket.
fn permit(caller: &Caller, access: Access, log: LogId) -> Result<LogKey, Refusal> {
    if log == LogId::SYSTEM && (access != Access::Admin || caller.logs.is_some()) {
        return Err(Refusal::new(ErrorCode::LogNotFound, "no such log"));
    }
    let key = LogKey { bucket: caller.bucket, log };
    if caller.may(access, log) || (log == LogId::SYSTEM && caller.access >= access) {
        return Ok(key);
    }
    // A log the caller may not know of is not distinguished from one that is not there.
    if caller.may(Access::Read, log) {
        Err(Refusal::new(ErrorCode::Forbidden, "the token does not allow this"))
    } else {
        Err(Refusal::new(ErrorCode::LogNotFound, "no such log"))
    }
}

/// Tokens and groups are the whole bucket's.
fn bucket_of_admin(caller: &Caller) -> Result<BucketId, Refusal> {
    permit(caller, Access::Admin, LogId::SYSTEM).map(|log| log.bucket)
}

/// A store's failure as a client is told. The backend's own words stay in the server.
fn refuse_store(error: StoreError) -> Refusal {
    let (code, detail) = match error.kind() {
        StoreErrorKind::Busy => (ErrorCode::Busy, "the server is busy"),
        StoreErrorKind::Timeout => (ErrorCode::Timeout, "the store took too long"),
        StoreErrorKind::Full => (ErrorCode::StorageFull, "the server has no room left"),
        StoreErrorKind::Corrupt => (ErrorCode::LogDamaged, "stored data does not read"),
        StoreErrorKind::OutcomeUnknown => {
            (ErrorCode::OutcomeUnknown, "the commit was cut off; repeat the request with the same ids")
        }
        StoreErrorKind::Unavailable | StoreErrorKind::Locked => (ErrorCode::Unavailable, "the store is unavailable"),
        _ => (ErrorCode::Internal, "the server met a bug"),
    };
    Refusal { source: Some(Arc::new(error)), ..Refusal::new(code, detail) }
}
