//! Rules of a bucket's system log, and answers from memory.
//!
//! A bearer token is an entity of `sys.token`: its head is looked up at each call, its ops are the audit trail of
//! who was let in.

use super::{Choice, LogWrites, View};
use crate::clock::VectorClock;
use crate::digest::Digest;
use crate::id::{BucketId, EntityId, LogId, LogKey, OpId, ReplicaId, RequestId, TokenId};
use crate::oplog::{
    Collection, DraftError, EntityKey, Head, HeadState, LogBounds, LoggedOp, OpKind, Payload, Precondition, Subject,
    Verdict,
};
use crate::seq::{Cursor, Origin, Seq};
use crate::time::{Env, Hlc};

/// Where a token is kept.
#[must_use]
pub fn token_key(token: TokenId) -> EntityKey {
    EntityKey { collection: Collection::system("sys.token"), entity: EntityId::from_bytes(*token.as_bytes()) }
}

/// Writes a token's record, JSON text that the access layer understands.
///
/// # Errors
/// When the record is not acceptable as a payload.
pub fn save_token(
    bucket: BucketId,
    token: TokenId,
    record: &bytes::Bytes,
    env: &Env,
    view: &View,
) -> Result<Choice<Seq>, DraftError> {
    write_system(bucket, token, OpKind::Create, record, env, view)
}

/// Ends a token; ending it twice is no error.
///
/// # Errors
/// Never for the empty payload it writes; the type is that of writing a record.
pub fn revoke_token(bucket: BucketId, token: TokenId, env: &Env, view: &View) -> Result<Choice<Seq>, DraftError> {
    write_system(bucket, token, OpKind::Delete, &bytes::Bytes::from_static(b"null"), env, view)
}

fn write_system(
    bucket: BucketId,
    token: TokenId,
    kind: OpKind,
    payload: &bytes::Bytes,
    env: &Env,
    view: &View,
) -> Result<Choice<Seq>, DraftError> {
    let log = LogKey { bucket, log: LogId::SYSTEM };
    let key = token_key(token);
    let mut bounds = match &view.log(log).bounds {
        Some(bounds) => bounds.clone(),
        None => LogBounds::new(log, Origin(env.bytes16("origin")), env.now),
    };
    let op = crate::oplog::Draft {
        id: OpId::from_bytes(env.uuid7("system op")),
        replica: ReplicaId::SERVER,
        subject: Subject::Entity { key: key.clone(), also: Vec::new() },
        kind,
        clock: VectorClock::new(),
        hlc: Hlc { ms: env.now, counter: 0 },
        schema_version: 1,
        precondition: Precondition::None,
        payload: Payload::Json(payload.clone()),
    }
    .seal()?;
    let Some(seq) = bounds.last.next() else {
        return Ok(Choice::Done(bounds.last, None));
    };
    let state = match kind {
        OpKind::Delete => HeadState::Tombstone(env.now),
        _ => HeadState::Live(Some(payload.clone())),
    };
    let head = Head { version: seq, op: op.id(), replica: op.replica(), clock: VectorClock::new(), state };
    bounds.tip = bounds.tip.extend(op.digest());
    bounds.last = seq;
    bounds.bytes += op.bytes().len() as u64;
    let logged = LoggedOp { seq, anchor: bounds.tip, accepted_at: env.now, batch_rest: 0, op: op.raw().clone() };
    let writes = LogWrites { ops: vec![logged], heads: vec![(key, head)], ..LogWrites::new(log, bounds) };
    Ok(Choice::Done(seq, Some(writes.alone())))
}

/// What is remembered of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own answer")]
pub enum Recalled {
    /// Nothing: do the work.
    Nothing,
    /// The answer: verdicts, and the end of the log then.
    Answer(Vec<Verdict>, Cursor),
    /// The id was used for something else.
    Reused,
}

/// The remembered answer of a request, before any work is done for it. Needs the receipt in its reads.
#[must_use]
pub fn recall(log: LogKey, request: RequestId, fingerprint: Digest, view: &View) -> Choice<Recalled> {
    let recalled = match view.log(log).receipts.get(&request) {
        None => Recalled::Nothing,
        Some(receipt) if receipt.fingerprint != fingerprint => Recalled::Reused,
        Some(receipt) => super::upload::decode_answer(receipt)
            .map_or(Recalled::Reused, |(verdicts, end)| Recalled::Answer(verdicts, end)),
    };
    Choice::Done(recalled, None)
}
