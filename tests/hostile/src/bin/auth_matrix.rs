//! Every operation of the served document times every class of callers, in one order after another.

#![allow(clippy::expect_used, reason = "without a runtime there is nothing to prove")]

use std::process::ExitCode;

use syncline_hostile::matrix;
use syncline_prove::{Given, Tally};

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("auth_matrix");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut seed = given.seed();
    loop {
        let outcome = runtime.block_on(matrix::run(seed));
        tally.add("orders", 1);
        tally.add("requests judged", outcome.cells);
        tally.add("of them let in", outcome.admitted);
        outcome.findings.iter().for_each(|finding| tally.found(format!("seed {seed}: {finding}")));
        if !given.goes_on() || !tally.findings().is_empty() {
            return tally.end();
        }
        seed = seed.wrapping_add(1);
    }
}
