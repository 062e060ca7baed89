//! The operator's command line of a syncline server.
//!
//! What must always hold: stdout carries data and nothing else; an error is one sentence, with the server's code and
//! advice where it came from there; a command that is run again does no harm.
//!
//! Next: `cli` is what can be typed, `commands` what it does, `session` how it talks to a server.

mod archive;
mod cli;
mod commands;
mod connect;
mod counters;
mod ids;
mod lines;
mod progress;
mod session;
#[cfg(test)]
mod testing;

use std::io::{BufWriter, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use commands::Outcome;
use syncline_desk::Fault;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(cli::Cli::parse()).await {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotAll) => ExitCode::FAILURE,
        Err(fault) if fault.is_quiet() => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("syncline-ctl: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: cli::Cli) -> Result<Outcome, Fault> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let done = match cli.command {
        cli::Command::Account(command) => commands::account::run(&cli.way, command, &mut out).await,
        command => {
            let session = connect::connect(&cli.way)?;
            commands::run(&session, command, &mut std::io::stdin().lock(), &mut out).await
        }
    };
    // What was written before a fault is data all the same.
    let flushed = out.flush();
    let outcome = done?;
    flushed?;
    Ok(outcome)
}
