//! Make, list, look at and delete logs.

use std::io::{BufRead as _, IsTerminal as _, Write};

use syncline::call::{Call, Reply};
use syncline::oplog::Sealing;
use syncline::wire::json::{DevicesJson, LogJson};
use syncline::{Cursor, LogId, limits};
use syncline_desk::{Fault, cursor_text};

use super::{Outcome, write_line};
use crate::cli::{DeleteArgs, LogCommand};
use crate::ids;
use crate::session::{Session, unexpected};

/// Runs a command on logs. `ask` puts a question to a person; `None` when there is none to ask.
///
/// # Errors
/// Why it stopped.
pub(super) async fn run(
    session: &Session,
    command: LogCommand,
    ask: impl FnOnce(&str) -> Option<String>,
    out: &mut dyn Write,
) -> Result<Outcome, Fault> {
    match command {
        LogCommand::Create { log, sealing } => create(session, log, sealing, out).await,
        LogCommand::RotateKeys { log, from } => {
            let bounds = session.rotate_keys(log, from).await?;
            write_line(out, &LogJson::of(log, &bounds, false))?;
            Ok(Outcome::Done)
        }
        LogCommand::List => list(session, out).await,
        LogCommand::Devices { log } => {
            let Reply::Devices(holders) = session.ask(Call::Devices(log)).await? else {
                return Err(unexpected("who holds a log"));
            };
            write_line(out, &DevicesJson::of(&holders))?;
            Ok(Outcome::Done)
        }
        LogCommand::Status { log } => {
            let bounds = session.status(log).await?;
            write_line(out, &LogJson::of(log, &bounds, false))?;
            Ok(Outcome::Done)
        }
        LogCommand::Delete(args) => delete(session, &args, ask).await,
    }
}

/// Asks on the terminal, if there is one at both ends.
pub(super) fn ask_terminal(question: &str) -> Option<String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    eprint!("{question} ");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned())
}

async fn create(
    session: &Session,
    log: Option<LogId>,
    sealing: Sealing,
    out: &mut dyn Write,
) -> Result<Outcome, Fault> {
    let log = match log {
        Some(log) => log,
        None => LogId::from_bytes(ids::env()?.uuid7("log")),
    };
    let Reply::Log { created, .. } = session.ask(Call::CreateLog { log, sealing }).await? else {
        return Err(unexpected("a log's bounds"));
    };
    if !created {
        eprintln!("the log was there already");
    }
    writeln!(out, "{log}")?;
    Ok(Outcome::Done)
}

async fn list(session: &Session, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let mut after = None;
    loop {
        let Reply::Logs(logs) = session.ask(Call::Logs { after, limit: limits::LIST_ITEMS_MAX }).await? else {
            return Err(unexpected("a listing of logs"));
        };
        // A listing that is not full may still be followed by more: what the token may not see is left out of it.
        let Some(last) = logs.last() else {
            return Ok(Outcome::Done);
        };
        after = Some(last.log);
        for summary in &logs {
            write_line(out, &LogJson::of(summary.log, &summary.bounds, false))?;
        }
    }
}

/// Two steps, so that nobody deletes what they have not looked at: see the end, then say it.
async fn delete(
    session: &Session,
    args: &DeleteArgs,
    ask: impl FnOnce(&str) -> Option<String>,
) -> Result<Outcome, Fault> {
    let log = args.log;
    let seen = match args.seen {
        Some(seen) if args.yes => seen,
        _ => {
            let bounds = session.status(log).await?;
            let (ops, end) = (bounds.last.get() + 1 - bounds.first.get(), bounds.end());
            eprintln!("log {log}: {ops} ops, {} bytes, ends at {}", bounds.bytes, cursor_text(end));
            confirm(args, end, ask)?;
            end
        }
    };
    match session.ask(Call::DeleteLog { log, seen }).await? {
        Reply::Done => {
            eprintln!("the log is deleted");
            Ok(Outcome::Done)
        }
        _ => Err(unexpected("that the log is deleted")),
    }
}

