//! Replay: what a log's state is, and that an op which does not apply changes nothing of it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each proof uses its part")]
mod common;

use bytes::Bytes;
use common::seq;
use syncline::conformance::author::{Author, entity_key, entity_subject};
use syncline::conformance::support::{env, log, schema};
use syncline::oplog::{
    Draft, FullStateKind, LogState, LoggedOp, Op, OpKind, Payload, Precondition, ReduceError, ReplayStop, Subject,
};
use syncline::{Anchor, EntityId, Origin};

fn logged(number: u64, op: &Op) -> LoggedOp {
    let anchor = Anchor::genesis(log(1), Origin([4; 16]));
    LoggedOp { seq: seq(number), anchor, accepted_at: env(0).now, batch_rest: 0, op: op.raw().clone() }
}

fn apply(state: &mut LogState, number: u64, op: &Op) -> Result<(), ReplayStop> {
    state.apply(&logged(number, op), &schema())
}

fn json(author: &mut Author, collection: &str, entities: &[u8], text: &str) -> Draft {
    let mut subject = entity_subject(collection, entities[0]);
    if let Subject::Entity { also, .. } = &mut subject {
        also.extend(entities[1..].iter().map(|entity| EntityId::from_bytes([*entity; 16])));
    }
    author.draft(OpKind::Update, subject, Payload::Json(text.to_owned().into()))
}

#[test]
fn an_op_that_does_not_apply_leaves_the_state_as_it_was() {
    let mut author = Author::new(1);
    let mut state = LogState::default();
    // Entity 2 holds what is no JSON object, so that merging into it is refused.
    let mut odd = LogState::default();
    let plain = author.op(OpKind::Create, "append", 2, "text");
    apply(&mut odd, 1, &plain).expect("applies");
    let bytes = odd.to_bytes().to_vec();
    let place = bytes.windows(6).position(|found| found == b"append").expect("the name");
    let as_causal = [&bytes[..place], b"causal", &bytes[place + 6..]].concat();
    let full = author.full_state(FullStateKind::Recovery, as_causal.into(), Precondition::None);
    apply(&mut state, 1, &full).expect("applies");
    let first = json(&mut author, "causal", &[1], r#"{"a":1}"#).seal().expect("a good draft");
    apply(&mut state, 2, &first).expect("applies");

    let before = (state.clone(), state.to_bytes());
    let unfit = |number| Err(ReplayStop::Unfit { seq: seq(number), reason: ReduceError::Unfit("a JSON object") });
    let into_text = json(&mut author, "causal", &[2], r#"{"b":2}"#).seal().expect("a good draft");
    assert_eq!(apply(&mut state, 3, &into_text), unfit(3));
    assert_eq!((state.clone(), state.to_bytes()), before, "the one entity of an op");
    let both = json(&mut author, "causal", &[1, 2], r#"{"b":2}"#).seal().expect("a good draft");
    assert_eq!(apply(&mut state, 3, &both), unfit(3));
    assert_eq!((state.clone(), state.to_bytes()), before, "an entity before the one that refuses");
    let text = json(&mut author, "causal", &[1], "[1]").seal().expect("a good draft");
    assert_eq!(apply(&mut state, 3, &text), unfit(3));
    assert_eq!((state.clone(), state.to_bytes()), before, "a payload of the wrong form");

    let sealed = Draft { payload: Payload::Sealed(Bytes::new()), ..json(&mut author, "causal", &[1], "{}") };
    assert_eq!(apply(&mut state, 3, &sealed.seal().expect("a good draft")), Err(ReplayStop::Sealed(seq(3))));
    let unknown = Draft { kind: OpKind::Other(99), ..json(&mut author, "causal", &[1], "{}") };
    assert_eq!(apply(&mut state, 3, &unknown.seal().expect("a good draft")), Err(ReplayStop::Unknown(seq(3))));
    let newer = Draft { schema_version: 2, ..json(&mut author, "causal", &[1], "{}") };
    assert_eq!(apply(&mut state, 3, &newer.seal().expect("a good draft")), Err(ReplayStop::Unknown(seq(3))));
    assert_eq!((state.clone(), state.to_bytes()), before, "ops that are not interpreted");
}

#[test]
fn a_full_state_replaces_everything_and_does_not_merge() {
    let mut author = Author::new(1);
    let mut imported = LogState::default();
    apply(&mut imported, 1, &json(&mut author, "causal", &[2], r#"{"new":1}"#).seal().expect("good")).expect("applies");
    let mut state = LogState::default();
    apply(&mut state, 1, &json(&mut author, "causal", &[1], r#"{"old":1}"#).seal().expect("good")).expect("applies");
    let full = author.full_state(FullStateKind::Recovery, imported.to_bytes(), Precondition::None);
    apply(&mut state, 2, &full).expect("applies");
    assert_eq!(state, imported);
    assert_eq!(state.get(&entity_key("causal", 1)), None);
}

#[test]
fn reducers_keep_what_their_collections_promise() {
    // (collection, payloads in order, state)
    let rows: &[(&str, &[&str], &str)] = &[
        ("causal", &[r#"{"b":1,"a":1.0}"#, r#"{"a":null,"c":{"x":1}}"#], r#"{"a":null,"b":1,"c":{"x":1}}"#),
        ("causal", &[r#"{"n":1e2,"z":-0}"#, r#"{"n":12345678901234567890}"#], r#"{"n":12345678901234567890,"z":-0}"#),
        ("causal", &[r#"{"c":{"x":1}}"#, r#"{"c":{"y":2}}"#], r#"{"c":{"y":2}}"#),
        ("merge", &["1", "22"], "\u{1}1\u{2}22"),
        ("precondition", &["1", "22"], "22"),
        ("append", &["1"], "1"),
    ];
    for (collection, payloads, expected) in rows {
        let mut author = Author::new(1);
        let mut state = LogState::default();
        for (index, payload) in payloads.iter().enumerate() {
            let op = json(&mut author, collection, &[1], payload).seal().expect("a good draft");
            apply(&mut state, index as u64 + 1, &op).expect("applies");
        }
        assert_eq!(state.get(&entity_key(collection, 1)), Some(expected.as_bytes()), "{collection} {payloads:?}");
        let delete = author.op(OpKind::Delete, collection, 1, "");
        apply(&mut state, 9, &delete).expect("applies");
        assert_eq!(
            (state.iter().count(), state),
            (0, LogState::default()),
            "{collection}: deleted is as if never made"
        );
    }
}
