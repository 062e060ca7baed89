//! Accounts of Super Productivity's clients, as their operator makes and ends them: the real programs over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use common::{ANYWHERE, Server};
use serde_json::Value;

const SECRET: &str = "a-token-secret-for-tests-0123456789";

#[test]
fn an_operator_makes_lists_clears_and_deletes_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), ANYWHERE, &["--sp-token-secret", SECRET]);
    let token = server.done(&["account", "create", "a+b@c.de", "--quota", "1000"]);
    assert_eq!(token.trim_end().split('.').count(), 3, "{token}");
    let short = folder.path().join("password");
    std::fs::write(&short, "short\n").unwrap();
    let fault = server.fault(&["account", "create", "d@e.de", "--password-file", short.to_str().unwrap()]);
    assert!(fault.contains("at least 12 characters"), "{fault}");
    std::fs::write(&short, "correct horse battery\n").unwrap();
    server.done(&["account", "create", "d@e.de", "--password-file", short.to_str().unwrap()]);
    let fault = server.fault(&["account", "create", "d@e.de"]);
    assert!(fault.contains("has an account already"), "{fault}");

    let listed = server.done(&["account", "list"]);
    let accounts: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> = accounts.iter().map(|account| (account["id"].as_u64(), account["email"].as_str())).collect();
    assert_eq!(shown, [(Some(1), Some("a+b@c.de")), (Some(2), Some("d@e.de"))]);
    assert_eq!(accounts[0]["quota_bytes"], 1_000);
    assert_eq!(server.done(&["account", "token", "a+b@c.de"]).trim_end().split('.').count(), 3);
    assert_eq!(server.done(&["account", "devices", "1"]), "");

    server.done(&["account", "clear", "a+b@c.de", "--yes"]);
    assert_eq!(server.run(&["account", "delete", "1"]).status.code(), Some(2), "not without --yes");
    server.done(&["account", "delete", "a+b@c.de", "--yes"]);
    let fault = server.fault(&["account", "devices", "1"]);
    assert!(fault.contains("no such account"), "{fault}");
    let fault = server.fault_as("not the operator's", &["account", "list"]);
    assert!(fault.contains("UNAUTHENTICATED"), "{fault}");
}

#[test]
fn a_server_without_a_token_secret_has_no_accounts_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), ANYWHERE, &[]);
    let fault = server.fault(&["account", "list"]);
    assert!(fault.contains("has no token secret"), "{fault}");
}
