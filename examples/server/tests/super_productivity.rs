//! What the server refuses to start with, where Super Productivity's clients are concerned, and what it never prints.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, Output};

const SECRET: &str = "a-token-secret-for-tests-0123456789";
const ADMIN: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

/// Runs a server that is expected not to start listening.
fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline-server"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SYNCLINE_")) {
        command.env_remove(name);
    }
    command.args(["--store", "memory"]).args(arguments).output().unwrap()
}

fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} started");
    assert!(output.stdout.is_empty(), "{arguments:?} listened");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_token_secret_below_32_characters_does_not_start() {
    let said = refusal(&["--listen", "127.0.0.1:0", "--sp-token-secret", "0123456789abcdef0123456789abcde"]);
    assert!(said.contains("at least 32 characters"), "{said}");
}

#[test]
fn test_routes_do_not_start_where_other_machines_reach_them_or_without_a_secret() {
    let open = ["--listen", "0.0.0.0:0", "--admin-token", ADMIN, "--sp-token-secret", SECRET, "--test-routes"];
    let said = refusal(&open);
    assert!(said.contains("loopback"), "{said}");
    let said = refusal(&["--listen", "127.0.0.1:0", "--test-routes"]);
    assert!(said.contains("need a token secret"), "{said}");
}

#[test]
fn a_mail_server_that_does_not_read_or_has_no_sender_does_not_start() {
    let with = |more: &[&str]| {
        let all = [&["--listen", "127.0.0.1:0", "--sp-token-secret", SECRET][..], more].concat();
        refusal(&all)
    };
    let said = with(&["--sp-smtp-url", "nonsense:hunter2", "--sp-mail-from", "sync@example.org"]);
    assert!(said.contains("mail server") && !said.contains("hunter2"), "{said}");
    let said = with(&["--sp-smtp-url", "smtp://127.0.0.1"]);
    assert!(said.contains("--sp-mail-from"), "{said}");
    let said = with(&["--sp-stale-code", "CONFLICT_ELSEWHERE"]);
    assert!(said.contains("CONFLICT_STALE"), "{said}");
}

#[test]
fn the_printed_settings_have_the_section_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    let section = format!(
        "[super_productivity]\ntoken_secret = \"{SECRET}\"\nsmtp_url = \"smtps://user:hunter2@mail.example.org\"\n\
         mail_from = \"sync@example.org\"\nquota_bytes = 5\n"
    );
    std::fs::write(&file, section).unwrap();
    let arguments = ["--config", file.to_str().unwrap(), "--sp-quota-bytes", "7", "--print-config"];
    let output = run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("[super_productivity]") && printed.contains("quota_bytes = 7"), "{printed}");
    assert!(!printed.contains(SECRET) && !printed.contains("hunter2"), "{printed}");
}
