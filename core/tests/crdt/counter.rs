//! Counters: sums, resets, and what they cost.

use std::collections::BTreeMap;

use proptest::prelude::*;
use syncline::crdt::{Content, Counter, CounterEdit};

use crate::world::moment;

fn apply(counter: &mut Counter, author: usize, number: usize, edit: CounterEdit) {
    counter.apply(&moment(author, number, number as u64), edit);
}

#[test]
fn a_reset_covers_what_it_saw_and_counts_made_meanwhile_stay() {
    // Every order in which two resets and two counts can come, each author's in theirs.
    let (mut a, mut b) = (Counter::default(), Counter::default());
    for counter in [&mut a, &mut b] {
        apply(counter, 0, 0, CounterEdit::Add(10));
        apply(counter, 1, 1, CounterEdit::Add(20));
    }
    let by_a = [CounterEdit::Reset(a.seen()), CounterEdit::Add(1)];
    let by_b = [
        CounterEdit::Add(5),
        CounterEdit::Reset({
            let mut seen = b.clone();
            apply(&mut seen, 1, 2, CounterEdit::Add(5));
            seen.seen()
        }),
    ];
    let start = a;
    let mut ends = Vec::new();
    for order in [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 1, 0], [1, 1, 0, 0]] {
        let (mut counter, mut next) = (start.clone(), [0, 0]);
        for author in order {
            let edit = if author == 0 { &by_a } else { &by_b }[next[author]].clone();
            next[author] += 1;
            apply(&mut counter, author, 10 + 2 * author + next[author], edit);
        }
        ends.push((counter.value(), counter.encode()));
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    assert_eq!(ends[0].0, 1, "b saw everything but a's last count; a's reset did not see b's five");
}

#[test]
fn a_counter_costs_a_few_bytes_an_author_however_much_was_counted() {
    let mut counter = Counter::default();
    for number in 0..100_000 {
        let by = if number % 3 == 0 { -1 } else { 2 };
        apply(&mut counter, number % 3, number, CounterEdit::Add(by));
        if number % 1_000 == 999 {
            let seen = counter.seen();
            apply(&mut counter, 0, number, CounterEdit::Reset(seen));
        }
    }
    assert!(counter.encode().len() < 3 * 40, "{}", counter.encode().len());
}

#[test]
fn sums_stay_at_the_end_of_the_number_line() {
    let mut counter = Counter::default();
    for number in 0..4 {
        apply(&mut counter, 0, number, CounterEdit::Add(i64::MAX));
        apply(&mut counter, 1, number, CounterEdit::Add(i64::MAX));
    }
    assert_eq!(counter.value(), i64::MAX);
    for number in 0..12 {
        apply(&mut counter, 2, number, CounterEdit::Add(i64::MIN));
        apply(&mut counter, 3, number, CounterEdit::Add(i64::MIN));
        apply(&mut counter, 4, number, CounterEdit::Add(i64::MIN));
    }
    assert_eq!(counter.value(), i64::MIN);
    assert_eq!(Counter::decode(counter.encode().into()), Ok(counter));
}

proptest! {
    #[test]
    fn without_a_reset_it_is_the_sum_of_all_counts(counts in prop::collection::vec((0..3_usize, -1000..1000_i64), 0..50)) {
        let mut counter = Counter::default();
        for (number, (author, by)) in counts.iter().enumerate() {
            apply(&mut counter, *author, number, CounterEdit::Add(*by));
        }
        prop_assert_eq!(counter.value(), counts.iter().map(|(_, by)| by).sum::<i64>());
        let seen = counter.seen();
        apply(&mut counter, 0, 100, CounterEdit::Reset(seen));
        prop_assert_eq!(counter.value(), 0);
    }
}

#[test]
fn a_reset_of_what_nobody_counted_changes_nothing() {
    let mut counter = Counter::default();
    apply(&mut counter, 0, 0, CounterEdit::Reset(BTreeMap::new()));
    assert_eq!((counter.clone(), counter.view()), (Counter::default(), Ok(None)));
}
