//! A task list that works without a network and agrees on all devices: what an application on top of the engine looks
//! like. Each folder is a device.
//!
//! What must always hold: a command that says "saved" has put it on this disk; what the server refused, or somebody
//! else's edit overtook, is shown and never dropped; stdout carries answers, stderr the one sentence why there is none.
//!
//! Next: `cli` is what can be typed; `app` opens the replica and syncs it; `keys` seals it; `task` and `note` say which data is merged and
//! which asks; `commands` does the rest, `shell` is a device that stays open.

mod app;
mod cli;
mod commands;
mod keys;
mod note;
mod number;
mod shell;
mod task;
mod words;
mod world;

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match commands::run(cli::Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) if fault.is_quiet() => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("syncline-tasks: {fault}");
            ExitCode::FAILURE
        }
    }
}
