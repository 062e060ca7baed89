//! A page of a log as a reader gets it: without anchors, because a reader can and should compute them.

use crate::id::LogKey;
use crate::oplog::{Gap, LoggedOp, OpBytes};
use crate::seq::{Anchor, Cursor, Seq};
use crate::store::LogPage;
use crate::time::Timestamp;

/// Part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the answer of one call")]
pub struct Page {
    /// Ops after the reader's cursor, in order.
    pub ops: Vec<PageOp>,
    /// Where the reader stands after them.
    pub next: Cursor,
    /// Where the log ends now.
    pub end: Seq,
    /// Whether there is more after `next`.
    pub more: bool,
}

/// One op of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "part of one answer")]
pub struct PageOp {
    /// Its place.
    pub seq: Seq,
    /// When the server accepted it.
    pub accepted_at: Timestamp,
    /// How many ops of the same atomic batch follow.
    pub batch_rest: u32,
    /// The op, byte for byte.
    pub op: OpBytes,
}

impl From<LoggedOp> for PageOp {
    fn from(logged: LoggedOp) -> Self {
        let LoggedOp { seq, accepted_at, batch_rest, op, .. } = logged;
        Self { seq, accepted_at, batch_rest, op }
    }
}

impl Page {
    /// The page a reader at `cursor` gets from what a store read.
    #[must_use]
    pub fn of(page: LogPage, cursor: Cursor) -> Self {
        let (next, more) = (page.next(cursor), page.has_more());
        let end = page.bounds.map_or(Seq::ZERO, |bounds| bounds.last);
        Self { ops: page.ops.into_iter().map(PageOp::from).collect(), next, end, more }
    }

    /// Whether the page follows `cursor`: the seqs without a hole, the running hash ending in `next`. A reader that
    /// applies only pages that follow cannot be led onto another history.
    ///
    /// # Errors
    /// [`Gap::Hole`], [`Gap::ForeignLog`] or [`Gap::Diverged`]: nothing of the page may be applied.
    pub fn follows(&self, log: LogKey, cursor: Cursor) -> Result<(), Gap> {
        let mut seq = cursor.seq;
        for op in &self.ops {
            if seq.next() != Some(op.seq) {
                return Err(Gap::Hole);
            }
            seq = op.seq;
        }
        let Some(theirs) = self.next.anchor else {
            return if self.next == cursor && self.ops.is_empty() { Ok(()) } else { Err(Gap::Diverged) };
        };
        let start = match cursor.anchor {
            Some(anchor) if anchor.origin != theirs.origin => return Err(Gap::ForeignLog),
            Some(anchor) => Some(anchor),
            None if cursor.seq == Seq::ZERO => Some(Anchor::genesis(log, theirs.origin)),
            // A reader without an anchor has no history to check against, only numbers.
            None => None,
        };
        let ours = start.map(|start| self.ops.iter().fold(start, |anchor, op| anchor.extend(op.op.digest())));
        let follows = self.next.seq == seq && ours.is_none_or(|ours| ours == theirs);
        if follows { Ok(()) } else { Err(Gap::Diverged) }
    }
}
