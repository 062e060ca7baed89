//! A number that everybody counts up and down, offline too, and that can be set back to zero.
//!
//! Each author has its totals, what it ever added and what it ever took away, so that counts of different authors never
//! overwrite each other, and its metadata is a few bytes an author, however much was counted. A reset says of each author
//! how much of its totals had been seen; that no longer counts, and what was counted elsewhere meanwhile does. A delete is
//! a reset after which nothing is there until somebody counts again.
//!
//! What must hold: totals and what is covered of them only grow, so every order of the same edits makes the same bytes;
//! sums stay at `u64::MAX` rather than wrap.
//!
//! A reset does not name its author's own counts: those before it are covered wherever they stand, because an author's ops
//! come in their order, and those that wait to be sent may yet get another author's name (a device that was cloned). A
//! count that was accepted under the former name, when the reset goes out under the new one and was written before the
//! device heard of it, is the one thing seen that a reset does not cover: it counts once too often rather than never.
//!
//! Totals of an author whose newest counts were lost, with the server and the author's own device set back to before them, begin
//! again below what an earlier reset covered: as much as was lost of them then does not count anew.
//!
//! Two waiting counts do not fold into one: of a cloned device, one copy would send the sum and the other the parts.
//!
//! # Bytes, version 1
//!
//! An edit: the byte 1, then 0 and what is added, as a zigzag varint; or 1 for a reset, 2 for a delete, and what was seen: a
//! count, then per author in order its 16 bytes and its two totals as varints, not both zero.
//!
//! The value: the byte 1, a count, then per author in order: 0 for what this device has not sent yet (which no log ever
//! holds), or 1 and its 16 bytes; then six varints: added, taken; of these, covered by resets; of these, ended by deletes.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::content::{Content, begin, opened, unzigzag, zigzag};
use super::moment::Moment;
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::ReplicaId;

const WHAT: &str = "a counter";
const BAD: DecodeError = DecodeError::NotCanonical(WHAT);

/// What somebody counted: up, and down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "two sums")]
pub struct Totals {
    /// Everything added.
    pub added: u64,
    /// Everything taken away.
    pub taken: u64,
}

impl Totals {
    fn rise_to(&mut self, other: Self) {
        self.added = self.added.max(other.added);
        self.taken = self.taken.max(other.taken);
    }

    fn least(self, other: Self) -> Self {
        Self { added: self.added.min(other.added), taken: self.taken.min(other.taken) }
    }
}

/// One author's part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Part {
    sums: Totals,
    covered: Totals,
    ended: Totals,
}

/// A number that merges by adding up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counter {
    /// `None` is this device, as far as it is not in the log.
    parts: BTreeMap<Option<ReplicaId>, Part>,
}

/// What one op says of a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "what there is to say of a counter")]
pub enum CounterEdit {
    /// Counts up or down.
    Add(i64),
    /// Sets what was seen back to zero.
    Reset(BTreeMap<ReplicaId, Totals>),
    /// Ends what was seen.
    Delete(BTreeMap<ReplicaId, Totals>),
}

impl Counter {
    /// The number, as far as an `i64` can say it.
    #[must_use]
    pub fn value(&self) -> i64 {
        let up = |all: u64, of: u64| i128::from(all.saturating_sub(of));
        let sum = self
            .parts
            .values()
            .map(|part| up(part.sums.added, part.covered.added) - up(part.sums.taken, part.covered.taken));
        let sum: i128 = sum.sum();
        let least_or_most = if sum < 0 { i64::MIN } else { i64::MAX };
        i64::try_from(sum).unwrap_or(least_or_most)
    }

    /// Whether somebody counted since it was deleted.
    #[must_use]
    pub fn exists(&self) -> bool {
        let counts = |part: &Part| part.sums.added > part.ended.added || part.sums.taken > part.ended.taken;
        self.parts.values().any(counts)
    }

    /// What a reset names: everything in the log.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<ReplicaId, Totals> {
        let named = self.parts.iter().filter_map(|(author, part)| Some(((*author)?, part.sums)));
        named.filter(|(_, sums)| *sums != Totals::default()).collect()
    }

    /// Takes in another copy of it, that had each author's ops in their order too.
    pub fn merge(&mut self, other: &Self) {
        for (author, theirs) in &other.parts {
            let ours = self.parts.entry(*author).or_default();
            ours.sums.rise_to(theirs.sums);
            ours.covered.rise_to(theirs.covered);
            ours.ended.rise_to(theirs.ended);
        }
    }

    fn cover(&mut self, moment: &Moment, seen: BTreeMap<ReplicaId, Totals>, ends: bool) {
        let mut cover = |author: Option<ReplicaId>, seen: Option<Totals>| {
            let known = self.parts.contains_key(&author);
            if known || seen.is_some_and(|seen| seen != Totals::default()) {
                let part = self.parts.entry(author).or_default();
                let seen = seen.unwrap_or(part.sums);
                part.covered.rise_to(seen);
                if ends {
                    part.ended.rise_to(seen);
                }
            }
        };
        seen.into_iter().for_each(|(author, seen)| cover(Some(author), Some(seen)));
        // The author's own: what it had in the log, and while it waits here, what waited before it.
        cover(Some(moment.replica), None);
        if moment.accepted_at.is_none() {
            cover(None, None);
        }
    }
}

