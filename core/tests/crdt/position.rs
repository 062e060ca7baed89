//! Places: always between, runs whole, and short.

use std::collections::BTreeSet;
use std::ops::Bound;

use proptest::collection::vec;
use proptest::prelude::*;
use syncline::codec::Writer;
use syncline::crdt::position::{Position, SessionName};

use crate::world::session;

fn between(left: Option<&Position>, right: Option<&Position>, author: usize) -> Position {
    Position::between(left, right, session(author)).expect("there is room")
}

/// Inserts at an index.
fn insert(places: &mut Vec<Position>, index: usize, author: usize) {
    let left = index.checked_sub(1).map(|left| &places[left]);
    let place = between(left, places.get(index), author);
    places.insert(index, place);
}

fn ascends(places: &[Position]) -> bool {
    places.windows(2).all(|pair| pair[0] < pair[1])
}

proptest! {
    #[test]
    fn a_place_is_between_its_neighbours_whoever_asks(asked in vec((any::<u16>(), 0..3_usize), 1..200)) {
        let mut places = Vec::new();
        for (at, author) in asked {
            let index = usize::from(at) % (places.len() + 1);
            insert(&mut places, index, author);
        }
        prop_assert!(ascends(&places));
        for place in places {
            prop_assert_eq!(Position::from_bytes(&place.to_bytes()), Ok(place));
        }
    }

    #[test]
    fn runs_inserted_at_one_place_at_one_time_stay_whole(
        shared in vec((any::<u16>(), 0..3_usize), 0..20),
        gap in any::<u16>(),
        steps in proptest::array::uniform3(vec(any::<u16>(), 1..20)),
    ) {
        let mut before = Vec::new();
        for (at, author) in shared {
            let index = usize::from(at) % (before.len() + 1);
            insert(&mut before, index, author);
        }
        let gap = usize::from(gap) % (before.len() + 1);
        let (left, right) = (gap.checked_sub(1).map(|at| before[at].clone()), before.get(gap).cloned());
        let mut all = Vec::new();
        // Each inserts between the same two, forwards, backwards and inside its own.
        for (author, steps) in steps.iter().enumerate() {
            let mut own: Vec<Position> = left.iter().cloned().collect();
            let first = own.len();
            own.extend(right.clone());
            for (done, at) in steps.iter().enumerate() {
                let index = first + usize::from(*at) % (done + 1);
                insert(&mut own, index, author + 3);
            }
            all.extend(own[first..first + steps.len()].iter().map(|place| (place.clone(), author)));
        }
        all.sort();
        let mut order: Vec<usize> = all.iter().map(|(_, author)| *author).collect();
        order.dedup();
        prop_assert_eq!(order.len(), 3, "every author's stand together");
        prop_assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "and no two share a place");
    }

    #[test]
    fn bytes_are_one_spelling_of_a_place_or_none(bytes in vec(any::<u8>(), 0..40), at in any::<u16>(), bit in 0..8_u8) {
        if let Ok(place) = Position::from_bytes(&bytes) {
            let after = Position::between(Some(&place), None, session(0));
            let before = Position::between(None, Some(&place), session(0));
            prop_assert!(after.is_ok_and(|after| after > place));
            let ends = || bytes.get(8..).is_some_and(|number| number.starts_with(&[0xff; 9]));
            prop_assert!(before.is_ok_and(|before| before < place) || ends(), "but where numbers end");
        }
        let mut place = between(None, None, 0);
        for _ in 0..at % 7 {
            place = between(Some(&place), Some(&between(Some(&place), None, 0)), 1);
        }
        let mut other = place.to_bytes();
        let index = usize::from(at) % other.len();
        other[index] ^= 1 << bit;
        if let Ok(other) = Position::from_bytes(&other) {
            prop_assert_ne!(other, place);
        }
    }
}

const MANY: usize = 100_000;

/// The longest and the mean length.
fn lengths<'p>(places: impl Iterator<Item = &'p Position>) -> (usize, usize) {
    let (mut longest, mut sum) = (0, 0);
    places.map(|place| place.bytes_len()).for_each(|len| (longest, sum) = (longest.max(len), sum + len));
    (longest, sum / MANY)
}

