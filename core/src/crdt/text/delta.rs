//! What travels: the events of one author from one of their numbers on, as small as they can be said.
//!
//! Whoever carries a delta knows its author (the op that holds it says so); an author's deltas arrive in the order made.
//!
//! ```text
//! delta   := seq item*
//! seq     := varint, the author's number of the first event; from 0, without holes
//! item    := run | parents
//! run     := head position text?
//! head    := varint: length << 2 | kind
//!            kind 0: insertion, length in bytes of UTF-8
//!            kind 1: deletion forwards, kind 2: deletion backwards (Backspace); length in characters
//! position:= varint, zigzag: where the first event acts, from where the author's last run ended, in characters
//! parents := varint: count << 3 | own << 2 | 3, then count names; what the next event has seen.
//!            own 1: the author's previous event is one of the parents, besides those named
//! name    := varint: 0 and 16 bytes (an author not named before), or place in the author's roster from 1;
//!            then varint, zigzag: number of that author's event, from the last one named
//! ```
//!
//! Without `parents` an event has seen the author's previous one, or nothing if it is the first. Within a run every event
//! has seen the one before. The roster of an author is everybody they named, in the order of first mention. A keystroke
//! costs its character and three to five bytes.
//!
//! *What must hold:* reading needs only what the author had said before; parents are minimal and in the order of
//! names. *Where next:* [`super::apply`].

use std::ops::Range;

use super::authors::{AuthorIndex, Authors, Roster, RosterUndo};
use super::ops::{EVENTS_MAX, Kind, Run};
use super::rope::chars_in;
use super::{Text, TextError, int};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::content::{unzigzag, zigzag};
use crate::id::ReplicaId;
use crate::limits;

/// An event by its author and their number.
pub(super) type Name = (AuthorIndex, u32);

/// Writes a run as the author's next.
fn write_run(out: &mut Writer, roster: &mut Roster, run: &Run<'_>) {
    let (len, kind) = match run.kind {
        Kind::Insert => (run.text.len() as u64, 0),
        Kind::Delete => (u64::from(run.len), 1),
        Kind::Backspace => (u64::from(run.len), 2),
    };
    out.u64(len << 2 | kind);
    out.u64(zigzag(i64::from(run.pos) - i64::from(roster.cursor)));
    out.fixed(run.text.as_bytes());
    roster.cursor = run.cursor();
}

/// Writes what the author's next event has seen.
fn write_parents(out: &mut Writer, authors: &Authors, roster: &mut Roster, own: bool, names: &[Name]) {
    out.u64((names.len() as u64) << 3 | u64::from(own) << 2 | 3);
    for (author, seq) in names {
        let last = match roster.named.iter_mut().enumerate().find(|(_, named)| named.0 == *author) {
            Some((at, named)) => {
                out.u64(at as u64 + 1);
                std::mem::replace(&mut named.1, *seq)
            }
            None => {
                out.u64(0);
                out.fixed(authors.get(*author).id.as_bytes());
                roster.named.push((*author, *seq));
                0
            }
        };
        out.u64(zigzag(i64::from(*seq) - i64::from(last)));
    }
}

impl Text {
    /// The author's events from number `from` to before `to`, written behind `out`; moves the roster along.
    ///
    /// The history must be here.
    pub(super) fn write_events(&self, out: &mut Writer, roster: &mut Roster, author: AuthorIndex, from: u32, to: u32) {
        for (seq, lv, len) in self.authors.stretches(author, from) {
            if seq >= to {
                break;
            }
            let len = len.min(to - seq);
            for part in self.graph.stretches(lv, lv + len) {
                let own = (seq + (part.start - lv)).checked_sub(1).map(|seq| (author, seq));
                if !self.has_seen_only(part.start, own) {
                    let mut names = self.parents_named(part.start);
                    let all = names.len();
                    names.retain(|name| Some(*name) != own);
                    write_parents(out, &self.authors, roster, names.len() < all, &names);
                }
                for run in self.ops.runs(part.start, part.end) {
                    write_run(out, roster, &run);
                }
            }
        }
        roster.seq = to;
    }

