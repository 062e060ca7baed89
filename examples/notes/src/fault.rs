//! Why something stops: one sentence for people.
//!
//! What must hold: the sentence names the innermost cause, because outer words tend to say "request failed".

use std::error::Error;
use std::fmt;
use std::path::Path;

use syncline::client::ReplicaError;
use syncline::store::{StoreError, StoreErrorKind};

/// Why something stops. Nothing in it is for programs; they have the exit code.
#[derive(Debug)]
pub(crate) struct Fault {
    sentence: String,
    quiet: bool,
}

impl Fault {
    /// A fault with its sentence.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), quiet: false }
    }

    /// A file that cannot be used.
    pub(crate) fn file(what: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(format!("{what} {}: {error}", path.display()))
    }

    /// The device's store does not open.
    pub(crate) fn store(device: &Path, error: &StoreError) -> Self {
        let device = device.display();
        Self::new(match error.kind() {
            StoreErrorKind::Locked => format!("the device {device} is open in another terminal"),
            _ => format!("the device {device} does not open: {}", in_words(error)),
        })
    }

    /// Whether whoever read the output has stopped reading, which is no news to anybody.
    pub(crate) const fn is_quiet(&self) -> bool {
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

impl From<ReplicaError> for Fault {
    fn from(error: ReplicaError) -> Self {
        Self::new(in_words(&error))
    }
}

fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let (outer, inner) = (error.to_string(), cause.to_string());
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}
