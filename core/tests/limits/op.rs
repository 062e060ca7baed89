//! One op.

use bytes::Bytes;
use syncline::conformance::author::{Author, entity_subject};
use syncline::oplog::{
    Collection, CollectionError, Draft, DraftError, FullStateKind, JsonFault, OpKind, Payload, Subject, check_json,
};
use syncline::{EntityId, limits};

use crate::check;

fn draft(kind: OpKind, payload: Payload) -> Draft {
    let subject = if matches!(kind, OpKind::FullState(_)) { Subject::Log } else { entity_subject("append", 1) };
    Author::new(1).draft(kind, subject, payload)
}

fn seals(draft: Draft) -> Result<(), DraftError> {
    draft.seal().map(drop)
}

const FULL: OpKind = OpKind::FullState(FullStateKind::Recovery);

#[test]
fn a_payload_has_at_most_its_bytes() {
    for (kind, max) in [(OpKind::Create, limits::OP_PAYLOAD_BYTES_MAX), (FULL, limits::FULL_STATE_BYTES_MAX)] {
        let too_large = DraftError::PayloadTooLarge { given: max + 1, max };
        check(max, &too_large, |bytes| seals(draft(kind, Payload::Plain(vec![0; bytes].into()))));
        check(max, &too_large, |bytes| seals(draft(kind, Payload::Sealed(vec![0; bytes].into()))));
        check(max, &too_large, |bytes| {
            let text = format!("\"{}\"", "x".repeat(bytes - 2));
            seals(draft(kind, Payload::Json(text.into())))
        });
    }
}

#[test]
fn an_op_touches_at_most_a_hundred_entities() {
    let too_many = DraftError::TooManyEntities { given: limits::OP_ENTITIES_MAX + 1 };
    check(limits::OP_ENTITIES_MAX, &too_many, |count| {
        let mut draft = draft(OpKind::Update, Payload::Plain(Bytes::new()));
        let Subject::Entity { also, .. } = &mut draft.subject else { panic!("about an entity") };
        also.extend((1..count).map(|number| EntityId::from_bytes((number as u128).to_be_bytes())));
        seals(draft)
    });
}

#[test]
fn a_collection_name_has_one_to_sixty_four_characters() {
    let max = limits::COLLECTION_BYTES_MAX;
    check(max, &CollectionError::Length(max + 1), |length| Collection::new(&"n".repeat(length)).map(drop));
    assert_eq!(Collection::new(""), Err(CollectionError::Length(0)));
    assert_eq!(Collection::new("größe"), Err(CollectionError::Character));
    assert_eq!(Collection::new(&"ü".repeat(33)), Err(CollectionError::Length(33)), "66 bytes, and says characters");
}

#[test]
fn a_schema_version_is_one_to_its_limit() {
    let given = |given| Draft { schema_version: given, ..draft(OpKind::Create, Payload::Plain(Bytes::new())) };
    let max = limits::SCHEMA_VERSION_MAX;
    for version in [1, 2, max - 1, max] {
        assert_eq!(seals(given(version)), Ok(()), "version {version}");
    }
    for version in [0, max + 1, u32::MAX] {
        assert_eq!(seals(given(version)), Err(DraftError::SchemaVersion { given: version }));
    }
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("{}1{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn json_is_nested_at_most_its_depth() {
    for (open, close) in [("[", "]"), ("{\"k\":", "}"), ("[{\"k\":", "}]")] {
        let levels = open.matches(['[', '{']).count();
        let depth = limits::JSON_DEPTH_MAX / levels;
        check(depth, &JsonFault::TooDeep, |depth| {
            check_json(nested(open, close, depth).as_bytes(), limits::JSON_NODES_MAX)
        });
    }
}

#[test]
fn json_has_at_most_its_nodes() {
    let array = |nodes: usize| format!("[{}]", vec!["1"; nodes].join(","));
    let object: fn(usize) -> String = |nodes| {
        let fields: Vec<String> = (0..nodes).map(|number| format!("\"{number}\":0")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let mixed: fn(usize) -> String = |nodes| format!("[{{\"k\":[{}]}}]", vec!["1"; nodes - 2].join(","));
    for (kind, max) in [(OpKind::Create, limits::JSON_NODES_MAX), (FULL, limits::FULL_STATE_JSON_NODES_MAX)] {
        let refused = DraftError::Json(JsonFault::TooManyNodes { max });
        check(max, &refused, |nodes| seals(draft(kind, Payload::Json(array(nodes).into()))));
    }
    for text in [object, mixed] {
        let max = limits::JSON_NODES_MAX;
        check(max, &JsonFault::TooManyNodes { max }, |nodes| check_json(text(nodes).as_bytes(), max));
    }
}
