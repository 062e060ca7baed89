//! Nothing around a sealed payload can be changed: each field of its op, of its snapshot and of its log is bound.

use syncline::conformance::author::{Author, entity_subject};
use syncline::conformance::support::{env, log};
use syncline::oplog::{Draft, OpKind, Payload, Precondition, Subject};
use syncline::seal::{OpenError, SealContext, open, seal};
use syncline::{Anchor, BucketId, EntityId, Hlc, LogKey, OpId, Origin, ReplicaId, Seq, VectorClock};

use crate::common::seq;
use crate::{keyring, vectors};

type Change = fn(&mut Draft);

/// Every field of a draft but its payload, each in every way it can differ.
const CHANGES: &[(&str, Change)] = &[
    ("id", |draft| draft.id = OpId::from_bytes([9; 16])),
    ("replica", |draft| draft.replica = ReplicaId::from_bytes([9; 16])),
    ("kind", |draft| draft.kind = OpKind::Update),
    ("an unknown kind", |draft| draft.kind = OpKind::Other(200)),
    ("collection", |draft| draft.subject = entity_subject("others", 1)),
    ("entity", |draft| {
        if let Subject::Entity { key, .. } = &mut draft.subject {
            key.entity = EntityId::from_bytes([9; 16]);
        }
    }),
    ("an entity less", |draft| {
        if let Subject::Entity { also, .. } = &mut draft.subject {
            also.pop();
        }
    }),
    ("an entity more", |draft| {
        if let Subject::Entity { also, .. } = &mut draft.subject {
            also.push(EntityId::from_bytes([9; 16]));
        }
    }),
    ("subject", |draft| (draft.subject, draft.kind) = (Subject::Log, OpKind::Other(200))),
    ("its counter", |draft| draft.clock.set(draft.replica, 2).expect("in range")),
    ("another's counter", |draft| draft.clock.set(ReplicaId::from_bytes([2; 16]), 2).expect("in range")),
    ("clock", |draft| draft.clock = VectorClock::new()),
    ("time", |draft| draft.hlc = Hlc { ms: draft.hlc.ms.plus_ms(1), counter: 0 }),
    ("time's counter", |draft| draft.hlc.counter = 1),
    ("schema version", |draft| draft.schema_version = 2),
    ("precondition", |draft| draft.precondition = Precondition::Version(seq(8))),
    ("another precondition", |draft| draft.precondition = Precondition::Absent),
    ("no precondition", |draft| draft.precondition = Precondition::None),
];

#[test]
fn no_field_of_an_op_can_be_changed_around_its_payload() {
    let op = vectors::draft();
    let plain = Payload::Plain("x".into());
    let sealed = seal(&keyring(), &SealContext::of_op(log(1), &op), &plain, &env(1)).expect("seals");
    for (name, change) in CHANGES {
        let mut draft = op.draft().clone();
        change(&mut draft);
        let context = SealContext::of_draft(log(1), &draft);
        assert_eq!(open(&keyring(), &context, &sealed), Err(OpenError::Tampered), "{name} was changed");
        let moved = Draft { payload: sealed.clone(), ..draft }.seal().expect("a good draft");
        assert_eq!(open(&keyring(), &SealContext::of_op(log(1), &moved), &sealed), Err(OpenError::Tampered), "{name}");
    }
    let op_context = |log| SealContext::of_op(log, &op);
    for log in [log(2), LogKey { bucket: BucketId::from_bytes([9; 16]), ..log(1) }] {
        assert_eq!(open(&keyring(), &op_context(log), &sealed), Err(OpenError::Tampered), "moved to {log:?}");
    }
    assert_eq!(open(&keyring(), &vectors::snapshot_context(), &sealed), Err(OpenError::Tampered), "as a snapshot");
    assert_eq!(open(&keyring(), &op_context(log(1)), &sealed), Ok(plain));
}

/// Every known field is in the list above: one that is added must be bound, too.
#[test]
fn a_drafts_fields_are_all_bound() {
    let Draft { id, replica, subject, kind, clock, hlc, schema_version, precondition, payload: _ } =
        vectors::draft().draft().clone();
    // Names its fields one by one, so that a new one does not compile until it is thought of.
    drop((id, replica, subject, kind, clock, hlc, schema_version, precondition));
    let mut changed = Author::new(1).draft(OpKind::Create, entity_subject("things", 1), Payload::Plain("a".into()));
    let context = SealContext::of_draft(log(1), &changed);
    changed.payload = Payload::Json("1".into());
    assert_eq!(
        SealContext::of_draft(log(1), &changed),
        context,
        "the payload is what is sealed, not what it is bound to"
    );
}

#[test]
fn no_field_of_a_snapshot_can_be_changed_around_its_payload() {
    let plain = Payload::Plain("state".into());
    let clock = vectors::draft().clock().clone();
    let anchor = |origin| Anchor::genesis(log(1), Origin([origin; 16]));
    let sealed = seal(&keyring(), &vectors::snapshot_context(), &plain, &env(1)).expect("seals");
    let context = |log, at: u64, origin, clock: &VectorClock, version| {
        SealContext::of_snapshot(log, Seq::new(at).expect("in range"), anchor(origin), clock, version)
    };
    assert_eq!(open(&keyring(), &context(log(1), 9, 4, &clock, 3), &sealed), Ok(plain));
    let none = VectorClock::new();
    let changed = [
        context(log(2), 9, 4, &clock, 3),
        context(log(1), 8, 4, &clock, 3),
        context(log(1), 9, 5, &clock, 3),
        context(log(1), 9, 4, &none, 3),
        context(log(1), 9, 4, &clock, 4),
        SealContext::of_op(log(1), &vectors::draft()),
    ];
    for changed in changed {
        assert_eq!(open(&keyring(), &changed, &sealed), Err(OpenError::Tampered), "{changed:?}");
    }
}
