//! Accounts of Super Productivity's clients, as their operator makes and ends them: the real programs over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const TOKEN: &str = "an-operator-token-for-tests-0123456789abcdef";
const SECRET: &str = "a-token-secret-for-tests-0123456789";

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path, arguments: &[&str]) -> Self {
        let ctl = PathBuf::from(env!("CARGO_BIN_EXE_syncline-ctl"));
        let program = ctl.with_file_name("syncline-server");
        assert!(program.exists(), "{} is not built: run ./test, or cargo build -p syncline-server", program.display());
        let mut child = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(arguments)
            .env("SYNCLINE_ADMIN_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let url = line.trim().strip_prefix("listening on ").expect("the server listens").to_owned();
        Self { child, url }
    }

    fn run(&self, token: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline-ctl"));
        command.arg("account").args(arguments).env("SYNCLINE_SERVER", &self.url).env("SYNCLINE_TOKEN", token);
        command.output().expect("the command runs")
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(TOKEN, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn fault(&self, token: &str, arguments: &[&str]) -> String {
        let output = self.run(token, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(output.stdout.is_empty(), "{arguments:?} wrote data all the same");
        String::from_utf8(output.stderr).expect("UTF-8")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_operator_makes_lists_clears_and_deletes_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--sp-token-secret", SECRET]);
    let token = server.done(&["create", "a+b@c.de", "--quota", "1000"]);
    assert_eq!(token.trim_end().split('.').count(), 3, "{token}");
    let short = folder.path().join("password");
    std::fs::write(&short, "short\n").unwrap();
    let fault = server.fault(TOKEN, &["create", "d@e.de", "--password-file", short.to_str().unwrap()]);
    assert!(fault.contains("at least 12 characters"), "{fault}");
    std::fs::write(&short, "correct horse battery\n").unwrap();
    server.done(&["create", "d@e.de", "--password-file", short.to_str().unwrap()]);
    let fault = server.fault(TOKEN, &["create", "d@e.de"]);
    assert!(fault.contains("has an account already"), "{fault}");

    let listed = server.done(&["list"]);
    let accounts: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> = accounts.iter().map(|account| (account["id"].as_u64(), account["email"].as_str())).collect();
    assert_eq!(shown, [(Some(1), Some("a+b@c.de")), (Some(2), Some("d@e.de"))]);
    assert_eq!(accounts[0]["quota_bytes"], 1_000);
    assert_eq!(server.done(&["token", "a+b@c.de"]).trim_end().split('.').count(), 3);
    assert_eq!(server.done(&["devices", "1"]), "");

    server.done(&["clear", "a+b@c.de", "--yes"]);
    assert_eq!(server.run(TOKEN, &["delete", "1"]).status.code(), Some(2), "not without --yes");
    server.done(&["delete", "a+b@c.de", "--yes"]);
    let fault = server.fault(TOKEN, &["devices", "1"]);
    assert!(fault.contains("no such account"), "{fault}");
    let fault = server.fault("not the operator's", &["list"]);
    assert!(fault.contains("UNAUTHENTICATED"), "{fault}");
}

#[test]
fn a_server_without_a_token_secret_has_no_accounts_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let fault = server.fault(TOKEN, &["list"]);
    assert!(fault.contains("has no token secret"), "{fault}");
}
