//! Where tokens are kept, and answers from memory.

use super::{Choice, View};
use crate::digest::Digest;
use crate::id::{EntityId, GroupId, LogKey, RequestId, TokenId};
use crate::oplog::{Collection, EntityKey, Verdict};
use crate::seq::Cursor;

/// The record of a bearer token: looked up at each call; its ops are the audit trail of who was let in.
#[must_use]
pub fn token_key(token: TokenId) -> EntityKey {
    EntityKey { collection: token_records(), entity: EntityId::from_bytes(*token.as_bytes()) }
}

/// The records of bearer tokens.
#[must_use]
pub fn token_records() -> Collection {
    Collection::system("sys.token")
}

/// The record of a group.
#[must_use]
pub fn group_key(group: GroupId) -> EntityKey {
    EntityKey { collection: group_records(), entity: EntityId::from_bytes(*group.as_bytes()) }
}

/// The records of groups.
#[must_use]
pub fn group_records() -> Collection {
    Collection::system("sys.group")
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
