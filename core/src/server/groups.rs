//! Tokens and groups as those keep them who administer a bucket: who is in a group, and what its members may do.
//!
//! What must hold: what is changed here counts from the next request on, at every server; a grant adds and never takes away;
//! who administers a log grants nothing but that log.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Server, permit, refuse_store};
use crate::access::{Access, Bearer, Caller, GroupRecord, TokenRecord};
use crate::call::{ErrorCode, Group, Refusal, Reply, Token};
use crate::decide::{
    self, Choice, Expect, Reads, RecordWrite, RecordWritten, Scope, View, group_key, group_records, token_key,
};
use crate::id::{BucketId, GroupId, LogId, LogKey, TokenId};
use crate::limits;
use crate::oplog::EntityKey;
use crate::seq::Seq;
use crate::store::{Signal, StoreExt};
use crate::time::Env;

impl Server {
    /// A group, if there is one.
    pub(super) async fn group(&self, bucket: BucketId, group: GroupId) -> Result<Option<GroupRecord>, Refusal> {
        self.record(bucket, &group_key(group)).await?.map(|record| read(&record.state)).transpose()
    }

    pub(super) async fn rotate_token(&self, caller: &Caller, token: TokenId, env: Env) -> Result<Reply, Refusal> {
        // Who holds a token may, whatever else it allows.
        if caller.token != Some(token) {
            permit(caller, Access::Admin, LogId::SYSTEM)?;
        }
        let bearer = Bearer::new(caller.bucket, token, env.bytes32("token"));
        let digest = bearer.digest();
        let rotated = self.change(caller.bucket, token_key(token), env, move |record: &mut TokenRecord| {
            record.rotate(digest, env.now);
            Ok(true)
        });
        rotated.await?.ok_or_else(no_token)?;
        Ok(Reply::Token { id: token, bearer })
    }

    pub(super) async fn tokens(
        &self,
        bucket: BucketId,
        after: Option<TokenId>,
        limit: usize,
    ) -> Result<Reply, Refusal> {
        listing(limit)?;
        let collection = token_key(TokenId::from_bytes([0; 16])).collection;
        let records = self.records(bucket, &collection, after.map(token_key).as_ref(), limit).await?;
        let token = |(key, record): (EntityKey, decide::Record)| {
            let TokenRecord { name, access, logs, replica, expires_at, groups, .. } = read(&record.state)?;
            let id = TokenId::from_bytes(*key.entity.as_bytes());
            Ok(Token { id, name, access, logs, replica, expires_at, groups })
        };
        records.into_iter().map(token).collect::<Result<_, Refusal>>().map(Reply::Tokens)
    }

    pub(super) async fn create_group(&self, bucket: BucketId, name: String, env: Env) -> Result<Reply, Refusal> {
        let chars = name.chars().count();
        if chars == 0 || chars > limits::TOKEN_NAME_CHARS_MAX {
            let detail = format!("a group's name has 1 to {} characters, not {chars}", limits::TOKEN_NAME_CHARS_MAX);
            return Err(Refusal::new(ErrorCode::Malformed, detail));
        }
        let group = GroupId::from_bytes(env.uuid7("group"));
        let record = GroupRecord { name, grants: std::collections::BTreeMap::new() };
        let write = RecordWrite {
            key: group_key(group),
            expect: Expect::Absent,
            state: Some(written(&record)?),
            take: Vec::new(),
            release: Vec::new(),
        };
        self.write_record(bucket, write, env).await?;
        Ok(Reply::GroupMade(group))
    }

    pub(super) async fn groups(
        &self,
        bucket: BucketId,
        after: Option<GroupId>,
        limit: usize,
    ) -> Result<Reply, Refusal> {
        listing(limit)?;
        let records = self.records(bucket, &group_records(), after.map(group_key).as_ref(), limit).await?;
        let group = |(key, record): (EntityKey, decide::Record)| {
            let GroupRecord { name, grants } = read(&record.state)?;
            Ok(Group { id: GroupId::from_bytes(*key.entity.as_bytes()), name, grants })
        };
        records.into_iter().map(group).collect::<Result<_, Refusal>>().map(Reply::Groups)
    }

    pub(super) async fn delete_group(&self, bucket: BucketId, group: GroupId, env: Env) -> Result<Reply, Refusal> {
        let write = RecordWrite {
            key: group_key(group),
            expect: Expect::Any,
            state: None,
            take: Vec::new(),
            release: Vec::new(),
        };
        if let RecordWritten::Done(seq) = self.write_record(bucket, write, env).await? {
            self.tell(bucket, seq).await;
        }
        Ok(Reply::Done)
    }

    pub(super) async fn set_member(
        &self,
        bucket: BucketId,
        group: GroupId,
        token: TokenId,
        member: bool,
        env: Env,
    ) -> Result<Reply, Refusal> {
        if member && self.group(bucket, group).await?.is_none() {
            return Err(no_group());
        }
        let changed = self.change(bucket, token_key(token), env, move |record: &mut TokenRecord| {
            if record.groups.contains(&group) == member {
                return Ok(false);
            }
            if !member {
                record.groups.retain(|held| *held != group);
            } else if record.groups.len() < limits::GROUPS_PER_TOKEN_MAX {
                record.groups.push(group);
            } else {
                let detail = format!("a token is in at most {} groups", limits::GROUPS_PER_TOKEN_MAX);
                return Err(Refusal::new(ErrorCode::LimitOutOfRange, detail));
            }
            Ok(true)
        });
        changed.await?.map(|()| Reply::Done).ok_or_else(no_token)
    }

