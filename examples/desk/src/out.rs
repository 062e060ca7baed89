//! Answers: each is one JSON document for programs and some text for people; who asks decides which is printed.
//!
//! What must hold: an answer is printed whole and at once, for whoever reads it may act on it.

use std::io::{IsTerminal as _, Write as _};

use serde_json::{Value, json};

use crate::Fault;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Out {
    /// For people.
    Text,
    /// A document a line.
    Json,
}

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// For programs: an object with what it answers in `reply`, or what happened in `event`.
    pub json: Value,
    /// For people; nothing is printed when it is empty.
    pub text: String,
}

impl Said {
    /// An answer.
    pub fn new(json: Value, text: impl Into<String>) -> Self {
        Self { json, text: text.into() }
    }

    /// A line that could not be carried out; the device stays open.
    pub fn error(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::new(json!({ "reply": "error", "why": why }), why)
    }

    /// A sync that did not work, for somebody who asked for something else.
    #[must_use]
    pub fn not_synced(fault: &Fault) -> Self {
        let why = fault.to_string();
        Self::new(json!({ "event": "not_synced", "why": why }), format!("Not on the server yet: {why}."))
    }
}

impl Out {
    /// For programs if they asked, else for people.
    #[must_use]
    pub const fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// Prints an answer.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn say(self, said: &Said) -> Result<(), Fault> {
        let mut out = std::io::stdout().lock();
        match self {
            Self::Json => writeln!(out, "{}", said.json)?,
            Self::Text if said.text.is_empty() => {}
            Self::Text => writeln!(out, "{}", said.text)?,
        }
        out.flush()?;
        Ok(())
    }

    /// Asks somebody at a keyboard for the next line; programs know when to write one.
    pub fn prompt(self, before: &str) {
        if self == Self::Text && std::io::stdin().is_terminal() {
            print!("{before}> ");
            // A prompt that cannot be shown shows in the next answer.
            let _ = std::io::stdout().flush();
        }
    }
}
