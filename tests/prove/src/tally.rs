//! What a part counted and found.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// The last line of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    part: String,
    counts: BTreeMap<String, u64>,
    findings: Vec<String>,
}

impl Tally {
    /// Of a part of this name, which counted nothing yet.
    #[must_use]
    pub fn new(part: &str) -> Self {
        Self { part: part.to_owned(), ..Self::default() }
    }

    /// Counts `more` of something: `"power cuts"`.
    pub fn add(&mut self, what: &str, more: u64) {
        let count = self.counts.entry(what.to_owned()).or_default();
        *count = count.saturating_add(more);
    }

    /// Keeps the most that something came to: `"slowest in ms"`.
    pub fn most(&mut self, what: &str, this: u64) {
        let most = self.counts.entry(what.to_owned()).or_default();
        *most = this.max(*most);
    }

    /// A promise was broken: what, and how it is seen again.
    pub fn found(&mut self, finding: impl Into<String>) {
        let finding = finding.into();
        eprintln!("{}: {finding}", self.part);
        self.findings.push(finding);
    }

    /// The part's name.
    #[must_use]
    pub fn part(&self) -> &str {
        &self.part
    }

    /// What was counted, by name.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(what, count)| (what.as_str(), *count))
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// Prints the line, and says how to exit.
    #[must_use]
    pub fn end(&self) -> ExitCode {
        match serde_json::to_string(self) {
            Ok(line) => println!("{line}"),
            Err(error) => {
                eprintln!("{}: the tally cannot be told: {error}", self.part);
                return ExitCode::FAILURE;
            }
        }
        if self.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// The tally of a part that wrote this on its standard output.
    ///
    /// # Errors
    /// The last line is none.
    pub fn read(output: &str) -> anyhow::Result<Self> {
        let line = output.lines().last().unwrap_or_default();
        serde_json::from_str(line).map_err(|error| anyhow::anyhow!("its last line is no tally ({error}): {line}"))
    }
}
