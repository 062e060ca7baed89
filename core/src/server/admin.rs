//! Making, listing and deleting logs and tokens.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::{Server, refuse_store};
use crate::access::{Access, Bearer, Caller, TokenRecord};
use crate::call::{ErrorCode, Refusal, Reply};
use crate::decide::{self, DeleteLog, Deleted, Expect, Reads, RecordWrite, RecordWritten, Scope};
use crate::id::{BucketId, LogId, LogKey, ReplicaId, TokenId};
use crate::limits;
use crate::oplog::Sealing;
use crate::seq::Cursor;
use crate::store::{LogSummary, StoreExt};
use crate::time::{Env, Timestamp};

/// What a new token is to allow.
pub(super) struct NewToken {
    pub(super) name: String,
    pub(super) access: Access,
    pub(super) logs: Option<Vec<LogId>>,
    pub(super) replica: Option<ReplicaId>,
    pub(super) expires_at: Option<Timestamp>,
}

impl Server {
    pub(super) async fn create_log(&self, log: LogKey, sealing: Sealing, env: Env) -> Result<Reply, Refusal> {
        if log.log == LogId::SYSTEM && sealing != Sealing::Optional {
            let detail = "the system log is the engine's own: its sealing cannot be chosen";
            return Err(Refusal::new(ErrorCode::SealingPolicy, detail));
        }
        let scope = Scope::log(log, Reads::default());
        let made = self.store.decide(scope, move |view| decide::create_log(log, sealing, &env, view)).await;
        let (bounds, created) = made.map_err(refuse_store)?;
        if bounds.sealing != sealing {
            let detail = format!("the log is there; its sealing is {}, not {sealing}", bounds.sealing);
            return Err(Refusal::new(ErrorCode::SealingPolicy, detail));
        }
        Ok(Reply::Log { log: log.log, bounds: Box::new(bounds), created })
    }

    pub(super) async fn status(&self, log: LogKey) -> Result<Reply, Refusal> {
        let bounds = self.bounds(log).await?;
        Ok(Reply::Log { log: log.log, bounds: Box::new(bounds), created: false })
    }

    pub(super) async fn logs(&self, caller: &Caller, after: Option<LogId>, limit: usize) -> Result<Reply, Refusal> {
        if limit == 0 || limit > limits::LIST_ITEMS_MAX {
            let detail = format!("a listing has 1 to {} items", limits::LIST_ITEMS_MAX);
            return Err(Refusal::new(ErrorCode::LimitOutOfRange, detail));
        }
        // The system log is not one of the bucket's own.
        let after = after.unwrap_or(LogId::SYSTEM);
        let Some(named) = &caller.logs else {
            return self.store.logs(caller.bucket, Some(after), limit).await.map(Reply::Logs).map_err(refuse_store);
        };
        let own: BTreeSet<LogId> = named.iter().chain(caller.grants.keys()).copied().collect();
        // Looked up one by one: a page of the whole bucket with the others taken out could be empty and yet not the last.
        let mut logs = Vec::new();
        for log in own.range((Bound::Excluded(after), Bound::Unbounded)).copied() {
            let bounds = self.store.bounds(LogKey { bucket: caller.bucket, log }).await.map_err(refuse_store)?;
            logs.extend(bounds.map(|bounds| LogSummary { log, bounds }));
            if logs.len() == limit {
                break;
            }
        }
        Ok(Reply::Logs(logs))
    }

    /// Deletes a log, then what groups were granted of it: whoever makes one anew under its id grants anew. Cut off in between,
    /// the call is repeated; that is no error.
    pub(super) async fn delete_log(&self, log: LogKey, seen: Cursor, env: Env) -> Result<Reply, Refusal> {
        if log.log == LogId::SYSTEM {
            return Err(Refusal::new(ErrorCode::Forbidden, "the system log cannot be deleted"));
        }
        let delete = DeleteLog { log, seen };
        let scope = Scope::log(log, Reads::default());
        let deleted = self.store.decide(scope, move |view| decide::delete_log(&delete, view)).await;
        match deleted.map_err(refuse_store)? {
            Deleted::Done => self.forget_grants(log, env).await.map(|()| Reply::Done),
            Deleted::Moved(bounds) => {
                let detail = "the log does not end where the caller saw it end; nothing was deleted";
                Err(Refusal::new(ErrorCode::LogMoved, detail).with_end(bounds.end()))
            }
        }
    }

    pub(super) async fn mint_token(&self, bucket: BucketId, new: NewToken, env: Env) -> Result<Reply, Refusal> {
        let chars = new.name.chars().count();
        if chars == 0 || chars > limits::TOKEN_NAME_CHARS_MAX {
            let detail = format!("a token's name has 1 to {} characters, not {chars}", limits::TOKEN_NAME_CHARS_MAX);
            return Err(Refusal::new(ErrorCode::Malformed, detail));
        }
        let bearer = Bearer::new(bucket, TokenId::from_bytes(env.uuid7("token id")), env.bytes32("token"));
        let record = TokenRecord {
            digest: bearer.digest(),
            name: new.name,
            access: new.access,
            logs: new.logs,
            replica: new.replica,
            expires_at: new.expires_at,
            groups: Vec::new(),
            former: Vec::new(),
        };
        let record = serde_json::to_vec(&record).map_err(|_| internal())?;
        self.write_token(bucket, bearer.id(), Some(record.into()), env).await?;
        Ok(Reply::Token { id: bearer.id(), bearer })
    }

    pub(super) async fn revoke_token(&self, bucket: BucketId, token: TokenId, env: Env) -> Result<Reply, Refusal> {
        self.write_token(bucket, token, None, env).await?;
        Ok(Reply::Done)
    }

    async fn write_token(
        &self,
        bucket: BucketId,
        token: TokenId,
        record: Option<bytes::Bytes>,
        env: Env,
    ) -> Result<(), Refusal> {
        let ended = record.is_none();
        let write = RecordWrite {
            key: decide::token_key(token),
            expect: Expect::Any,
            state: record,
            take: Vec::new(),
            release: Vec::new(),
        };
        if let RecordWritten::Done(seq) = self.write_record(bucket, write, env).await?
            && ended
        {
            self.tell(bucket, seq).await;
        }
        Ok(())
    }
}

fn internal() -> Refusal {
    Refusal::new(ErrorCode::Internal, "a token record does not write")
}
