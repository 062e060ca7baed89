//! Plants every bug into a copy, builds it once, and looks for each, on every core: one that is not found within its seeds
//! or a minute is a finding, and so is one that is found where none is planted.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use syncline_bank::{Bug, Hunt, Outcome, all, copy, root};
use syncline_prove::{Given, Tally};

/// How long one looks for a bug.
const LIMIT: Duration = Duration::from_secs(60);
/// Seeds that find nothing where nothing is planted.
const CLEAN_SEEDS: u64 = 300;

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("bank");
    if let Err(error) = hunt_all(given, &mut tally) {
        tally.found(format!("the bank does not open: {error:#}"));
    }
    tally.end()
}

fn hunt_all(given: Given, tally: &mut Tally) -> anyhow::Result<()> {
    let mut bugs = all()?;
    for unfit in bugs.iter().filter_map(|bug| bug.unfit(&root())) {
        tally.found(unfit);
    }
    bugs.retain(|bug| bug.unfit(&root()).is_none());
    let program = copy::build(&bugs, &target()?)?;
    // Building is not counted, here as elsewhere.
    let begun = Instant::now();
    let goes_on = || begun.elapsed() < given.time();
    let next = AtomicUsize::new(0);
    let shared = Mutex::new(tally);
    let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                // The first is none.
                while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at <= bugs.len()) {
                    let bug = number.checked_sub(1).and_then(|index| bugs.get(index));
                    let outcome = goes_on().then(|| hunt(&program, bug, number, given.seed()));
                    let mut tally = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    match (bug, outcome) {
                        (_, None) => tally.add("not looked for, for want of time", 1),
                        (_, Some(Err(error))) => tally.found(format!("{error:#}")),
                        (None, Some(Ok((outcome, _)))) => judge_clean(outcome, &mut tally),
                        (Some(bug), Some(Ok((outcome, taken)))) => judge(bug, outcome, taken, &mut tally),
                    }
                }
            });
        }
    });
    Ok(())
}

fn hunt(program: &Path, bug: Option<&Bug>, number: usize, seed: u64) -> anyhow::Result<(Outcome, Duration)> {
    let begun = Instant::now();
    let seeds = bug.map_or(CLEAN_SEEDS, |bug| bug.seeds);
    let outcome = Hunt { bug: number, seed, seeds, limit: LIMIT }.run(program)?;
    Ok((outcome, begun.elapsed()))
}

fn judge_clean(outcome: Outcome, tally: &mut Tally) {
    match outcome {
        Outcome::Nothing(seeds) => tally.add("seeds without a bug", seeds),
        Outcome::Found(_, how) => tally.found(format!("found where nothing is planted: {how}")),
    }
}

fn judge(bug: &Bug, outcome: Outcome, taken: Duration, tally: &mut Tally) {
    tally.add("bugs", 1);
    let name = &bug.name;
    match outcome {
        Outcome::Found(seeds, how) => {
            tally.add("found", 1);
            tally.add("seeds in all", seeds);
            eprintln!("bank: {name}: {seeds} seeds, {:.1} s: {how}", taken.as_secs_f64());
            tally.most("slowest in ms", u64::try_from(taken.as_millis()).unwrap_or(u64::MAX));
        }
        Outcome::Nothing(seeds) => tally.found(format!("{name}: not found in {seeds} seeds ({})", bug.source)),
    }
}

/// The folder that this program was built into, so that what it shares with the copy is not built twice.
fn target() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().and_then(Path::parent).context("this program is in no target folder")?.to_owned())
}
