//! The cloud drive in a terminal: a folder, a server, and verbs.
//!
//! What must hold: stdout carries answers, one a line; stderr the one sentence why there is none; nobody's files are changed by
//! a verb that only looks.
//!
//! Next: `program/cli` is what can be typed, `program/device` what a device is, the rest of `program` does it.

mod program;

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match program::run(program::cli::Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) if fault.is_quiet() => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("syncline-drive: {fault}");
            ExitCode::FAILURE
        }
    }
}
