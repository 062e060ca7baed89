//! What a part is told.

use std::time::{Duration, Instant};

use clap::Parser;

/// The arguments of every part.
#[derive(Debug, Clone, Copy, Parser)]
pub struct Given {
    /// How long it may take, in seconds. What is under way then is finished first.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The first seed; the same seed tries the same things.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(skip = Instant::now())]
    begun: Instant,
}

impl Given {
    /// From the command line.
    #[must_use]
    pub fn read() -> Self {
        Self::parse()
    }

    /// The first seed.
    #[must_use]
    pub const fn seed(self) -> u64 {
        self.seed
    }

    /// How long it may take altogether.
    #[must_use]
    pub const fn time(self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Whether there is time for more.
    #[must_use]
    pub fn goes_on(self) -> bool {
        self.begun.elapsed() < self.time()
    }

    /// The time since the beginning.
    #[must_use]
    pub fn taken(self) -> Duration {
        self.begun.elapsed()
    }
}
