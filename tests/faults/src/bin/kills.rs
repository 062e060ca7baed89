//! Kills the server program under load.

use std::process::ExitCode;

use syncline_faults::kills::life;
use syncline_faults::part::{cores, seeds};
use syncline_prove::Given;

fn main() -> ExitCode {
    seeds("kills", Given::read(), cores(), || (), |(), seed| life(seed, 20)).end()
}