    pub(super) async fn set_grant(
        &self,
        log: LogKey,
        group: GroupId,
        access: Option<Access>,
        env: Env,
    ) -> Result<Reply, Refusal> {
        if log.log == LogId::SYSTEM {
            return Err(Refusal::new(ErrorCode::Forbidden, "the system log is the engine's own and cannot be granted"));
        }
        let changed = self.change(log.bucket, group_key(group), env, move |record: &mut GroupRecord| {
            let before = record.grants.get(&log.log).copied();
            match access {
                Some(access) => record.grants.insert(log.log, access),
                None => record.grants.remove(&log.log),
            };
            if record.grants.len() > limits::GRANTS_PER_GROUP_MAX {
                let detail = format!("a group has grants for at most {} logs", limits::GRANTS_PER_GROUP_MAX);
                return Err(Refusal::new(ErrorCode::LimitOutOfRange, detail));
            }
            Ok(before != access)
        });
        changed.await?.map(|()| Reply::Done).ok_or_else(no_group)
    }

    /// Takes from all groups what they were granted of a log.
    pub(super) async fn forget_grants(&self, log: LogKey, env: Env) -> Result<(), Refusal> {
        let (collection, limit) = (group_records(), limits::LIST_ITEMS_MAX);
        let mut after = None;
        loop {
            let groups = self.records(log.bucket, &collection, after.as_ref(), limit).await?;
            for (key, record) in &groups {
                if read::<GroupRecord>(&record.state)?.grants.contains_key(&log.log) {
                    let forget = move |record: &mut GroupRecord| Ok(record.grants.remove(&log.log).is_some());
                    self.change(log.bucket, key.clone(), env, forget).await?;
                }
            }
            after = groups.last().map(|(key, _)| key.clone());
            if groups.len() < limit {
                return Ok(());
            }
        }
    }

    /// Says to all servers that somebody may do more or less than before: sockets of those who may not are closed at once.
    pub(super) async fn tell(&self, bucket: BucketId, seq: Seq) {
        let _ = self.fanout.publish(Signal::Wake { log: LogKey { bucket, log: LogId::SYSTEM }, seq }).await;
    }

    /// Changes a record in one transaction, if there is one; the change says whether it did anything.
    async fn change<T: Serialize + DeserializeOwned>(
        &self,
        bucket: BucketId,
        key: EntityKey,
        env: Env,
        change: impl Fn(&mut T) -> Result<bool, Refusal> + Send + Sync + 'static,
    ) -> Result<Option<()>, Refusal> {
        let log = LogKey { bucket, log: LogId::SYSTEM };
        let reads = Reads { heads: vec![key.clone()], ..Reads::default() };
        let rule = move |view: &View| {
            let current = view.log(log).heads.get(&key).and_then(decide::record_of);
            let Some(current) = current else { return Choice::Done(Ok(None), None) };
            match changed(&current.state, &change) {
                Ok(None) => Choice::Done(Ok(Some(None)), None),
                Err(refusal) => Choice::Done(Err(refusal), None),
                Ok(Some(state)) => {
                    let write = RecordWrite {
                        key: key.clone(),
                        expect: Expect::Version(current.version),
                        state: Some(state),
                        take: Vec::new(),
                        release: Vec::new(),
                    };
                    match decide::write_record(bucket, &write, &env, view) {
                        Ok(Choice::Done(RecordWritten::Done(seq), writes)) => Choice::Done(Ok(Some(Some(seq))), writes),
                        Ok(Choice::Read(more)) => Choice::Read(more),
                        Ok(Choice::Done(..)) => Choice::Done(Err(unwritten()), None),
                        Err(error) => Choice::Done(Err(Refusal::new(ErrorCode::Malformed, error.to_string())), None),
                    }
                }
            }
        };
        let written = self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)??;
        if let Some(Some(seq)) = written {
            self.tell(bucket, seq).await;
        }
        Ok(written.map(drop))
    }
}

fn changed<T: Serialize + DeserializeOwned>(
    state: &[u8],
    change: impl Fn(&mut T) -> Result<bool, Refusal>,
) -> Result<Option<bytes::Bytes>, Refusal> {
    let mut record: T = read(state)?;
    if change(&mut record)? { written(&record).map(Some) } else { Ok(None) }
}

fn read<T: DeserializeOwned>(state: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(state).map_err(|_| Refusal::new(ErrorCode::Internal, "a stored record does not read"))
}

fn written<T: Serialize>(record: &T) -> Result<bytes::Bytes, Refusal> {
    serde_json::to_vec(record).map(Into::into).map_err(|_| unwritten())
}

fn listing(limit: usize) -> Result<(), Refusal> {
    if (1..=limits::LIST_ITEMS_MAX).contains(&limit) {
        return Ok(());
    }
    let detail = format!("a listing has 1 to {} items", limits::LIST_ITEMS_MAX);
    Err(Refusal::new(ErrorCode::LimitOutOfRange, detail))
}

fn unwritten() -> Refusal {
    Refusal::new(ErrorCode::Internal, "a record does not write")
}

fn no_group() -> Refusal {
    Refusal::new(ErrorCode::GroupNotFound, "no such group")
}

fn no_token() -> Refusal {
    Refusal::new(ErrorCode::TokenNotFound, "no such token")
}
