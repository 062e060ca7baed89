//! The real programs over a real socket: what an operator types on the first day, and what they rely on later.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use common::{ANYWHERE, Server, TOKEN};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(60);

fn edit(server: &Server, log: &str, device: &str, json: &str) -> Value {
    let edit = ["edit", log, "--device", device, "--collection", "tasks", "--name", "groceries", "--json", json];
    serde_json::from_str(&server.done(&edit)).expect("JSON")
}

/// Lines of a process that goes on, each waited for at most so long.
fn lines_of(stdout: ChildStdout) -> mpsc::Receiver<Value> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = send.send(serde_json::from_str(&line).expect("stdout carries JSON alone"));
        }
    });
    receive
}

fn end_of(server: &Server, log: &str) -> Value {
    serde_json::from_str::<Value>(&server.done(&["log", "status", log])).expect("JSON")["end"].take()
}

#[test]
fn two_devices_exchange_edits_and_a_follower_sees_them_come() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), ANYWHERE, &[]);
    let log = server.done(&["log", "create"]);
    let log = log.trim();
    assert_eq!(edit(&server, log, "laptop", "{\"title\":\"buy milk\"}")["seq"], 1);

    let mut follower = server.command(TOKEN, &["pull", log, "--follow"]);
    let mut follower = follower.stdout(Stdio::piped()).spawn().expect("the follower starts");
    let lines = lines_of(follower.stdout.take().expect("piped"));
    assert_eq!(lines.recv_timeout(LONG).expect("what was there")["seq"], 1);
    // Half a minute later it would ask by itself: in time means that it was woken.
    for (seq, device) in [(2, "phone"), (3, "laptop"), (4, "phone")] {
        assert_eq!(edit(&server, log, device, "{\"done\":true}")["verdict"], "accepted");
        let line = lines.recv_timeout(Duration::from_secs(20)).expect("a wake");
        assert_eq!((&line["seq"], &line["op"]["payload"]["json"]["done"]), (&seq.into(), &true.into()));
    }
    follower.kill().expect("killed");
    follower.wait().expect("reaped");
    assert_eq!(server.done(&["pull", log]).lines().count(), 4);
    server.done(&["verify", log]);
}

#[test]
fn fault_a_killed_server_and_a_repeated_push_lose_and_double_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(data.path(), ANYWHERE, &[]);
    let from = server.done(&["log", "create"]);
    for number in 1..=3 {
        edit(&server, from.trim(), "laptop", &format!("{{\"n\":{number}}}"));
    }
    let file = data.path().join("ops.jsonl");
    std::fs::write(&file, server.done(&["pull", from.trim()])).expect("written");
    let (to, file) = (server.done(&["log", "create"]), file.display().to_string());
    let first = server.done(&["push", to.trim(), &file]);
    let address = server.address().to_owned();
    server.kill();
    server = Server::start(data.path(), &address, &[]);
    assert_eq!(server.done(&["push", to.trim(), &file]), first, "the first answer, remembered");
    assert_eq!(end_of(&server, to.trim())["seq"], 3);
    server.done(&["verify", to.trim()]);
}

#[test]
fn a_log_survives_export_deletion_and_import_and_a_tampered_export_does_not_get_in() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), ANYWHERE, &[]);
    let log = server.done(&["log", "create"]);
    let log = log.trim();
    for (device, json) in [("laptop", "{\"title\":\"buy milk\"}"), ("phone", "{\"done\":true}")] {
        edit(&server, log, device, json);
    }
    let file = data.path().join("log.jsonl").display().to_string();
    server.done(&["export", log, &file]);
    let before = server.done(&["pull", log]);

    let asked = server.fault(&["log", "delete", log, "--yes"]);
    let (_, seen) = asked.trim_end().rsplit_once("--seen ").expect("how to delete it");
    server.done(&["log", "delete", log, "--yes", "--seen", seen]);
    assert!(server.fault(&["log", "status", log]).contains("LOG_NOT_FOUND"));

    let text = std::fs::read_to_string(&file).expect("readable");
    let tampered = data.path().join("tampered.jsonl").display().to_string();
    std::fs::write(&tampered, text.replace("milk", "wine")).expect("written");
    assert!(server.fault(&["import", log, &tampered]).contains("seq 1"));
    assert!(server.fault(&["log", "status", log]).contains("LOG_NOT_FOUND"), "nothing was pushed");

    server.done(&["import", log, &file]);
    let ops = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["op"].take()).collect()
    };
    assert_eq!(ops(&server.done(&["pull", log])), ops(&before));
    server.done(&["verify", log]);
}

#[test]
fn a_token_opens_what_it_is_for_until_it_is_revoked() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), ANYWHERE, &[]);
    let (own, other) = (server.done(&["log", "create"]), server.done(&["log", "create"]));
    let created = server.run(&["token", "create", "--name", "phone", "--log", own.trim(), "--expires-in", "1h"]);
    let token = String::from_utf8(created.stdout).expect("UTF-8");
    let said = String::from_utf8(created.stderr).expect("UTF-8");
    let id = said.split_whitespace().nth(1).expect("the token's id");
    let file = data.path().join("token");
    std::fs::File::create(&file).and_then(|mut file| file.write_all(token.as_bytes())).expect("written");
    let file = file.display().to_string();
    assert_eq!(server.done(&["--token-file", &file, "log", "list"]).lines().count(), 1);
    assert!(server.fault(&["--token-file", &file, "pull", other.trim()]).contains("LOG_NOT_FOUND"));
    server.done(&["token", "revoke", id]);
    assert!(server.fault(&["--token-file", &file, "log", "list"]).contains("UNAUTHENTICATED"));
}
