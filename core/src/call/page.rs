//! A page of a log as a reader gets it: without anchors, because a reader can and should compute them.

use crate::digest::Digest;
use crate::id::{LogKey, ReplicaId};
use crate::oplog::{Gap, LoggedOp, OpBytes, Part, Subject};
use crate::seq::{Anchor, Cursor, Seq};
use crate::store::LogPage;
use crate::time::Timestamp;

/// Part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the answer of one call")]
pub struct Page {
    /// Ops after the reader's cursor, in order.
    pub ops: Vec<PageOp>,
    /// Ops between and behind those that a partial reader did not ask for, in order. Everybody else gets none.
    pub left_out: Vec<LeftOut>,
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

/// What a partial reader is told of an op that concerns nothing it holds: enough to check that the log has no hole, and
/// to know what its authors have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "part of one answer")]
pub struct LeftOut {
    /// Its place.
    pub seq: Seq,
    /// When the server accepted it.
    pub accepted_at: Timestamp,
    /// How many ops of the same atomic batch follow.
    pub batch_rest: u32,
    /// SHA-256 of its canonical bytes.
    pub digest: Digest,
    /// Its author.
    pub replica: ReplicaId,
    /// The author's counter that it took; 0 where it took none.
    pub counter: u64,
    /// It replaces the state of the whole log. Its reader goes on from a snapshot at or after it.
    pub full_state: bool,
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
        Self { ops: page.ops.into_iter().map(PageOp::from).collect(), left_out: Vec::new(), next, end, more }
    }

    /// The same page for a partial reader: ops that touch nothing of the part, and full states, which are too much to
    /// send for a part, are left out. What does not read here is not left out.
    #[must_use]
    pub fn only(mut self, part: &Part) -> Self {
        for op in std::mem::take(&mut self.ops) {
            match op.op.read() {
                Ok(read) if !part.touches(read.subject()) => self.left_out.push(LeftOut {
                    seq: op.seq,
                    accepted_at: op.accepted_at,
                    batch_rest: op.batch_rest,
                    digest: op.op.digest(),
                    replica: read.replica(),
                    counter: read.counter(),
                    full_state: matches!(read.subject(), Subject::Log),
                }),
                _ => self.ops.push(op),
            }
        }
        self
    }

    /// Everything on the page without its content, in order.
    pub(crate) fn places(&self) -> Vec<Place> {
        let left_out = self.left_out.iter();
        let left_out = left_out.map(|op| Place {
            seq: op.seq,
            accepted_at: op.accepted_at,
            batch_rest: op.batch_rest,
            digest: op.digest,
        });
        let mut left_out = left_out.peekable();
        let mut places = Vec::with_capacity(self.ops.len() + self.left_out.len());
        // Each of the two keeps its own order, so that one that is not in order does not follow.
        for op in &self.ops {
            while let Some(other) = left_out.next_if(|other| other.seq < op.seq) {
                places.push(other);
            }
            places.push(Place {
                seq: op.seq,
                accepted_at: op.accepted_at,
                batch_rest: op.batch_rest,
                digest: op.op.digest(),
            });
        }
        places.extend(left_out);
        places
    }

    /// Whether the page follows `cursor`: the seqs without a hole, the running hash ending in `next`. A reader that
    /// applies only pages that follow cannot be led onto another history.
    ///
    /// # Errors
    /// [`Gap::Hole`], also where ops are left out; [`Gap::ForeignLog`] or [`Gap::Diverged`]: nothing of the page may be
    /// applied.
    pub fn follows(&self, log: LogKey, cursor: Cursor) -> Result<(), Gap> {
        if self.left_out.is_empty() { self.follows_partly(log, cursor) } else { Err(Gap::Hole) }
    }

    /// [`Page::follows`] for a partial reader: what is left out counts by its digest.
    ///
    /// # Errors
    /// As [`Page::follows`].
    pub fn follows_partly(&self, log: LogKey, cursor: Cursor) -> Result<(), Gap> {
        let places = self.places();
        let mut seq = cursor.seq;
        for place in &places {
            if seq.next() != Some(place.seq) {
                return Err(Gap::Hole);
            }
            seq = place.seq;
        }
        let Some(theirs) = self.next.anchor else {
            return if self.next == cursor && places.is_empty() { Ok(()) } else { Err(Gap::Diverged) };
        };
        let start = match cursor.anchor {
            Some(anchor) if anchor.origin != theirs.origin => return Err(Gap::ForeignLog),
            Some(anchor) => Some(anchor),
            None if cursor.seq == Seq::ZERO => Some(Anchor::genesis(log, theirs.origin)),
            // A reader without an anchor has no history to check against, only numbers.
            None => None,
        };
        let ours = start.map(|start| Place::lead(&places, start));
        let follows = self.next.seq == seq && ours.is_none_or(|ours| ours == theirs);
        if follows { Ok(()) } else { Err(Gap::Diverged) }
    }
}

/// Where an op stands in the log, without its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) seq: Seq,
    pub(crate) accepted_at: Timestamp,
    pub(crate) batch_rest: u32,
    pub(crate) digest: Digest,
}

impl Place {
    /// The anchor that these lead to.
    pub(crate) fn lead(places: &[Self], start: Anchor) -> Anchor {
        places.iter().fold(start, |anchor, place| anchor.extend(place.digest, place.accepted_at))
    }
}
