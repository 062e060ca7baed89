//! Part of the proof: every configuration of the specification and every mistake in it, then walks of the real code held against
//! it for as long as there is time.

use std::process::ExitCode;

use syncline_models::spec::{CONFIGURATIONS, Checked, MISTAKES, Tlc};
use syncline_models::states::{Scope, World, walk};
use syncline_prove::{Given, Tally};

/// Steps of a walk.
const STEPS: usize = 60;

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("spec");
    if let Err(error) = prove(given, &mut tally) {
        tally.found(format!("it cannot be checked: {error:#}"));
    }
    tally.end()
}

fn prove(given: Given, tally: &mut Tally) -> anyhow::Result<()> {
    let tlc = Tlc::find()?;
    // All of them, whatever the time: what is promised is all of them.
    for name in CONFIGURATIONS {
        match tlc.check(name)? {
            Checked::Holds(states) => tally.add("states of the specification", states),
            broken => tally.found(format!("{name}: {broken:?}")),
        }
        tally.add("configurations", 1);
    }
    for (name, property) in MISTAKES {
        let checked = tlc.check(name)?;
        if checked == Checked::Broken((*property).to_owned()) {
            tally.add("mistakes found", 1);
        } else {
            tally.found(format!("{name} is not found: {checked:?}"));
        }
    }
    let mut seed = given.seed();
    while given.goes_on() {
        match walk(&World { scope: Scope::WALKS, seed, settle_every: u64::MAX }, STEPS) {
            Ok(walked) => {
                if !tlc.accepts(&walked)? {
                    tally.found(format!("the walk of seed {seed} is none of the specification"));
                }
                tally.add("walks held against it", 1);
                tally.add("steps of walks", u64::try_from(walked.len()).unwrap_or(u64::MAX));
            }
            Err(fault) => tally.found(format!("the walk of seed {seed} goes wrong {fault}")),
        }
        seed = seed.wrapping_add(1);
    }
    Ok(())
}
