//! Who made which event: names to small numbers, and each author's own count to and from the order of arrival.
//!
//! *What must hold:* an author's events are numbered from 0 without holes, in the order they were made; both directions
//! of the mapping say the same. *Where next:* [`super::delta`], which names authors by their place in a roster.

use std::cmp::Ordering;

use super::{Lv, int};
use crate::id::ReplicaId;

/// Number of an author in this document, in the order of first mention here.
pub(super) type AuthorIndex = u32;

/// What an author has mentioned in deltas, and where their cursor stands: what the next delta is relative to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Roster {
    /// The author's events up to here are taken into account.
    pub(super) seq: u32,
    /// Position where the last run ended.
    pub(super) cursor: u32,
    /// Whom the author named as parent, in the order of first mention, and which event last.
    pub(super) named: Vec<(AuthorIndex, u32)>,
}

/// How to take back what a delta did to its author's roster.
#[derive(Debug, Clone, Default)]
pub(super) struct RosterUndo {
    author: AuthorIndex,
    seq: u32,
    cursor: u32,
    named: usize,
    /// Places and what was there.
    changed: Vec<(usize, u32)>,
}

impl Roster {
    /// Remembers how things stand.
    pub(super) fn undo(&self, author: AuthorIndex) -> RosterUndo {
        RosterUndo { author, seq: self.seq, cursor: self.cursor, named: self.named.len(), changed: Vec::new() }
    }
}

impl RosterUndo {
    /// Notes that the place in the roster changes.
    pub(super) fn note(&mut self, place: usize, old: u32) {
        self.changed.push((place, old));
    }
}

#[derive(Debug, Clone)]
pub(super) struct Author {
    pub(super) id: ReplicaId,
    /// How many events are here, and so the number of the next.
    pub(super) next: u32,
    /// Where stretches of events begin: own number, and arrival.
    spans: Vec<(u32, Lv)>,
    pub(super) roster: Roster,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    lv: Lv,
    author: AuthorIndex,
    seq: u32,
}

/// All authors of a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Authors {
    list: Vec<Author>,
    /// Indexes in the order of the names.
    sorted: Vec<AuthorIndex>,
    spans: Vec<Span>,
}

impl Authors {
    pub(super) fn list(&self) -> &[Author] {
        &self.list
    }

    pub(super) fn get(&self, author: AuthorIndex) -> &Author {
        &self.list[author as usize]
    }

    pub(super) fn get_mut(&mut self, author: AuthorIndex) -> &mut Author {
        &mut self.list[author as usize]
    }

    /// The author's number, if known.
    pub(super) fn find(&self, id: ReplicaId) -> Option<AuthorIndex> {
        if let Some(last) = self.spans.last()
            && self.list[last.author as usize].id == id
        {
            return Some(last.author);
        }
        self.place(id).ok().map(|at| self.sorted[at])
    }

    fn place(&self, id: ReplicaId) -> Result<usize, usize> {
        self.sorted.binary_search_by(|author| self.list[*author as usize].id.cmp(&id))
    }

    /// The author's number, given one on first mention.
    pub(super) fn index(&mut self, id: ReplicaId) -> AuthorIndex {
        if let Some(author) = self.find(id) {
            return author;
        }
        let author = int(self.list.len());
        let at = self.place(id).unwrap_or_else(|at| at);
        self.sorted.insert(at, author);
        self.list.push(Author { id, next: 0, spans: Vec::new(), roster: Roster::default() });
        author
    }

    /// Takes back a change to a roster.
    pub(super) fn undo(&mut self, undo: RosterUndo) {
        let Some(author) = self.list.get_mut(undo.author as usize) else { return };
        let roster = &mut author.roster;
        for (place, old) in undo.changed.into_iter().rev() {
            if let Some(named) = roster.named.get_mut(place) {
                named.1 = old;
            }
        }
        roster.named.truncate(undo.named);
        (roster.seq, roster.cursor) = (undo.seq, undo.cursor);
    }

    /// The arrival of the author's last event, if it is mapped.
    pub(super) fn last_lv(&self, author: AuthorIndex) -> Option<Lv> {
        let this = self.list.get(author as usize)?;
        let (seq, lv) = this.spans.last()?;
        Some(lv + (this.next - 1 - seq))
    }

    /// Numbers in the order of the names.
    pub(super) fn sorted(&self) -> &[AuthorIndex] {
        &self.sorted
    }

