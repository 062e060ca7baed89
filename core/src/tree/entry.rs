//! A commit as it stands in the log: who made it, what was asked, what was answered, what it did.
//!
//! ```text
//! entry    = 1, replica 16, asked 32, answers, count, revision..., changes
//! answers  = count, per op: verdict, long path (0 or 1)
//! verdict  = 0 done | 1 noop | 2 copied, copy 16 | 3 revived | 4 partial, count, dropped... | 5 superseded
//!          | 6 alias, of 16 | 7 rejected, refusal
//! dropped  = 0 name | 1 parent | 2 circle | 3 unseen
//! refusal  = 0 name, fault, suggested | 1 gone | 2 kind | 3 parent is no folder | 4 root | 5 too deep
//!          | 6 path too long, varint | 7 too large | 8 quota | 9 ahead
//! fault    = 0 empty | 1 dots | 2 character, varint | 3 ending | 4 beginning | 5 device | 6 ours | 7 too long, varint
//! changes  = length, the bytes of [`Change`]s
//! ```
//!
//! What must hold: who repeats a commit gets the first answer from here, for as long as the entry is kept.

use bytes::Bytes;

use super::change::Change;
use super::name::{Name, NameError, NameFault};
use super::op::{Dropped, Refusal, TreeVerdict};
use crate::codec::{DecodeError, Reader, Writer};
use crate::digest::Digest;
use crate::id::ReplicaId;

/// The answer to one op.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "an answer is its parts")]
pub struct Answer {
    /// What became of it.
    pub verdict: TreeVerdict,
    /// Whether its path has more than [`PATH_CHARS_WARNED`](crate::limits::PATH_CHARS_WARNED) characters.
    pub long_path: bool,
}

/// A commit in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "an entry is its parts")]
pub struct Entry {
    /// Who made it.
    pub replica: ReplicaId,
    /// The digest of what was asked, so that its id stands for nothing else.
    pub asked: Digest,
    /// One answer per op.
    pub answers: Vec<Answer>,
    /// What it did, in the order in which it is applied.
    pub changes: Vec<Change>,
}

const VERSION: u8 = 1;
const WHAT: &str = "a commit's entry";

type Read<T> = Result<T, DecodeError>;

impl Entry {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(64 + 4 * self.answers.len() + 192 * self.changes.len());
        out.u8(VERSION);
        out.fixed(self.replica.as_bytes());
        out.fixed(self.asked.as_bytes());
        Answer::write_all(&self.answers, &mut out);
        out.bytes(&Change::to_bytes(&self.changes));
        out.finish()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are nobody's.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        match input.u8(WHAT)? {
            VERSION => {}
            value => return Err(DecodeError::Unknown { what: WHAT, value: value.into() }),
        }
        let replica = ReplicaId::from_bytes(input.fixed(WHAT)?);
        let asked = Digest::from_bytes(input.fixed(WHAT)?);
        let answers = Answer::read_all(&mut input)?;
        let changes = Change::from_bytes(input.bytes(WHAT)?)?;
        input.finish()?;
        Ok(Self { replica, asked, answers, changes })
    }
}

impl Answer {
    /// Writes a count and the answers.
    pub fn write_all(answers: &[Self], out: &mut Writer) {
        out.len(answers.len());
        for answer in answers {
            write_verdict(&answer.verdict, out);
            out.u8(u8::from(answer.long_path));
        }
    }

    /// The inverse of [`write_all`](Self::write_all).
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn read_all(input: &mut Reader) -> Result<Vec<Self>, DecodeError> {
        let count = input.count(2, WHAT)?;
        let mut answers = Vec::with_capacity(count);
        for _ in 0..count {
            let verdict = read_verdict(input)?;
            let long_path = match input.u8(WHAT)? {
                flag @ (0 | 1) => flag == 1,
                _ => return Err(DecodeError::NotCanonical(WHAT)),
            };
            answers.push(Self { verdict, long_path });
        }
        Ok(answers)
    }
}

fn write_verdict(verdict: &TreeVerdict, out: &mut Writer) {
    match verdict {
        TreeVerdict::Done => out.u8(0),
        TreeVerdict::Noop => out.u8(1),
        TreeVerdict::Copied { copy } => {
            out.u8(2);
            out.fixed(copy.as_bytes());
        }
        TreeVerdict::Revived => out.u8(3),
        TreeVerdict::Partial(dropped) => {
            out.u8(4);
            out.len(dropped.len());
            dropped.iter().for_each(|dropped| out.u8(*dropped as u8));
        }
        TreeVerdict::Superseded => out.u8(5),
        TreeVerdict::Alias { of } => {
            out.u8(6);
            out.fixed(of.as_bytes());
        }
        TreeVerdict::Rejected(refusal) => {
            out.u8(7);
            write_refusal(refusal, out);
        }
    }
}

