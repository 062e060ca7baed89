//! Rich text: marks stay with their characters, expand as they should, and mean the same everywhere.

use bytes::Bytes;
use syncline::codec::DecodeError;
use syncline::crdt::text::{Expand, Text, TextError};
use syncline::{ReplicaId, limits};

use crate::random::Random;
use crate::replica;

fn start(common: &str) -> (Text, Text) {
    let mut one = Text::new();
    one.insert(replica(1), 0, common).unwrap();
    let mut other = Text::new();
    other.apply(replica(1), &one.delta(replica(1), 0).unwrap()).unwrap();
    (one, other)
}

/// The text with its marks: `[key=value;…:text]` around what has some.
fn shown(text: &mut Text) -> String {
    let chars: Vec<char> = text.to_string().chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    for marked in text.marked().unwrap() {
        let part: String = chars[at..at + marked.len].iter().collect();
        at += marked.len;
        let marks: Vec<String> = marked.marks.iter().map(|(key, value)| format!("{key}={value}")).collect();
        out += &if marks.is_empty() { part } else { format!("[{}:{part}]", marks.join(";")) };
    }
    assert_eq!(at, chars.len());
    out
}

#[test]
fn typing_at_an_edge_takes_part_as_the_mark_says() {
    for (expand, expected) in [
        (Expand::None, "a<[b=1:bc]>d"),
        (Expand::After, "a<[b=1:bc>]d"),
        (Expand::Before, "a[b=1:<bc]>d"),
        (Expand::Both, "a[b=1:<bc>]d"),
    ] {
        let (mut one, _) = start("abcd");
        one.mark(replica(1), 1..3, "b", Some("1"), expand).unwrap();
        one.insert(replica(1), 3, ">").unwrap();
        one.insert(replica(1), 1, "<").unwrap();
        assert_eq!(shown(&mut one), expected, "{expand:?}");
    }
}

#[test]
fn marks_over_each_other_end_alike_everywhere() {
    let (mut one, mut other) = start("the fox jumped");
    let bold = one.mark(replica(1), 0..7, "bold", Some("yes"), Expand::After).unwrap();
    let plain = other.mark(replica(2), 4..14, "bold", None, Expand::After).unwrap();
    let link = other.mark(replica(2), 4..7, "link", Some("there"), Expand::None).unwrap();
    other.insert(replica(2), 7, "es").unwrap();
    let typed = other.delta(replica(2), 0).unwrap();
    one.apply_mark(replica(2), &plain).unwrap();
    one.apply(replica(2), &typed).unwrap();
    one.apply_mark(replica(2), &link).unwrap();
    other.apply_mark(replica(1), &bold).unwrap();
    other.apply_mark(replica(1), &bold).unwrap();
    assert_eq!(shown(&mut one), "[bold=yes:the ][link=there:fox]es jumped", "replica 2 wins the tie where both spoke");
    assert_eq!(shown(&mut other), shown(&mut one));
    assert_eq!(other.state_hash(), one.state_hash());
    let again = one.mark(replica(1), 0..16, "bold", Some("all"), Expand::After).unwrap();
    other.apply_mark(replica(1), &again).unwrap();
    assert_eq!(shown(&mut other), "[bold=all:the ][bold=all;link=there:fox][bold=all:es jumped]");
}

#[test]
fn marks_are_saved_and_outlive_the_history() {
    let (mut one, _) = start("keep the marked words here");
    one.mark(replica(1), 9..15, "bold", Some("1"), Expand::After).unwrap();
    one.mark(replica(1), 5..21, "link", Some("x"), Expand::None).unwrap();
    one.delete(replica(1), 7..11).unwrap();
    one.delete(replica(1), 14..17).unwrap();
    let before = shown(&mut one);
    let saved = one.save().unwrap();
    let mut loaded = Text::load(&saved).unwrap();
    assert_eq!(shown(&mut loaded), before);
    assert_eq!(loaded.save().unwrap(), saved);
    let stable = one.version();
    assert!(one.collect(&stable).unwrap() > 0);
    assert_eq!(shown(&mut one), before, "although characters at the edges are gone");
    let mut again = Text::load(&one.save().unwrap()).unwrap();
    assert_eq!(shown(&mut again), before);
    assert_eq!(again.state_hash(), loaded.state_hash());
}

