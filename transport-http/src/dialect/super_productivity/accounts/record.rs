//! An account as it is kept: one record of the bucket's system log, found by its number or by its address.
//!
//! What must always hold: an address names at most one account, and so does a passkey (both are slots, taken and given up
//! with the record); a number is never used twice (a counter record hands them out by compare and swap); every change is
//! a compare and swap on the record, so whatever is good for one use is used once, with any number of servers.
//!
//! Next: `register`, `login`, `reset`, `magic` and `passkey` are the changes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use syncline::call::{ErrorCode, Refusal};
use syncline::decide::SlotKey;
use syncline::digest::Digest;
use syncline::id::{BucketId, EntityId, LogId, LogKey};
use syncline::oplog::{Collection, EntityKey};
use syncline::server::{Expect, Record, RecordWrite, RecordWritten, Server};
use syncline::time::{Env, Timestamp};

use super::mailed::Mailed;

/// How often a lost race is run again before the caller is told to come back.
const RACES_MAX: usize = 32;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountRecord {
    pub(crate) id: u64,
    pub(crate) email: String,
    /// Argon2id in PHC form; `None` when the account was made by an operator without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    pub(crate) verified: bool,
    /// Tokens of other versions are dead.
    pub(crate) token_version: u64,
    pub(crate) quota_bytes: u64,
    pub(crate) created_at: Timestamp,
    #[serde(default)]
    pub(crate) failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) locked_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verify: Option<Mailed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reset: Option<Mailed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) magic: Option<Mailed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recover: Option<Mailed>,
    /// Kept also by a server that was built without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) passkeys: Vec<Passkey>,
    /// Set when its data is going; the record goes last, so that an interrupted deletion can be finished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleting: bool,
}

/// A passkey of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Passkey {
    /// The credential's id, base64 for URLs without padding.
    pub(crate) id: String,
    pub(crate) made_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) used_at: Option<Timestamp>,
    /// Its public key and counter, as the library that verifies it writes them.
    pub(crate) key: serde_json::Value,
}

/// What a new account starts with.
#[derive(Debug, Clone)]
pub(crate) struct NewAccount {
    pub(crate) email: String,
    pub(crate) password: Option<String>,
    pub(crate) passkeys: Vec<Passkey>,
    pub(crate) verified: bool,
    pub(crate) verify: Option<Mailed>,
    pub(crate) quota_bytes: u64,
}

/// What a rule wants to become of a record.
pub(crate) enum Change<T> {
    /// Write it as the rule left it.
    Keep(T),
    /// Leave it as it was.
    Nothing(T),
}

/// The accounts of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    server: Server,
    bucket: BucketId,
}

impl Records {
    pub(crate) const fn new(server: Server, bucket: BucketId) -> Self {
        Self { server, bucket }
    }

