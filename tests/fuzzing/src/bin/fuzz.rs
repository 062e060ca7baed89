//! Every fuzz target for its share of the time: by coverage, with cargo-fuzz and a nightly compiler, where both are there and
//! the share is worth the building; else by changing what is in the corpora.

#![allow(clippy::panic, reason = "a broken promise is a panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use syncline_fuzzing::by_mutation::run_for;
use syncline_fuzzing::{TARGETS, Target};
use syncline_prove::{Given, Tally, installed};

/// A share that is shorter goes by mutation: libFuzzer has to be built first.
const COVERAGE_TIME_MIN: Duration = Duration::from_secs(30);
/// Bytes of an input.
const INPUT_BYTES_MAX: &str = "-max_len=4096";

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("fuzz");
    let share = given.time() / u32::try_from(TARGETS.len()).unwrap_or(1);
    let tool = cargo_fuzz().filter(|_| share >= COVERAGE_TIME_MIN);
    for target in TARGETS {
        let tried = match &tool {
            Some(tool) => by_coverage(&mut tally, tool, target.0, share, given.seed()),
            None => by_mutation(&mut tally, *target, share, given.seed()),
        };
        if let Err(error) = tried {
            tally.found(format!("{}: {error:#}", target.0));
        }
    }
    tally.add("targets", TARGETS.len() as u64);
    tally.end()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The program, if there is also a compiler that it can use.
fn cargo_fuzz() -> Option<PathBuf> {
    let nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
    let nightly = nightly.is_ok_and(|output| output.status.success());
    installed("fuzz", "cargo-fuzz").filter(|_| nightly)
}

fn by_mutation(tally: &mut Tally, target: Target, share: Duration, seed: u64) -> anyhow::Result<()> {
    let mut corpus = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder().join("corpus").join(target.0))?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    for file in files {
        corpus.push(fs::read(file.path())?);
    }
    let tried = run_for(target, &corpus, share, seed);
    tally.add("runs by mutation", tried.runs);
    tally.add(&format!("  {}", target.0), tried.runs);
    if let Some(input) = tried.broken {
        let kept = folder().join("artifacts").join(target.0);
        fs::create_dir_all(&kept)?;
        let file = kept.join(format!("seed-{seed}-run-{}", tried.runs));
        fs::write(&file, &input)?;
        tally.found(format!("{} breaks at {} ({input:02x?})", target.0, file.display()));
    }
    Ok(())
}

fn by_coverage(tally: &mut Tally, tool: &Path, target: &str, share: Duration, seed: u64) -> anyhow::Result<()> {
    // What is new is for who minimises it, and not put among what is kept.
    let new = tempfile::tempdir()?;
    let mut command = Command::new("cargo");
    if let Some(tools) = tool.parent() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(tools.to_owned()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(all)?);
    }
    command.args(["+nightly", "fuzz", "run", "-s", "none", target]).arg(new.path());
    command.arg(folder().join("corpus").join(target)).args(["--", INPUT_BYTES_MAX, "-print_final_stats=1"]);
    // A seed of 0 is none.
    command.arg(format!("-max_total_time={}", share.as_secs())).arg(format!("-seed={}", seed.wrapping_add(1)));
    let output = command.current_dir(folder()).stdin(Stdio::null()).output().context("starting cargo-fuzz")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let runs = runs.and_then(|runs| runs.trim().parse().ok()).unwrap_or(0);
    tally.add("runs by coverage", runs);
    tally.add(&format!("  {target}"), runs);
    if !output.status.success() || runs == 0 {
        let last: Vec<_> = said.lines().rev().take(30).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        tally.found(format!("{target}: {}\n{last}", output.status));
    }
    Ok(())
}