fn confirm(args: &DeleteArgs, end: Cursor, ask: impl FnOnce(&str) -> Option<String>) -> Result<(), Fault> {
    let log = args.log;
    let how = format!("syncline-ctl log delete {log} --yes --seen {}", cursor_text(end));
    if !args.yes {
        return Err(Fault::new(format!("nothing was deleted; export the log if in doubt, then: {how}")));
    }
    match ask("Deleting cannot be taken back. Type the log's id to delete it:") {
        Some(answer) if answer == log.to_string() => Ok(()),
        Some(_) => Err(Fault::new("that is not the log's id; nothing was deleted")),
        None => Err(Fault::new(format!("nothing was deleted, as there is no terminal to ask at; to delete: {how}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::testing::{Rig, log_id, parse};

    async fn delete_asking(rig: &Rig, log: &str, answer: Option<&str>) -> Result<Outcome, Fault> {
        let Command::Log(command) = parse(&["log", "delete", log, "--yes"]) else { panic!("another command") };
        run(&rig.session, command, |_| answer.map(str::to_owned), &mut Vec::new()).await
    }

    async fn is_there(rig: &Rig, log: &str) -> bool {
        rig.session.status(log_id(log)).await.is_ok()
    }

    #[tokio::test]
    async fn a_log_is_made_once_and_listed() {
        let rig = Rig::new();
        let log = rig.log().await;
        assert_eq!(rig.run(&["log", "create", &log]).await.done().trim(), log);
        let other = rig.log().await;
        let mut listed: Vec<_> = rig
            .run(&["log", "list"])
            .await
            .lines()
            .iter()
            .map(|line| line["log"].as_str().unwrap().to_owned())
            .collect();
        listed.sort_unstable();
        let mut made = vec![log.clone(), other];
        made.sort_unstable();
        assert_eq!(listed, made);
        assert_eq!(rig.run(&["log", "status", &log]).await.lines()[0]["end"]["seq"], 0);
    }

    #[tokio::test]
    async fn a_logs_sealing_is_said_once_and_its_epoch_rises_from_where_it_was_seen() {
        let rig = Rig::new();
        let log = rig.run(&["log", "create", "--sealing", "required"]).await.done().trim().to_owned();
        assert!(rig.run(&["log", "create", &log]).await.fault().contains("SEALING_POLICY"));
        let plain = ["edit", &log, "--device", "a", "--collection", "notes", "--name", "n", "--json", "{}"];
        assert!(rig.run(&plain).await.out.contains("SEALED_REQUIRED"));
        assert_eq!(rig.run(&["log", "rotate-keys", &log, "--from", "0"]).await.lines()[0]["key_epoch"], 1);
        assert!(rig.run(&["log", "rotate-keys", &log, "--from", "0"]).await.fault().contains("KEY_EPOCH_MOVED"));
        let status = rig.run(&["log", "status", &log]).await.lines()[0].clone();
        assert_eq!((&status["sealing"], &status["key_epoch"]), (&"required".into(), &1.into()));
    }

    #[tokio::test]
    async fn who_holds_a_log_is_listed() {
        let rig = Rig::new();
        let log = rig.log().await;
        let none = rig.run(&["log", "devices", &log]).await.lines();
        assert_eq!((none[0]["stable"].as_u64(), none[0]["devices"].as_array().map(Vec::len)), (Some(0), Some(0)));
        rig.edits(&log, "laptop", 1..=2).await;
        let end = rig.run(&["log", "status", &log]).await.lines()[0]["end"].clone();
        let cursor = serde_json::from_value(end).unwrap();
        let replica = syncline::ReplicaId::from_bytes([7; 16]);
        rig.session.ask(Call::Acknowledge { log: log.parse().unwrap(), replica, cursor }).await.unwrap();
        let one = rig.run(&["log", "devices", &log]).await.lines();
        assert_eq!((one[0]["stable"].as_u64(), one[0]["devices"][0]["seq"].as_u64()), (Some(2), Some(2)));
    }

    #[tokio::test]
    async fn nothing_is_deleted_without_saying_what_was_seen() {
        let rig = Rig::new();
        let log = rig.log().await;
        rig.edits(&log, "laptop", 1..=2).await;
        let shown = rig.run(&["log", "delete", &log]).await.fault();
        let (_, seen) = shown.rsplit_once("--seen ").unwrap();
        for answer in [None, Some("yes"), Some("")] {
            assert!(delete_asking(&rig, &log, answer).await.is_err(), "{answer:?} was enough");
        }
        assert!(is_there(&rig, &log).await);

        rig.edits(&log, "laptop", 3..=3).await;
        let moved = rig.run(&["log", "delete", &log, "--yes", "--seen", seen]).await.fault();
        assert!(moved.contains("LOG_MOVED"), "{moved}");
        assert!(is_there(&rig, &log).await);
    }

    #[tokio::test]
    async fn a_log_is_deleted_by_its_end_or_by_typing_its_id() {
        let rig = Rig::new();
        let log = rig.log().await;
        rig.edits(&log, "laptop", 1..=2).await;
        let shown = rig.run(&["log", "delete", &log]).await.fault();
        let (_, seen) = shown.rsplit_once("--seen ").unwrap();
        rig.run(&["log", "delete", &log, "--yes", "--seen", seen]).await.done();
        assert!(!is_there(&rig, &log).await);

        let log = rig.log().await;
        assert_eq!(delete_asking(&rig, &log, Some(&log)).await.unwrap(), Outcome::Done);
        assert!(!is_there(&rig, &log).await);
    }
}
