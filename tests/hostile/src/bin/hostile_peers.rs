//! Slow peers, bombs and floods against the real server, beside somebody who behaves.

#![allow(clippy::expect_used, reason = "without a runtime there is nothing to prove")]

use std::process::ExitCode;

use syncline_hostile::peers::{self, Effort};
use syncline_prove::{Given, Tally};

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("hostile_peers");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if let Err(error) = runtime.block_on(peers::run(&mut tally, Effort::For(given.time()), given.seed())) {
        tally.found(format!("{error:#}"));
    }
    tally.end()
}
