//! What a value has seen, in a few bytes an author: how something removed is told from something that has not come yet.
//!
//! Each author's ops come in their order, so the newest of each author's that came stands for all before it. An element is
//! named by the op that made it, which never changes; its *birth* (author, reading, and which of the ops with that
//! reading, for the writes of a batch share one) says whether a value that lacks it has had it. An op that waits on its
//! device has no birth yet: whoever sends it, and so its author's name, is settled when it is in the log. What names such an
//! element is by the same author and comes after it, so there "not here" is "gone".
//!
//! # Bytes
//!
//! A context: a count, then per author in order: 16 bytes, the reading's milliseconds and counter and the number among
//! equals as varints. A birth in a state: 0 for none, else 1 + the author's place in the context as a varint, and the same
//! three varints (a list's are said by what differs). A birth in an edit: 0 for none, else 1, the author's 16 bytes, and those.

use std::collections::BTreeMap;

use super::moment::{Moment, Stamp, decode_hlc, encode_hlc};
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{OpId, ReplicaId};
use crate::time::Hlc;

const WHAT: &str = "what was seen";
const BAD: DecodeError = DecodeError::NotCanonical(WHAT);

/// An author's reading as far as the server's clock vouches for it, and which of its ops with that reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Reading {
    hlc: Hlc,
    nth: u32,
}

/// When an element came into being, as every reader of the log says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Birth {
    author: ReplicaId,
    reading: Reading,
}

/// An element, as an edit names it: by the op that made it and, once that is in the log, its birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a name")]
pub struct Named<I> {
    /// Which.
    pub id: I,
    /// Its birth; `None` while it waits on the device that names it.
    pub birth: Option<Birth>,
}

/// An op that was taken note of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted {
    /// What it makes is born then, unless it waits on its device.
    pub(super) birth: Option<Birth>,
    /// Which of its author's ops with its stamp it is.
    pub(super) nth: u32,
}

/// The newest op of each author that came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Context(BTreeMap<ReplicaId, Reading>);

impl Context {
    /// Takes note of the next op of an author, and says when what it makes is born.
    pub(super) fn note(&mut self, moment: &Moment) -> Noted {
        let hlc = moment.stamp().hlc;
        let known = self.0.get(&moment.replica).copied();
        let nth = known.filter(|known| known.hlc == hlc).map_or(0, |known| known.nth.saturating_add(1));
        let reading = Reading { hlc, nth };
        // One that was parked and sent again later comes after newer ones.
        let newest = known.map_or(reading, |known| known.max(reading));
        self.0.insert(moment.replica, newest);
        let birth = moment.accepted_at.map(|_| Birth { author: moment.replica, reading });
        Noted { birth, nth }
    }

