//! The laws of every type, by random edits of authors that saw some of each other's, delivered in random order.

use proptest::collection::vec;
use proptest::prelude::*;
use syncline::crdt::{Content, Counter, Document, List, Register, Set, Tree};

use crate::world::{AUTHORS, Step, Tried, prefix, shuffled, steps, talk, talk_with, value};

/// A value's bytes, which are read back as that value.
pub(crate) fn bytes<C: Content>(value: &C) -> Vec<u8> {
    let bytes = value.encode();
    assert_eq!(C::decode(bytes.clone().into()).as_ref(), Ok(value), "what is written is read back as it was");
    bytes
}

pub(crate) fn any_order_makes_the_same_bytes<C: Tried>(steps: &[Step], picks: &[u8]) -> Result<(), TestCaseError> {
    let said = talk::<C>(steps);
    let (one, other) = (value(&said), value(&shuffled(&said, picks)));
    prop_assert_eq!(bytes(&one), bytes(&other));
    prop_assert_eq!(one.view(), other.view());
    Ok(())
}

pub(crate) fn merging_is_having_both<C: Tried>(
    steps: &[Step],
    cuts: &[[usize; AUTHORS]; 3],
) -> Result<(), TestCaseError> {
    let said = talk_with::<C>(steps, C::KNOWS_TIES);
    let [one, two, three] = cuts.map(|counts| value(&prefix(&said, counts)));
    let both = std::array::from_fn(|author| cuts[0][author].max(cuts[1][author]));
    prop_assert_eq!(bytes(&one.clone().merged(&two)), bytes(&value(&prefix(&said, both))), "merging is having both");
    merging_is_a_join(&one, &two, &three)?;
    // Also where two stamps are the same.
    let said = talk::<C>(steps);
    let [one, two, three] = cuts.map(|counts| value(&prefix(&said, counts)));
    merging_is_a_join(&one, &two, &three)
}

fn merging_is_a_join<C: Tried>(one: &C, two: &C, three: &C) -> Result<(), TestCaseError> {
    prop_assert_eq!(one.clone().merged(two), two.clone().merged(one), "commutative");
    prop_assert_eq!(&one.clone().merged(one), one, "idempotent");
    let left = one.clone().merged(two).merged(three);
    bytes(&left);
    prop_assert_eq!(left, one.clone().merged(&two.clone().merged(three)), "associative");
    Ok(())
}

/// What an author did not send yet may be folded, as long as nobody else's comes in between.
pub(crate) fn what_is_left_and_the_newer_say_the_same<C: Tried>(steps: &[Step]) -> Result<(), TestCaseError> {
    let said = talk::<C>(steps);
    for pair in said.windows(2).filter(|pair| pair[0].author == pair[1].author) {
        let [older, newer] = pair else { continue };
        if older.moment.hlc == newer.moment.hlc {
            continue;
        }
        let before = value(&said[..said.iter().position(|said| said.moment == older.moment).unwrap()]);
        let (mut all, mut folded) = (before.clone(), before);
        all.apply(&older.moment, older.edit.clone());
        all.apply(&newer.moment, newer.edit.clone());
        if let Some(left) = C::left_of(older.edit.clone(), &newer.edit) {
            folded.apply(&older.moment, left);
        }
        folded.apply(&newer.moment, newer.edit.clone());
        prop_assert_eq!(bytes(&all), bytes(&folded));
    }
    Ok(())
}

/// While it waits on its device, an author's edit shows what it will say in the log.
pub(crate) fn what_waits_shows_what_it_will_say<C: Tried>(steps: &[Step]) -> Result<(), TestCaseError> {
    let said = talk::<C>(steps);
    let author = said.last().map_or(0, |last| last.author);
    let (own, others): (Vec<_>, Vec<_>) = said.iter().cloned().partition(|said| said.author == author);
    let mut log = value(&others);
    let mut local = log.clone();
    for mut said in own {
        log.apply(&said.moment, said.edit.clone());
        said.moment.accepted_at = None;
        local.apply(&said.moment, said.edit);
        prop_assert_eq!(C::decode(local.encode().into()), Ok(local.clone()));
    }
    prop_assert!(local.view().is_ok());
    Ok(())
}

pub(crate) fn cuts() -> impl Strategy<Value = [[usize; AUTHORS]; 3]> {
    proptest::array::uniform3(proptest::array::uniform3(0..12_usize))
}

macro_rules! laws {
    ($($name:ident: $type:ty;)*) => {$(
        mod $name {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(400))]

                #[test]
                fn any_order_of_the_same_edits_makes_the_same_bytes(steps in steps(40), picks in vec(any::<u8>(), 60)) {
                    any_order_makes_the_same_bytes::<$type>(&steps, &picks)?;
                }

                #[test]
                fn merging_two_copies_is_having_both_ones_edits(steps in steps(30), cuts in cuts()) {
                    merging_is_having_both::<$type>(&steps, &cuts)?;
                }

                #[test]
                fn what_is_left_of_an_unsent_edit_and_the_newer_one_say_what_both_said(steps in steps(30)) {
                    what_is_left_and_the_newer_say_the_same::<$type>(&steps)?;
                }

                #[test]
                fn edits_that_wait_are_shown_and_read_back(steps in steps(30)) {
                    what_waits_shows_what_it_will_say::<$type>(&steps)?;
                }
            }
        }
    )*};
}

laws! {
    counter: Counter;
    document: Document;
    register: Register;
    set: Set;
    list: List;
    tree: Tree;
}
