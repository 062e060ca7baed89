//! Random choices that can be made again: the same `SEED` in the environment, the same choices. When processes answer is
//! theirs to say, so a seed repeats what was asked for, not every instant.

use std::time::{SystemTime, UNIX_EPOCH};

use syncline_prove::Chance;

/// Choices, and the seed to make them again; it says the seed when the test fails.
#[derive(Debug)]
pub(crate) struct Random {
    seed: u64,
    chance: Chance,
}

impl Random {
    /// From `SEED`, or from the time.
    pub(crate) fn seeded() -> Self {
        let given = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos().into();
        let seed = given.unwrap_or_else(now);
        Self { seed, chance: Chance::new(seed) }
    }

    /// A number below `end`.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.chance.below(end)
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() {
            return None;
        }
        let index = self.below(of.len() as u64);
        of.get(usize::try_from(index).expect("an index"))
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same choices again: SEED={}", self.seed);
        }
    }
}
