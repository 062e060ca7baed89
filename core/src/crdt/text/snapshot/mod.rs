//! A text at rest: the characters first, so that they can be shown before any history is read.
//!
//! ```text
//! snapshot := "SLT" version:u8 (1) section(text) section(head) section(marks) kept:u8 (section(base) section(names) section(events) section(deleted))?
//! section  := packed length, check: the first 8 bytes of SHA-256 of the packed bytes, packed bytes
//! packed   := varint length unpacked << 1 | deflated, then the bytes, as they are (0) or in raw DEFLATE (1)
//!
//! text     := UTF-8
//! head     := count authors, each in the order of names: 16 bytes, next number, roster
//!             roster := cursor, count, each: author's place in this list, number
//!             heads of the version, then of the version where the history begins: count, each: author's place, number
//!             events up to where the history begins, events in all, length of the text where the history begins
//! marks    := count, each in their order: its author's 16 bytes, and the mark as it travels (see `marks`)
//! kept     := 1 if the history since its beginning follows, 0 if the text stands alone
//! base     := UTF-8, the text where the history begins; empty if that is the start
//! names    := whose its characters are: count, each: length, 0 if unknown or the author's place and 1, number; length 0
//!             for a deleted character that a mark holds on to
//! events   := authors: count, each run of one author's events: author's place, length
//!             graph: count, each run after the first whose first event has not seen just the event before it: length of
//!             the run before, count of parents, each as distance back from the event (the beginning: distance to
//!             before the first kept event is never written, it has no parents)
//!             heads: count, each run of events: length << 2 | kind (0 insertion, 1 deletion, 2 backwards), and, as a
//!             list of its own, the position, zigzag from where the run before ended
//! deleted  := every inserted character that is not in the text, in the order of events: UTF-8, as `far` says it, behind
//!             the text
//! ```
//!
//! All numbers are varints, events are numbered in *canonical order*: see `order`. Characters still to be seen are not
//! repeated in the history: replaying the events says where each of them is.
//!
//! *What must hold:* the same events give the same bytes, whatever the order they arrived in. Reading takes memory in
//! proportion to the bytes; the history's sections are checked when they are first needed. *Where next:* `columns`.

mod columns;
mod far;
mod load;
mod order;
mod pack;

pub(super) use columns::alive;
pub(super) use pack::{pack, unpack_text};

use std::collections::BTreeMap;

use bytes::Bytes;

use super::apply::history;
use super::authors::{AuthorIndex, Authors};
use super::graph::Graph;
use super::ops::Ops;
use super::{Lv, Text, TextError};
use crate::codec::Writer;

const MAGIC: &[u8; 4] = b"SLT\x01";

/// Where the kept history begins, and what is needed to go back there.
#[derive(Debug, Clone, Default)]
pub(super) struct Base {
    /// Length of the text there.
    pub(super) len: u32,
    /// The text there, packed; empty for the empty text.
    pub(super) text: Bytes,
    /// Whose its characters are, in their order; empty if that is not known.
    pub(super) names: Vec<Named>,
    /// The history before, not read yet: a snapshot's sections behind `kept`.
    pub(super) stored: Option<Stored>,
}

/// Characters of the text where the history begins whose names follow each other; none for a deleted character that a mark
/// holds on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    /// The first one's, unless it was dropped.
    pub(super) name: Option<super::delta::Name>,
    pub(super) len: u32,
}

/// A history at rest that ends where the one in memory begins.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) sections: Bytes,
    /// How many events come before it, and the length of the text there.
    pub(super) base: Lv,
    pub(super) base_len: u32,
    pub(super) base_heads: Vec<super::delta::Name>,
    /// The text at its end, packed.
    pub(super) text: Bytes,
}

