//! Limits of values that merge.

use bytes::Bytes;
use syncline::codec::DecodeError;
use syncline::crdt::position::{PlaceFull, Position, SessionName};
use syncline::crdt::text::{Expand, Text, TextError};
use syncline::{ReplicaId, limits};

use crate::check;

/// Bytes of a position as long as asked: a level of nine bytes, and levels of one that are never the same twice in a row.
fn position(len: usize) -> Bytes {
    let first = [0x41, 0, 1, 2, 3, 4, 5, 6, 0];
    let more = [2, 4].into_iter().cycle().take(len - first.len());
    first.into_iter().chain(more).collect()
}

#[test]
fn a_position_has_a_longest() {
    let refused = DecodeError::NotCanonical("a position");
    check(limits::POSITION_BYTES_MAX, &refused, |len| Position::from_bytes(&position(len)).map(drop));
}

#[test]
fn between_two_of_the_longest_there_is_no_room_and_nobody_panics() {
    // A level of somebody else's takes ten bytes.
    let refused = PlaceFull { given: limits::POSITION_BYTES_MAX + 1 };
    check(limits::POSITION_BYTES_MAX, &refused, |full| {
        let left = Position::from_bytes(&position(full - 10)).unwrap();
        let right = Position::from_bytes(&[&left.to_bytes()[..], &[6]].concat()).unwrap();
        let between = Position::between(Some(&left), Some(&right), SessionName([9; 6]))?;
        assert!(between > left && between < right);
        assert_eq!(between.bytes_len(), full);
        Ok(())
    });
}

#[test]
fn a_mark_has_a_longest_key_and_a_longest_value() {
    let me = ReplicaId::from_bytes([1; 16]);
    let marked = |key: usize, value: usize| {
        let mut text = Text::new();
        text.insert(me, 0, "word")?;
        text.mark(me, 0..4, &"k".repeat(key), Some(&"v".repeat(value)), Expand::None).map(drop)
    };
    let refused = |max: usize| TextError::TooLarge { max: max as u64 };
    check(limits::TEXT_MARK_KEY_BYTES_MAX, &refused(limits::TEXT_MARK_KEY_BYTES_MAX), |len| marked(len, 1));
    check(limits::TEXT_MARK_VALUE_BYTES_MAX, &refused(limits::TEXT_MARK_VALUE_BYTES_MAX), |len| marked(1, len));
}
