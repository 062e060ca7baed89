//! What fuzzers found interesting, or broken once, holds for ever: every file of every corpus is run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use syncline_fuzzing::TARGETS;

/// Of all corpora together.
const CORPUS_BYTES_MAX: u64 = 2 << 20;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(name)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_file_of_every_corpus_keeps_the_promises_of_its_target() {
    let mut failed = Vec::new();
    for (target, body) in TARGETS {
        let folder = folder("corpus").join(target);
        let files = names(&folder);
        assert!(!files.is_empty(), "{target} has no corpus");
        for file in files {
            let data = fs::read(folder.join(&file)).unwrap();
            if catch_unwind(|| body(&data)).is_err() {
                failed.push(format!("{target}/{file}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_there_are_no_others() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let corpora: BTreeSet<String> = names(&folder("corpus")).into_iter().collect();
    assert_eq!(corpora, targets);
    let programs: BTreeSet<String> = names(&folder("fuzz_targets"))
        .into_iter()
        .map(|file| file.strip_suffix(".rs").expect("a source").to_owned())
        .collect();
    assert_eq!(programs, targets);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in &targets {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml does not build {name}");
        let program = fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(program.contains(&format!("run(\"{name}\", data)")), "{name}.rs runs another target");
    }
}

#[test]
fn the_corpora_are_small() {
    let sizes = TARGETS.iter().flat_map(|(target, _)| {
        let folder = folder("corpus").join(target);
        names(&folder).into_iter().map(move |file| fs::metadata(folder.join(file)).unwrap().len())
    });
    let bytes: u64 = sizes.sum();
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes: minimise them, see fuzz/README.md");
}