    /// Whether an event has seen just the one before of its author, or nothing if there is none: the rest follows.
    fn has_seen_only(&self, lv: u32, own: Option<Name>) -> bool {
        let mut room = [0];
        match (self.graph.parents_of(lv, &mut room), own) {
            ([], None) => self.base_heads.is_empty(),
            ([], Some(own)) => self.base_heads == [own],
            ([parent], Some(own)) => self.authors.of(*parent) == own,
            _ => false,
        }
    }

    /// The names of an event's parents, in the order of their authors' names.
    pub(super) fn parents_named(&self, lv: u32) -> Vec<Name> {
        let mut own = [0];
        let parents = self.graph.parents_of(lv, &mut own);
        let mut names = self.names_of(parents);
        self.sort_names(&mut names);
        names
    }

    /// The names of a version's events, those of the beginning if it is empty.
    pub(super) fn names_of(&self, version: &[u32]) -> Vec<Name> {
        if version.is_empty() {
            return self.base_heads.clone();
        }
        version.iter().map(|lv| self.authors.of(*lv)).collect()
    }

    pub(super) fn sort_names(&self, names: &mut [Name]) {
        if names.len() > 1 {
            names.sort_unstable_by_key(|(author, seq)| (self.authors.get(*author).id, *seq));
        }
    }
}

/// A piece of a delta, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Parents(Vec<Name>),
    /// The text, which is UTF-8, by its place in the delta.
    Run {
        kind: Kind,
        pos: u32,
        len: u32,
        text: Range<usize>,
    },
}

impl Piece {
    /// The run of a piece of `delta`.
    pub(super) fn run<'a>(&self, delta: &'a [u8]) -> Option<Run<'a>> {
        match self {
            Self::Parents(_) => None,
            Self::Run { kind, pos, len, text } => {
                let text = std::str::from_utf8(&delta[text.clone()]).unwrap_or_default();
                Some(Run { lv: 0, len: *len, kind: *kind, pos: *pos, text })
            }
        }
    }
}

/// The number of the first event of a delta.
pub(super) fn read_seq(input: &mut Reader) -> Result<u32, TextError> {
    let seq = input.u64("a delta's first event")?;
    u32::try_from(seq).ok().filter(|seq| *seq <= EVENTS_MAX).ok_or(TextError::TooLarge { max: EVENTS_MAX.into() })
}

/// What reading a delta changes: the pieces it gives, and its author's roster, as of the first event at the start.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) authors: &'a Authors,
    pub(super) author: AuthorIndex,
    pub(super) roster: &'a mut Roster,
    pub(super) undo: &'a mut RosterUndo,
    pub(super) pieces: &'a mut Vec<Piece>,
}

impl Reading<'_> {
    /// Reads the pieces of a delta behind its first number.
    pub(super) fn read(&mut self, input: &mut Reader, delta: &[u8]) -> Result<(), TextError> {
        let mut named = false;
        while input.remaining() > 0 {
            let head = input.u64("the head of a run")?;
            if head & 3 == 3 {
                if named {
                    return Err(DecodeError::NotCanonical("the parents of an event").into());
                }
                named = true;
                let own = match (head & 4 > 0, self.roster.seq.checked_sub(1)) {
                    (false, _) => None,
                    (true, Some(seq)) => Some((self.author, seq)),
                    (true, None) => return Err(DecodeError::NotCanonical("the parents of an event").into()),
                };
                let parents = self.read_parents(input, own, head >> 3)?;
                self.pieces.push(Piece::Parents(parents));
                continue;
            }
            named = false;
            let run = read_run(input, self.roster, head, delta)?;
            if let Piece::Run { len, .. } = &run {
                self.roster.seq = self.roster.seq.saturating_add(*len);
            }
            self.pieces.push(run);
        }
        if named {
            return Err(DecodeError::Truncated("a run behind its parents").into());
        }
        Ok(())
    }
}

