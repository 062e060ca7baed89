//! Answers: each is one JSON document for programs and some text for people; who asks decides which is printed.
//!
//! What must hold: an answer is printed whole and at once, for whoever reads it may act on it.

use std::io::Write as _;

use serde_json::Value;

use crate::fault::Fault;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Out {
    /// For people.
    Text,
    /// A document a line.
    Json,
}

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    /// For programs: an object with what it answers in `reply`, or what happened in `event`.
    pub(crate) json: Value,
    /// For people; nothing is printed when it is empty.
    pub(crate) text: String,
}

impl Said {
    /// An answer.
    pub(crate) fn new(json: Value, text: impl Into<String>) -> Self {
        Self { json, text: text.into() }
    }
}

impl Out {
    /// Prints an answer.
    ///
    /// # Errors
    /// When nobody reads.
    pub(crate) fn say(self, said: &Said) -> Result<(), Fault> {
        let mut out = std::io::stdout().lock();
        match self {
            Self::Json => writeln!(out, "{}", said.json)?,
            Self::Text if said.text.is_empty() => {}
            Self::Text => writeln!(out, "{}", said.text)?,
        }
        out.flush()?;
        Ok(())
    }
}
