//! A replica as tests need one: it counts its ops and remembers what it has seen.

use bytes::Bytes;

use crate::clock::VectorClock;
use crate::id::{EntityId, OpId, ReplicaId};
use crate::oplog::{Collection, Draft, EntityKey, FullStateKind, Op, OpKind, Payload, Precondition, Subject};
use crate::time::{Hlc, Timestamp};

/// An author of ops.
#[derive(Debug, Clone)]
pub struct Author {
    replica: ReplicaId,
    clock: VectorClock,
    minted: u64,
}

impl Author {
    /// The author with this number, never 0.
    #[must_use]
    pub fn new(number: u8) -> Self {
        Self { replica: ReplicaId::from_bytes([number; 16]), clock: VectorClock::new(), minted: 0 }
    }

    /// Its replica.
    #[must_use]
    pub const fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// What it has seen.
    #[must_use]
    pub const fn clock(&self) -> &VectorClock {
        &self.clock
    }

    /// Has now seen all that `other` has.
    pub fn sees(&mut self, other: &VectorClock) {
        self.clock.join(other).expect("few replicas");
    }

    /// Writes with this counter next, whatever came before.
    pub fn counter_is(&mut self, counter: u64) {
        self.clock.set(self.replica, counter).expect("a small counter");
    }

    /// A draft with the next counter.
    pub fn draft(&mut self, kind: OpKind, subject: Subject, payload: Payload) -> Draft {
        self.minted += 1;
        self.counter_is(self.clock.get(self.replica) + 1);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.replica.as_bytes()[..8]);
        id[8..].copy_from_slice(&self.minted.to_be_bytes());
        Draft {
            id: OpId::from_bytes(id),
            replica: self.replica,
            subject,
            kind,
            clock: self.clock.clone(),
            hlc: Hlc { ms: Timestamp::from_ms(1_700_000_000_000 + self.minted).expect("in range"), counter: 0 },
            schema_version: 1,
            precondition: Precondition::None,
            payload,
        }
    }

    /// An op on one entity.
    pub fn op(&mut self, kind: OpKind, collection: &str, entity: u8, payload: &str) -> Op {
        self.op_if(kind, collection, entity, payload, Precondition::None)
    }

    /// An op on one entity with a precondition.
    pub fn op_if(&mut self, kind: OpKind, collection: &str, entity: u8, payload: &str, when: Precondition) -> Op {
        let payload = Payload::Plain(Bytes::copy_from_slice(payload.as_bytes()));
        let draft = self.draft(kind, entity_subject(collection, entity), payload);
        Draft { precondition: when, ..draft }.seal().expect("a good draft")
    }

    /// A full-state op.
    pub fn full_state(&mut self, kind: FullStateKind, payload: Bytes, when: Precondition) -> Op {
        let draft = self.draft(OpKind::FullState(kind), Subject::Log, Payload::Plain(payload));
        Draft { precondition: when, ..draft }.seal().expect("a good draft")
    }
}

/// The subject of an op on one entity.
#[must_use]
pub fn entity_subject(collection: &str, entity: u8) -> Subject {
    Subject::Entity { key: entity_key(collection, entity), also: Vec::new() }
}

/// The key of one entity.
#[must_use]
pub fn entity_key(collection: &str, entity: u8) -> EntityKey {
    let collection = Collection::new(collection).expect("a good name");
    EntityKey { collection, entity: EntityId::from_bytes([entity; 16]) }
}