    /// Whether what was born then has been here.
    pub(super) fn covers(&self, birth: Birth) -> bool {
        self.0.get(&birth.author).is_some_and(|newest| *newest >= birth.reading)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (author, theirs) in &other.0 {
            let ours = self.0.entry(*author).or_insert(*theirs);
            *ours = (*ours).max(*theirs);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn encode(&self, out: &mut Writer) -> Roster {
        out.len(self.0.len());
        for (author, reading) in &self.0 {
            out.fixed(author.as_bytes());
            encode_reading(*reading, out);
        }
        Roster(self.0.keys().copied().collect())
    }

    pub(super) fn decode(input: &mut Reader) -> Result<(Self, Roster), DecodeError> {
        let count = input.count(19, WHAT)?;
        let (mut context, mut roster) = (BTreeMap::new(), Vec::with_capacity(count));
        for _ in 0..count {
            let author = ReplicaId::from_bytes(input.fixed(WHAT)?);
            if roster.last().is_some_and(|last| *last >= author) {
                return Err(BAD);
            }
            context.insert(author, decode_reading(input)?);
            roster.push(author);
        }
        Ok((Self(context), Roster(roster)))
    }

    /// Reads a birth that this context has seen.
    pub(super) fn decode_birth(&self, roster: &Roster, input: &mut Reader) -> Result<Option<Birth>, DecodeError> {
        let Some(place) = input.u64(WHAT)?.checked_sub(1) else { return Ok(None) };
        let author = usize::try_from(place).ok().and_then(|place| roster.0.get(place)).ok_or(BAD)?;
        let birth = Birth { author: *author, reading: decode_reading(input)? };
        if self.covers(birth) { Ok(Some(birth)) } else { Err(BAD) }
    }
}

/// The authors of a context in order: what a state's bytes name them by.
#[derive(Debug)]
pub(super) struct Roster(Vec<ReplicaId>);

impl Roster {
    pub(super) fn encode_author(&self, author: ReplicaId, out: &mut Writer) {
        out.len(self.0.binary_search(&author).unwrap_or(self.0.len()));
    }

    pub(super) fn decode_author(&self, input: &mut Reader) -> Result<ReplicaId, DecodeError> {
        let author = usize::try_from(input.u64(WHAT)?).ok().and_then(|place| self.0.get(place));
        author.copied().ok_or(BAD)
    }

    /// Writes when something was written by an author that was here: its place, and the rest of the stamp.
    pub(super) fn encode_when(&self, (stamp, nth): (Stamp, u32), out: &mut Writer) {
        out.len(self.0.binary_search(&stamp.replica).unwrap_or(self.0.len()));
        encode_hlc(stamp.hlc, out);
        out.u64(nth.into());
    }

    /// The inverse of [`Roster::encode_when`].
    pub(super) fn decode_when(&self, input: &mut Reader) -> Result<(Stamp, u32), DecodeError> {
        let author = usize::try_from(input.u64(WHAT)?).ok().and_then(|place| self.0.get(place)).ok_or(BAD)?;
        let Reading { hlc, nth } = decode_reading(input)?;
        Ok((Stamp { hlc, replica: *author }, nth))
    }

    pub(super) fn encode_birth(&self, birth: Option<Birth>, out: &mut Writer) {
        let place = birth.and_then(|birth| Some((self.0.binary_search(&birth.author).ok()?, birth.reading)));
        match place {
            None => out.u8(0),
            Some((place, reading)) => {
                out.len(place + 1);
                encode_reading(reading, out);
            }
        }
    }
}

impl Birth {
    /// The stamp of the op.
    pub(super) const fn stamp(self) -> Stamp {
        Stamp { hlc: self.reading.hlc, replica: self.author }
    }

    /// Its author, the reading, and which of the ops with that.
    pub(super) const fn parts(self) -> (ReplicaId, Hlc, u32) {
        (self.author, self.reading.hlc, self.reading.nth)
    }

    pub(super) const fn of(author: ReplicaId, hlc: Hlc, nth: u32) -> Self {
        Self { author, reading: Reading { hlc, nth } }
    }

    /// Writes it where there is no context.
    pub(super) fn encode(birth: Option<Self>, out: &mut Writer) {
        out.u8(birth.is_some().into());
        if let Some(Self { author, reading }) = birth {
            out.fixed(author.as_bytes());
            encode_reading(reading, out);
        }
    }

    /// The inverse of [`Birth::encode`].
    pub(super) fn decode(input: &mut Reader) -> Result<Option<Self>, DecodeError> {
        match input.u8(WHAT)? {
            0 => Ok(None),
            1 => {
                let author = ReplicaId::from_bytes(input.fixed(WHAT)?);
                Ok(Some(Self { author, reading: decode_reading(input)? }))
            }
            _ => Err(BAD),
        }
    }
}

fn encode_reading(reading: Reading, out: &mut Writer) {
    encode_hlc(reading.hlc, out);
    out.u64(reading.nth.into());
}

fn decode_reading(input: &mut Reader) -> Result<Reading, DecodeError> {
    let hlc = decode_hlc(input)?;
    Ok(Reading { hlc, nth: u32::try_from(input.u64(WHAT)?).map_err(|_| BAD)? })
}

pub(super) fn encode_op(op: OpId, out: &mut Writer) {
    out.fixed(op.as_bytes());
}

pub(super) fn decode_op(input: &mut Reader) -> Result<OpId, DecodeError> {
    input.fixed("an op id").map(OpId::from_bytes)
}
