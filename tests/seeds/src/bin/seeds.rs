//! Seed after seed, on every core, for as long as is given: each world in turn, and now and then a seed twice, which must
//! be the same to the last event. The plan of what is found is written into a file, what happened in it beside it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{env, fs, io, thread};

use syncline_prove::{Given, Tally};
use syncline_seeds::{Describe, WORLDS, words};
use syncline_sim::{Broken, Failure, Report};

/// Findings after which one has seen enough.
const FINDINGS_MAX: usize = 10;
/// Findings of one promise that are made small and told; more of them are counted, so that one fault does not hide the others.
const SAME_MAX: usize = 1;
/// One seed in so many is run twice. Seeds take turns with the worlds, so that it divides by none of their numbers.
const TWICE_ONE_IN: u64 = 52;

fn main() -> ExitCode {
    let given = Given::read();
    let next = AtomicU64::new(given.seed());
    let tally = Mutex::new(Tally::new("seeds"));
    let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(given, &next, &tally));
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.add("core-seconds", given.taken().as_secs() * workers as u64);
    tally.end()
}

fn work(given: Given, next: &AtomicU64, tally: &Mutex<Tally>) {
    let lock = || tally.lock().unwrap_or_else(PoisonError::into_inner);
    while given.goes_on() && lock().findings().len() < FINDINGS_MAX {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let world = usize::try_from(seed).unwrap_or_default() % WORLDS.len();
        let Some((name, describe)) = WORLDS.get(world) else { return };
        let known = |broken: &Broken| {
            let begins = format!("world {name}, seed ");
            let mut findings = lock();
            let same = |finding: &&String| finding.starts_with(&begins) && finding.contains(&broken.promise);
            let known = findings.findings().iter().filter(same).count() >= SAME_MAX;
            if known {
                findings.add(&format!("again: {}", broken.promise), 1);
            }
            known
        };
        match once(name, seed, *describe, known) {
            Ok(Some(report)) => count(&mut lock(), &report),
            Ok(None) => lock().add("seeds", 1),
            Err(why) => lock().found(format!("world {name}, seed {seed}: {why}")),
        }
    }
}

fn once(name: &str, seed: u64, describe: Describe, known: impl Fn(&Broken) -> bool) -> Result<Option<Report>, String> {
    let report = match syncline_sim::once(seed, describe) {
        Ok(report) => report,
        Err(broken) if known(&broken) => return Ok(None),
        // Made small.
        Err(broken) => match syncline_sim::run(seed, describe) {
            Err(failure) => return Err(told(name, seed, &failure)),
            Ok(_) => return Err(format!("{broken}, and not when the seed was run once more")),
        },
    };
    if seed.is_multiple_of(TWICE_ONE_IN) {
        let again = syncline_sim::run(seed, describe);
        let again = again.map_err(|failure| format!("only the second time: {}", told(name, seed, &failure)))?;
        if again != report {
            return Err(format!("two runs are not the same: {report:?} and {again:?}"));
        }
    }
    Ok(Some(report))
}

/// What is found, in words and as a plan; nobody copies the plan by hand, in which a word gets lost.
fn told(name: &str, seed: u64, failure: &Failure) -> String {
    let Failure { broken, plan, .. } = failure;
    let written = match write(name, seed, failure) {
        Ok(file) => format!("written to {}", file.display()),
        Err(error) => format!("which could not be written: {error}"),
    };
    format!("{broken}\nthe smallest plan found, {written}:\n{plan}")
}

/// Under the folder that this program was built into.
fn write(name: &str, seed: u64, failure: &Failure) -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().unwrap_or(Path::new(".")).join("findings");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{name}-{}_{seed}.plan", words(&failure.broken.promise)));
    let how = failure.broken.to_string().replace('\n', " ");
    fs::write(&file, format!("# Breaks: {how}\n{}", failure.plan))?;
    fs::write(file.with_extension("trace"), failure.trace.join("\n") + "\n")?;
    Ok(file)
}

fn count(tally: &mut Tally, report: &Report) {
    tally.add("seeds", 1);
    tally.add("simulated minutes", report.simulated_ms / 60_000);
    tally.add("events", report.events);
    tally.add("calls", report.calls);
    tally.add("followed writes", report.writes);
    tally.add("runs whose values were reckoned a second time", u64::from(report.reckoned > 0));
    tally.add("values reckoned a second time", report.reckoned);
    for (fault, times) in &report.faults {
        tally.add("faults", *times);
        tally.add(&format!("fault {fault}"), *times);
    }
}
