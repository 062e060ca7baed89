//! A part of the proof made of scenarios: seed after seed until its time is over.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use syncline_prove::{Given, Tally};

use crate::syscalls::{Met, Point, Sweep};

/// What a scenario counted, by name.
pub type Counts = BTreeMap<&'static str, u64>;

/// A part stops when it has found so many.
const FINDINGS_MAX: usize = 5;

/// Counts `more` of something.
pub fn count(counts: &mut Counts, what: &'static str, more: u64) {
    *counts.entry(what).or_default() += more;
}

/// Runs one scenario; what it panicked with is a finding.
///
/// # Errors
/// What it said when it panicked.
pub fn attempt<T>(scenario: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(scenario)).map_err(|said| words(&*said))
}

/// As [`attempt`].
///
/// # Errors
/// What it said when it panicked.
pub async fn attempt_async<T>(scenario: impl Future<Output = T>) -> Result<T, String> {
    let mut scenario = pin!(scenario);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| scenario.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(said) => Poll::Ready(Err(words(&*said))),
    })
    .await
}

fn words(said: &(dyn std::any::Any + Send)) -> String {
    let text = said.downcast_ref::<String>().cloned();
    text.or_else(|| said.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_else(|| "it panicked without a word".to_owned())
}

/// A part of this name whose scenario runs once for each seed, on `threads` at once; each thread has a state of its own.
/// Every seed from the given one on is taken once; at least one of each thread is run.
#[must_use]
pub fn seeds<S>(
    name: &str,
    given: Given,
    threads: usize,
    state: impl Fn() -> S + Sync,
    scenario: impl Fn(&mut S, u64) -> Counts + Sync,
) -> Tally {
    let tally = Mutex::new(Tally::new(name));
    let next = AtomicU64::new(given.seed());
    let lock = || tally.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut state = state();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let outcome = attempt(|| scenario(&mut state, seed));
                    let mut tally = lock();
                    tally.add("seeds", 1);
                    match outcome {
                        Ok(counts) => counts.into_iter().for_each(|(what, more)| tally.add(what, more)),
                        Err(finding) => {
                            tally.found(format!("--seed {seed}: {finding}"));
                            // What a broken scenario left in it is not what the next one expects.
                            break;
                        }
                    }
                    if !given.goes_on() || tally.findings().len() >= FINDINGS_MAX {
                        break;
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Meets the points of a sweep, on all cores, while there is time and nothing much was found.
pub fn sweep(
    tally: &mut Tally,
    goes_on: impl Fn() -> bool + Sync,
    sweep: Sweep,
    meet: impl Fn(Point) -> (Met, Counts) + Sync,
) {
    let shared = Mutex::new((sweep, tally));
    let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                while lock().1.findings().len() < FINDINGS_MAX {
                    let Some(point) = lock().0.take() else { break };
                    let outcome = attempt(|| meet(point));
                    let (sweep, tally) = &mut *lock();
                    match outcome {
                        Ok((met, counts)) => {
                            sweep.met(point, met);
                            counts.into_iter().for_each(|(what, more)| tally.add(what, more));
                        }
                        Err(finding) => tally.found(format!("{point:?}: {finding}")),
                    }
                    // Whoever has no time at all tries one.
                    if !goes_on() {
                        break;
                    }
                }
            });
        }
    });
}

/// A runtime with two threads.
///
/// # Panics
/// When there are no threads to be had.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads")
}

/// How many scenarios may run at once where they only compute.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A part that could not even begin ends with that as its finding.
#[must_use]
pub fn ended(name: &str, outcome: anyhow::Result<Tally>) -> ExitCode {
    outcome
        .unwrap_or_else(|error| {
            let mut tally = Tally::new(name);
            tally.found(format!("it could not go on: {error:#}"));
            tally
        })
        .end()
}
