//! Documents: fields in fields, deltas, what is forgotten, and the same bytes as flat fields.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use syncline::crdt::document::{Path, PathError, fields_of};
use syncline::crdt::{Content, Document, DocumentEdit, Stamp};
use syncline::limits;

use crate::world::{moment, text};

fn stamp(author: usize, ms: u64) -> Stamp {
    moment(author, 0, ms).stamp()
}

fn path(names: &str) -> Path {
    Path::new(names.split('/')).unwrap()
}

fn view(document: &Document) -> Option<Value> {
    document.view().unwrap().map(|text| serde_json::from_slice(&text).unwrap())
}

/// Writes, each `(ms, path, value)`; no value for a remove, no path for a delete of everything.
type Write = (u64, Option<&'static str>, Option<i64>);

fn document(writes: &[Write]) -> Document {
    let mut document = Document::default();
    for (ms, at, value) in writes {
        match at {
            Some(at) => drop(document.write(stamp(0, *ms), path(at), value.map(text))),
            None => drop(document.delete(stamp(0, *ms))),
        }
    }
    document
}

/// Every order of the writes.
fn orders(writes: &[Write]) -> Vec<Vec<Write>> {
    let Some((first, rest)) = writes.split_first() else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut order = order.clone();
            order.insert(at, *first);
            all.push(order);
        }
    }
    all
}

#[test]
fn fields_in_fields_end_the_same_in_every_order() {
    for (writes, seen) in [
        (vec![(1, Some("a"), Some(1)), (2, Some("a/b"), Some(2))], Some(json!({"a": {"b": 2}}))),
        (vec![(2, Some("a"), Some(1)), (1, Some("a/b"), Some(2))], Some(json!({"a": 1}))),
        (
            vec![(1, Some("a/b"), Some(1)), (3, Some("a"), None), (4, Some("a/c"), Some(4)), (2, Some("a/d"), Some(2))],
            Some(json!({"a": {"c": 4}})),
        ),
        (vec![(1, Some("a"), Some(1)), (2, Some("a/b"), Some(2)), (3, Some("a/b"), None)], None),
        (
            vec![
                (1, Some("a/b/c"), Some(1)),
                (4, Some("a/b"), Some(4)),
                (3, Some("a"), Some(3)),
                (2, Some("a/b/d"), Some(2)),
            ],
            Some(json!({"a": {"b": 4}})),
        ),
        (
            vec![(1, Some("a/b"), Some(1)), (3, None, None), (4, Some("a/c"), Some(3)), (2, Some("x"), Some(2))],
            Some(json!({"a": {"c": 3}})),
        ),
        (
            vec![(5, Some("a/x"), Some(5)), (4, Some("a"), Some(4)), (3, None, None), (2, Some("a/y"), Some(2))],
            Some(json!({"a": {"x": 5}})),
        ),
    ] {
        let first = document(&writes);
        assert_eq!(view(&first), seen);
        for order in orders(&writes) {
            assert_eq!(document(&order).encode(), first.encode(), "{order:?}");
        }
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a\0\"é]{0,3}".prop_map(Value::from)
    ]
}

/// Objects in objects; none but the root is empty.
fn object() -> impl Strategy<Value = Value> {
    let names = "[ab\0\"]{0,2}";
    let inner = leaf().prop_recursive(4, 24, 4, move |inner| {
        prop::collection::btree_map(names, inner, 1..4).prop_map(|fields| fields.into_iter().collect())
    });
    prop::collection::btree_map(names, inner, 0..5).prop_map(|fields| fields.into_iter().collect())
}

