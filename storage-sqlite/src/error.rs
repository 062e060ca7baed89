//! What went wrong inside the adapter → the few kinds a caller can act on.
//!
//! What must hold: no `rusqlite` type leaves the crate, and its error is kept as the source, not flattened into text.

use std::fmt;

use rusqlite::{ErrorCode, ffi};
use syncline::store::{StoreError, StoreErrorKind};

/// A failure on its way to a caller, before it knows which operation it belongs to.
#[derive(Debug)]
pub(crate) struct Failed {
    kind: StoreErrorKind,
    detail: String,
    source: Option<rusqlite::Error>,
}

pub(crate) type Outcome<T> = Result<T, Failed>;

impl Failed {
    pub(crate) fn new(kind: StoreErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    pub(crate) fn corrupt(what: impl fmt::Display) -> Self {
        Self::new(StoreErrorKind::Corrupt, what.to_string())
    }

    pub(crate) fn fault(what: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Fault, what)
    }

    pub(crate) const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The same failure under another kind, where the place knows more than the code.
    pub(crate) const fn with_kind(mut self, kind: StoreErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Another of the same, for each of several callers that share one failure.
    pub(crate) fn again(&self) -> Self {
        let detail = match &self.source {
            Some(source) if self.detail.is_empty() => source.to_string(),
            Some(source) => format!("{}: {source}", self.detail),
            None => self.detail.clone(),
        };
        Self::new(self.kind, detail)
    }

    pub(crate) fn during(self, operation: &'static str) -> StoreError {
        let mut error = StoreError::new(self.kind, crate::NAME, operation);
        if !self.detail.is_empty() {
            error = error.because(self.detail);
        }
        match self.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(source: rusqlite::Error) -> Self {
        Self { kind: kind_of(&source), detail: String::new(), source: Some(source) }
    }
}

impl From<syncline::codec::DecodeError> for Failed {
    fn from(source: syncline::codec::DecodeError) -> Self {
        Self::corrupt(source)
    }
}

fn kind_of(error: &rusqlite::Error) -> StoreErrorKind {
    match error {
        rusqlite::Error::SqliteFailure(error, _) => kind_of_code(*error),
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::InvalidColumnType(..) => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Fault,
    }
}

fn kind_of_code(error: ffi::Error) -> StoreErrorKind {
    match (error.code, error.extended_code) {
        (ErrorCode::DiskFull, _) => StoreErrorKind::Full,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _)
        // Checksums, truncated files and moved files are reported as I/O or read-only errors.
        | (_, ffi::SQLITE_IOERR_DATA | ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_SHORT_READ)
        | (_, ffi::SQLITE_READONLY_DBMOVED)
        // A row stands where the log's row says there is none.
        | (_, ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID) => StoreErrorKind::Corrupt,
        (ErrorCode::DatabaseBusy, _) => StoreErrorKind::Busy,
        (ErrorCode::DatabaseLocked, _) => StoreErrorKind::Locked,
        (ErrorCode::OperationInterrupted, _) => StoreErrorKind::Timeout,
        (
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory
            | ErrorCode::SchemaChanged
            | ErrorCode::FileLockingProtocolFailed,
            _,
        ) => StoreErrorKind::Unavailable,
        (ErrorCode::NoLargeFileSupport, _) => StoreErrorKind::Unsupported,
        _ => StoreErrorKind::Fault,
    }
}
