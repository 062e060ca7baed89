//! `prove --minutes N`: tries to break everything for N minutes and prints one table. Exits with 0 exactly when nothing
//! was found.

mod parts;

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use parts::{PARTS, Part};
use syncline_prove::Tally;

/// Tries to break everything, and says how often it tried.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long, in minutes, without the time that building takes.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// The first seed of each part.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Name the packages to build, and nothing else: ours, and what starts servers where a part needs them.
    #[arg(long)]
    packages: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    for name in &arguments.only {
        anyhow::ensure!(PARTS.iter().any(|part| part.name == name), "no part is called {name}");
    }
    let chosen: Vec<&Part> = PARTS
        .iter()
        .filter(|part| arguments.only.is_empty() || arguments.only.iter().any(|n| n == part.name))
        .collect();
    if arguments.packages {
        chosen.iter().for_each(|part| println!("{}", part.package));
        if chosen.iter().any(|part| part.servers) {
            println!("syncline-tests\nsyncline-server");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let shares: u32 = chosen.iter().map(|part| part.share).sum();
    let all = Duration::try_from_secs_f64(arguments.minutes * 60.0).context("--minutes")?;
    let mut ended = Vec::new();
    for part in chosen {
        let time = all * part.share / shares.max(1);
        let begun = Instant::now();
        let outcome = run(part, time, arguments.seed);
        ended.push((part, outcome, begun.elapsed()));
    }
    let mut broken = 0;
    for (part, outcome, taken) in &ended {
        broken += usize::from(!print(part, outcome, *taken));
    }
    println!("{} parts, {} without a finding, {broken} with", ended.len(), ended.len() - broken);
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a part beside this program, and reads what it says at its end.
fn run(part: &Part, time: Duration, seed: u64) -> anyhow::Result<(Tally, bool)> {
    eprintln!("== {} for {} s", part.name, time.as_secs());
    let program = std::env::current_exe()?.with_file_name(part.program);
    let output = Command::new(&program)
        .args(["--seconds", &time.as_secs().to_string(), "--seed", &seed.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} (build package {} first)", program.display(), part.package))?;
    Ok((Tally::read(&String::from_utf8_lossy(&output.stdout))?, output.status.success()))
}

/// One block of the table; whether nothing was found.
fn print(part: &Part, outcome: &anyhow::Result<(Tally, bool)>, taken: Duration) -> bool {
    println!("{:<28} {:>14.1} s", part.name, taken.as_secs_f64());
    match outcome {
        Ok((tally, ended_well)) => {
            for (what, count) in tally.counts() {
                println!("  {what:<26} {count:>14}");
            }
            for finding in tally.findings() {
                println!("  FOUND {finding}");
            }
            if !ended_well && tally.findings().is_empty() {
                println!("  FOUND it did not end well");
            }
            *ended_well && tally.findings().is_empty()
        }
        Err(error) => {
            println!("  FOUND no tally: {error:#}");
            false
        }
    }
}
