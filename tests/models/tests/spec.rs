//! The specification holds within small bounds, its mistakes are found, and the real code walks within it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use syncline_models::spec::{Checked, MISTAKES, Tlc};
use syncline_models::states::{Plant, Scope, World, walk};

const STEPS: usize = 60;

#[test]
fn the_specification_holds_and_comes_to_rest_within_its_smallest_bounds() {
    let tlc = Tlc::find().unwrap();
    for name in ["Three", "Settles"] {
        assert!(matches!(tlc.check(name).unwrap(), Checked::Holds(1_000..)), "{name}");
    }
}

#[test]
fn a_cursor_without_its_anchor_and_other_mistakes_are_found() {
    let tlc = Tlc::find().unwrap();
    for (name, property) in MISTAKES {
        assert_eq!(tlc.check(name).unwrap(), Checked::Broken((*property).to_owned()), "{name}");
    }
}

#[test]
fn the_real_server_and_real_replicas_walk_within_the_specification() {
    let tlc = Tlc::find().unwrap();
    for seed in 0..6 {
        let walked = walk(&World { scope: Scope::WALKS, seed, settle_every: u64::MAX }, STEPS).unwrap();
        assert!(walked.len() > 10, "seed {seed} goes {} steps", walked.len());
        assert!(tlc.accepts(&walked).unwrap(), "seed {seed}: {walked:#?}");
    }
}

#[test]
fn a_walk_on_which_something_goes_wrong_says_so() {
    let walks = |seed| walk(&World { scope: Scope::WALKS.with(Plant::ServerForgets), seed, settle_every: 1 }, STEPS);
    let found = (0..20).find_map(|seed| walks(seed).err()).unwrap();
    assert!(found.contains("twice"), "{found}");
}

#[test]
fn a_walk_that_skips_an_op_is_none_of_the_specification() {
    let tlc = Tlc::find().unwrap();
    let mut walked = walk(&World { scope: Scope::WALKS, seed: 0, settle_every: u64::MAX }, STEPS).unwrap();
    let copy = walked.iter_mut().flat_map(|seen| &mut seen.copies).find(|copy| copy.len() > 1).unwrap();
    copy.remove(0);
    assert!(!tlc.accepts(&walked).unwrap());
}