/// A hundred thousand, each at an index not far from the one before.
fn at_one_spot(index: impl Fn(usize) -> usize, author: impl Fn(usize) -> usize) -> (usize, usize) {
    // What is before the spot, and what is behind it, the nearest last.
    let (mut before, mut behind) = (Vec::<Position>::with_capacity(MANY), Vec::<Position>::new());
    for count in 0..MANY {
        let index = index(count);
        while before.len() > index {
            behind.extend(before.pop());
        }
        while before.len() < index {
            before.extend(behind.pop());
        }
        let place = between(before.last(), behind.last(), author(count));
        before.push(place);
    }
    before.extend(behind.into_iter().rev());
    assert!(ascends(&before));
    lengths(before.iter())
}

/// A hundred thousand, each behind any one that is there.
fn anywhere(author: impl Fn(usize) -> usize) -> (usize, usize) {
    let mut places = vec![between(None, None, 0)];
    let mut order: BTreeSet<Position> = places.iter().cloned().collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for count in 1..MANY {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let left = &places[usize::try_from(random % count as u64).unwrap()];
        let right = order.range((Bound::Excluded(left), Bound::Unbounded)).next();
        let place = between(Some(left), right, author(count));
        assert!(order.insert(place.clone()), "nobody stands there");
        places.push(place);
    }
    lengths(places.iter())
}

#[test]
fn a_hundred_thousand_inserts_at_one_spot_stay_short() {
    let one = |_: usize| 0;
    let two = |count: usize| count % 2;
    let three = |count: usize| count % 3;
    let middle = |count: usize| count / 2;
    // Twice before the newest, twice behind it.
    let sides = |count: usize| (count / 4) * 2 + usize::from(count % 4 > 1);
    for (what, (longest, mean), most) in [
        ("one after the other", at_one_spot(|count| count, one), (11, 10)),
        ("each before the last one", at_one_spot(|_| 0, one), (11, 10)),
        ("behind the first one", at_one_spot(|count| count.min(1), one), (13, 12)),
        ("before the last one", at_one_spot(|count| count.saturating_sub(1), one), (13, 12)),
        ("the exact middle", at_one_spot(middle, one), (16, 13)),
        ("two on each side", at_one_spot(sides, one), (16, 16)),
        ("two in turn at the end", at_one_spot(|count| count, two), (12, 11)),
        ("two in turn at the beginning", at_one_spot(|_| 0, two), (12, 11)),
        ("two in turn behind the first one", at_one_spot(|count| count.min(1), two), (21, 17)),
        ("two in turn in the exact middle", at_one_spot(middle, two), (24, 24)),
        ("three in turn behind the first one", at_one_spot(|count| count.min(1), three), (24, 24)),
        ("three in turn before the last one", at_one_spot(|count| count.saturating_sub(1), three), (24, 24)),
    ] {
        println!("{what}: at most {longest} bytes, {mean} on average");
        assert!(longest <= most.0 && mean <= most.1, "{what}: {longest} bytes, {mean} on average");
    }
}

#[test]
fn a_hundred_thousand_inserts_at_random_places_stay_short() {
    let (longest, mean) = anywhere(|_| 0);
    println!("one author: at most {longest} bytes, {mean} on average");
    assert!(longest <= 32 && mean <= 20, "one author: {longest} bytes, {mean} on average");
    let (longest, mean) = anywhere(|count| count % 3);
    println!("three authors: at most {longest} bytes, {mean} on average");
    assert!(longest <= 130 && mean <= 50, "three authors: {longest} bytes, {mean} on average");
}

#[test]
fn between_the_two_newest_each_time_a_place_grows_by_what_is_said() {
    for (what, authors, bytes) in
        [("one", 1, 4_000), ("three in turn", 3, 10_000), ("a new one each time", usize::MAX, 36_000)]
    {
        let (mut left, mut right) = (between(None, None, 0), between(Some(&between(None, None, 0)), None, 0));
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut longest = 0;
        for count in 1..=10_000_usize {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let name = (count % authors) as u64 + 1;
            let session = SessionName(name.to_be_bytes()[2..].try_into().unwrap());
            let middle = Position::between(Some(&left), Some(&right), session).expect("there is room");
            longest = longest.max(middle.bytes_len());
            if random.is_multiple_of(2) { left = middle } else { right = middle }
        }
        println!("{what}: {longest} bytes after 10,000");
        assert!(longest <= bytes, "{what}: {longest} bytes");
    }
}

