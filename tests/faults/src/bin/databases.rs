//! Makes Postgres fail in every way, round after round.

use std::process::ExitCode;

use syncline_faults::databases::{self, failover, space};
use syncline_faults::part::{attempt, runtime};
use syncline_prove::{Given, Tally};

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("databases");
    let mut round = 0;
    // A round takes all of them; the next begins only if there is time.
    while (round == 0 || given.goes_on()) && tally.findings().is_empty() {
        once(&mut tally);
        round += 1;
    }
    tally.add("rounds", round);
    tally.end()
}

fn scenario<T>(tally: &mut Tally, run: impl Future<Output = T>, counted: impl FnOnce(&mut Tally, T)) {
    match attempt(|| runtime().block_on(run)) {
        Ok(outcome) => counted(tally, outcome),
        Err(finding) => tally.found(finding),
    }
}

fn once(tally: &mut Tally) {
    scenario(tally, databases::unknown_outcomes(50), |tally, ()| tally.add("unknown outcomes", 50));
    scenario(tally, databases::terminations(50), |tally, ended| tally.add("backends terminated", ended as u64));
    scenario(tally, databases::immediate_stops(3), |tally, ()| tally.add("immediate stops", 3));
    scenario(tally, failover::promotion(), |tally, lost| {
        tally.add("standbys promoted", 1);
        tally.add("ops offered again", lost);
    });
    scenario(tally, databases::timeouts(50), |tally, told| tally.add("statement timeouts", told as u64));
    scenario(tally, databases::pooled(8, 15), |tally, ()| tally.add("pushes through a pooler", 8 * 15));
    scenario(tally, space::full(1), |tally, ()| tally.add("full disks", 1));
}
