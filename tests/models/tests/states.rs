//! Small worlds as a whole, and mistakes made on purpose that must be found in worlds of this size.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use syncline_models::states::{Explored, Extent, Plant, Scope, World, explore};

/// Nothing here is a matter of time: these worlds are small, and a mistake is near.
const FOR_EVER: Duration = Duration::from_secs(3_600);
const STEPS_MAX: usize = 400_000;

fn visit(scope: Scope, settle_every: u64, shortest: bool) -> Explored {
    let explored =
        explore(&World { scope, seed: 0, settle_every }, Extent { steps: STEPS_MAX, time: FOR_EVER, shortest });
    eprintln!("{}: {} states, {} steps", scope.name, explored.states, explored.steps);
    explored
}

#[test]
fn nothing_is_wrong_in_any_state_of_a_world_where_a_call_is_lost() {
    let explored = visit(Scope::SMALL, 64, false);
    assert_eq!(explored.found, None);
    assert!(explored.whole && explored.states > 4_000, "{} states", explored.states);
}

#[test]
fn nothing_is_wrong_in_any_state_of_a_world_with_a_power_cut() {
    let explored = visit(Scope::SMALL_CRASH, 32, false);
    assert_eq!(explored.found, None);
    assert!(explored.whole && explored.states > 2_500, "{} states", explored.states);
}

#[test]
fn nothing_is_wrong_in_any_state_of_a_world_whose_server_is_put_back() {
    let explored = visit(Scope::SMALL_ROLLBACK, 4, false);
    assert_eq!(explored.found, None);
    assert!(explored.whole && explored.states > 500, "{} states", explored.states);
}

#[test]
fn the_states_are_the_same_whichever_way_is_gone_first() {
    let states = |seed| {
        let world = World { scope: Scope::SMALL_CRASH, seed, settle_every: u64::MAX };
        explore(&world, Extent { steps: STEPS_MAX, time: FOR_EVER, shortest: false }).states
    };
    assert_eq!(states(1), states(2));
}

fn found(scope: Scope, plant: Plant) -> String {
    visit(scope.with(plant), 4, true).found.expect("a mistake that was made on purpose is found")
}

#[test]
fn a_device_that_writes_its_cursor_before_the_content_is_found() {
    let found = found(Scope::SMALL_CRASH, Plant::CursorFirst);
    assert!(found.contains("is not what its copy of the log gives"), "{found}");
}

#[test]
fn a_disk_that_loses_what_it_said_was_durable_is_found() {
    let found = found(Scope::SMALL_CRASH, Plant::DiskLies);
    assert!(found.contains("writes are nowhere"), "{found}");
}

#[test]
fn a_device_that_has_nothing_to_offer_to_a_server_that_was_put_back_is_found() {
    let found = found(Scope::SMALL_ROLLBACK, Plant::NothingToOffer);
    assert!(found.contains("writes are nowhere"), "{found}");
}

#[test]
fn a_server_that_takes_what_was_sent_twice_for_something_new_is_found() {
    let found = found(Scope::SMALL, Plant::ServerForgets);
    assert!(found.contains("twice"), "{found}");
}
