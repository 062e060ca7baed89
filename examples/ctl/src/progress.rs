//! Progress of long work on stderr: a bar on a terminal, else a line per tenth or per ten seconds, at most one a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

const LINE_EVERY: Duration = Duration::from_secs(10);
const LINE_APART: Duration = Duration::from_secs(1);

/// Progress towards a known number of ops.
#[derive(Debug)]
pub(crate) struct Progress {
    label: &'static str,
    total: u64,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines(Pace),
}

impl Progress {
    /// Begins at nothing of `total`.
    pub(crate) fn start(label: &'static str, total: u64) -> Self {
        let shown = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total).with_message(label);
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}");
            Shown::Bar(style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style)))
        } else {
            Shown::Lines(Pace { tenths: 0, last: Instant::now() })
        };
        Self { label, total, shown }
    }

    /// Says that `done` are done.
    pub(crate) fn at(&mut self, done: u64) {
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_position(done),
            Shown::Lines(pace) => {
                if pace.is_due(done, self.total, Instant::now()) {
                    eprintln!("{} {done} of {}", self.label, self.total);
                }
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// When the next line is due.
#[derive(Debug)]
struct Pace {
    tenths: u64,
    last: Instant,
}

impl Pace {
    fn is_due(&mut self, done: u64, total: u64, now: Instant) -> bool {
        let tenths = done.saturating_mul(10).checked_div(total).unwrap_or(10);
        let silent = now.duration_since(self.last);
        if silent < LINE_APART || (tenths <= self.tenths && silent < LINE_EVERY) {
            return false;
        }
        self.tenths = tenths;
        self.last = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_per_tenth_or_per_ten_seconds_and_not_for_short_work() {
        let start = Instant::now();
        let mut pace = Pace { tenths: 0, last: start };
        assert!(!pace.is_due(1_000, 1_000, start));
        assert!(!pace.is_due(99, 1_000, start + LINE_APART));
        assert!(pace.is_due(100, 1_000, start + LINE_APART));
        assert!(!pace.is_due(199, 1_000, start + LINE_APART * 5));
        assert!(pace.is_due(199, 1_000, start + LINE_APART + LINE_EVERY));
    }
}
