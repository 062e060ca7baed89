//! Reading a snapshot: the text at once, its history when somebody needs it.

use bytes::Bytes;

use super::columns::Part;
use super::pack::{read_section, unpack, unpack_text};
use super::{Base, MAGIC, Named, Reordered, Stored, columns, far};
use crate::codec::{DecodeError, Reader};
use crate::crdt::text::authors::{Authors, Roster};
use crate::crdt::text::buffer::Buffer;
use crate::crdt::text::delta::Name;
use crate::crdt::text::graph::Graph;
use crate::crdt::text::ops::{EVENTS_MAX, Ops};
use crate::crdt::text::rope::chars_in;
use crate::crdt::text::{Lv, Text, TextError, int};
use crate::id::ReplicaId;

fn bad() -> TextError {
    DecodeError::NotCanonical("a snapshot").into()
}

fn number(input: &mut Reader) -> Result<u32, TextError> {
    let value = input.u64("a number")?;
    u32::try_from(value).ok().filter(|value| *value <= EVENTS_MAX).ok_or_else(bad)
}

impl Text {
    /// Reads what [`save`](Self::save) or [`save_shallow`](Self::save_shallow) wrote. The text is there at once; the
    /// history is read when something first needs it.
    ///
    /// # Errors
    /// [`TextError::Checksum`], [`TextError::Decode`].
    pub fn load(snapshot: &Bytes) -> Result<Self, TextError> {
        let mut input = Reader::new(snapshot.clone());
        let magic: [u8; 4] = input.fixed("a snapshot")?;
        if magic != *MAGIC {
            return Err(DecodeError::Unknown { what: "snapshot", value: u32::from_be_bytes(magic).into() }.into());
        }
        let packed = read_section(&mut input, "the text of a snapshot")?;
        let head = read_section(&mut input, "the head of a snapshot")?;
        let marks = read_section(&mut input, "the marks of a snapshot")?;
        let text = unpack_text(&packed)?;
        let loaded = Head::read(&head)?;
        let buffer = Buffer::of(&text);
        let len = buffer.len();
        let kept = input.u8("a snapshot")?;
        let sections = input.take(input.remaining(), "a snapshot")?;
        let stored = match kept {
            0 if sections.is_empty() => None,
            1 if loaded.end > 0 => Some(Stored {
                sections,
                base: loaded.base,
                base_len: loaded.base_len,
                base_heads: loaded.before,
                text: packed.clone(),
            }),
            1 => None,
            _ => return Err(bad()),
        };
        if (loaded.end == 0) != loaded.now.is_empty() || (loaded.end == 0 && len > 0) {
            return Err(bad());
        }
        let text = if stored.is_none() && loaded.end == 0 { Bytes::new() } else { packed };
        let mut loaded = Self {
            buffer,
            ops: Ops::from_base(loaded.end),
            graph: Graph::from_base(loaded.end),
            authors: loaded.authors,
            base_heads: loaded.now,
            base: Base { len, text, names: Vec::new(), stored },
            ..Self::new()
        };
        loaded.read_marks(Bytes::from(unpack(&marks)?))?;
        Ok(loaded)
    }

    /// Reads the history that was loaded with the text, if that was not done yet.
    pub(in crate::crdt::text) fn hydrate(&mut self) -> Result<(), TextError> {
        let Some(stored) = self.base.stored.clone() else { return Ok(()) };
        let mut input = Reader::new(stored.sections);
        let before = read_section(&mut input, "the base of a snapshot")?;
        let names = read_section(&mut input, "the names of a snapshot")?;
        let events = read_section(&mut input, "the events of a snapshot")?;
        let deleted = read_section(&mut input, "the deleted text of a snapshot")?;
        input.finish()?;
        let end = self.graph.base();
        let mut ids = Authors::default();
        for author in self.authors.list() {
            ids.index(author.id);
        }
        let before_text = unpack_text(&before)?;
        if chars_in(&before_text) != stored.base_len || (stored.base == 0 && stored.base_len > 0) {
            return Err(bad());
        }
        let text = unpack_text(&stored.text)?;
        let nexts =
            self.authors.list().iter().zip(0..).map(|(_, author)| self.authors.first(author)).collect::<Vec<_>>();
        let events = Bytes::from(unpack(&events)?);
        let stored_part = Part { ids, nexts, range: stored.base..end, under: stored.base_len };
        let read = columns::read(events, stored_part, &text, &far::read(&text, Bytes::from(unpack(&deleted)?))?)?;
        let (mut graph, mut ops, mut authors): Reordered = read;
        self.adopt(&stored.base_heads, &mut graph, &mut ops, &mut authors)?;
        self.graph = graph;
        self.ops = ops;
        self.authors = authors;
        self.base_heads = stored.base_heads;
        let names = self.read_names(&names, stored.base_len)?;
        let text = if before_text.is_empty() { Bytes::new() } else { before };
        self.base = Base { len: stored.base_len, text, names, stored: None };
        self.atlas = None;
        self.zone = None;
        Ok(())
    }

