//! Part of the proof: what the product does with threads, under many schedules, for as long as there is time.

use std::process::ExitCode;

use syncline_models::schedules::{MORE, SCENARIOS};
use syncline_prove::{Given, Tally};

/// Schedules before the clock is looked at.
const AT_ONCE: usize = 500;

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("schedules");
    let mut seed = given.seed();
    while given.goes_on() && tally.findings().is_empty() {
        for scenario in SCENARIOS.iter().chain(MORE) {
            if let Err(why) = scenario.run(seed, AT_ONCE) {
                tally.found(format!("{}, seed {seed}: {why}", scenario.name));
            }
            tally.add(scenario.name, u64::try_from(AT_ONCE).unwrap_or_default());
        }
        seed = seed.wrapping_add(1);
    }
    tally.end()
}
