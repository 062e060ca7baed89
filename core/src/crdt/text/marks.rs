//! Rich text: ranges that are bold, linked or commented on.
//!
//! A mark holds on to characters, not positions, and says of a range that a key has a value there, or none. Where marks of
//! one key overlap, the latest wins, character by character: by a count that is higher than that of every mark its author
//! had seen, then by the author's name. Whether text typed at an edge takes part is decided by the side of the character
//! that the edge holds on to. (Litt, Lim, Kleppmann and van Hardenberg, "Peritext", 2022.)
//!
//! Marks of their own kind, such as comments, that must not replace each other take keys of their own.
//!
//! ```text
//! mark   := count:varint anchor(start) anchor(end) key:bytes (0 | 1 value:bytes)
//! ```
//!
//! *What must hold:* marks commute and are idempotent; a count is at most one more than the number of marks that are here,
//! which refuses what builds on marks not seen and keeps anyone from outbidding all for ever. *Where next:*
//! [`super::anchor`], which says where edges stand.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;

use super::{Anchor, Side, Text, TextError};
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::ReplicaId;
use crate::limits;

/// Which typing at the edges of a mark takes part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "two edges")]
pub enum Expand {
    /// Neither: a link.
    None,
    /// What is typed at the end: bold.
    After,
    /// What is typed at the start.
    Before,
    /// Both.
    Both,
}

/// A stretch of text that has the same marks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Marked {
    /// How many characters.
    pub len: usize,
    /// Values by key.
    pub marks: BTreeMap<String, String>,
}

/// When a mark was made, for whoever overlaps.
type Stamp = (u64, ReplicaId);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    start: Anchor,
    end: Anchor,
    key: String,
    value: Option<String>,
}

/// The marks of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    all: BTreeMap<Stamp, Mark>,
}

impl Text {
    /// `author` says that `key` has `value` in a range, or no longer has one; gives what to tell the others.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`]; [`TextError::TooLarge`] for a key over [`limits::TEXT_MARK_KEY_BYTES_MAX`] or a value over
    /// [`limits::TEXT_MARK_VALUE_BYTES_MAX`]; [`TextError::Collected`] if a character's name was dropped with the history.
    pub fn mark(
        &mut self,
        author: ReplicaId,
        range: Range<usize>,
        key: &str,
        value: Option<&str>,
        expand: Expand,
    ) -> Result<Bytes, TextError> {
        check_sizes(key, value)?;
        let before = matches!(expand, Expand::Before | Expand::Both);
        let after = matches!(expand, Expand::After | Expand::Both);
        let start = self.anchor(range.start, if before { Side::After } else { Side::Before })?;
        let end = self.anchor(range.end, if after { Side::Before } else { Side::After })?;
        let count = self.marks.all.last_key_value().map_or(0, |((count, _), _)| *count) + 1;
        let mark = Mark { start, end, key: key.to_owned(), value: value.map(str::to_owned) };
        let mut out = Writer::default();
        write(&mut out, count, &mark);
        self.marks.all.insert((count, author), mark);
        Ok(out.finish())
    }

    /// Takes in a mark of `author`. One that is here already changes nothing.
    ///
    /// # Errors
    /// [`TextError::Unseen`] if its characters, or marks its author had seen, are not here; [`TextError::Forked`],
    /// [`TextError::TooLarge`], [`TextError::Decode`]. Nothing has changed then.
    pub fn apply_mark(&mut self, author: ReplicaId, mark: &Bytes) -> Result<(), TextError> {
        let mut input = Reader::new(mark.clone());
        let (count, mark) = read(&mut input)?;
        input.finish()?;
        self.add_mark((count, author), mark)
    }

    fn add_mark(&mut self, stamp: Stamp, mark: Mark) -> Result<(), TextError> {
        let (count, author) = stamp;
        match self.marks.all.get(&stamp) {
            Some(known) if *known == mark => return Ok(()),
            Some(_) => return Err(TextError::Forked { replica: author, seq: count }),
            None => {}
        }
        let here = self.marks.all.len() as u64;
        if count > here + 1 {
            return Err(TextError::Unseen { replica: author, seq: here + 1 });
        }
        for anchor in [mark.start, mark.end] {
            if let Anchor::Char { replica, seq, .. } = anchor
                && seq >= self.seen(replica)
            {
                return Err(TextError::Unseen { replica, seq });
            }
        }
        self.marks.all.insert(stamp, mark);
        Ok(())
    }

