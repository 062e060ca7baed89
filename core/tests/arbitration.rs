//! The whole of `arbitrate`, as one table: every policy, head, causality and precondition, for every kind and author.
//!
//! How: each row of `arbitration.golden` is one combination of the first four; its last column says the ruling, and
//! where kind or author matter, for which. Causality is the op's clock against the head's, or against the full
//! state's where that has superseded the head. The table is compared whole, so a changed rule shows every row it
//! changed. The causal policy's live column is the decision table of seed 004.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each proof uses its part")]
mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::{golden, seq};
use syncline::oplog::{
    Collection, ConflictPolicy, Draft, EntityKey, FullStateMark, Head, HeadState, Op, OpKind, Payload, Precondition,
    Ruling, Subject, arbitrate,
};
use syncline::{Causality, EntityId, Hlc, OpId, ReplicaId, Seq, Timestamp, VectorClock};

const HEAD: u64 = 7;
const FULL_STATE: u64 = 9;
const POLICIES: [(&str, ConflictPolicy); 4] = [
    ("causal", ConflictPolicy::Causal),
    ("merge", ConflictPolicy::Merge),
    ("precondition", ConflictPolicy::Precondition),
    ("append", ConflictPolicy::Append),
];
const HEADS: [&str; 4] = ["none", "live", "tombstone", "superseded"];
const CAUSALITIES: [(&str, Causality); 4] = [
    ("equal", Causality::Equal),
    ("before", Causality::Before),
    ("after", Causality::After),
    ("concurrent", Causality::Concurrent),
];
const PRECONDITIONS: [&str; 4] = ["none", "absent", "version fits", "version other"];
const KINDS: [(&str, OpKind); 6] = [
    ("create", OpKind::Create),
    ("update", OpKind::Update),
    ("delete", OpKind::Delete),
    ("move", OpKind::Move),
    ("batch", OpKind::Batch),
    ("other", OpKind::Other(99)),
];
const AUTHORS: [(&str, u8); 2] = [("same author", 1), ("other author", 2)];

fn replica(number: u8) -> ReplicaId {
    ReplicaId::from_bytes([number; 16])
}

fn clock(one: u64, two: u64) -> VectorClock {
    let mut clock = VectorClock::new();
    clock.set(replica(1), one).expect("a small counter");
    clock.set(replica(2), two).expect("a small counter");
    clock
}

/// What the op is compared with.
fn reference() -> VectorClock {
    clock(5, 3)
}

fn clock_that_is(causality: Causality) -> VectorClock {
    let clock = match causality {
        Causality::Equal => reference(),
        Causality::Before => clock(4, 3),
        Causality::After => clock(6, 4),
        Causality::Concurrent => clock(4, 4),
    };
    assert_eq!(clock.compare(&reference()), causality);
    clock
}

fn head(state: HeadState, clock: VectorClock) -> Head {
    Head { version: seq(HEAD), op: OpId::from_bytes([7; 16]), replica: replica(1), clock, state }
}

fn full_state(at: u64, clock: VectorClock) -> FullStateMark {
    FullStateMark { seq: seq(at), op: OpId::from_bytes([9; 16]), seen: clock.clone(), clock }
}

/// The head and the newest full state of a situation.
fn situation(name: &str) -> (Option<Head>, Option<FullStateMark>) {
    let since = Timestamp::from_ms(1_700_000_000_000).expect("in range");
    match name {
        "none" => (None, None),
        "live" => (Some(head(HeadState::Live(None), reference())), None),
        "tombstone" => (Some(head(HeadState::Tombstone(since), reference())), None),
        _ => (Some(head(HeadState::Live(None), clock(2, 1))), Some(full_state(FULL_STATE, reference()))),
    }
}

fn precondition(name: &str, situation: &str) -> Precondition {
    let version = if situation == "superseded" { FULL_STATE } else { HEAD };
    match name {
        "none" => Precondition::None,
        "absent" => Precondition::Absent,
        "version fits" => Precondition::Version(seq(version)),
        _ => Precondition::Version(seq(version + 1)),
    }
}

fn op(kind: OpKind, author: u8, clock: VectorClock, precondition: Precondition) -> Op {
    let collection = Collection::new("things").expect("a good name");
    let key = EntityKey { collection, entity: EntityId::from_bytes([3; 16]) };
    let draft = Draft {
        id: OpId::from_bytes([8; 16]),
        replica: replica(author),
        subject: Subject::Entity { key, also: Vec::new() },
        kind,
        clock,
        hlc: Hlc::default(),
        schema_version: 1,
        precondition,
        payload: Payload::Plain(Bytes::new()),
    };
    draft.seal().expect("a good draft")
}

fn name(ruling: Ruling) -> String {
    match ruling {
        Ruling::Accept => "accept".to_owned(),
        Ruling::Conflict(reason) => format!("conflict {}", reason.name()),
        Ruling::Reject(reason) => format!("reject {}", reason.name()),
    }
}

