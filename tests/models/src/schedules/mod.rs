//! Many schedules of what the product does with threads: the shipped files over shuttle's locks and channels.
//!
//! - the group commit of `storage-sqlite` (`transact.rs`), with a database that fails now and then in place of SQLite;
//! - the jobs of its readers (`queue.rs`) and its answers (`reply.rs`);
//! - the gate and the bell of a replica (`gate.rs`), and the fan-out in a process (`fanout.rs`).
//!
//! What must hold: each scenario ends, whatever the schedule, and what it asserts is true; the same scenario over the same
//! file with one mistake in it does not pass.
//!
//! Next: `build.rs` (how the files come here), `scenarios.rs`, `database.rs` (what stands for SQLite).

mod mistaken;
mod shipped;

use std::panic::{AssertUnwindSafe, catch_unwind};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// Something that threads do.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    shipped: fn(),
    mistaken: fn(),
}

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "group commit",
        shipped: shipped::scenarios::group_commit,
        mistaken: mistaken::scenarios::group_commit,
    },
    Scenario { name: "jobs", shipped: shipped::scenarios::jobs, mistaken: mistaken::scenarios::jobs },
    Scenario { name: "gate", shipped: shipped::scenarios::gate, mistaken: mistaken::scenarios::gate },
    Scenario { name: "fan-out", shipped: shipped::scenarios::fanout, mistaken: mistaken::scenarios::fanout },
];

/// Those that have no mistake of their own.
pub const MORE: &[Scenario] =
    &[Scenario { name: "bell", shipped: shipped::scenarios::bell, mistaken: mistaken::scenarios::bell }];

impl Scenario {
    /// Runs it under so many schedules, half of them drawn, half of them by priorities that change a few times.
    ///
    /// # Errors
    /// What was not true, with the schedule on standard error.
    pub fn run(self, seed: u64, schedules: usize) -> Result<(), String> {
        under(self.shipped, seed, schedules)
    }

    /// The same over the file with the mistake.
    ///
    /// # Errors
    /// As [`Scenario::run`]: that it is found.
    pub fn run_mistaken(self, seed: u64, schedules: usize) -> Result<(), String> {
        under(self.mistaken, seed, schedules)
    }
}

/// Times that priorities change within one schedule.
const CHANGES: usize = 4;

fn under(scenario: fn(), seed: u64, schedules: usize) -> Result<(), String> {
    let half = schedules.div_ceil(2);
    let run = AssertUnwindSafe(|| {
        Runner::new(RandomScheduler::new_from_seed(seed, half), Config::new()).run(scenario);
        Runner::new(PctScheduler::new_from_seed(seed, CHANGES, half), Config::new()).run(scenario);
    });
    catch_unwind(run).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}
