//! Counters that a log's history spent on ops that are not in it.
//!
//! An op that lost a conflict is not in the log, but its author's counter was spent on it, and the ops after it count on
//! that. So a history is not pushed again by pushing its ops: the op after the missing one would skip a counter and be
//! rejected. Where each missing one was goes an op that must lose, because it asks for a version that no entity ever has.
//! It spends the counter and leaves nothing else.
//!
//! What must hold: a counter is filled only where an op of the same history names it; whoever holds that op knows that
//! nothing else can come under it. So whoever brings in a second form of ops must see to it that a copy which holds ops it
//! cannot read, and so cannot offer again, fills nothing: their counters would look spent here and are not.

use bytes::Bytes;

use super::desk::{Item, Sent};
use super::error::ReplicaError;
use super::gate::lock;
use super::replica::Inner;
use crate::clock::VectorClock;
use crate::id::{EntityId, OpId, ReplicaId};
use crate::limits;
use crate::oplog::{Collection, Draft, EntityKey, Op, OpBytes, OpKind, Payload, Precondition, Subject};
use crate::seal::EnvelopeHead;
use crate::seq::Seq;
use crate::store::StoreExt as _;
use crate::time::Env;

/// The counters, in order, that have to be spent in a log that has seen `known` before it can take `op`.
pub fn unspent(known: &VectorClock, op: &Op) -> impl Iterator<Item = (ReplicaId, u64)> {
    op.clock().iter().flat_map(move |(replica, counter)| {
        let upto = if replica == op.replica() { counter.saturating_sub(1) } else { counter };
        (known.get(replica).saturating_add(1)..=upto).map(move |counter| (replica, counter))
    })
}

/// An op under this id that spends one counter, for a log that takes `next` after it; `None` where no clock holds the
/// counter.
#[must_use]
pub fn spend(replica: ReplicaId, counter: u64, next: &Op, id: OpId) -> Option<Op> {
    let collection = match next.subject() {
        Subject::Entity { key, .. } => key.collection.clone(),
        Subject::Log => Collection::new("spent").ok()?,
    };
    let mut clock = VectorClock::new();
    clock.set(replica, counter).ok()?;
    let entity = EntityId::from_bytes(*id.as_bytes());
    let draft = Draft {
        id,
        replica,
        subject: Subject::Entity { key: EntityKey { collection, entity }, also: Vec::new() },
        kind: OpKind::Update,
        clock,
        hlc: next.hlc(),
        schema_version: 1,
        precondition: Precondition::Version(Seq::MAX),
        payload: like(next.payload()),
    };
    draft.seal().ok()
}

impl Inner {
    /// A batch of ops that are offered again, with the counters spent that they count on. What then is too much for one
    /// batch waits; so does an atomic batch, which takes nothing that must lose.
    pub(super) async fn filled(&self, sent: Sent, env: &Env) -> Result<Sent, ReplicaError> {
        // Beside a log begun anew the copy's clock says nothing, and a partial copy does not hold what others wrote.
        let spent = {
            let memory = lock(&self.memory);
            if memory.identity.renew || memory.identity.part.is_some() {
                return Ok(sent);
            }
            memory.spent.clone()
        };
        let mut known = self.store.bounds(self.places.mirror).await?.map(|bounds| bounds.clock).unwrap_or_default();
        let _ = known.join(&spent);
        let (mut items, mut bytes) = (Vec::with_capacity(sent.items.len()), 0);
        for item in sent.items {
            let op = item.op.read().map_err(ReplicaError::Corrupt)?;
            let seeds = op.full_state().is_some();
            let missing = unspent(&known, &op).filter(|_| !seeds).take(limits::BATCH_OPS_MAX);
            let id = |replica: ReplicaId, counter: u64| {
                OpId::from_bytes(env.uuid7(&format!("spent {replica} {counter} before {}", op.id())))
            };
            let fill = |(replica, counter)| spend(replica, counter, &op, id(replica, counter));
            let fillers: Vec<OpBytes> = missing.filter_map(fill).map(|op| op.raw().clone()).collect();
            if sent.atomic && !fillers.is_empty() {
                let items = fillers.into_iter().map(Item::filler).collect();
                return Ok(Sent { atomic: false, items, ..sent });
            }
            let more = item.op.bytes().len() + fillers.iter().map(|op| op.bytes().len()).sum::<usize>();
            let count = items.len() + fillers.len() + 1;
            if !sent.atomic && (count > limits::BATCH_OPS_MAX || bytes + more > limits::BATCH_BYTES_MAX) {
                if items.is_empty() {
                    items.extend(fillers.into_iter().map(Item::filler));
                }
                break;
            }
            bytes += more;
            let _ = known.join(op.clock());
            items.extend(fillers.into_iter().map(Item::filler));
            items.push(item);
        }
        Ok(Sent { items, ..sent })
    }
}

/// A payload that a log takes where it takes this one: sealed if it is, under the same key epoch. Nobody will open it.
fn like(payload: &Payload) -> Payload {
    match payload {
        Payload::Sealed(sealed) => {
            let head = EnvelopeHead::read(sealed).map(EnvelopeHead::to_bytes);
            Payload::Sealed(head.map_or_else(Bytes::new, |head| Bytes::copy_from_slice(&head)))
        }
        _ => Payload::Json(Bytes::from_static(b"null")),
    }
}