#[test]
fn marks_taken_in_any_order_are_the_same() {
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let (mut one, mut other) = start("some text that two people mark at once");
        let mut sent: Vec<(ReplicaId, Bytes)> = Vec::new();
        for _ in 0..12 {
            for (who, text) in [&mut one, &mut other].into_iter().enumerate() {
                let (a, b) = (random.below(text.len()), random.below(text.len()));
                let value = ["x", "y"].get(random.below(3)).copied();
                let key = ["bold", "link"][random.below(2)];
                let expand = [Expand::None, Expand::After, Expand::Before, Expand::Both][random.below(4)];
                sent.push((
                    replica(who + 1),
                    text.mark(replica(who + 1), a.min(b)..a.max(b), key, value, expand).unwrap(),
                ));
            }
        }
        let mut left: Vec<_> = sent.clone();
        while !left.is_empty() {
            // Whatever builds on what is missing is refused and tried again.
            let at = random.below(left.len());
            match one.apply_mark(left[at].0, &left[at].1) {
                Ok(()) => drop(left.remove(at)),
                Err(error) => assert!(matches!(error, TextError::Unseen { .. })),
            }
        }
        for (author, mark) in &sent {
            other.apply_mark(*author, mark).unwrap();
        }
        assert_eq!(one.state_hash(), other.state_hash(), "seed {seed}");
        assert_eq!(one.marked().unwrap(), other.marked().unwrap());
    }
}

#[test]
fn hostile_marks_are_refused_and_change_nothing() {
    let (mut one, mut other) = start("abc");
    let good = one.mark(replica(1), 0..2, "k", Some("v"), Expand::None).unwrap();
    let before = other.state_hash();
    for at in 0..good.len() {
        other.apply_mark(replica(1), &good.slice(..at)).unwrap_err();
        let mut bytes = good.to_vec();
        bytes[at] ^= 0x81;
        if other.apply_mark(replica(1), &Bytes::from(bytes)).is_err() {
            assert_eq!(other.state_hash(), before, "byte {at}");
        } else {
            other.marked().unwrap();
            (_, other) = start("abc");
        }
    }
    assert!(matches!(other.apply_mark(replica(1), &Bytes::new()), Err(TextError::Decode(DecodeError::Truncated(_)))));
    other.apply_mark(replica(1), &good).unwrap();
    let mut forged = good.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(
        other.apply_mark(replica(1), &Bytes::from(forged)),
        Err(TextError::Forked { replica: replica(1), seq: 1 })
    );
    let mut alone = Text::new();
    assert_eq!(alone.apply_mark(replica(1), &good), Err(TextError::Unseen { replica: replica(1), seq: 0 }));
    assert_eq!(one.mark(replica(1), 0..4, "k", None, Expand::None), Err(TextError::OutOfBounds { at: 4, len: 3 }));
}

#[test]
fn sizes_of_marks_are_limited() {
    for (most, spare) in [(limits::TEXT_MARK_KEY_BYTES_MAX, "key"), (limits::TEXT_MARK_VALUE_BYTES_MAX, "value")] {
        for len in [most - 1, most, most + 1] {
            let (mut one, _) = start("abc");
            let long = "x".repeat(len);
            let (key, value) = if spare == "key" { (&*long, "v") } else { ("k", &*long) };
            let marked = one.mark(replica(1), 0..2, key, Some(value), Expand::None);
            assert_eq!(marked.is_ok(), len <= most, "a {spare} of {len} bytes");
            if len > most {
                assert_eq!(marked, Err(TextError::TooLarge { max: most as u64 }));
            }
        }
    }
}
