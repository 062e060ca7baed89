//! Pages: how much one read returns, and what it returns.

use crate::id::LogId;
use crate::limits;
use crate::oplog::{EntityKey, Gap, Head, LogBounds, LoggedOp};
use crate::seq::{Anchor, Cursor, Seq};

/// How much one page may hold. One op is always served, however large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    ops: usize,
    bytes: usize,
}

impl PageLimit {
    /// At most this many ops; `None` when it is not 1 to [`limits::PAGE_OPS_MAX`].
    #[must_use]
    pub const fn ops(ops: usize) -> Option<Self> {
        if ops >= 1 && ops <= limits::PAGE_OPS_MAX { Some(Self { ops, bytes: limits::PAGE_BYTES_MAX }) } else { None }
    }

    /// With another bound on bytes, at most [`limits::PAGE_BYTES_MAX`].
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes.min(limits::PAGE_BYTES_MAX);
        self
    }

    /// Ops at most.
    #[must_use]
    pub const fn ops_max(self) -> usize {
        self.ops
    }

    /// Canonical bytes after which the page ends.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        self.bytes
    }

    /// Whether an op of `bytes` still goes on a page that holds `ops` ops of `held` bytes.
    #[must_use]
    pub const fn takes(self, ops: usize, held: usize, bytes: usize) -> bool {
        ops == 0 || (ops < self.ops && held + bytes <= self.bytes)
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self { ops: limits::PAGE_OPS_DEFAULT, bytes: limits::PAGE_BYTES_MAX }
    }
}

/// Part of a log, from one consistent read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct LogPage {
    /// The log's bounds; `None` when it does not exist.
    pub bounds: Option<LogBounds>,
    /// The log's running hash at `after`, when that place is kept.
    pub anchor: Option<Anchor>,
    /// The ops, in order.
    pub ops: Vec<LoggedOp>,
}

impl LogPage {
    /// Why a reader at `cursor` cannot take this page; `None` when it can. Total and pure.
    #[must_use]
    pub fn gap(&self, cursor: Cursor) -> Option<Gap> {
        Gap::check(cursor, self.bounds.as_ref(), self.anchor).or_else(|| {
            let last = self.bounds.as_ref().map_or(Seq::ZERO, |bounds| bounds.last);
            Gap::check_page(cursor.seq, last, self.ops.iter().map(|logged| logged.seq))
        })
    }

    /// Where a reader stands after this page.
    #[must_use]
    pub fn next(&self, cursor: Cursor) -> Cursor {
        match (self.ops.last(), &self.bounds) {
            (Some(last), _) => last.cursor(),
            (None, Some(bounds)) if cursor.seq == bounds.last => bounds.end(),
            _ => cursor,
        }
    }

    /// Whether the log goes on after this page.
    #[must_use]
    pub fn has_more(&self) -> bool {
        match (self.ops.last(), &self.bounds) {
            (Some(last), Some(bounds)) => last.seq < bounds.last,
            _ => false,
        }
    }
}

/// Some heads in key order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct HeadPage {
    /// The heads.
    pub heads: Vec<(EntityKey, Head)>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// One log in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct LogSummary {
    /// Which log.
    pub log: LogId,
    /// Its row.
    pub bounds: LogBounds,
}