proptest! {
    #[test]
    fn a_value_goes_in_and_comes_out_as_it_was(value in object()) {
        let mut document = Document::default();
        document.apply(&moment(0, 0, 1), DocumentEdit { fields: wanted(&value), forget: None });
        prop_assert_eq!(view(&document), Some(value));
        prop_assert_eq!(Document::decode(document.encode().into()), Ok(document));
    }

    #[test]
    fn a_path_is_the_names_it_was_made_of_and_sorts_what_is_in_it_behind_it(
        names in prop::collection::vec("[a\0\u{1}b]{0,3}", 1..5),
        more in prop::collection::vec("[a\0\u{1}b]{0,3}", 0..3),
    ) {
        let over = Path::new(names.iter().map(String::as_str)).unwrap();
        prop_assert_eq!(over.names().collect::<Vec<_>>(), names.clone());
        let inner = Path::new(names.iter().chain(&more).map(String::as_str)).unwrap();
        prop_assert_eq!(over.holds(&inner), !more.is_empty());
        prop_assert!(over <= inner);
    }

    #[test]
    fn a_delta_holds_what_was_not_seen_and_makes_the_other_copy_the_same(
        first in prop::collection::vec((0..3_usize, 0..6_u8, any::<u8>()), 0..20),
        more in prop::collection::vec((0..3_usize, 0..6_u8, any::<u8>()), 0..20),
    ) {
        let mut document = Document::default();
        let mut ms = 0;
        let mut say = |document: &mut Document, said: &[(usize, u8, u8)]| {
            for (author, field, value) in said {
                ms += 1;
                let at = path(["a", "b", "a/b", "a/c", "b/a", "c"][usize::from(*field)]);
                document.write(stamp(*author, ms), at, (value % 3 > 0).then(|| text(value)));
            }
        };
        say(&mut document, &first);
        let mut other = document.clone();
        let seen = other.seen();
        prop_assert!(document.delta_since(&seen).iter().next().is_none());
        say(&mut document, &more);
        let delta = document.delta_since(&seen);
        prop_assert!(delta.iter().count() <= more.len());
        prop_assert_eq!(document.encode_since(&seen), delta.encode());
        let sent = Document::decode(delta.encode().into());
        prop_assert_eq!(sent, Ok(delta.clone()));
        other.merge(&delta);
        prop_assert_eq!(other.encode(), document.encode());
    }
}

fn wanted(value: &Value) -> BTreeMap<Path, Option<Bytes>> {
    fields_of(value).into_iter().map(|(path, text)| (path, Some(text))).collect()
}

#[test]
fn removed_fields_are_forgotten_up_to_a_stamp_and_nothing_older_brings_them_back() {
    let mut removed = document(&[(1, Some("a/b"), Some(1)), (2, Some("a/b"), None), (3, Some("c"), Some(3))]);
    assert!(removed.has_removed());
    let before = removed.encode().len();
    removed.forget(stamp(2, 3));
    assert!(!removed.has_removed() && removed.encode().len() < before);
    let seen = view(&removed);
    assert!(!removed.write(stamp(0, 1), path("a/b"), Some(text(9))));
    assert!(!removed.write(stamp(0, 1), path("z"), Some(text(9))));
    assert_eq!(view(&removed), seen);
    assert!(removed.write(stamp(0, 4), path("a/b"), Some(text(4))));
    assert_eq!(Document::decode(removed.encode().into()), Ok(removed));
}

#[test]
fn on_an_exact_tie_of_two_copies_the_larger_text_is_taken_whichever_way_they_are_merged() {
    let copy = |value| document(&[(5, Some("a"), value), (5, Some("b/c"), Some(1))]);
    for (one, two) in [(Some(1), Some(2)), (None, Some(1)), (Some(7), Some(7))] {
        let (mut ours, mut theirs) = (copy(one), copy(two));
        ours.merge(&copy(two));
        theirs.merge(&copy(one));
        assert_eq!((ours.encode(), ours.get(&path("a"))), (theirs.encode(), two.map(text).as_ref()));
    }
}

#[test]
fn a_write_of_the_same_batch_as_a_delete_is_merged_whichever_way() {
    let before = document(&[(3, Some("a"), Some(1)), (5, None, None)]);
    let after = document(&[(5, None, None), (5, Some("b"), Some(2))]);
    for (one, two) in [(&before, &after), (&after, &before), (&after, &after)] {
        let mut merged = one.clone();
        merged.merge(two);
        assert_eq!(merged.encode(), after.encode());
    }
}

#[test]
fn a_path_has_a_most_of_names() {
    for (given, good) in [
        (0, false),
        (1, true),
        (limits::DOCUMENT_DEPTH_MAX - 1, true),
        (limits::DOCUMENT_DEPTH_MAX, true),
        (limits::DOCUMENT_DEPTH_MAX + 1, false),
    ] {
        let made = Path::new(std::iter::repeat_n("n", given));
        assert_eq!(made.err(), (!good).then_some(PathError { given }));
    }
    // A deeper value is one piece where the path ends.
    let mut deep = json!(1);
    for _ in 0..60 {
        deep = json!({ "n": deep });
    }
    let fields = fields_of(&deep);
    assert_eq!(fields.len(), 1);
    let mut document = Document::default();
    document.apply(&moment(0, 0, 1), DocumentEdit { fields: wanted(&deep), forget: None });
    assert_eq!(view(&document), Some(deep));
}
