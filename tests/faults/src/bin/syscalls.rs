//! Makes system calls of the server program fail, one after the other.

use std::process::ExitCode;

use syncline_faults::part::{attempt, sweep};
use syncline_faults::syscalls::{CALLS, Sweep, meet, order};
use syncline_prove::{Given, Tally};

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("syscalls");
    match attempt(order::check) {
        Ok(blobs) => tally.add("blobs stored in order", blobs),
        Err(finding) => tally.found(finding),
    }
    sweep(&mut tally, || given.goes_on(), Sweep::of(CALLS, 1 + given.seed() % 7, 1), meet);
    tally.end()
}
