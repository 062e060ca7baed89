//! Why something stops: one sentence for people, with the stable code and the advice where a server gave them.
//!
//! What must hold: the sentence names the innermost cause, because outer words tend to say "request failed".

use std::error::Error;
use std::fmt;
use std::path::Path;

use syncline::Cursor;
use syncline::call::{Advice, Refusal};
use syncline::client::{CallError, ReplicaError};
use syncline::store::{StoreError, StoreErrorKind};

/// Why something stops. Nothing in it is for programs; they have the exit code.
#[derive(Debug)]
pub struct Fault {
    sentence: String,
    quiet: bool,
}

impl Fault {
    /// A fault with its sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), quiet: false }
    }

    /// A file that cannot be used.
    #[must_use]
    pub fn file(what: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(format!("{what} {}: {error}", path.display()))
    }

    /// A device's store does not open.
    #[must_use]
    pub fn store(device: &Path, error: &StoreError) -> Self {
        let device = device.display();
        Self::new(match error.kind() {
            StoreErrorKind::Locked => {
                format!("the device {device} is open in another terminal; type the command there, or leave it first")
            }
            _ => format!("the device {device} does not open: {}", in_words(error)),
        })
    }

    /// Whether whoever read the output has stopped reading, which is no news to anybody.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        let quiet = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self { sentence: format!("cannot write the output: {error}"), quiet }
    }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => refused(&refusal),
            other => Self::new(in_words(&other)),
        }
    }
}

impl From<ReplicaError> for Fault {
    fn from(error: ReplicaError) -> Self {
        match error {
            ReplicaError::NoSuchWrite(number) => Self::new(format!("there is no number {number} in this list")),
            ReplicaError::Call(error) => error.into(),
            other => Self::new(in_words(&other)),
        }
    }
}

/// What happened, with the innermost cause.
#[must_use]
pub fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let (outer, inner) = (error.to_string(), cause.to_string());
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}

fn refused(refusal: &Refusal) -> Fault {
    let Refusal { code, detail, end, index, .. } = refusal;
    let op = index.map_or_else(String::new, |index| format!("op {} of the batch: ", index + 1));
    let end = end.map_or_else(String::new, |end| format!("; the log ends at {}", cursor_text(end)));
    let advice = code.advice();
    Fault::new(format!("{op}{detail}{end} ({}, advice {}: {})", code.name(), advice.name(), what_to_do(advice)))
}

const fn what_to_do(advice: Advice) -> &'static str {
    match advice {
        Advice::Retry => "run the same command again after a while",
        Advice::Fix => "the command must be changed",
        Advice::SignIn => "use a token that allows this",
        Advice::Resync => "look at the log again before writing",
        Advice::Operator => "the server's operator has to look",
        _ => "see the documentation of this code",
    }
}

/// A position as a command line takes it: `SEQ:ANCHOR`, or `SEQ` where there is no anchor.
#[must_use]
pub fn cursor_text(cursor: Cursor) -> String {
    match cursor.anchor {
        Some(anchor) => format!("{}:{anchor}", cursor.seq),
        None => cursor.seq.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncline::call::ErrorCode;

    #[test]
    fn a_refusal_is_one_sentence_with_code_and_advice() {
        let fault = Fault::from(CallError::Refused(Refusal::new(ErrorCode::LogNotFound, "no such log")));
        assert_eq!(fault.to_string(), "no such log (LOG_NOT_FOUND, advice fix: the command must be changed)");
    }

    #[test]
    fn a_reader_that_left_is_no_news() {
        assert!(Fault::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).is_quiet());
        assert!(!Fault::from(std::io::Error::from(std::io::ErrorKind::StorageFull)).is_quiet());
    }
}