proptest! {
    #[test]
    fn places_compare_as_levels_do_however_often_one_comes_and_whatever_they_share(
        one in vec((0..2_i8, 1..4_usize), 1..6),
        other in vec((0..2_i8, 1..4_usize), 1..6),
    ) {
        // Goes down: each time behind or before the newest, so that levels repeat.
        let place = |turns: &[(i8, usize)]| {
            let first = between(None, None, 0);
            let (mut left, mut right) = (first.clone(), between(Some(&first), None, 0));
            let mut seen = vec![left.clone(), right.clone()];
            for (side, times) in turns {
                for _ in 0..*times {
                    let middle = between(Some(&left), Some(&right), 0);
                    assert!(left < middle && middle < right);
                    seen.push(middle.clone());
                    if *side == 0 { left = middle } else { right = middle }
                }
            }
            seen
        };
        let mut all: Vec<Position> = place(&one).into_iter().chain(place(&other)).collect();
        all.sort();
        all.dedup();
        for pair in all.windows(2) {
            let middle = between(Some(&pair[0]), Some(&pair[1]), 1);
            prop_assert!(pair[0] < middle && middle < pair[1]);
            let copies: Vec<Position> =
                [&pair[0], &middle, &pair[1]].map(|place| Position::from_bytes(&place.to_bytes()).unwrap()).into();
            prop_assert!(ascends(&copies) && copies[0] < middle && middle < copies[2]);
            prop_assert_eq!(&copies[1], &middle);
        }
    }

    #[test]
    fn a_place_is_little_longer_than_its_neighbours(turns in vec((any::<bool>(), 0..90_usize, 1..4_usize), 1..300)) {
        let (mut left, mut right) = (between(None, None, 0), between(Some(&between(None, None, 0)), None, 0));
        for (side, author, times) in turns {
            for _ in 0..times {
                let longest = left.bytes_len().max(right.bytes_len());
                let middle = between(Some(&left), Some(&right), author);
                prop_assert!(middle.bytes_len() <= longest + 10, "{} after {longest}", middle.bytes_len());
                if side { left = middle } else { right = middle }
            }
        }
    }
}

#[test]
fn numbers_that_somebody_used_up_cost_no_more_than_is_said() {
    for number in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
        for count in [i64::MIN, 0, i64::MAX] {
            let zigzag = |value: i64| (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
            let mut out = Writer::default();
            out.fixed(&[if number == 0 { 0x41 } else { 0x43 }, 0, 1, 1, 1, 1, 1, 1]);
            if number != 0 {
                out.u64(zigzag(number));
            }
            out.u64(zigzag(count));
            let place = Position::from_bytes(&out.finish()).unwrap();
            for author in 0..2 {
                let behind = between(Some(&place), None, author);
                let inside = between(Some(&place), Some(&behind), author);
                assert!(place < inside && inside < behind);
                assert!(behind.bytes_len() <= place.bytes_len() + Position::GROWTH_BYTES_MAX);
                assert!(inside.bytes_len() <= behind.bytes_len() + Position::GROWTH_BYTES_MAX);
            }
        }
    }
}

#[test]
fn somebody_elses_run_is_not_counted_on_in() {
    let first = between(None, None, 0);
    let own = between(Some(&first), None, 0);
    let (mine, theirs) = (between(Some(&own), None, 0), between(Some(&own), None, 1));
    let others_next = between(Some(&theirs), None, 1);
    assert!(own < mine && mine < theirs && theirs < others_next, "the run goes on before the next one begins");
    let name = SessionName([9; 6]);
    let reopened = Position::between(Some(&mine), Some(&theirs), name).expect("there is room");
    assert!(mine < reopened && reopened < theirs);
}
