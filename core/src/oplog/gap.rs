//! Why a cursor cannot go on: the four cases of seed 004, and the two it could not see.
//!
//! A server restored from a backup that has since grown past a reader's cursor passes all four numeric checks,
//! and the reader silently misses ops. The anchor catches it: [`Gap::Diverged`]. A log deleted and made again
//! has another origin: [`Gap::ForeignLog`].

use super::bounds::LogBounds;
use crate::seq::{Anchor, Cursor, Seq};

/// Why a reader cannot continue from its cursor. Nothing local is ever dropped because of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "Gap::check is total over exactly these")]
pub enum Gap {
    /// The reader has history, the server has none.
    ServerEmpty,
    /// The reader is ahead of the server: the server lost its newest part.
    ClientAhead,
    /// What the reader needs next was pruned; it takes a snapshot.
    Pruned,
    /// The stored log misses a seq: damage on the server.
    Hole,
    /// Same log, other history: the server was rolled back, forked or rewritten.
    Diverged,
    /// Another log under the same name.
    ForeignLog,
}

impl Gap {
    /// The gap between a cursor and a log, from bounds alone. `known` is the log's anchor at `cursor.seq`, `None`
    /// when that place is not kept; it is not asked for a cursor at the start of the log.
    ///
    /// A cursor without an anchor (a foreign dialect) is checked by numbers only, as seed 004 does.
    #[must_use]
    pub fn check(cursor: Cursor, bounds: Option<&LogBounds>, known: Option<Anchor>) -> Option<Self> {
        let Some(bounds) = bounds else {
            return (cursor.seq > Seq::ZERO).then_some(Self::ServerEmpty);
        };
        if bounds.last == Seq::ZERO && cursor.seq > Seq::ZERO {
            return Some(Self::ServerEmpty);
        }
        if cursor.anchor.is_some_and(|anchor| anchor.origin != bounds.tip.origin) {
            return Some(Self::ForeignLog);
        }
        if cursor.seq > bounds.last {
            return Some(Self::ClientAhead);
        }
        if cursor.seq < bounds.first.before() {
            return Some(Self::Pruned);
        }
        let known = Self::anchor_from_bounds(cursor.seq, bounds).or(known);
        match (cursor.anchor, known) {
            (None, _) => None,
            (Some(_), None) => Some(Self::Hole),
            (Some(theirs), Some(ours)) => (theirs != ours).then_some(Self::Diverged),
        }
    }

    /// Whether the seqs of a page follow the cursor without a hole.
    #[must_use]
    pub fn check_page(after: Seq, last: Seq, seqs: impl IntoIterator<Item = Seq>) -> Option<Self> {
        let mut previous = after;
        for seq in seqs {
            if previous.next() != Some(seq) {
                return Some(Self::Hole);
            }
            previous = seq;
        }
        // A page that is empty although the log goes on hides a hole at its very start.
        (previous == after && after < last).then_some(Self::Hole)
    }

    /// The anchor at `seq` when the bounds alone know it: at the horizon and at the end.
    #[must_use]
    pub fn anchor_from_bounds(seq: Seq, bounds: &LogBounds) -> Option<Anchor> {
        if seq == bounds.last {
            Some(bounds.tip)
        } else if seq == bounds.first.before() {
            Some(bounds.base)
        } else {
            None
        }
    }
}
