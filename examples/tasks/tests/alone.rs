//! One device without a server, as it is typed: every command, its answer and its exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn command(device: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline-tasks"));
    command.env_remove("SYNCLINE_SERVER").env_remove("SYNCLINE_TOKEN").arg("--device").arg(device);
    command
}

fn run(device: &Path, words: &[&str]) -> Output {
    command(device).args(words).output().unwrap()
}

/// What it says to people, when it goes well.
fn says(device: &Path, words: &[&str]) -> String {
    let output = run(device, words);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && err.is_empty(), "{words:?}: {out}{err}");
    out
}

/// What it complains about, when it does not.
fn complains(device: &Path, words: &[&str]) -> String {
    let output = run(device, words);
    assert_eq!(output.status.code(), Some(1), "{words:?}");
    assert!(output.stdout.is_empty(), "stdout carries answers only");
    String::from_utf8(output.stderr).unwrap()
}

fn json(device: &Path, words: &[&str]) -> Value {
    let words: Vec<&str> = std::iter::once("--json").chain(words.iter().copied()).collect();
    serde_json::from_str(&says(device, &words)).unwrap()
}

#[test]
fn a_device_works_alone_from_the_first_task_to_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("laptop");
    assert!(complains(&device, &["list"]).contains("make it one with `init`"));
    assert!(says(&device, &["init"]).contains("without a server"));
    assert!(complains(&device, &["init"]).contains("already"));
    assert_eq!(says(&device, &["list"]), "Nothing to do.\n");

    let added = json(&device, &["add", "buy", "milk", "--due", "2026-12-24", "--note", "two litres"]);
    let id = added["tasks"][0].as_str().unwrap().to_owned();
    assert_eq!(added["writes"].as_array().unwrap().len(), 2, "the note is a write of its own");
    says(&device, &["add", "write letter"]);
    let short = &id[..8];
    assert!(says(&device, &["list"]).starts_with(&format!("{short} [ ] buy milk  due 2026-12-24  *\n")));
    assert!(says(&device, &["show", &id[..6]]).ends_with("\n\ntwo litres\n"));

    says(&device, &["edit", short, "--title", "buy oat milk", "--due", "none", "--note", ""]);
    let task = &json(&device, &["show", short])["task"];
    assert_eq!((&task["title"], &task["due"], &task["note"]), (&"buy oat milk".into(), &Value::Null, &Value::Null));
    assert!(says(&device, &["done", short]).contains("[x]"));
    assert!(says(&device, &["done", short]).contains("like that already"));
    assert!(says(&device, &["undone", short]).contains("[ ]"));

    says(&device, &["rm", short]);
    assert!(!says(&device, &["list"]).contains("milk"));
    assert!(says(&device, &["list", "--all"]).contains("(in the bin)"));
    says(&device, &["restore", short]);
    assert!(says(&device, &["list"]).contains("oat milk"));
    assert!(says(&device, &["rm", "--forever", short]).contains("deleted"));
    assert!(!says(&device, &["list", "--all"]).contains("milk"));
    assert!(complains(&device, &["show", short]).contains("there is no task"));

    let status = json(&device, &["status"]);
    assert_eq!((&status["safe"], &status["phase"]), (&false.into(), &"apart".into()));
    assert!(says(&device, &["status"]).contains("give this device one with `attach`"));
    assert!(complains(&device, &["sync"]).contains("no server"));
    assert_eq!(says(&device, &["conflicts"]), "No conflicts.\n");
    assert_eq!(says(&device, &["parked"]), "Nothing was refused.\n");
    assert!(complains(&device, &["resolve", "3", "--mine"]).contains("no conflict 3"));
    assert!(complains(&device, &["retry", "3"]).contains("no refused edit 3"));
}

#[test]
fn a_server_that_is_away_is_worth_a_word_and_not_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("laptop");
    says(&device, &["init"]);
    assert!(complains(&device, &["attach", "--server", "http://127.0.0.1:1"]).contains("no token"));
    assert!(complains(&device, &["attach"]).contains("which server"));
    // Port 1 of this machine: nobody is there.
    let attached = says(&device, &["attach", "--server", "http://127.0.0.1:1", "--token", "t"]);
    assert!(attached.contains("Not on the server yet"), "{attached}");
    let added = says(&device, &["add", "write letter"]);
    assert!(added.contains("write letter") && added.contains("Not on the server yet"), "{added}");
    assert!(!says(&device, &["--offline", "add", "buy milk"]).contains("server"));
    assert!(complains(&device, &["sync"]).contains("cannot be reached"));
    says(&device, &["detach"]);
    assert!(complains(&device, &["sync"]).contains("no server"));
    assert_eq!(json(&device, &["list"])["tasks"].as_array().unwrap().len(), 2);
}

#[test]
fn a_shell_answers_every_line_and_keeps_others_out_while_it_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("laptop");
    says(&device, &["init"]);
    let mut shell = command(&device);
    shell.args(["--json", "shell"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let mut typed = shell.stdin.take().unwrap();
    let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
    let mut answer = || loop {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if line.get("reply").is_some() {
            return line;
        }
    };
    assert_eq!(answer()["reply"], "status");
    assert!(complains(&device, &["list"]).contains("open in another terminal"));
    for (line, reply) in [
        ("add \"buy milk\" --note 'two litres'", "add"),
        ("list", "list"),
        ("", ""),
        ("add \"buy", "error"),
        ("dance", "error"),
        ("show nothing", "error"),
        ("offline", "offline"),
        ("online", "online"),
        ("status", "status"),
    ] {
        writeln!(typed, "{line}").unwrap();
        if !line.is_empty() {
            assert_eq!(answer()["reply"], reply, "{line}");
        }
    }
    writeln!(typed, "quit").unwrap();
    assert!(shell.wait().unwrap().success());
    assert_eq!(json(&device, &["list"])["tasks"][0]["note"], "two litres");
    drop(typed);
}
