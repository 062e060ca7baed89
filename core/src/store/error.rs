//! What a store can fail with: coarse, and prescriptive about what to do.

use std::fmt;

/// What kind of failure, by what a caller would do about it. A lost race is not among them: the store reruns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The backend cannot be reached or gave up; try again later.
    Unavailable,
    /// All capacity is taken, nothing was written; try again soon.
    Busy,
    /// It took longer than it may; try again later.
    Timeout,
    /// The commit was cut off: it may or may not have happened. Repeat the same request with the same ids.
    OutcomeUnknown,
    /// No room left; nothing was written. An operator must make room.
    Full,
    /// What is stored does not read or contradicts itself. An operator must look.
    Corrupt,
    /// Another process holds the store; nothing was written.
    Locked,
    /// The store cannot be used here: a newer schema, a network file system, a missing feature.
    Unsupported,
    /// A decision kept reading: a bug in a rule.
    Runaway,
    /// A rule or an adapter broke the contract: a bug.
    Fault,
}

impl StoreErrorKind {
    /// Whether a commit that ended so has certainly left nothing behind.
    #[must_use]
    pub const fn wrote_nothing(self) -> bool {
        matches!(self, Self::Busy | Self::Full | Self::Locked)
    }
}

/// A failed store operation.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    store: &'static str,
    operation: &'static str,
    detail: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// A failure of `operation` on `store`.
    #[must_use]
    pub const fn new(kind: StoreErrorKind, store: &'static str, operation: &'static str) -> Self {
        Self { kind, store, operation, detail: None, source: None }
    }

    /// With a sentence for people. Not part of the API.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With the backend's own error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            StoreErrorKind::Unavailable => "the store is unavailable",
            StoreErrorKind::Busy => "the store is busy",
            StoreErrorKind::Timeout => "the store took too long",
            StoreErrorKind::OutcomeUnknown => "the commit was cut off and may or may not have happened",
            StoreErrorKind::Full => "the store is full",
            StoreErrorKind::Corrupt => "stored data does not read",
            StoreErrorKind::Locked => "another process holds the store",
            StoreErrorKind::Unsupported => "the store cannot be used here",
            StoreErrorKind::Runaway => "a decision kept reading",
            StoreErrorKind::Fault => "a rule or an adapter broke the store's contract",
        };
        write!(f, "{} {}: {what}", self.store, self.operation)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| -> &(dyn std::error::Error + 'static) { source.as_ref() })
    }
}
