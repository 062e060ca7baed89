//! Thousands of schedules of each scenario; and the same scenario over the same file with one mistake in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use syncline_models::schedules::{MORE, SCENARIOS};

const SCHEDULES: usize = 2_000;

#[test]
fn whatever_the_schedule_everybody_is_answered_and_told_the_truth() {
    for scenario in SCENARIOS.iter().chain(MORE) {
        assert_eq!(scenario.run(0, SCHEDULES), Ok(()), "{}", scenario.name);
    }
}

#[test]
fn a_mistake_in_each_file_is_found_by_the_scenario_that_is_about_it() {
    for scenario in SCENARIOS {
        let found = scenario.run_mistaken(0, SCHEDULES);
        assert!(found.is_err(), "{}", scenario.name);
    }
}
