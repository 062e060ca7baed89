//! What the documents name exists: files, tests, codes, and a row for every fault.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod catalogue;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let tests = source::tests();
    let guarantees = read("GUARANTEES.md");
    let rows: Vec<&str> = guarantees.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() > 20, "the table of promises is gone");
    for row in rows {
        let named = quoted(row.rsplit('|').nth(1).unwrap_or(""));
        assert!(!named.is_empty(), "no test keeps: {row}");
        for test in named {
            assert_eq!(tests.get(test), Some(&false), "GUARANTEES.md names {test}, which is no test that is run");
        }
    }
}

#[test]
fn documents_name_files_that_exist() {
    for document in ["README.md", "ARCHITECTURE.md", "GUARANTEES.md", "CONTRIBUTING.md"] {
        let text = read(document);
        for word in quoted(&text) {
            let path = word.trim_end_matches('/');
            let looks_like_a_file = path.contains('/')
                && !path.contains([' ', '{', '<', ':', '$', '*', '#'])
                && (path.ends_with(".rs") || path.ends_with(".md") || path.ends_with(".toml"));
            if looks_like_a_file {
                assert!(root().join(path).exists(), "{document} names {path}");
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.contains("://") && !link.starts_with('#') {
                let path = link.split('#').next().unwrap_or("");
                assert!(root().join(path).exists(), "{document} links to {path}");
            }
        }
    }
}

/// An operator who sees a code in a problem document finds it in the table.
#[test]
fn every_error_code_is_in_the_readers_table() {
    let table = read("transport-http/CODES.md");
    for code in syncline::call::ErrorCode::ALL {
        let row = format!("| `{}` | {} | {} |", code.name(), code.status(), code.advice().name());
        assert!(table.contains(&row), "transport-http/CODES.md lacks the row {row}");
    }
}
