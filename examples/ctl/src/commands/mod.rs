//! One file per family of commands. Each takes a session and where to write its data, nothing else of the world.

pub(crate) mod account;
mod edit;
mod group;
mod link;
mod log;
mod pull;
mod push;
mod restore;
mod scan;
mod share;
mod token;
mod transfer;
mod verify;

use std::io::{BufRead, Write};

use serde::Serialize;
use syncline::oplog::OpKind;
use syncline_desk::Fault;

pub(crate) use group::GroupCommand;
pub(crate) use link::LinkCommand;
pub(crate) use scan::ScanCommand;
pub(crate) use share::ShareArgs;

use crate::cli::Command;
use crate::session::Session;

/// Whether everything asked for was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it.
    Done,
    /// Not all; what and why was said.
    NotAll,
}

/// Runs a command.
///
/// # Errors
/// Why it stopped.
pub(crate) async fn run(
    session: &Session,
    command: Command,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<Outcome, Fault> {
    match command {
        Command::Log(command) => log::run(session, command, log::ask_terminal, out).await,
        // They are of a dialect, which the engine's calls do not know: `main` takes them before there is a session.
        Command::Account(_) => Err(Fault::new("accounts are asked for without a session")),
        Command::Token(command) => token::run(session, command, out).await,
        Command::Group(command) => group::run(session, command, out).await,
        Command::Link(command) => link::run(session, command, out).await,
        Command::Share(args) => share::run(session, &args, out).await,
        Command::Scan(command) => scan::run(session, command, out).await,
        Command::Push(args) => push::run(session, &args, input, out).await,
        Command::Pull(args) => pull::run(session, &args, out).await,
        Command::Edit(args) => edit::run(session, args, out).await,
        Command::Export(args) => transfer::export(session, &args).await,
        Command::Import(args) => transfer::import(session, &args, out).await,
        Command::Verify { log } => verify::run(session, log, out).await,
        Command::RestorePoints { log, limit } => restore::points(session, log, limit, out).await,
        Command::Restore { log, to } => restore::restore(session, log, to, out).await,
        Command::RestoreUndo { log } => restore::undo(session, log, out).await,
        Command::Snapshot { log, out: file } => restore::snapshot(session, log, file.as_deref(), out).await,
    }
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// When it cannot be written.
fn write_line(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Fault> {
    serde_json::to_writer(&mut *out, value).map_err(|error| Fault::from(std::io::Error::from(error)))?;
    out.write_all(b"\n")?;
    Ok(())
}

/// What an op does, in a word.
const fn kind_name(kind: OpKind) -> &'static str {
    match kind {
        OpKind::Create => "create",
        OpKind::Update => "update",
        OpKind::Delete => "delete",
        OpKind::Move => "move",
        OpKind::Batch => "batch",
        OpKind::FullState(_) => "full_state",
        _ => "other",
    }
}
