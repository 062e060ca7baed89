//! Requests made of the served document by schemathesis, to the real server.

use std::process::ExitCode;

use syncline_hostile::schema::{self, Effort};
use syncline_prove::{Given, Tally};

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("schema_cases");
    if let Err(error) = schema::run(&mut tally, Effort::For(given.time()), given.seed()) {
        tally.found(format!("{error:#}"));
    }
    tally.end()
}
