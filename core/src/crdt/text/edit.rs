//! A text as its user sees it: reading, editing, and what goes to the others.

use bytes::Bytes;

use super::authors::{AuthorIndex, Roster};
use super::ops::Kind;
use super::rope::{Unit, Width, chars_in};
use super::tracker::Effect;
use super::{Text, TextError, int};
use crate::codec::Writer;
use crate::digest::Digest;
use crate::id::ReplicaId;

/// What somebody else's delta did to the text here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edit<'a> {
    /// In characters of the text with every edit before it made.
    pub at: usize,
    /// Characters that went.
    pub deleted: usize,
    /// What came.
    pub inserted: &'a str,
}

impl Text {
    /// Length in characters (Unicode scalar values).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.buffer.len() as usize
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length in bytes of UTF-8.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.buffer.width().bytes as usize
    }

    /// Length in UTF-16 code units.
    #[must_use]
    pub fn len_utf16(&self) -> usize {
        self.buffer.width().units as usize
    }

    /// The text in chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &str> {
        self.buffer.chunks(0, self.buffer.len())
    }

    /// The characters of a range.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`] if it is not within the text.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Result<String, TextError> {
        let start = self.position(range.start.min(range.end))?;
        let end = self.position(range.end)?;
        Ok(self.buffer.chunks(start, end).collect())
    }

    /// The UTF-16 offset of character position `at`.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`].
    pub fn to_utf16(&self, at: usize) -> Result<usize, TextError> {
        self.convert(Unit::Chars, at).map(|width| width.units as usize)
    }

    /// The character position of UTF-16 offset `at`.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`]; [`TextError::InsideCharacter`] between the halves of a surrogate pair.
    pub fn from_utf16(&self, at: usize) -> Result<usize, TextError> {
        self.convert(Unit::Utf16, at).map(|width| width.chars as usize)
    }

    /// The byte offset of character position `at`.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`].
    pub fn to_byte(&self, at: usize) -> Result<usize, TextError> {
        self.convert(Unit::Chars, at).map(|width| width.bytes as usize)
    }

    /// The character position of byte offset `at`.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`]; [`TextError::InsideCharacter`] where no character starts.
    pub fn from_byte(&self, at: usize) -> Result<usize, TextError> {
        self.convert(Unit::Bytes, at).map(|width| width.chars as usize)
    }

    fn convert(&self, unit: Unit, at: usize) -> Result<Width, TextError> {
        let all = self.buffer.width();
        let len = match unit {
            Unit::Bytes => all.bytes,
            Unit::Chars => all.chars,
            Unit::Utf16 => all.units,
        };
        if at > len as usize {
            return Err(TextError::OutOfBounds { at: at as u64, len: len.into() });
        }
        self.buffer.before(unit, int(at)).ok_or(TextError::InsideCharacter { at: at as u64 })
    }

    fn position(&self, at: usize) -> Result<u32, TextError> {
        if at > self.len() {
            return Err(TextError::OutOfBounds { at: at as u64, len: self.len() as u64 });
        }
        Ok(int(at))
    }

    /// `author` inserts `text` before character `at`; an empty text is no event.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`], [`TextError::TooLarge`].
    #[inline]
    pub fn insert(&mut self, author: ReplicaId, at: usize, text: &str) -> Result<(), TextError> {
        let at = self.position(at)?;
        self.ops.check_room(text.len(), text.len())?;
        let chars = chars_in(text);
        if chars == 0 {
            return Ok(());
        }
        self.append_own(author, chars);
        self.ops.insert(at, text, chars);
        self.buffer.insert(at, text, chars);
        Ok(())
    }

    /// `author` deletes the characters of a range; an empty range is no event.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`], [`TextError::TooLarge`].
    #[inline]
    pub fn delete(&mut self, author: ReplicaId, range: std::ops::Range<usize>) -> Result<(), TextError> {
        let end = self.position(range.end)?;
        if range.start >= range.end {
            return self.position(range.start).map(|_| ());
        }
        let at = int(range.start);
        let len = end - at;
        self.ops.check_room(len as usize, 0)?;
        self.append_own(author, len);
        self.ops.delete(Kind::Delete, at, len);
        self.buffer.delete(at, len);
        Ok(())
    }

    /// Numbers the author's next `len` events, which have seen everything here.
    #[inline]
    fn append_own(&mut self, author: ReplicaId, len: u32) {
        let lv = self.ops.end();
        let author = self.authors.index(author);
        self.authors.extend(author, lv, len);
        self.graph.push_own(len);
    }

    /// The author's events from number `since` on, to be sent: from [`seen`](Self::seen) as it was after the last time.
    ///
    /// # Errors
    /// [`TextError::Unseen`] if there are not that many; [`TextError::Collected`] if the history they need is gone.
    pub fn delta(&mut self, author: ReplicaId, since: u64) -> Result<Bytes, TextError> {
        let next = self.seen(author);
        let (Some(index), true) = (self.authors.find(author), since <= next) else {
            if since == 0 {
                return Ok(Bytes::from_static(&[0]));
            }
            return Err(TextError::Unseen { replica: author, seq: next });
        };
        let from = u32::try_from(since).unwrap_or(u32::MAX);
        let to = self.authors.get(index).next;
        if from < to && !self.has_events_from(index, from) {
            self.hydrate()?;
        }
        if from < to && !self.has_events_from(index, from) {
            return Err(TextError::Collected);
        }
        let mut roster = match self.take_roster(index, from) {
            Err(TextError::Collected) => {
                self.hydrate()?;
                self.take_roster(index, from)?
            }
            other => other?,
        };
        let mut out = std::mem::take(&mut self.out);
        out.u64(since);
        self.write_events(&mut out, &mut roster, index, from, to);
        self.authors.get_mut(index).roster = roster;
        let delta = out.flush();
        self.out = out;
        Ok(delta)
    }

    /// The author's roster as of their event `seq`, taken if it stands there.
    fn take_roster(&mut self, author: AuthorIndex, seq: u32) -> Result<Roster, TextError> {
        if self.authors.get(author).roster.seq == seq {
            return Ok(std::mem::take(&mut self.authors.get_mut(author).roster));
        }
        self.roster_at(author, seq)
    }

    /// Whether the author's events from `seq` on are kept here.
    pub(super) fn has_events_from(&self, author: AuthorIndex, seq: u32) -> bool {
        self.authors.lv(author, seq).is_some()
    }

    /// The author's roster as of their event `seq`.
    pub(super) fn roster_at(&self, author: AuthorIndex, seq: u32) -> Result<Roster, TextError> {
        let known = &self.authors.get(author).roster;
        if known.seq == seq {
            return Ok(known.clone());
        }
        let mut roster = if known.seq < seq { known.clone() } else { Roster::default() };
        let from = roster.seq;
        if from < seq && !self.has_events_from(author, from) {
            return Err(TextError::Collected);
        }
        self.write_events(&mut Writer::default(), &mut roster, author, from, seq);
        Ok(roster)
    }

    /// Takes in a delta of `author`. One that is here already changes nothing.
    ///
    /// # Errors
    /// [`TextError::Unseen`] if it builds on what is not here, [`TextError::Forked`], [`TextError::Collected`],
    /// [`TextError::OutOfBounds`], [`TextError::TooLarge`], [`TextError::Decode`]. The text is then unchanged.
    pub fn apply(&mut self, author: ReplicaId, delta: &Bytes) -> Result<(), TextError> {
        self.take_in(std::iter::once((author, delta)), &mut |_, _| {})
    }

    /// Takes in a delta as [`apply`](Self::apply) does and tells `observe` what it did to the text, edit by edit, so that a
    /// view can follow.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); `observe` is then not called.
    pub fn apply_with(
        &mut self,
        author: ReplicaId,
        delta: &Bytes,
        mut observe: impl FnMut(Edit<'_>),
    ) -> Result<(), TextError> {
        self.take_in(std::iter::once((author, delta)), &mut |effect, ops| match effect {
            Effect::Delete { at, len } => observe(Edit { at: at as usize, deleted: len as usize, inserted: "" }),
            Effect::Insert { at, lv, len } => {
                let mut at = at as usize;
                for run in ops.runs(lv, lv + len) {
                    observe(Edit { at, deleted: 0, inserted: run.text });
                    at += run.len as usize;
                }
            }
        })
    }

    /// Takes in many deltas at once, all or none: one walk through the history instead of many.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_all(&mut self, deltas: &[(ReplicaId, Bytes)]) -> Result<(), TextError> {
        self.take_in(deltas.iter().map(|(author, delta)| (*author, delta)), &mut |_, _| {})
    }

    /// Equal on all replicas that took in the same events and marks, whatever the order; and on no others.
    #[must_use]
    pub fn state_hash(&self) -> Digest {
        let mut heads = Writer::default();
        heads.bytes(&self.version().encode());
        let text = self.to_string();
        let marks = self.marks.write();
        heads.len(marks.len());
        Digest::of(&[b"syncline text 1", &heads.finish(), &marks, text.as_bytes()])
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.chunks().try_for_each(|chunk| f.write_str(chunk))
    }
}
