//! The server as an operator meets it: a process with flags, a file, an environment, a ready line and signals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const STRONG: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline-server"));
    command.args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SYNCLINE_")) {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// A server that listens; killed when the test fails.
struct Running {
    child: Child,
    addr: String,
}

impl Running {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    fn start_with(folder: &Path, more: &[&str]) -> Self {
        let arguments = ["--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
        let mut command = command(&[&arguments, more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { child, addr }
    }

    fn ask(&self, method: &str, target: &str, token: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\n{length}\r\n{body}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks it to stop as an init system does; what it wrote to its log.
    fn stop(mut self, signal: &str) -> String {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert!(self.child.wait().unwrap().success(), "a stop that was asked for is no failure");
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn one_command_serves_keeps_its_data_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let log = "/v1/logs/00000000-0000-7000-8000-0000000000aa";
    let server = Running::start(&data);
    let file = data.join("admin-token");
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(server.ask("PUT", log, &token, "").starts_with("HTTP/1.1 201 "));
    let op = r#"{"ops":[{"id":"00000000-0000-7000-8000-000000000b01","replica":"00000000-0000-7000-8000-000000000c01","kind":"create","collection":"tasks","entity":"00000000-0000-7000-8000-000000000d01","clock":{"00000000-0000-7000-8000-000000000c01":1},"hlc":{"ms":1700000000000},"schema_version":1,"payload":{"json":{"title":"milk"}}}]}"#;
    assert!(server.ask("POST", &format!("{log}/ops"), &token, op).contains(r#""accepted","seq":1"#));
    assert!(server.ask("GET", log, "somebody else's", "").starts_with("HTTP/1.1 401 "));
    assert!(server.stop("-TERM").contains(&token), "the operator was told the token once");
    let server = Running::start(&data);
    assert!(server.ask("GET", &format!("{log}/ops"), &token, "").contains(r#"{"title":"milk"}"#));
    assert!(!server.stop("-INT").contains(&token), "and not again");
}

/// Two devices that had not seen each other edit one thing.
#[test]
fn both_of_two_offline_edits_count_unless_their_collection_is_causal() {
    let edit = |replica: u8| {
        format!(
            r#"{{"ops":[{{"id":"00000000-0000-7000-8000-000000000b0{replica}","replica":"00000000-0000-7000-8000-000000000c0{replica}","kind":"update","collection":"tasks","entity":"00000000-0000-7000-8000-000000000d01","clock":{{"00000000-0000-7000-8000-000000000c0{replica}":1}},"hlc":{{"ms":1700000000000}},"schema_version":1,"payload":{{"json":{{"title":"milk"}}}}}}]}}"#
        )
    };
    let table: [(&[&str], &str); 3] = [
        (&[], r#""verdict":"accepted","seq":2"#),
        (&["--otherwise", "causal"], "CONCURRENT"),
        (&["--collection", "tasks=causal"], "CONCURRENT"),
    ];
    for (arguments, second) in table {
        let folder = tempfile::tempdir().unwrap();
        let server = Running::start_with(folder.path(), arguments);
        let token = std::fs::read_to_string(folder.path().join("admin-token")).unwrap().trim().to_owned();
        let log = "/v1/logs/00000000-0000-7000-8000-0000000000aa";
        assert!(server.ask("PUT", log, &token, "").starts_with("HTTP/1.1 201 "));
        let push = |replica| server.ask("POST", &format!("{log}/ops"), &token, &edit(replica));
        let answers = [push(1), push(2)];
        assert!(answers[0].contains(r#""verdict":"accepted","seq":1"#), "{answers:?}");
        assert!(answers[1].contains(second), "{arguments:?}: {answers:?}");
    }
}

#[test]
fn flags_go_before_environment_before_file_before_defaults_and_no_secret_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    let text = format!(
        "listen = \"127.0.0.1:1\"\ndata = \"from-file\"\nlog = \"debug\"\nadmin_token = \"{STRONG}\"\n\
         otherwise = \"merge\"\n[collections]\nchat = \"append\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut command = command(&["--config", file.to_str().unwrap(), "--print-config", "--listen", "127.0.0.1:3"]);
    let output = command.env("SYNCLINE_LISTEN", "127.0.0.1:2").env("SYNCLINE_DATA", "from-env").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in [
        "listen = \"127.0.0.1:3\"",
        "data = \"from-env\"",
        "store = \"sqlite:from-env/syncline.db\"",
        "log = \"debug\"",
        "admin_token = \"<redacted>\"",
        "otherwise = \"merge\"",
        "log_format = \"text\"",
        "[collections]\nchat = \"append\"\n",
    ] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
    assert!(!printed.contains(STRONG));
    let printed = String::from_utf8(run(&["--print-config"]).stdout).unwrap();
    assert!(printed.contains("otherwise = \"fields\"") && printed.contains("notes = \"text\""), "{printed}");
    let types = "a=text,b=counter,c=set,d=list,e=tree,f=register,g=document";
    let printed = String::from_utf8(run(&["--print-config", "--collection", types]).stdout).unwrap();
    let table = types.split(',').map(|pair| pair.replace('=', " = \"") + "\"\n").collect::<String>();
    assert!(printed.contains(&format!("[collections]\n{table}")), "{printed}");
    let printed = run(&["--print-config", "--store", "postgres://user:pass@host/db?password=word"]).stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains("user") && !printed.contains("pass@") && !printed.contains("word"), "{printed}");
}

#[test]
fn what_cannot_be_meant_is_refused_in_a_sentence_before_anything_listens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    std::fs::write(&file, "listne = \"127.0.0.1:1\"\n").unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let weak = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let table: [(&[&str], &str); 8] = [
        (&["--config", file.to_str().unwrap()], "unknown field `listne`"),
        (&["--config", "/nowhere/at-all.toml"], "cannot read"),
        (&["--listen", "0.0.0.0:0"], "set an admin token"),
        (&["--listen", "0.0.0.0:0", "--admin-token", weak], "too weak"),
        (&["--listen", "[::]:0", "--admin-token", "short1234567"], "too weak"),
        (&["--listen", "127.0.0.1:0", "--store", "floppy:a"], "a store is sqlite:PATH, postgres:URL or memory"),
        (&["--listen", "127.0.0.1:0", "--collection", "tasks=mostly"], "mostly"),
        (&["--listen", "127.0.0.1:0", "--collection", "no such name=causal"], "cannot be"),
    ];
    for (arguments, sentence) in table {
        let output = run(&[&["--data", data], arguments].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(sentence), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?} listened");
    }
}
