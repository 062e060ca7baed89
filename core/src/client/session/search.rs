//! Where two histories part: a binary search over seqs, as a value.
//!
//! A place is *common* when the server goes on from the cursor the local history has there: its running hash covers
//! everything before, so common places end where the histories part. Places that the local history, or the server, no
//! longer keeps cannot be compared and count as too low. The interval halves with each question: 64 at most, the
//! server's own end included.

use crate::seq::{Cursor, Seq};

/// The open interval in which the last common place still may be.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// Common, not comparable, or the start.
    low: Seq,
    /// Not common.
    high: Seq,
    /// The last common place found.
    common: Seq,
    /// The server's end, asked first: after a rollback it is the answer, found without asking the server again.
    end: Option<Cursor>,
}

impl Search {
    /// A search in a local history that ends at `cursor`, from which the server, whose log ends at `end`, cannot go on.
    pub(super) fn new(cursor: Cursor, end: Option<Cursor>) -> Self {
        let end = end.filter(|end| end.seq < cursor.seq);
        let after_end = end.and_then(|end| end.seq.next());
        let high = after_end.map_or(cursor.seq, |after| after.min(cursor.seq));
        Self { low: Seq::ZERO, high, common: Seq::ZERO, end: end.filter(|end| end.seq > Seq::ZERO) }
    }

    /// The next place to look up in the local history; `None` when the search is over.
    pub(super) fn place(&self) -> Option<Seq> {
        let width = self.high.get().saturating_sub(self.low.get());
        match self.end {
            Some(end) => Some(end.seq),
            None if width > 1 => Seq::new(self.low.get() + width / 2),
            None => None,
        }
    }

    /// Takes what the local history has there. `Some` is a cursor the server must be asked about.
    pub(super) fn probed(&mut self, found: Option<Cursor>) -> Option<Cursor> {
        let place = self.place()?;
        let found = found.filter(|found| found.seq == place && found.anchor.is_some());
        match (found, self.end.take()) {
            (None, _) => self.low = place,
            (Some(found), Some(end)) if found == end => self.same(place),
            (Some(_), Some(end)) if end.anchor.is_some() => self.high = place,
            (Some(found), _) => return Some(found),
        }
        None
    }

    /// The server goes on from here.
    pub(super) fn same(&mut self, place: Seq) {
        self.low = place;
        self.common = place;
    }

    /// The server has another history here, or none.
    pub(super) fn other(&mut self, place: Seq) {
        self.high = place;
    }

    /// The server keeps nothing here any more.
    pub(super) fn pruned(&mut self, place: Seq) {
        self.low = place;
    }

    /// The last common place; [`Seq::ZERO`] when none was found.
    pub(super) fn common(&self) -> Seq {
        self.common
    }
}