fn read_run(input: &mut Reader, roster: &mut Roster, head: u64, delta: &[u8]) -> Result<Piece, TextError> {
    let too_large = TextError::TooLarge { max: EVENTS_MAX.into() };
    let step = unzigzag(input.u64("a position")?);
    let pos = i64::from(roster.cursor).checked_add(step).and_then(|pos| u32::try_from(pos).ok());
    let pos = pos.filter(|pos| *pos <= EVENTS_MAX).ok_or(DecodeError::NotCanonical("a position"))?;
    let len = usize::try_from(head >> 2).map_err(|_| too_large.clone())?;
    if len == 0 {
        return Err(DecodeError::NotCanonical("an empty run").into());
    }
    let (kind, len, text) = match head & 3 {
        0 => {
            let place = input.place(len, "inserted text")?;
            let text = std::str::from_utf8(&delta[place.clone()]);
            (Kind::Insert, chars_in(text.map_err(|_| DecodeError::NotCanonical("inserted text"))?), place)
        }
        kind => {
            let len = int(len);
            if len > EVENTS_MAX {
                return Err(too_large);
            }
            let kind = if kind == 1 { Kind::Delete } else { Kind::Backspace };
            if kind == Kind::Backspace && pos + 1 < len {
                return Err(DecodeError::NotCanonical("a position").into());
            }
            (kind, len, 0..0)
        }
    };
    roster.cursor = Run { lv: 0, len, kind, pos, text: "" }.cursor();
    Ok(Piece::Run { kind, pos, len, text })
}

impl Reading<'_> {
    fn read_parents(&mut self, input: &mut Reader, own: Option<Name>, count: u64) -> Result<Vec<Name>, TextError> {
        let (authors, roster) = (self.authors, &mut *self.roster);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > limits::TEXT_PARENTS_MAX {
            return Err(TextError::TooManyVersions);
        }
        if count > input.remaining() {
            return Err(DecodeError::Truncated("the parents of an event").into());
        }
        let mut names = Vec::with_capacity(count + 1);
        for _ in 0..count {
            let place = input.u64("a place in a roster")?;
            let (slot, new) = if place == 0 {
                (roster.named.len(), Some(ReplicaId::from_bytes(input.fixed("an author")?)))
            } else {
                let slot = usize::try_from(place - 1).unwrap_or(usize::MAX);
                (slot, None)
            };
            let step = unzigzag(input.u64("the number of an event")?);
            let (author, last) = match new {
                Some(id) => {
                    let unseen = TextError::Unseen { replica: id, seq: step.unsigned_abs() };
                    let author = authors.find(id).ok_or(unseen)?;
                    if roster.named.iter().any(|(named, _)| *named == author) {
                        return Err(DecodeError::NotCanonical("an author named before").into());
                    }
                    roster.named.push((author, 0));
                    (author, 0)
                }
                None => *roster.named.get(slot).ok_or(DecodeError::NotCanonical("a place in a roster"))?,
            };
            let seq = i64::from(last).checked_add(step).and_then(|seq| u32::try_from(seq).ok());
            let seq = seq.ok_or(DecodeError::NotCanonical("the number of an event"))?;
            let known = authors.get(author);
            if seq >= known.next {
                return Err(TextError::Unseen { replica: known.id, seq: seq.into() });
            }
            self.undo.note(slot, last);
            roster.named[slot].1 = seq;
            names.push((author, seq));
        }
        let key = |name: &Name| (authors.get(name.0).id, name.1);
        if !names.is_sorted_by(|one, other| key(one) < key(other)) {
            return Err(DecodeError::NotCanonical("the parents of an event").into());
        }
        names.extend(own);
        Ok(names)
    }
}