/// Every kind and author of one row.
fn rulings(policy: ConflictPolicy, at: &str, causality: Causality, when: &str) -> BTreeMap<(usize, usize), String> {
    let (head, mark) = situation(at);
    let mut rulings = BTreeMap::new();
    for (kind_index, (_, kind)) in KINDS.iter().enumerate() {
        for (author_index, (_, author)) in AUTHORS.iter().enumerate() {
            let op = op(*kind, *author, clock_that_is(causality), precondition(when, at));
            let ruling = arbitrate(policy, head.as_ref(), mark.as_ref(), &op);
            rulings.insert((kind_index, author_index), name(ruling));
        }
    }
    rulings
}

/// One ruling when it is always the same, else one per author or per group of kinds.
fn summary(rulings: &BTreeMap<(usize, usize), String>) -> String {
    let by = |key: &dyn Fn(usize, usize) -> String| {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for ((kind, author), ruling) in rulings {
            let label = key(*kind, *author);
            match groups.iter_mut().find(|(known, _)| known == ruling) {
                Some((_, labels)) if labels.contains(&label) => {}
                Some((_, labels)) => labels.push(label),
                None => groups.push((ruling.clone(), vec![label])),
            }
        }
        groups
    };
    let distinct = |groups: &[(String, Vec<String>)]| {
        let labels: Vec<&String> = groups.iter().flat_map(|(_, labels)| labels).collect();
        labels.iter().enumerate().all(|(index, label)| !labels[..index].contains(label))
    };
    let text = |groups: Vec<(String, Vec<String>)>| {
        let parts = groups.iter().map(|(ruling, labels)| format!("{}: {ruling}", labels.join(", ")));
        parts.collect::<Vec<_>>().join("; ")
    };
    let (authors, kinds) = (by(&|_, author| AUTHORS[author].0.to_owned()), by(&|kind, _| KINDS[kind].0.to_owned()));
    match authors.as_slice() {
        [(ruling, _)] => ruling.clone(),
        _ if distinct(&authors) => text(authors),
        _ if distinct(&kinds) => text(kinds),
        _ => text(by(&|kind, author| format!("{} by {}", KINDS[kind].0, AUTHORS[author].0))),
    }
}

#[test]
fn every_combination_has_the_ruling_of_the_table() {
    let mut table = String::from(
        "# policy      head        causality   precondition   ruling\n\
         # Causality: the op's clock against the head's; against the full state's where the head is superseded;\n\
         # without meaning where there is no head. `version fits` names a version that does not exist where there is\n\
         # no head. Kinds: create, update, delete, move, batch, other (a kind from a newer author).\n",
    );
    for (policy_name, policy) in POLICIES {
        for at in HEADS {
            table += "\n";
            for (causality_name, causality) in CAUSALITIES {
                for when in PRECONDITIONS {
                    let ruling = summary(&rulings(policy, at, causality, when));
                    table += &format!("{policy_name:<14}{at:<12}{causality_name:<12}{when:<15}{ruling}\n");
                }
            }
        }
    }
    golden("arbitration.golden", &table);
}

/// Calls `check` with every policy, head, causality, precondition, kind and author.
fn for_every_row(mut check: impl FnMut(ConflictPolicy, &str, &Op)) {
    for (_, policy) in POLICIES {
        for at in HEADS {
            for (_, causality) in CAUSALITIES {
                for when in PRECONDITIONS {
                    for (_, kind) in KINDS {
                        for (_, author) in AUTHORS {
                            check(policy, at, &op(kind, author, clock_that_is(causality), precondition(when, at)));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_superseded_head_and_no_head_are_ruled_alike_under_a_full_state() {
    let mark = full_state(FULL_STATE, reference());
    for_every_row(|policy, _, op| {
        let (old, _) = situation("superseded");
        let with_head = arbitrate(policy, old.as_ref(), Some(&mark), op);
        assert_eq!(arbitrate(policy, None, Some(&mark), op), with_head, "{policy:?} {op:?}");
    });
}

#[test]
fn a_full_state_older_than_the_head_changes_no_ruling() {
    let older = full_state(HEAD - 1, clock(9, 9));
    for_every_row(|policy, at, op| {
        let (head, _) = situation(at);
        if at == "live" || at == "tombstone" {
            let ruling = arbitrate(policy, head.as_ref(), None, op);
            assert_eq!(arbitrate(policy, head.as_ref(), Some(&older), op), ruling, "{policy:?} {at} {op:?}");
        }
    });
}

#[test]
fn a_precondition_that_does_not_hold_is_never_accepted() {
    for_every_row(|policy, at, op| {
        let (head, mark) = situation(at);
        let version = match at {
            "none" => None,
            "superseded" => Some(seq(FULL_STATE)),
            _ => Some(seq(HEAD)),
        };
        let fails = match op.precondition() {
            Precondition::None => false,
            Precondition::Absent => at == "live",
            Precondition::Version(wanted) => version != Some::<Seq>(wanted),
        };
        if fails {
            let ruling = arbitrate(policy, head.as_ref(), mark.as_ref(), op);
            assert_ne!(ruling, Ruling::Accept, "{policy:?} {at} {op:?}");
        }
    });
}