    /// Says that the next `len` events of `author` arrive as `lv` and on.
    #[inline]
    pub(super) fn extend(&mut self, author: AuthorIndex, lv: Lv, len: u32) {
        let this = &mut self.list[author as usize];
        let seq = this.next;
        this.next += len;
        match self.spans.last() {
            Some(last) if last.author == author && last.seq + (lv - last.lv) == seq => return,
            _ => self.spans.push(Span { lv, author, seq }),
        }
        match this.spans.last() {
            Some((first, start)) if seq - first == lv.wrapping_sub(*start) => {}
            _ => this.spans.push((seq, lv)),
        }
    }

    /// Who made event `lv`, and its number among theirs.
    pub(super) fn of(&self, lv: Lv) -> (AuthorIndex, u32) {
        let at = self.spans.partition_point(|span| span.lv <= lv).saturating_sub(1);
        self.spans.get(at).map_or((0, 0), |span| (span.author, span.seq + (lv - span.lv)))
    }

    /// Like [`of`](Self::of), with the end of the stretch that continues alike, at most `to`.
    pub(super) fn stretch(&self, lv: Lv, to: Lv) -> (AuthorIndex, u32, Lv) {
        let at = self.spans.partition_point(|span| span.lv <= lv);
        let end = self.spans.get(at).map_or(to, |span| span.lv.min(to));
        let (author, seq) = self.of(lv);
        (author, seq, end)
    }

    /// The arrival of event `seq` of `author`, if it is here and mapped.
    pub(super) fn lv(&self, author: AuthorIndex, seq: u32) -> Option<Lv> {
        let this = self.list.get(author as usize)?;
        if seq >= this.next {
            return None;
        }
        let at = this.spans.partition_point(|(first, _)| *first <= seq).checked_sub(1)?;
        let (first, lv) = this.spans[at];
        Some(lv + (seq - first))
    }

    /// The order that breaks ties: by name, then by number.
    pub(super) fn order(&self, one: Lv, other: Lv) -> Ordering {
        let ((a, a_seq), (b, b_seq)) = (self.of(one), self.of(other));
        if a == b {
            return a_seq.cmp(&b_seq);
        }
        self.list[a as usize].id.cmp(&self.list[b as usize].id)
    }

    /// Stretches of the author's events from number `from` on: own number, arrival, length.
    pub(super) fn stretches(&self, author: AuthorIndex, from: u32) -> impl Iterator<Item = (u32, Lv, u32)> {
        let this = &self.list[author as usize];
        let first = this.spans.partition_point(|(seq, _)| *seq <= from).saturating_sub(1);
        (first..this.spans.len()).filter_map(move |at| {
            let (seq, lv) = this.spans[at];
            let end = this.spans.get(at + 1).map_or(this.next, |next| next.0);
            let start = from.max(seq);
            (start < end).then(|| (start, lv + (start - seq), end - start))
        })
    }

    /// Forgets every event from `lv` on, and authors who are then unknown (`authors` were known before).
    pub(super) fn truncate(&mut self, lv: Lv, authors: usize) {
        self.spans.truncate(self.spans.partition_point(|span| span.lv < lv));
        for author in &mut self.list {
            while let Some((seq, start)) = author.spans.last().copied() {
                if start >= lv {
                    author.spans.pop();
                    author.next = seq;
                } else {
                    author.next = author.next.min(seq + (lv - start));
                    break;
                }
            }
        }
        self.list.truncate(authors);
        self.sorted.retain(|author| (*author as usize) < authors);
    }

    /// The number of the author's first event that is mapped, or of the next.
    pub(super) fn first(&self, author: AuthorIndex) -> u32 {
        let this = &self.list[author as usize];
        this.spans.first().map_or(this.next, |span| span.0)
    }

    /// Sets how many events an author has that are numbered below every one mapped here.
    pub(super) fn set_next(&mut self, author: AuthorIndex, next: u32) {
        self.list[author as usize].next = next;
    }

    /// Drops the mapping of everything before `lv`; the counts stay.
    pub(super) fn forget_before(&mut self, lv: Lv) {
        let keep = self.spans.partition_point(|span| span.lv <= lv).saturating_sub(1);
        self.spans.drain(..keep.min(self.spans.len()));
        if let Some(first) = self.spans.first_mut()
            && first.lv < lv
        {
            first.seq += lv - first.lv;
            first.lv = lv;
        }
        for author in &mut self.list {
            let mut kept = Vec::new();
            for (at, (seq, start)) in author.spans.iter().enumerate() {
                let end = author.spans.get(at + 1).map_or(author.next, |next| next.0);
                let skip = lv.saturating_sub(*start).min(end - seq);
                if skip < end - seq {
                    kept.push((seq + skip, start + skip));
                }
            }
            author.spans = kept;
        }
    }
}