impl Text {
    /// The text with its whole kept history, as bytes for [`load`](Self::load).
    ///
    /// # Errors
    /// Only if a history that was loaded but not read so far turns out to be damaged.
    pub fn save(&mut self) -> Result<Bytes, TextError> {
        self.hydrate()?;
        let text = self.to_string();
        let rank = self.ranks();
        let mut out = Writer::with_capacity(text.len() / 2);
        self.write_front(&mut out, &text, &rank, Kept::History)?;
        let canonical = order::canonical(self);
        let (graph, ops, authors) = match &canonical {
            Some((graph, ops, authors)) => (graph, ops, authors),
            None => (&self.graph, &self.ops, &self.authors),
        };
        let alive = alive(history(graph, ops, authors), self.base.len, &text)?;
        out.u8(1);
        if self.base.is_start() {
            pack::section(&mut out, b"");
        } else {
            pack::section_packed(&mut out, &self.base.text);
        }
        pack::section(&mut out, &self.names(&rank));
        pack::section(&mut out, &columns::events(graph, ops, authors, &rank));
        pack::section(&mut out, &far::write(&text, &columns::deleted(ops, &alive)));
        Ok(out.finish())
    }

    /// The text alone, with what is needed to go on from here; what is concurrent with something before cannot be
    /// taken in by whoever starts from it.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn save_shallow(&mut self) -> Result<Bytes, TextError> {
        let text = self.to_string();
        let rank = self.ranks();
        let mut out = Writer::with_capacity(text.len() / 2);
        self.write_front(&mut out, &text, &rank, Kept::Nothing)?;
        out.u8(0);
        Ok(out.finish())
    }

    /// Whose the characters are of the text where the history begins.
    fn names(&self, rank: &BTreeMap<AuthorIndex, u64>) -> Bytes {
        let mut out = Writer::default();
        out.len(self.base.names.len());
        for named in &self.base.names {
            out.u64(named.len.into());
            match named.name {
                None => out.u64(0),
                Some((author, seq)) => {
                    out.u64(rank.get(&author).copied().unwrap_or_default() + 1);
                    out.u64(seq.into());
                }
            }
        }
        out.finish()
    }

    /// Each author's place in the order of names, authors without events left out.
    fn ranks(&self) -> BTreeMap<AuthorIndex, u64> {
        let known = self.authors.sorted().iter().filter(|author| self.authors.get(**author).next > 0);
        known.zip(0..).map(|(author, rank)| (*author, rank)).collect()
    }

    fn write_front(
        &mut self,
        out: &mut Writer,
        text: &str,
        rank: &BTreeMap<AuthorIndex, u64>,
        kept: Kept,
    ) -> Result<(), TextError> {
        out.fixed(MAGIC);
        pack::section(out, text.as_bytes());
        let place = |author: AuthorIndex| rank.get(&author).copied().unwrap_or_default();
        let mut head = Writer::default();
        head.len(rank.len());
        let mut sorted: Vec<AuthorIndex> = self.authors.sorted().to_vec();
        sorted.retain(|author| rank.contains_key(author));
        for author in sorted {
            let next = self.authors.get(author).next;
            let roster = match self.roster_at(author, next) {
                Err(TextError::Collected) => {
                    self.hydrate()?;
                    self.roster_at(author, next)?
                }
                other => other?,
            };
            head.fixed(self.authors.get(author).id.as_bytes());
            head.u64(next.into());
            head.u64(roster.cursor.into());
            head.len(roster.named.len());
            for (author, seq) in roster.named {
                head.u64(place(author));
                head.u64(seq.into());
            }
        }
        let mut now = self.names_of(self.graph.frontier());
        self.sort_names(&mut now);
        let (before, base, base_len) = match kept {
            Kept::History => (&self.base_heads, self.graph.base(), self.base.len),
            Kept::Nothing => (&now, self.graph.end(), self.buffer.len()),
        };
        for heads in [&now, before] {
            head.len(heads.len());
            for (author, seq) in heads {
                head.u64(place(*author));
                head.u64((*seq).into());
            }
        }
        head.u64(base.into());
        head.u64(self.graph.end().into());
        head.u64(base_len.into());
        pack::section(out, &head.finish());
        pack::section(out, &self.marks.write());
        Ok(())
    }
}

/// What of the history a snapshot keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    History,
    Nothing,
}

/// A history in another order.
type Reordered = (Graph, Ops, Authors);
