//! The laws of every type, by random edits of authors that saw some of each other's, delivered in random order.

use proptest::collection::vec;
use proptest::prelude::*;
use syncline::crdt::position::SessionName;
use syncline::crdt::{Content, Counter, CounterEdit, List, ListEdit, Register, RegisterEdit, Set, SetEdit, Tree, TreeEdit};

use crate::world::{AUTHORS, Step, Tried, prefix, shuffled, steps, talk, text, value};

impl Tried for Counter {
    fn say(&self, step: &Step, _: SessionName) -> Option<CounterEdit> {
        Some(match step.choice % 8 {
            0 => CounterEdit::Reset(self.seen()),
            1 => CounterEdit::Delete(self.seen()),
            _ => CounterEdit::Add(i64::from(step.at) - 30_000),
        })
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

impl Tried for Register {
    fn say(&self, step: &Step, _: SessionName) -> Option<RegisterEdit> {
        Some(RegisterEdit((step.choice % 4 > 0).then(|| text(step.at))))
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

impl Tried for Set {
    fn say(&self, step: &Step, _: SessionName) -> Option<SetEdit> {
        let some = [text(step.at % 4), text(step.other % 4)];
        match step.choice % 5 {
            0 => self.removing(self.iter().cloned().collect::<Vec<_>>()),
            1 | 2 => self.removing(some),
            _ => Some(self.adding(some)),
        }
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

impl Tried for List {
    fn say(&self, step: &Step, session: SessionName) -> Option<Vec<ListEdit>> {
        let (len, at) = (self.len(), usize::from(step.at));
        match step.choice % 8 {
            0 if len > 0 => self.removing(at % len, 1).ok(),
            1 if len > 1 => self.removing(at % (len - 1), 2).ok(),
            2 | 3 if len > 0 => self.moving(at % len, usize::from(step.other) % len, session).ok(),
            4 if len > 0 => self.setting(at % len, text(step.other)).ok(),
            choice => {
                let texts = (0..1 + choice % 3).map(|nth| text(u32::from(step.other) * 10 + u32::from(nth)));
                self.inserting(at % (len + 1), texts, session).ok()
            }
        }
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

impl Tried for Tree {
    fn say(&self, step: &Step, session: SessionName) -> Option<Vec<TreeEdit>> {
        let (placed, at) = (self.placed(), usize::from(step.at));
        let pick = |at: usize| (!placed.is_empty()).then(|| placed[at % placed.len()].id);
        let parent = pick(usize::from(step.other)).filter(|_| step.other % 3 > 0);
        let index = at % (self.under(parent).len() + 1);
        match step.choice % 8 {
            0 => self.removing(pick(at)?).ok(),
            1 => self.setting(pick(at)?, text(step.other)).ok(),
            2..=4 => self.moving(pick(at)?, parent, index.saturating_sub(1), session).ok(),
            _ => self.inserting(parent, index, text(step.other), session).ok(),
        }
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

/// A value's bytes, which are read back as that value.
fn bytes<C: Content>(value: &C) -> Vec<u8> {
    let bytes = value.encode();
    assert_eq!(C::decode(bytes.clone().into()).as_ref(), Ok(value), "what is written is read back as it was");
    bytes
}

fn any_order_makes_the_same_bytes<C: Tried>(steps: &[Step], picks: &[u8]) -> Result<(), TestCaseError> {
    let said = talk::<C>(steps);
    let (one, other) = (value(&said), value(&shuffled(&said, picks)));
    prop_assert_eq!(bytes(&one), bytes(&other));
    prop_assert_eq!(one.view(), other.view());
    Ok(())
}

fn merging_is_having_both<C: Tried>(steps: &[Step], cuts: &[[usize; AUTHORS]; 3]) -> Result<(), TestCaseError> {
    let said = talk::<C>(steps);
    let [one, two, three] = cuts.map(|counts| value(&prefix(&said, counts)));
    let both = std::array::from_fn(|author| cuts[0][author].max(cuts[1][author]));
    prop_assert_eq!(bytes(&one.clone().merged(&two)), bytes(&value(&prefix(&said, both))), "merging is having both");
    prop_assert_eq!(one.clone().merged(&two), two.clone().merged(&one), "commutative");
    prop_assert_eq!(one.clone().merged(&one), one.clone(), "idempotent");
    let left = one.clone().merged(&two).merged(&three);
    prop_assert_eq!(left, one.merged(&two.merged(&three)), "associative");
    Ok(())
}

/// What an author did not send yet may be folded, as long as nobody else's comes in between.
fn what_is_left_and_the_newer_say_the_same<C: Tried>(steps: &[Step]) -> Result<(), TestCaseError> {
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
fn what_waits_shows_what_it_will_say<C: Tried>(steps: &[Step]) -> Result<(), TestCaseError> {
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

fn cuts() -> impl Strategy<Value = [[usize; AUTHORS]; 3]> {
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
    register: Register;
    set: Set;
    list: List;
    tree: Tree;
}
