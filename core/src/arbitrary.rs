//! Proptest strategies for the types that tests of other crates need: any value that the type allows, small ones often.
//! Not covered by semver.
//!
//! What must hold: every value that a strategy makes is one that the constructors accept, and edges of ranges come
//! up far more often than chance would bring them.

use proptest::array::{uniform16, uniform32};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use crate::clock::VectorClock;
use crate::digest::Digest;
use crate::id::{EntityId, OpId, ReplicaId};
use crate::limits;
use crate::oplog::{Collection, Draft, EntityKey, FullStateKind, Op, OpKind, Payload, Precondition, Subject};
use crate::seq::{Anchor, Cursor, Origin, Seq};
use crate::time::{Hlc, Timestamp};

/// A whole number up to `max`: its ends, small ones, any.
fn number(max: u64) -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 1 => Just(max), 1 => Just(max - 1), 4 => 0..=16.min(max), 3 => 0..=max]
}

/// Any time.
pub fn timestamp() -> impl Strategy<Value = Timestamp> {
    number(Timestamp::MAX.ms()).prop_map(|ms| Timestamp::from_ms(ms).unwrap_or(Timestamp::MAX))
}

/// Any hybrid logical clock reading.
pub fn hlc() -> impl Strategy<Value = Hlc> {
    let counter = prop_oneof![Just(0), Just(u16::MAX), Just(u16::MAX - 1), any::<u16>()];
    (timestamp(), counter).prop_map(|(ms, counter)| Hlc { ms, counter })
}

/// Any position, [`Seq::ZERO`] and [`Seq::MAX`] included.
pub fn seq() -> impl Strategy<Value = Seq> {
    number(Seq::MAX.get()).prop_map(|seq| Seq::new(seq).unwrap_or(Seq::MAX))
}

/// Any anchor.
pub fn anchor() -> impl Strategy<Value = Anchor> {
    (uniform16(any::<u8>()), uniform32(any::<u8>()))
        .prop_map(|(origin, hash)| Anchor { origin: Origin(origin), hash: Digest::from_bytes(hash) })
}

/// Any cursor, with and without an anchor.
pub fn cursor() -> impl Strategy<Value = Cursor> {
    (seq(), prop::option::of(anchor())).prop_map(|(seq, anchor)| Cursor { seq, anchor })
}

/// A replica: one of a handful, so that two clocks meet.
pub fn replica() -> impl Strategy<Value = ReplicaId> {
    (1..=6_u8).prop_map(|number| ReplicaId::from_bytes([number; 16]))
}

/// A clock over the replicas of [`replica`].
pub fn clock() -> impl Strategy<Value = VectorClock> {
    btree_map(replica(), number(limits::CLOCK_COUNTER_MAX), 0..6).prop_map(|entries| {
        let mut clock = VectorClock::new();
        for (replica, counter) in entries {
            // Both limits are kept by the strategy itself.
            let _ = clock.set(replica, counter);
        }
        clock
    })
}

fn entity() -> impl Strategy<Value = EntityId> {
    uniform16(any::<u8>()).prop_map(EntityId::from_bytes)
}

fn kind() -> impl Strategy<Value = OpKind> {
    let known = prop::sample::select(vec![
        OpKind::Create,
        OpKind::Update,
        OpKind::Delete,
        OpKind::Move,
        OpKind::Batch,
        OpKind::FullState(FullStateKind::Initial),
        OpKind::FullState(FullStateKind::Recovery),
        OpKind::FullState(FullStateKind::Repair),
    ]);
    prop_oneof![8 => known, 1 => any::<u8>().prop_map(OpKind::from_code)]
}

fn subject() -> impl Strategy<Value = Subject> {
    let name = "[A-Za-z0-9._-]{1,64}".prop_filter_map("not a name", |name| Collection::new(&name).ok());
    (name, btree_set(entity(), 1..4)).prop_map(|(collection, entities)| {
        let mut entities = entities.into_iter();
        let entity = entities.next().unwrap_or(EntityId::from_bytes([0; 16]));
        Subject::Entity { key: EntityKey { collection, entity }, also: entities.collect() }
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    let json = prop::sample::select(vec!["null", "{}", "{\"a\":1,\"b\":[true,\"x\"]}", "-0", "\"\\u0000\"", "1e2"]);
    let bytes = || vec(any::<u8>(), 0..64);
    prop_oneof![
        json.prop_map(|text| Payload::Json(text.into())),
        bytes().prop_map(|bytes| Payload::Plain(bytes.into())),
        bytes().prop_map(|bytes| Payload::Sealed(bytes.into())),
    ]
}

fn precondition() -> impl Strategy<Value = Precondition> {
    prop_oneof![
        Just(Precondition::None),
        Just(Precondition::Absent),
        seq().prop_map(|seq| Precondition::Version(seq.max(Seq::FIRST))),
    ]
}

/// A draft that seals: full states about the log, everything else about one to three entities.
pub fn draft() -> impl Strategy<Value = Draft> {
    let version = prop_oneof![Just(1), Just(limits::SCHEMA_VERSION_MAX), 1..=limits::SCHEMA_VERSION_MAX];
    let what = (uniform16(any::<u8>()), kind(), subject(), payload());
    let when = (replica(), clock(), hlc(), version, precondition());
    (what, when).prop_map(|((id, kind, subject, payload), (replica, clock, hlc, schema_version, precondition))| {
        let subject = if matches!(kind, OpKind::FullState(_)) { Subject::Log } else { subject };
        let id = OpId::from_bytes(id);
        Draft { id, replica, subject, kind, clock, hlc, schema_version, precondition, payload }
    })
}

/// A sealed op.
pub fn op() -> impl Strategy<Value = Op> {
    draft().prop_filter_map("a draft that does not seal", |draft| draft.seal().ok())
}
