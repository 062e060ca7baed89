//! Makes system calls of the server program fail, one after the other.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use syncline_faults::part::{attempt, cores};
use syncline_faults::syscalls::{Sweep, meet, order};
use syncline_prove::{Given, Tally};

fn main() -> ExitCode {
    let given = Given::read();
    let mut tally = Tally::new("syscalls");
    match attempt(order::check) {
        Ok(blobs) => tally.add("blobs stored in order", blobs),
        Err(finding) => tally.found(finding),
    }
    let sweep = Mutex::new((Sweep::new(1 + given.seed() % 7, 1), tally));
    let lock = || sweep.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                while given.goes_on() && lock().1.findings().len() < 5 {
                    let Some(point) = lock().0.take() else { break };
                    let outcome = attempt(|| meet(point));
                    let (sweep, tally) = &mut *lock();
                    match outcome {
                        Ok((met, counts)) => {
                            sweep.met(point, met);
                            counts.into_iter().for_each(|(what, more)| tally.add(what, more));
                        }
                        Err(finding) => tally.found(finding),
                    }
                }
            });
        }
    });
    let (_, tally) = sweep.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.end()
}