impl Content for Counter {
    type Edit = CounterEdit;

    const NAME: &'static str = WHAT;

    fn read_edit(payload: Bytes) -> Result<CounterEdit, DecodeError> {
        let mut input = opened(payload, WHAT)?;
        let edit = match input.u8(WHAT)? {
            0 => CounterEdit::Add(unzigzag(input.u64(WHAT)?)),
            1 => CounterEdit::Reset(read_seen(&mut input)?),
            2 => CounterEdit::Delete(read_seen(&mut input)?),
            other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
        };
        input.finish()?;
        Ok(edit)
    }

    fn write_edit(edit: &CounterEdit) -> Bytes {
        let mut out = begin(16);
        match edit {
            CounterEdit::Add(by) => {
                out.u8(0);
                out.u64(zigzag(*by));
            }
            CounterEdit::Reset(seen) => {
                out.u8(1);
                write_seen(seen, &mut out);
            }
            CounterEdit::Delete(seen) => {
                out.u8(2);
                write_seen(seen, &mut out);
            }
        }
        out.finish()
    }

    fn apply(&mut self, moment: &Moment, edit: CounterEdit) {
        match edit {
            CounterEdit::Add(0) => {}
            CounterEdit::Add(by) => {
                let author = moment.accepted_at.map(|_| moment.replica);
                let sums = &mut self.parts.entry(author).or_default().sums;
                let side = if by > 0 { &mut sums.added } else { &mut sums.taken };
                *side = side.saturating_add(by.unsigned_abs());
            }
            CounterEdit::Reset(seen) => self.cover(moment, seen, false),
            CounterEdit::Delete(seen) => self.cover(moment, seen, true),
        }
    }

    fn clear(&mut self, _: &Moment) {
        for part in self.parts.values_mut() {
            part.covered.rise_to(part.sums);
            part.ended.rise_to(part.sums);
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = begin(8 + 32 * self.parts.len());
        out.len(self.parts.len());
        for (author, part) in &self.parts {
            out.u8(author.is_some().into());
            if let Some(author) = author {
                out.fixed(author.as_bytes());
            }
            for totals in [part.sums, part.covered, part.ended] {
                write_totals(totals, &mut out);
            }
        }
        out.finish().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = opened(bytes, WHAT)?;
        let count = input.count(7, WHAT)?;
        let mut parts = BTreeMap::new();
        for _ in 0..count {
            let author = match input.u8(WHAT)? {
                0 => None,
                1 => Some(ReplicaId::from_bytes(input.fixed(WHAT)?)),
                other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
            };
            let mut totals = || read_totals(&mut input);
            let part = Part { sums: totals()?, covered: totals()?, ended: totals()? };
            let ascends = parts.last_key_value().is_none_or(|(last, _)| *last < author);
            // What was ended was covered with it.
            let holds = part != Part::default() && part.ended.least(part.covered) == part.ended;
            if !ascends || !holds {
                return Err(BAD);
            }
            parts.insert(author, part);
        }
        input.finish()?;
        Ok(Self { parts })
    }

    fn view(&self) -> Result<Option<Bytes>, DecodeError> {
        Ok(self.exists().then(|| self.value().to_string().into()))
    }
}

fn write_totals(totals: Totals, out: &mut Writer) {
    out.u64(totals.added);
    out.u64(totals.taken);
}

fn read_totals(input: &mut Reader) -> Result<Totals, DecodeError> {
    Ok(Totals { added: input.u64(WHAT)?, taken: input.u64(WHAT)? })
}

fn write_seen(seen: &BTreeMap<ReplicaId, Totals>, out: &mut Writer) {
    let seen = seen.iter().filter(|(_, totals)| **totals != Totals::default());
    out.len(seen.clone().count());
    for (author, totals) in seen {
        out.fixed(author.as_bytes());
        write_totals(*totals, out);
    }
}

fn read_seen(input: &mut Reader) -> Result<BTreeMap<ReplicaId, Totals>, DecodeError> {
    let count = input.count(18, WHAT)?;
    let mut seen = BTreeMap::new();
    for _ in 0..count {
        let author = ReplicaId::from_bytes(input.fixed(WHAT)?);
        let totals = read_totals(input)?;
        let ascends = seen.last_key_value().is_none_or(|(last, _)| *last < author);
        if !ascends || totals == Totals::default() {
            return Err(BAD);
        }
        seen.insert(author, totals);
    }
    Ok(seen)
}