fn read_verdict(input: &mut Reader) -> Read<TreeVerdict> {
    Ok(match input.u8(WHAT)? {
        0 => TreeVerdict::Done,
        1 => TreeVerdict::Noop,
        2 => TreeVerdict::Copied { copy: input.entity()? },
        3 => TreeVerdict::Revived,
        4 => {
            let count = input.count(1, WHAT)?;
            let mut dropped = Vec::with_capacity(count);
            for _ in 0..count {
                dropped.push(match input.u8(WHAT)? {
                    0 => Dropped::Name,
                    1 => Dropped::Parent,
                    2 => Dropped::Circle,
                    3 => Dropped::Unseen,
                    value => return Err(DecodeError::Unknown { what: "a dropped part", value: value.into() }),
                });
            }
            TreeVerdict::Partial(dropped)
        }
        5 => TreeVerdict::Superseded,
        6 => TreeVerdict::Alias { of: input.entity()? },
        7 => TreeVerdict::Rejected(read_refusal(input)?),
        value => return Err(DecodeError::Unknown { what: "a verdict", value: value.into() }),
    })
}

fn write_refusal(refusal: &Refusal, out: &mut Writer) {
    match refusal {
        Refusal::Name(error) => {
            out.u8(0);
            match error.fault {
                NameFault::Empty => out.u8(0),
                NameFault::Dots => out.u8(1),
                NameFault::Character(character) => {
                    out.u8(2);
                    out.u64(u32::from(character).into());
                }
                NameFault::Ending => out.u8(3),
                NameFault::Beginning => out.u8(4),
                NameFault::Device => out.u8(5),
                NameFault::Ours => out.u8(6),
                NameFault::TooLong(bytes) => {
                    out.u8(7);
                    out.len(bytes);
                }
            }
            out.bytes(error.suggested.as_str().as_bytes());
        }
        Refusal::Gone => out.u8(1),
        Refusal::KindMismatch => out.u8(2),
        Refusal::ParentNotFolder => out.u8(3),
        Refusal::Root => out.u8(4),
        Refusal::TooDeep => out.u8(5),
        Refusal::PathTooLong(bytes) => {
            out.u8(6);
            out.len(*bytes);
        }
        Refusal::TooLarge => out.u8(7),
        Refusal::QuotaExceeded => out.u8(8),
        Refusal::Ahead => out.u8(9),
    }
}

fn read_refusal(input: &mut Reader) -> Read<Refusal> {
    Ok(match input.u8(WHAT)? {
        0 => Refusal::Name(read_name_error(input)?),
        1 => Refusal::Gone,
        2 => Refusal::KindMismatch,
        3 => Refusal::ParentNotFolder,
        4 => Refusal::Root,
        5 => Refusal::TooDeep,
        6 => Refusal::PathTooLong(length(input)?),
        7 => Refusal::TooLarge,
        8 => Refusal::QuotaExceeded,
        9 => Refusal::Ahead,
        value => return Err(DecodeError::Unknown { what: "a refusal", value: value.into() }),
    })
}

fn read_name_error(input: &mut Reader) -> Read<NameError> {
    let fault = match input.u8(WHAT)? {
        0 => NameFault::Empty,
        1 => NameFault::Dots,
        2 => {
            let code = u32::try_from(input.u64(WHAT)?).ok();
            NameFault::Character(code.and_then(char::from_u32).ok_or(DecodeError::NotCanonical(WHAT))?)
        }
        3 => NameFault::Ending,
        4 => NameFault::Beginning,
        5 => NameFault::Device,
        6 => NameFault::Ours,
        7 => NameFault::TooLong(length(input)?),
        value => return Err(DecodeError::Unknown { what: "a name's fault", value: value.into() }),
    };
    let text = input.bytes(WHAT)?;
    let text = std::str::from_utf8(&text).map_err(|_| DecodeError::NotCanonical(WHAT))?;
    Ok(NameError { fault, suggested: Name::kept(text).ok_or(DecodeError::NotCanonical(WHAT))? })
}

fn length(input: &mut Reader) -> Read<usize> {
    usize::try_from(input.u64(WHAT)?).map_err(|_| DecodeError::NotCanonical(WHAT))
}
