//! Challenges that wait for their answer: records of the store, so that any server may finish what another began.
//!
//! What must always hold: the deletion that takes a challenge is a compare and swap, so it is answered once with any
//! number of servers; it is found by itself, so nobody can put another in the place of somebody else's; and there are at
//! most [`PLACES`] of them, however many are asked for.
//!
//! Next: `party` makes them and reads what comes back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use syncline::call::{ErrorCode, Refusal};
use syncline::digest::Digest;
use syncline::id::{BucketId, EntityId};
use syncline::oplog::{Collection, EntityKey};
use syncline::server::{Expect, Record, RecordWrite, RecordWritten, Server};
use syncline::time::{Env, Timestamp};

use super::PasskeyError;
use super::party::Minted;
use crate::dialect::super_productivity::accounts::Accounts;
use crate::server::env;

/// How long an answer may take: 5 minutes.
pub(super) const VALID_MS: u64 = 5 * 60 * 1_000;
/// Challenges that wait at the same time at most: what two bytes name.
#[cfg(test)]
pub(super) const PLACES: usize = 1 << 16;
/// How often another challenge is made when the place of one is taken.
const TRIES: usize = 8;
/// Challenges looked up at once by the clean-up.
const PAGE: usize = 100;

/// What a challenge is for, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Asked {
    /// A new account of this address.
    Register(String),
    /// Signing in; the address that was typed.
    SignIn(String),
    /// The account whose link was opened.
    Recover(u64),
    /// One more passkey of the account that asks.
    Add(u64),
}

/// A challenge as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    asked: Asked,
    challenge: String,
    until: Timestamp,
    /// What the library wants back.
    state: Value,
}

/// The challenges of a bucket.
#[derive(Debug, Clone)]
pub(super) struct Challenges {
    server: Server,
    bucket: BucketId,
}

impl Accounts {
    pub(super) fn challenges(&self) -> Challenges {
        Challenges { server: self.server.clone(), bucket: self.records.bucket() }
    }

    /// Removes challenges that nobody answered in time. How many went.
    pub(crate) async fn sweep_challenges(&self, now: Timestamp) -> Result<u64, Refusal> {
        self.challenges().sweep(Env { now, entropy: env::random()? }).await
    }
}

impl Challenges {
    /// Makes a challenge that nobody waits on and keeps it. What the browser needs of it.
    pub(super) async fn ask(
        &self,
        asked: &Asked,
        env: Env,
        mut mint: impl FnMut() -> Result<Minted, PasskeyError> + Send,
    ) -> Result<Value, PasskeyError> {
        for attempt in 0..TRIES {
            let minted = mint()?;
            let waiting = Waiting {
                asked: asked.clone(),
                challenge: URL_SAFE_NO_PAD.encode(&minted.challenge),
                until: env.now.plus_ms(VALID_MS),
                state: minted.state,
            };
            let key = place(&minted.challenge)?;
            let found = self.server.record(self.bucket, &key).await?;
            let expect = match &found {
                None => Expect::Absent,
                Some(record) if waits(record, env.now) => continue,
                Some(record) => Expect::Version(record.version),
            };
            let state = serde_json::to_vec(&waiting).map_err(|_| internal("a challenge does not write"))?;
            let written = self.write(key, expect, Some(state.into()), again(env, "ask", attempt)).await?;
            if matches!(written, RecordWritten::Done(_)) {
                return Ok(minted.options);
            }
        }
        Err(PasskeyError::Busy)
    }

    /// What the library wants back for a challenge that was given for this; it is used then.
    pub(super) async fn take(&self, asked: &Asked, challenge: &[u8], env: Env) -> Result<Value, PasskeyError> {
        let key = place(challenge)?;
        let Some(found) = self.server.record(self.bucket, &key).await? else { return Err(PasskeyError::Challenge) };
        let waiting = read(&found)?;
        let ours = waiting.challenge == URL_SAFE_NO_PAD.encode(challenge) && waiting.asked == *asked;
        if !ours || env.now >= waiting.until {
            return Err(PasskeyError::Challenge);
        }
        match self.write(key, Expect::Version(found.version), None, again(env, "take", 0)).await? {
            RecordWritten::Done(_) => Ok(waiting.state),
            // Somebody else answered it meanwhile.
            _ => Err(PasskeyError::Challenge),
        }
    }

    async fn sweep(&self, env: Env) -> Result<u64, Refusal> {
        let (mut after, mut gone) = (None, 0);
        loop {
            let page = self.server.records(self.bucket, &collection()?, after.as_ref(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(gone) };
            after = Some(last.clone());
            for (at, (key, record)) in page.into_iter().enumerate() {
                if waits(&record, env.now) {
                    continue;
                }
                let env = again(env, &format!("sweep {gone}"), at);
                let written = self.write(key, Expect::Version(record.version), None, env).await?;
                gone += u64::from(matches!(written, RecordWritten::Done(_)));
            }
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) async fn count(&self) -> usize {
        let found = self.server.records(self.bucket, &collection().unwrap(), None, PLACES).await;
        found.unwrap().len()
    }

    async fn write(
        &self,
        key: EntityKey,
        expect: Expect,
        state: Option<Bytes>,
        env: Env,
    ) -> Result<RecordWritten, Refusal> {
        let write = RecordWrite { key, expect, state, take: Vec::new(), release: Vec::new() };
        self.server.write_record(self.bucket, write, env).await
    }
}

/// Where a challenge is kept. Challenges are random, so nobody can aim at the place of another.
fn place(challenge: &[u8]) -> Result<EntityKey, Refusal> {
    let digest = Digest::of(&[b"syncline/sp/challenge\0", challenge]);
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&digest.as_bytes()[..2]);
    Ok(EntityKey { collection: collection()?, entity: EntityId::from_bytes(bytes) })
}

fn collection() -> Result<Collection, Refusal> {
    Collection::new("sys.sp.challenge").map_err(|_| internal("a collection's name cannot be"))
}

fn read(record: &Record) -> Result<Waiting, Refusal> {
    serde_json::from_slice(&record.state).map_err(|_| Refusal::new(ErrorCode::LogDamaged, "a challenge does not read"))
}

/// One that does not read waits for nobody.
fn waits(record: &Record, now: Timestamp) -> bool {
    read(record).is_ok_and(|waiting| now < waiting.until)
}

/// Randomness of one attempt at one write: ids that another one minted are not minted again.
fn again(env: Env, write: &str, attempt: usize) -> Env {
    Env { now: env.now, entropy: env.bytes32(&format!("challenge {write} {attempt}")) }
}

fn internal(detail: &str) -> Refusal {
    Refusal::new(ErrorCode::Internal, detail)
}
