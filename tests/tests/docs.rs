//! What the documents name exists: files, tests, codes, limits, and every fault this stage owes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, text);
        } else if name.ends_with(".rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// Every function name in the repository.
fn functions() -> BTreeSet<String> {
    let mut text = String::new();
    sources(&root(), &mut text);
    let names = text.match_indices("fn ").map(|(at, _)| {
        text[at + 3..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
    });
    names.collect()
}

/// Words between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let functions = functions();
    let guarantees = read("GUARANTEES.md");
    let rows: Vec<&str> = guarantees.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() > 20, "the table of promises is gone");
    for row in rows {
        let tests = row.rsplit('|').nth(1).unwrap_or("");
        let named = quoted(tests);
        assert!(!named.is_empty(), "no test keeps: {row}");
        for test in named {
            assert!(functions.contains(test), "GUARANTEES.md names {test}, which does not exist");
        }
    }
}

/// Rows of the failure catalogue that the spine owes: one test each, named after its number.
#[test]
fn every_fault_of_this_stage_has_its_test() {
    let owed = [
        ("w", (1..=13).collect::<Vec<u32>>()),
        ("s", vec![1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 14, 15, 17, 18]),
        ("q", (1..=8).collect()),
        ("p", vec![1, 2, 3, 5, 6, 7, 8, 9]),
        ("b", vec![1, 2, 3, 5, 6, 7, 9, 17]),
    ];
    let functions = functions();
    let mut missing = Vec::new();
    for (row, numbers) in owed {
        for number in numbers {
            let prefix = format!("fault_{row}{number:02}_");
            if !functions.iter().any(|name| name.starts_with(&prefix)) {
                missing.push(prefix);
            }
        }
    }
    assert!(missing.is_empty(), "no test for {missing:?}");
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
