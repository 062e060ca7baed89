//! Part of the proof: every state of small worlds, for as long as there is time.

use std::process::ExitCode;
use std::time::Duration;

use syncline_models::states::{Extent, Scope, World, explore};
use syncline_prove::{Given, Tally};

/// One state in so many is asked whether all ends well from it.
const SETTLE_EVERY: u64 = 64;

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("states");
    for (index, scope) in Scope::ALL.iter().enumerate() {
        let left = given.time().saturating_sub(given.taken());
        let share = left / u32::try_from(Scope::ALL.len() - index).unwrap_or(1);
        let world = World { scope: *scope, seed: given.seed(), settle_every: SETTLE_EVERY };
        let time = share.max(Duration::from_secs(1));
        let explored = explore(&world, Extent { steps: usize::MAX, time, shortest: false });
        let extent = if explored.whole { "all" } else { "so far" };
        eprintln!("{:<32} {:>9} states ({extent}), {} steps", scope.name, explored.states, explored.steps);
        tally.add("states", explored.states);
        tally.add("steps", explored.steps);
        tally.add("scopes visited whole", u64::from(explored.whole));
        if let Some(found) = explored.found {
            tally.found(found);
        }
    }
    tally.end()
}
