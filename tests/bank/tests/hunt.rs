//! What is found is the bug's.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use syncline_bank::{Hunt, Outcome};

/// A program that looks for bugs, as a script does it: `$1` is the bug.
fn program(name: &str, does: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, format!("#!/bin/sh\n{does}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

fn hunt(program: &Path) -> Outcome {
    Hunt { bug: 1, seed: 0, seeds: 1, limit: Duration::from_secs(2) }.run(program).unwrap()
}

// One test: a script that is being written while another one is started cannot be run.
#[test]
fn what_is_found_without_the_bug_too_is_no_find() {
    let found = |how: &str| Outcome::Found(1, how.to_owned());
    let by_the_bug = "[ $1 = 1 ] && exec sleep 60; echo kept 0";
    assert_eq!(hunt(&program("hangs", by_the_bug)), found("it hangs"));
    assert_eq!(hunt(&program("hangs-anyway", "exec sleep 60")), Outcome::Nothing(0));
    let by_the_bug = "[ $1 = 1 ] && exit 7; echo kept 0";
    assert_eq!(hunt(&program("falls", by_the_bug)), found("it falls over: exit status: 7"));
    assert_eq!(hunt(&program("falls-anyway", "exit 7")), Outcome::Nothing(0));

    assert_eq!(hunt(&program("anyway", "echo anyway world, seed 0; echo kept 0")), Outcome::Nothing(1));
    let of_the_next = "echo anyway world, seed 0; echo kept 0; echo found world, seed 1";
    assert_eq!(hunt(&program("next", of_the_next)), Outcome::Found(2, "world, seed 1".to_owned()));
}