    /// The text's marks, from its start to its end; neighbours differ.
    ///
    /// # Errors
    /// Only if a history that was loaded but not read so far turns out to be damaged.
    pub fn marked(&mut self) -> Result<Vec<Marked>, TextError> {
        let mut edges: BTreeMap<usize, Vec<(Stamp, bool)>> = BTreeMap::new();
        let stamps: Vec<(Stamp, Anchor, Anchor)> =
            self.marks.all.iter().map(|(stamp, mark)| (*stamp, mark.start, mark.end)).collect();
        for (stamp, start, end) in stamps {
            let (start, end) = match (self.resolve(start), self.resolve(end)) {
                (Ok(start), Ok(end)) => (start, end),
                // The name of a deletion, or of a character dropped with the history: marks nothing.
                (Err(TextError::Collected | TextError::Unseen { .. }), _)
                | (_, Err(TextError::Collected | TextError::Unseen { .. })) => continue,
                (Err(error), _) | (_, Err(error)) => return Err(error),
            };
            if start < end {
                edges.entry(start).or_default().push((stamp, true));
                edges.entry(end).or_default().push((stamp, false));
            }
        }
        edges.entry(self.len()).or_default();
        let mut open: BTreeMap<&str, BTreeSet<Stamp>> = BTreeMap::new();
        let mut marked: Vec<Marked> = Vec::new();
        let mut at = 0;
        for (edge, changes) in edges {
            if edge > at {
                let top = |(key, stamps): (&&str, &BTreeSet<Stamp>)| {
                    let mark = stamps.last().and_then(|stamp| self.marks.all.get(stamp))?;
                    mark.value.clone().map(|value| ((*key).to_owned(), value))
                };
                let marks: BTreeMap<String, String> = open.iter().filter_map(top).collect();
                match marked.last_mut() {
                    Some(last) if last.marks == marks => last.len += edge - at,
                    _ => marked.push(Marked { len: edge - at, marks }),
                }
                at = edge;
            }
            for (stamp, opens) in changes {
                let Some(mark) = self.marks.all.get(&stamp) else { continue };
                let stamps = open.entry(&mark.key).or_default();
                if opens {
                    stamps.insert(stamp);
                } else {
                    stamps.remove(&stamp);
                }
            }
        }
        Ok(marked)
    }

    /// The names of the characters that marks hold on to.
    pub(super) fn marked_names(&self) -> BTreeSet<(ReplicaId, u64)> {
        let anchors = self.marks.all.values().flat_map(|mark| [mark.start, mark.end]);
        let name = |anchor| match anchor {
            Anchor::Char { replica, seq, .. } => Some((replica, seq)),
            Anchor::Start | Anchor::End => None,
        };
        anchors.filter_map(name).collect()
    }

    /// Reads what [`Marks::write`] wrote.
    pub(super) fn read_marks(&mut self, marks: Bytes) -> Result<(), TextError> {
        let mut input = Reader::new(marks);
        let mut last = None;
        for _ in 0..input.count(20, "marks")? {
            let author = ReplicaId::from_bytes(input.fixed("an author")?);
            let (count, mark) = read(&mut input)?;
            if last.replace((count, author)).is_some_and(|last| last >= (count, author)) {
                return Err(DecodeError::NotCanonical("marks").into());
            }
            self.add_mark((count, author), mark)?;
        }
        Ok(input.finish()?)
    }
}

impl Marks {
    /// All marks in their order: count, each: the author's 16 bytes, and the mark.
    pub(super) fn write(&self) -> Bytes {
        let mut out = Writer::default();
        out.len(self.all.len());
        for ((count, author), mark) in &self.all {
            out.fixed(author.as_bytes());
            write(&mut out, *count, mark);
        }
        out.finish()
    }
}

fn check_sizes(key: &str, value: Option<&str>) -> Result<(), TextError> {
    if key.len() > limits::TEXT_MARK_KEY_BYTES_MAX {
        return Err(TextError::TooLarge { max: limits::TEXT_MARK_KEY_BYTES_MAX as u64 });
    }
    if value.is_some_and(|value| value.len() > limits::TEXT_MARK_VALUE_BYTES_MAX) {
        return Err(TextError::TooLarge { max: limits::TEXT_MARK_VALUE_BYTES_MAX as u64 });
    }
    Ok(())
}

fn write(out: &mut Writer, count: u64, mark: &Mark) {
    out.u64(count);
    mark.start.write(out);
    mark.end.write(out);
    out.bytes(mark.key.as_bytes());
    match &mark.value {
        None => out.u8(0),
        Some(value) => {
            out.u8(1);
            out.bytes(value.as_bytes());
        }
    }
}

fn read(input: &mut Reader) -> Result<(u64, Mark), TextError> {
    let count = input.u64("a mark's count")?;
    if count == 0 {
        return Err(DecodeError::NotCanonical("a mark's count").into());
    }
    let (start, end) = (Anchor::read(input)?, Anchor::read(input)?);
    let string = |bytes: Bytes| {
        String::from_utf8(bytes.to_vec()).map_err(|_| TextError::from(DecodeError::NotCanonical("a mark's text")))
    };
    let key = string(input.bytes("a mark's key")?)?;
    let value = match input.u8("a mark's value")? {
        0 => None,
        1 => Some(string(input.bytes("a mark's value")?)?),
        value => return Err(DecodeError::Unknown { what: "a mark's value", value: value.into() }.into()),
    };
    check_sizes(&key, value.as_deref())?;
    Ok((count, Mark { start, end, key, value }))
}
