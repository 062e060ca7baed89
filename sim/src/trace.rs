//! What happened, as a number that two runs of a seed agree on, and, where somebody wants to read it, as lines.

use std::fmt::Arguments;
use std::sync::Mutex;

use crate::schedule::lock;

/// Lines that are kept of a run: its end is what one reads.
const LINES_MAX: usize = 4_000;

#[derive(Debug, Default)]
pub(crate) struct Trace {
    inner: Mutex<Inner>,
    readable: bool,
}

#[derive(Debug, Default)]
struct Inner {
    hash: u64,
    events: u64,
    lines: std::collections::VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(readable: bool) -> Self {
        Self { inner: Mutex::default(), readable }
    }

    /// Notes an event: `what` and its numbers for the hash, a line for readers.
    pub(crate) fn note(&self, now: u64, numbers: &[u64], line: Arguments<'_>) {
        let mut inner = lock(&self.inner);
        inner.events += 1;
        // FNV-1a over whole numbers: quick, and any difference shows.
        let hash = [now].iter().chain(numbers).fold(inner.hash ^ 0xCBF2_9CE4_8422_2325, |hash, number| {
            (hash ^ number).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23)
        });
        inner.hash = hash;
        if self.readable {
            if inner.lines.len() == LINES_MAX {
                inner.lines.pop_front();
            }
            let (seconds, ms) = (now / 1_000, now % 1_000);
            inner.lines.push_back(format!("{seconds:>8}.{ms:03}  {line}"));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        lock(&self.inner).hash
    }

    pub(crate) fn events(&self) -> u64 {
        lock(&self.inner).events
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.inner).lines.iter().cloned().collect()
    }
}
