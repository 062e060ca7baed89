//! Giving events another author before anybody else has seen them.
//!
//! A device restored from a copy must not go on under its old name: another copy may. It takes a fresh replica id, and
//! what it had not sent yet becomes that replica's.

use super::authors::{Authors, Roster};
use super::buffer::Buffer;
use super::snapshot::unpack_text;
use super::{Text, TextError, int};
use crate::id::ReplicaId;

impl Text {
    /// Makes the events of `from`, from number `since` on, the first events of `to`, who has none. Only for events that
    /// were never sent. Where they meet concurrent ones the text may change: ties go by author.
    ///
    /// # Errors
    /// [`TextError::Forked`] if `to` has events; [`TextError::Unseen`] if `from` has not that many;
    /// [`TextError::Collected`] if the events are not kept.
    pub fn reauthor(&mut self, from: ReplicaId, since: u64, to: ReplicaId) -> Result<(), TextError> {
        let next = self.seen(from);
        if self.seen(to) > 0 || from == to {
            return Err(TextError::Forked { replica: to, seq: 0 });
        }
        let (Some(old), true) = (self.authors.find(from), since <= next) else {
            return if since == 0 { Ok(()) } else { Err(TextError::Unseen { replica: from, seq: next }) };
        };
        if since == next {
            return Ok(());
        }
        self.hydrate()?;
        let since = u32::try_from(since).unwrap_or(u32::MAX);
        let Some(first) = self.authors.lv(old, since) else { return Err(TextError::Collected) };
        let roster = self.roster_at(old, since)?;
        let base = unpack_text(&self.base.text)?;
        let (start, end) = (self.graph.base(), self.graph.end());

        let mut authors = Authors::default();
        for author in self.authors.list() {
            let index = authors.index(author.id);
            authors.set_next(index, self.authors.first(index));
        }
        let new = authors.index(to);
        let mut lv = start;
        while lv < end {
            let (author, seq, stop) = self.authors.stretch(lv, end);
            let kept = if author == old { since.saturating_sub(seq).min(stop - lv) } else { stop - lv };
            if kept > 0 {
                authors.extend(author, lv, kept);
            }
            if lv + kept < stop {
                authors.extend(new, lv + kept, stop - lv - kept);
            }
            lv = stop;
        }
        for index in 0..int(self.authors.list().len()) {
            authors.get_mut(index).roster = std::mem::take(&mut self.authors.get_mut(index).roster);
        }
        authors.get_mut(old).roster = roster;
        authors.get_mut(new).roster = Roster::default();
        self.authors = authors;
        self.drop_caches();
        if self.graph.critical_from(first).is_none_or(|range| range != (first..end)) {
            // Some of them are concurrent with others: who comes first may have changed.
            self.buffer = Buffer::of(&base);
            self.carry_out(start, &mut |_, _| {})?;
        }
        Ok(())
    }
}
