//! Values that merge: the laws by what several authors say, and bytes of any origin.
//!
//! What must hold: any order of the same edits makes the same bytes, merging is a join, what is written is read back and has
//! one spelling, and altered bytes are refused or another value, also where they name numbers at their edges.

use proptest::collection::vec;
use proptest::prelude::*;
use syncline::crdt::{Counter, Document, List, Register, Set, Tree};

use crate::given::{drawn, holds, how};
use crate::hostile_text::mutate;
use crate::hostile_values::{altered_bytes_are_refused_or_another_value, refused_or_read};
use crate::random::Random;
use crate::value_laws::{
    any_order_makes_the_same_bytes, cuts, merging_is_having_both, what_is_left_and_the_newer_say_the_same,
    what_waits_shows_what_it_will_say,
};
use crate::world::{Tried, steps, talk, value};

fn body<C: Tried>(data: &[u8]) {
    let (how, data) = how(data);
    let said = steps(24);
    match how % 7 {
        0 => holds(refused_or_read::<C>(data)),
        1 => {
            let Some((steps, picks)) = drawn(&(said, vec(any::<u8>(), 60)), data) else { return };
            holds(any_order_makes_the_same_bytes::<C>(&steps, &picks));
        }
        2 => {
            let Some((cuts, steps)) = drawn(&(cuts(), said), data) else { return };
            holds(merging_is_having_both::<C>(&steps, &cuts));
        }
        3 => {
            let Some(steps) = drawn(&said, data) else { return };
            holds(what_is_left_and_the_newer_say_the_same::<C>(&steps));
        }
        4 => {
            let Some(steps) = drawn(&said, data) else { return };
            holds(what_waits_shows_what_it_will_say::<C>(&steps));
        }
        5 => {
            let hits = vec((any::<u16>(), any::<u8>()), 1..4);
            let Some((hits, steps)) = drawn(&(hits, steps(12)), data) else { return };
            holds(altered_bytes_are_refused_or_another_value::<C>(&steps, &hits));
        }
        _ => {
            let (tape, data) = data.split_at(data.len().min(16));
            let Some(steps) = drawn(&steps(12), data) else { return };
            let said = talk::<C>(&steps);
            let mut random = Random::over(tape);
            let mut state = value(&said).encode();
            mutate(&mut state, &mut random);
            holds(refused_or_read::<C>(&state));
            let Some(last) = said.last() else { return };
            let mut edit = C::write_edit(&last.edit).to_vec();
            mutate(&mut edit, &mut random);
            holds(refused_or_read::<C>(&edit));
        }
    }
}

pub(crate) fn counter(data: &[u8]) {
    body::<Counter>(data);
}

pub(crate) fn document(data: &[u8]) {
    body::<Document>(data);
}

pub(crate) fn list(data: &[u8]) {
    body::<List>(data);
}

pub(crate) fn register(data: &[u8]) {
    body::<Register>(data);
}

pub(crate) fn set(data: &[u8]) {
    body::<Set>(data);
}

pub(crate) fn tree(data: &[u8]) {
    body::<Tree>(data);
}
