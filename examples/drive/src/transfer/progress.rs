//! How far bytes have come: a bar on a terminal, and nothing elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// How far bytes have come. It goes away when it is dropped.
#[derive(Debug, Clone)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar, if stderr is a terminal.
    #[must_use]
    pub fn start(what: &'static str, bytes: u64) -> Self {
        if !std::io::stderr().is_terminal() || bytes == 0 {
            return Self::none();
        }
        let bar = ProgressBar::new(bytes).with_message(what);
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        Self { bar: style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style)) }
    }

    /// Nothing is shown.
    #[must_use]
    pub fn none() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    /// So many bytes have arrived, or need not.
    pub fn more(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// How many have.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.bar.position()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
