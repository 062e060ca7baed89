//! What Postgres and the way to it can fail with → what a caller would do about it.
//!
//! What must hold: a failure after COMMIT was sent and before its answer came is never anything but
//! [`StoreErrorKind::OutcomeUnknown`], and nothing else ever is.

use sqlx::Error;
use syncline::store::{StoreError, StoreErrorKind};

pub(crate) const STORE: &str = "postgres";

/// Where a failure happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before COMMIT was sent, or in a read: what failed left no trace.
    Work,
    /// Between COMMIT and its answer.
    Commit,
}

/// What to do about a failure.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Lost against another transaction, which an equal attempt may win.
    Race(StoreError),
    /// The connection was gone, and nothing had happened: another one may do.
    Lost(StoreError),
    /// To be told.
    Fatal(StoreError),
}

impl Failure {
    pub(crate) fn into_error(self) -> StoreError {
        match self {
            Self::Race(error) | Self::Lost(error) | Self::Fatal(error) => error,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Fatal(error)
    }
}

pub(crate) fn new(kind: StoreErrorKind, operation: &'static str) -> StoreError {
    StoreError::new(kind, STORE, operation)
}

pub(crate) fn corrupt(operation: &'static str, what: impl Into<String>) -> StoreError {
    new(StoreErrorKind::Corrupt, operation).because(what)
}

pub(crate) fn fault(operation: &'static str, what: impl Into<String>) -> StoreError {
    new(StoreErrorKind::Fault, operation).because(what)
}

pub(crate) fn classify(operation: &'static str, phase: Phase, error: Error) -> Failure {
    use StoreErrorKind as Kind;
    let state = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
    let told = |kind, error| new(kind, operation).caused_by(error);
    let Some(state) = state else {
        let connection = matches!(error, Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed);
        return match phase {
            Phase::Commit => Failure::Fatal(told(Kind::OutcomeUnknown, error)),
            Phase::Work if connection => Failure::Lost(told(Kind::Unavailable, error)),
            Phase::Work if is_row(&error) => Failure::Fatal(told(Kind::Corrupt, error)),
            Phase::Work => Failure::Fatal(told(Kind::Unavailable, error)),
        };
    };
    match state.as_str() {
        // The server goes down: told instead of the answer to COMMIT, it says nothing about the commit.
        // Nor does a pooler's word (08P01) that it lost the server.
        lost if phase == Phase::Commit && is_lost(lost) => Failure::Fatal(told(Kind::OutcomeUnknown, error)),
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Failure::Lost(told(Kind::Unavailable, error)),
        "40001" | "40P01" => Failure::Race(told(Kind::Busy, error)),
        "57014" | "55P03" => Failure::Fatal(told(Kind::Timeout, error)),
        "53100" => Failure::Fatal(told(Kind::Full, error)),
        "53200" | "53300" => Failure::Fatal(told(Kind::Busy, error)),
        // Two siblings of one name when all was written: a rule's fault, and nothing was.
        "23505" if phase == Phase::Commit => Failure::Fatal(told(Kind::Fault, error)),
        // Two rows where the lock allows one: what is stored contradicts itself.
        "23505" => Failure::Fatal(told(Kind::Corrupt, error)),
        // A read replica.
        "25006" => Failure::Fatal(told(Kind::Unsupported, error)),
        _ => Failure::Fatal(told(kind_of_class(&state), error)),
    }
}

/// The server or the way to it is gone, or it failed inside.
fn is_lost(state: &str) -> bool {
    state.starts_with("57P") || matches!(state.get(..2), Some("08" | "58" | "XX"))
}

fn kind_of_class(state: &str) -> StoreErrorKind {
    match state.get(..2) {
        Some("08" | "53" | "57" | "58") => StoreErrorKind::Unavailable,
        Some("XX") => StoreErrorKind::Corrupt,
        // Who may connect, and which tables there are: set up by an operator.
        Some("28" | "3D" | "3F" | "42" | "0A") => StoreErrorKind::Unsupported,
        _ => StoreErrorKind::Fault,
    }
}

/// A row that came and is not what was asked for.
const fn is_row(error: &Error) -> bool {
    matches!(
        error,
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::RowNotFound | Error::ColumnIndexOutOfBounds { .. }
    )
}
