//! The ops that every question is asked with: like those of the app behind seed 004, about 300 canonical bytes, with
//! a clock of three entries, on a thousand entities, under ids made in time order.

use anyhow::Context as _;
use syncline::decide::{self, Upload, Uploaded};
use syncline::oplog::{
    Collection, ConflictPolicy, Draft, EntityKey, Op, OpKind, Payload, Precondition, Rules, Schema, Subject,
};
use syncline::store::{Store, StoreExt as _};
use syncline::{BucketId, Digest, EntityId, Env, Hlc, LogId, LogKey, OpId, ReplicaId, Timestamp, VectorClock};

const BEGUN_MS: u64 = 1_700_000_000_000;
const ENTITIES: u64 = 1_000;

/// The log with this number.
#[must_use]
pub fn log(number: u32) -> LogKey {
    let mut id = [0; 16];
    id[12..].copy_from_slice(&(number + 1).to_be_bytes());
    LogKey { bucket: BucketId::from_bytes([7; 16]), log: LogId::from_bytes(id) }
}

/// The world at some millisecond.
///
/// # Errors
/// After the year 10889.
pub fn env(at: u64) -> anyhow::Result<Env> {
    let now = Timestamp::from_ms(BEGUN_MS + at).context("a time out of range")?;
    Ok(Env { now, entropy: *Digest::of(&[&at.to_be_bytes()]).as_bytes() })
}

/// Every collection decided causally.
#[must_use]
pub fn schema() -> Schema {
    Schema::new(Rules::of(ConflictPolicy::Causal))
}

/// Somebody who writes one op after the other into one log.
#[derive(Debug, Clone)]
pub struct Author {
    replica: ReplicaId,
    clock: VectorClock,
    written: u64,
    first_entity: u64,
    number: u64,
}

impl Author {
    /// The only busy author of a log, and what must be in the log before: an op of each of two others that its
    /// clock names.
    ///
    /// # Errors
    /// Never: everything is within its limits.
    pub fn of_log() -> anyhow::Result<(Self, Vec<Op>)> {
        let mut author = Self::among(1);
        let mut before = Vec::new();
        for other in 2..=3 {
            let mut other = Self::among(other);
            before.extend(other.batch(1)?);
            author.clock.join(&other.clock)?;
        }
        author.first_entity = 0;
        Ok((author, before))
    }

    /// One of many authors of one log, each with entities of its own.
    #[must_use]
    pub const fn among(number: u64) -> Self {
        let mut id = [9; 16];
        id[0] = number.to_le_bytes()[0];
        let clock = VectorClock::new();
        Self { replica: ReplicaId::from_bytes(id), clock, written: 0, first_entity: number * ENTITIES, number }
    }

    /// The next ops.
    ///
    /// # Errors
    /// Never: everything is within its limits.
    pub fn batch(&mut self, ops: usize) -> anyhow::Result<Vec<Op>> {
        (0..ops).map(|_| self.op()).collect()
    }

    fn op(&mut self) -> anyhow::Result<Op> {
        self.written += 1;
        self.clock.set(self.replica, self.written)?;
        let at = BEGUN_MS + self.written / 100;
        let random = Digest::of(&[&self.number.to_be_bytes(), &self.written.to_be_bytes()]);
        let mut id = [0; 16];
        id[..6].copy_from_slice(&at.to_be_bytes()[2..]);
        id[6..8].copy_from_slice(&u16::try_from(self.written % 100)?.to_be_bytes());
        id[8..].copy_from_slice(&random.as_bytes()[..8]);
        let entity = self.first_entity + self.written % ENTITIES;
        let mut entity_id = [0; 16];
        entity_id.copy_from_slice(&Digest::of(&[b"entity", &entity.to_be_bytes()]).as_bytes()[..16]);
        let title = self.written;
        let json = format!(
            r#"{{"title":"Call the plumber about number {title}","projectId":"work-{entity}","isDone":false,"timeSpent":{title},"tagIds":["today","urgent"],"notes":"the tap still drips, ask for a quote first"}}"#
        );
        let draft = Draft {
            id: OpId::from_bytes(id),
            replica: self.replica,
            subject: Subject::Entity {
                key: EntityKey { collection: Collection::new("task")?, entity: EntityId::from_bytes(entity_id) },
                also: Vec::new(),
            },
            kind: OpKind::Update,
            clock: self.clock.clone(),
            hlc: Hlc { ms: Timestamp::from_ms(at).context("a time out of range")?, counter: 0 },
            schema_version: 1,
            precondition: Precondition::None,
            payload: Payload::Json(json.into_bytes().into()),
        };
        Ok(draft.seal()?)
    }
}

/// An upload of ops alone.
#[must_use]
pub fn upload(log: LogKey, ops: Vec<Op>) -> Upload {
    Upload { log, request: None, cursor: None, atomic: false, ops: ops.into() }
}

/// Pushes as a server does, less what the server adds to the store. Every op is accepted.
///
/// # Errors
/// When the store fails, or an op is not accepted.
pub async fn push(store: &dyn Store, upload: Upload, env: Env) -> anyhow::Result<u64> {
    let scope = decide::Scope::log(upload.log, upload.reads());
    let rules = schema();
    let uploaded = store.decide(scope, move |view| decide::upload(&upload, &rules, &env, view)).await?;
    match uploaded {
        Uploaded::Done { verdicts, .. } => {
            let lost = verdicts.iter().find(|verdict| verdict.seq().is_none());
            anyhow::ensure!(lost.is_none(), "an op was not accepted: {lost:?}");
            Ok(verdicts.len() as u64)
        }
        other => anyhow::bail!("not judged: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_are_about_300_bytes() {
        let (mut author, _) = Author::of_log().unwrap();
        let ops = author.batch(1_000).unwrap();
        assert!(ops.iter().all(|op| (280..340).contains(&op.bytes().len())), "{}", ops[0].bytes().len());
    }
}
