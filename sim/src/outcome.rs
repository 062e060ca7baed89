//! What is said of a run.

use std::collections::BTreeMap;
use std::fmt;

use crate::plan::Plan;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// Which, in stable words: what is the same fault has the same words.
    pub promise: String,
    /// How, for people.
    pub how: String,
    /// When, in milliseconds since the beginning.
    pub at: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.how)
    }
}

/// A run in which everything held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The same for two runs of one plan.
    pub trace_hash: u64,
    /// Events in the trace.
    pub events: u64,
    /// Time that passed in it, in milliseconds.
    pub simulated_ms: u64,
    /// What went wrong, how often, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Writes whose fate was followed to its end.
    pub writes: u64,
    /// Of those, writes that were lost with the only disk that had them, so that nobody could have kept them.
    pub lost_with_a_disk: u64,
    /// Entities whose value in the end was reckoned a second time, from the log's ops.
    pub reckoned: u64,
    /// Calls that devices made.
    pub calls: u64,
}

/// A run in which something did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What.
    pub broken: Broken,
    /// The run: the smallest that was found in which the same promise is broken. Kept in a file, it is run again by
    /// [`replay`](crate::replay).
    pub plan: Plan,
    /// What happened in it, line by line, to its end.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken: {}", self.broken)?;
        writeln!(f, "the smallest plan found:\n{}", self.plan)?;
        writeln!(f, "what happened (seconds since the beginning):")?;
        self.trace.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl std::error::Error for Failure {}
