//! Notes that several people type into at once: what the values that merge look like in an application. Each folder is a
//! device.
//!
//! What must hold: an answer to an edit is given when the edit is on this disk; what is typed on two devices at once is
//! there whole on both; stdout carries answers, stderr the one sentence why there is none.
//!
//! Next: `book` says which collection is of which type; `page` is an open note with its cursor, `presence` who is where;
//! `line` is what can be typed, `commands` does it, `shell` is the device that stays open.

mod app;
mod book;
mod cli;
mod commands;
mod escape;
mod line;
mod page;
mod presence;
mod shell;

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match app::run(cli::Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) if fault.is_quiet() => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("syncline-notes: {fault}");
            ExitCode::FAILURE
        }
    }
}