    /// Reads whose the characters are of the text where the history begins.
    fn read_names(&self, names: &Bytes, len: u32) -> Result<Vec<Named>, TextError> {
        let mut input = Reader::new(Bytes::from(unpack(names)?));
        let (mut read, mut all) = (Vec::new(), 0_u64);
        for _ in 0..input.count(2, "names")? {
            let len = number(&mut input)?;
            let name = match number(&mut input)?.checked_sub(1) {
                None => None,
                Some(author) => {
                    let seq = number(&mut input)?;
                    let next = self.authors.list().get(author as usize).ok_or_else(bad)?.next;
                    if seq.checked_add(len).is_none_or(|end| end > next) {
                        return Err(bad());
                    }
                    Some((author, seq))
                }
            };
            all += u64::from(len);
            read.push(Named { name, len });
        }
        input.finish()?;
        if !read.is_empty() && all != u64::from(len) {
            return Err(bad());
        }
        Ok(read)
    }

    /// Appends what happened since to a history that was read.
    fn adopt(&self, before: &[Name], graph: &mut Graph, ops: &mut Ops, authors: &mut Authors) -> Result<(), TextError> {
        let (from, end) = (self.graph.base(), self.graph.end());
        let tips: Vec<Lv> = graph.frontier().to_vec();
        let mut heads: Vec<Name> = tips.iter().map(|lv| authors.of(*lv)).collect();
        if tips.is_empty() {
            heads.extend_from_slice(before);
        }
        self.sort_names(&mut heads);
        if heads != self.base_heads || graph.end() != from {
            return Err(bad());
        }
        for part in self.graph.stretches(from, end) {
            let mut own = [0];
            let parents = self.graph.parents_of(part.start, &mut own);
            graph.push(if parents.is_empty() { &tips } else { parents }, part.end - part.start);
        }
        let mut lv = from;
        while lv < end {
            let (author, _, to) = self.authors.stretch(lv, end);
            authors.extend(author, lv, to - lv);
            lv = to;
        }
        for run in self.ops.runs(from, end) {
            ops.push(&run);
        }
        for (author, known) in self.authors.list().iter().enumerate() {
            authors.get_mut(int(author)).roster = known.roster.clone();
        }
        Ok(())
    }
}

/// What a snapshot says besides text and events.
#[derive(Debug)]
struct Head {
    authors: Authors,
    now: Vec<Name>,
    before: Vec<Name>,
    base: Lv,
    end: Lv,
    base_len: u32,
}

impl Head {
    fn read(head: &Bytes) -> Result<Self, TextError> {
        let head = Bytes::from(unpack(head)?);
        let mut input = Reader::new(head);
        let mut authors = Authors::default();
        let mut rosters = Vec::new();
        let mut all = 0_u64;
        let count = input.count(19, "authors")?;
        for place in 0..count {
            let id = ReplicaId::from_bytes(input.fixed("an author")?);
            if authors.list().last().is_some_and(|last| last.id >= id) {
                return Err(bad());
            }
            let author = authors.index(id);
            let next = number(&mut input)?;
            if next == 0 || author as usize != place {
                return Err(bad());
            }
            authors.set_next(author, next);
            all += u64::from(next);
            let cursor = number(&mut input)?;
            let mut named = Vec::new();
            for _ in 0..input.count(2, "a roster")? {
                named.push((number(&mut input)?, number(&mut input)?));
            }
            rosters.push(Roster { seq: next, cursor, named });
        }
        let mut heads = [Vec::new(), Vec::new()];
        for heads in &mut heads {
            for _ in 0..input.count(2, "heads")? {
                heads.push((number(&mut input)?, number(&mut input)?));
            }
            if !heads.iter().all(|name| known_in(&authors, count, name)) || !heads.is_sorted_by(|a, b| a < b) {
                return Err(bad());
            }
        }
        let (base, end, base_len) = (number(&mut input)?, number(&mut input)?, number(&mut input)?);
        input.finish()?;
        let [now, before] = heads;
        if base > end || all != u64::from(end) || (base == 0) != before.is_empty() {
            return Err(bad());
        }
        for (author, roster) in rosters.into_iter().enumerate() {
            let mut seen = std::collections::BTreeSet::new();
            if !roster.named.iter().all(|name| known_in(&authors, count, name) && seen.insert(name.0)) {
                return Err(bad());
            }
            authors.get_mut(int(author)).roster = roster;
        }
        Ok(Self { authors, now, before, base, end, base_len })
    }
}

fn known_in(authors: &Authors, count: usize, (author, seq): &Name) -> bool {
    (*author as usize) < count && *seq < authors.get(*author).next
}