    /// The log that holds an account's ops.
    pub(crate) fn log(&self, id: u64) -> LogKey {
        let digest = Digest::of(&[b"syncline/sp/account\0", id.to_string().as_bytes()]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
        LogKey { bucket: self.bucket, log: LogId::from_bytes(bytes) }
    }

    pub(crate) async fn by_id(&self, id: u64) -> Result<Option<AccountRecord>, Refusal> {
        let found = self.server.record(self.bucket, &account_key(id)?).await?;
        found.map(|record| read(&record)).transpose()
    }

    pub(crate) async fn by_email(&self, email: &str) -> Result<Option<AccountRecord>, Refusal> {
        let found = self.server.record_in_slot(self.bucket, email_slot(email)).await?;
        found.map(|(_, record)| read(&record)).transpose()
    }

    /// The account that holds a passkey.
    #[cfg(feature = "passkeys")]
    pub(crate) async fn by_passkey(&self, id: &str) -> Result<Option<AccountRecord>, Refusal> {
        let found = self.server.record_in_slot(self.bucket, passkey_slot(id)).await?;
        found.map(|(_, record)| read(&record)).transpose()
    }

    /// Where the accounts are.
    #[cfg(feature = "passkeys")]
    pub(crate) const fn bucket(&self) -> BucketId {
        self.bucket
    }

    /// Accounts by number, after one.
    pub(crate) async fn list(&self, after: u64, limit: usize) -> Result<Vec<AccountRecord>, Refusal> {
        let after = account_key(after)?;
        let page = self.server.records(self.bucket, &after.collection, Some(&after), limit).await?;
        page.iter().map(|(_, record)| read(record)).collect()
    }

    /// A new account, or `None` when the address has one already.
    pub(crate) async fn create(&self, new: NewAccount, env: Env) -> Result<Option<AccountRecord>, Refusal> {
        if self.by_email(&new.email).await?.is_some() {
            return Ok(None);
        }
        let id = self.next_id(env).await?;
        let record = AccountRecord {
            id,
            email: new.email,
            password: new.password,
            verified: new.verified,
            token_version: 0,
            quota_bytes: new.quota_bytes,
            created_at: env.now,
            failures: 0,
            locked_until: None,
            verify: new.verify,
            reset: None,
            magic: None,
            recover: None,
            passkeys: new.passkeys,
            deleting: false,
        };
        let write = RecordWrite {
            key: account_key(id)?,
            expect: Expect::Absent,
            state: Some(written(&record)?),
            take: slots(&record),
            release: Vec::new(),
        };
        match self.server.write_record(self.bucket, write, again(env, "create", 0)).await? {
            RecordWritten::Done(_) => Ok(Some(record)),
            RecordWritten::SlotTaken(_) => Ok(None),
            RecordWritten::Moved(_) => Err(internal("an account's number was used twice")),
        }
    }

    /// Changes an account as `rule` says; `None` when there is none. The rule runs again when a race was lost.
    pub(crate) async fn change<T>(
        &self,
        id: u64,
        env: Env,
        mut rule: impl FnMut(&mut AccountRecord) -> Change<T> + Send,
    ) -> Result<Option<T>, Refusal> {
        let key = account_key(id)?;
        let mut found = self.server.record(self.bucket, &key).await?;
        for race in 0..RACES_MAX {
            let Some(current) = found else { return Ok(None) };
            let mut record = read(&current)?;
            let before = slots(&record);
            let answer = match rule(&mut record) {
                Change::Nothing(answer) => return Ok(Some(answer)),
                Change::Keep(answer) => answer,
            };
            let after = slots(&record);
            let not_in = |those: &[SlotKey], names: &[SlotKey]| {
                names.iter().filter(|name| !those.contains(name)).cloned().collect::<Vec<_>>()
            };
            let write = RecordWrite {
                key: key.clone(),
                expect: Expect::Version(current.version),
                state: Some(written(&record)?),
                take: not_in(&before, &after),
                release: not_in(&after, &before),
            };
            match self.server.write_record(self.bucket, write, again(env, "change", race)).await? {
                RecordWritten::Done(_) => return Ok(Some(answer)),
                RecordWritten::Moved(now) => found = now,
                // Whoever comes back finds out before the change.
                RecordWritten::SlotTaken(_) => return Err(busy()),
            }
        }
        Err(busy())
    }

    /// Removes the record and gives its address up, unless it is gone.
    pub(crate) async fn remove(&self, id: u64, env: Env) -> Result<(), Refusal> {
        let key = account_key(id)?;
        let mut found = self.server.record(self.bucket, &key).await?;
        for race in 0..RACES_MAX {
            let Some(current) = found else { return Ok(()) };
            let write = RecordWrite {
                key: key.clone(),
                // Not whatever is there: the address may be somebody else's by then.
                expect: Expect::Version(current.version),
                state: None,
                take: Vec::new(),
                release: slots(&read(&current)?),
            };
            match self.server.write_record(self.bucket, write, again(env, "remove", race)).await? {
                RecordWritten::Done(_) => return Ok(()),
                RecordWritten::Moved(now) => found = now,
                RecordWritten::SlotTaken(_) => return Err(internal("a removal met a taken name")),
            }
        }
        Err(busy())
    }

    /// The next number.
    async fn next_id(&self, env: Env) -> Result<u64, Refusal> {
        let key = EntityKey { collection: collection("sys.sp.counter")?, entity: EntityId::from_bytes([0; 16]) };
        let mut found = self.server.record(self.bucket, &key).await?;
        for race in 0..RACES_MAX {
            let last = match &found {
                None => 0,
                Some(record) => std::str::from_utf8(&record.state)
                    .ok()
                    .and_then(|text| text.parse::<u64>().ok())
                    .ok_or_else(|| internal("the counter of accounts does not read"))?,
            };
            let next = last.checked_add(1).ok_or_else(|| internal("no number is left"))?;
            let write = RecordWrite {
                key: key.clone(),
                expect: found.as_ref().map_or(Expect::Absent, |record| Expect::Version(record.version)),
                state: Some(Bytes::from(next.to_string())),
                take: Vec::new(),
                release: Vec::new(),
            };
            match self.server.write_record(self.bucket, write, again(env, "count", race)).await? {
                RecordWritten::Done(_) => return Ok(next),
                RecordWritten::Moved(now) => found = now,
                RecordWritten::SlotTaken(_) => return Err(internal("a counter without names met a taken one")),
            }
        }
        Err(busy())
    }
}

/// Randomness of one attempt at one write: ids that another one minted are not minted again.
fn again(env: Env, write: &str, race: usize) -> Env {
    Env { now: env.now, entropy: env.bytes32(&format!("account {write} {race}")) }
}

fn collection(name: &str) -> Result<Collection, Refusal> {
    Collection::new(name).map_err(|_| internal("a collection's name cannot be"))
}

/// Numbers in order are keys in order.
fn account_key(id: u64) -> Result<EntityKey, Refusal> {
    let entity = EntityId::from_bytes(u128::from(id).to_be_bytes());
    Ok(EntityKey { collection: collection("sys.sp.account")?, entity })
}

fn email_slot(email: &str) -> SlotKey {
    SlotKey([b"sp/email/", email.as_bytes()].concat().into())
}

/// A digest: ids may be long.
fn passkey_slot(id: &str) -> SlotKey {
    let digest = Digest::of(&[b"syncline/sp/passkey\0", id.as_bytes()]);
    SlotKey([&b"sp/passkey/"[..], digest.as_bytes()].concat().into())
}

/// The names that are an account's own.
fn slots(record: &AccountRecord) -> Vec<SlotKey> {
    let passkeys = record.passkeys.iter().map(|passkey| passkey_slot(&passkey.id));
    [email_slot(&record.email)].into_iter().chain(passkeys).collect()
}

fn read(record: &Record) -> Result<AccountRecord, Refusal> {
    serde_json::from_slice(&record.state)
        .map_err(|_| Refusal::new(ErrorCode::LogDamaged, "an account's record does not read"))
}

fn written(record: &AccountRecord) -> Result<Bytes, Refusal> {
    serde_json::to_vec(record).map(Bytes::from).map_err(|_| internal("an account's record does not write"))
}

fn busy() -> Refusal {
    Refusal::new(ErrorCode::Busy, "others change the same account")
}

fn internal(detail: &str) -> Refusal {
    Refusal::new(ErrorCode::Internal, detail)
}
