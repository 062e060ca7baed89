//! Sets: what they cost.

use bytes::Bytes;
use syncline::crdt::{Content, Moment, Set, SetEdit};

use crate::world::{moment, text};

#[test]
fn a_set_costs_what_is_in_it_whatever_was() {
    let mut set = Set::default();
    let mut sizes = Vec::new();
    for number in 0..30_000 {
        let (author, element) = (number % 3, text(number % 100));
        let edit = if set.contains(&element) { set.removing([element]).unwrap() } else { set.adding([element]) };
        set.apply(&moment(author, number, number as u64), edit);
        if number % 10_000 == 199 {
            assert_eq!(set.iter().len(), 0);
            sizes.push(set.encode().len());
        }
    }
    assert!(sizes.iter().all(|size| *size < 100), "an empty set, after {sizes:?}");
}

#[test]
fn adding_again_does_not_pile_up() {
    let mut set = Set::default();
    for number in 0..1_000 {
        let edit = set.adding([text("1")]);
        set.apply(&moment(number % 3, number, number as u64), edit);
    }
    assert!(set.encode().len() < 150, "{}", set.encode().len());
}

#[test]
fn removes_that_come_before_what_they_take_away_are_kept_until_it_comes() {
    let added = SetEdit::Add([(Bytes::from_static(b"1"), Vec::new())].into());
    let mut other = Set::default();
    other.apply(&moment(0, 0, 5), added.clone());
    let remove = other.removing([text(1)]).unwrap();
    let (mut early, mut twice) = (Set::default(), Set::default());
    for set in [&mut early, &mut twice] {
        set.apply(&moment(1, 1, 6), remove.clone());
        set.apply(&moment(2, 2, 7), remove.clone());
    }
    assert!(early.encode().len() > 60, "it is remembered");
    early.apply(&moment(0, 0, 5), added);
    assert!(!early.contains(b"1"));
    other.apply(&moment(1, 1, 6), remove.clone());
    other.apply(&moment(2, 2, 7), remove);
    assert_eq!(early.encode(), other.encode(), "and forgotten then");
    assert!(early.encode().len() < 80);
}

/// Found by a fuzzer: it stood in the set and among what was taken away before it came, which no reader takes.
#[test]
fn an_add_that_takes_itself_away_leaves_a_set_that_is_read_back_in_any_order() {
    let mut other = Set::default();
    let add = other.adding([text(1)]);
    other.apply(&moment(1, 1, 5), add);
    let (add, remove) = (other.adding([text(1)]), other.removing([text(1)]).unwrap());
    let own = Moment { op: moment(1, 1, 5).op, ..moment(0, 2, 6) };
    let mut set = Set::default();
    set.apply(&own, add.clone());
    assert_eq!(Set::decode(set.encode().into()), Ok(set.clone()));
    assert!(set.contains(b"1"));
    set.apply(&moment(2, 3, 7), remove.clone());
    let mut late = Set::default();
    late.apply(&moment(2, 3, 7), remove);
    late.apply(&own, add);
    assert_eq!(late.encode(), set.encode());
    assert_eq!(Set::decode(set.encode().into()), Ok(set));
}
