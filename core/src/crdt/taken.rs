//! Taking what was said of a text in: what applied, what waits for something, and what never can apply.
//!
//! What must hold: whoever takes in the same records in the same order leaves out the same ones, for the same reasons, and
//! what is left out is said, never only dropped.
//!
//! # Bytes
//!
//! ```text
//! left out := varint how many, then the newest of them, at most 16: writer(8)  why(1)
//! ```
//!
//! Where next: [`writing`](super::writing), which keeps this in a text's state.

use super::text::{Text, TextError};
use super::writing::{Said, WriterId};
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::ReplicaId;

/// How many of the records that were left out are named.
const NAMED_MAX: usize = 16;
/// What they take in a state, at most.
pub(super) const LEFT_OUT_BYTES_MAX: usize = 10 + 9 * NAMED_MAX;
/// How often records that wait for each other are gone through.
const PASSES_MAX: usize = 64;
const WHAT: &str = "what was left out of a text";

/// Why a delta or a mark has no effect, and never will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WhyLeftOut {
    /// It is no delta and no mark.
    Malformed,
    /// It edits behind the end of the text that its author saw.
    OutOfBounds,
    /// Another one says something else under the same numbers: two devices go on as one writer, such as copies of a
    /// running one. What the first said in the log counts.
    Forked,
    /// The text would outgrow its limits.
    TooLarge,
    /// It builds on history that was collected.
    Collected,
    /// It builds on what never came, and there was no room to wait any longer.
    NeverCame,
}

impl WhyLeftOut {
    const ALL: [Self; 6] =
        [Self::Malformed, Self::OutOfBounds, Self::Forked, Self::TooLarge, Self::Collected, Self::NeverCame];

    const fn of(error: &TextError) -> Self {
        match error {
            TextError::OutOfBounds { .. } => Self::OutOfBounds,
            TextError::Forked { .. } => Self::Forked,
            TextError::TooLarge { .. } | TextError::TooManyVersions => Self::TooLarge,
            TextError::Collected => Self::Collected,
            TextError::Unseen { .. } => Self::NeverCame,
            TextError::InsideCharacter { .. } | TextError::Decode(_) | TextError::Checksum(_) => Self::Malformed,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Malformed => 0,
            Self::OutOfBounds => 1,
            Self::Forked => 2,
            Self::TooLarge => 3,
            Self::Collected => 4,
            Self::NeverCame => 5,
        }
    }
}

impl std::fmt::Display for WhyLeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is no edit of a text",
            Self::OutOfBounds => "it edits behind the end of the text it was made on",
            Self::Forked => "another device wrote something else under the same numbers",
            Self::TooLarge => "the text would outgrow its limits",
            Self::Collected => "it builds on history that was dropped",
            Self::NeverCame => "it builds on edits that never came",
        })
    }
}

/// A record that has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "two facts")]
pub struct LeftOut {
    /// Whose it was.
    pub writer: WriterId,
    /// Why.
    pub why: WhyLeftOut,
}

/// What was left out of a text, of all that was ever said of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOuts {
    count: u64,
    newest: Vec<LeftOut>,
}

impl LeftOuts {
    /// How many records.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The newest of them, at most 16, in the order in which they were found.
    #[must_use]
    pub fn newest(&self) -> &[LeftOut] {
        &self.newest
    }

    pub(crate) fn extend(&mut self, more: impl IntoIterator<Item = LeftOut>) {
        for left_out in more {
            self.count = self.count.saturating_add(1);
            if self.newest.len() == NAMED_MAX {
                self.newest.remove(0);
            }
            self.newest.push(left_out);
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u64(self.count);
        for LeftOut { writer, why } in &self.newest {
            out.fixed(&writer.0);
            out.u8(why.code());
        }
    }

    pub(super) fn read(input: &mut Reader) -> Result<Self, DecodeError> {
        let count = input.u64(WHAT)?;
        let mut newest = Vec::new();
        for _ in 0..count.min(NAMED_MAX as u64) {
            let writer = WriterId(input.fixed(WHAT)?);
            let code = input.u8(WHAT)?;
            let why = WhyLeftOut::ALL.into_iter().find(|why| why.code() == code);
            let why = why.ok_or(DecodeError::Unknown { what: WHAT, value: code.into() })?;
            newest.push(LeftOut { writer, why });
        }
        Ok(Self { count, newest })
    }
}

/// What records came to that did not apply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "what waits and what does not")]
pub struct Taken {
    /// They build on events that are not here, and may apply once those have come.
    pub waiting: Vec<(ReplicaId, Said)>,
    /// They can never apply.
    pub left_out: Vec<LeftOut>,
}

/// Takes in what applies, in order.
#[must_use]
pub fn take_in(text: &mut Text, records: impl Iterator<Item = (ReplicaId, Said)>) -> Taken {
    let mut taken = Taken::default();
    for (author, said) in records {
        match said {
            Said::Typed(_) | Said::Marked(_) => taken.waiting.push((author, said)),
            Said::Cleared => {
                take_all(text, &mut taken);
                let all = 0..text.len();
                // Within the text, and no larger than it was.
                let _ = text.delete(author, all);
            }
            Said::Forgotten => {
                take_all(text, &mut taken);
                // A history that does not read fails whoever asks for it; what stands here does not change.
                let _ = text.forget_deleted();
            }
        }
    }
    take_all(text, &mut taken);
    taken
}

fn take_all(text: &mut Text, taken: &mut Taken) {
    let typed = taken.waiting.iter().map(|(author, said)| match said {
        Said::Typed(delta) => Some((*author, delta.clone())),
        _ => None,
    });
    // At once, where all of it is typing that applies.
    if typed.collect::<Option<Vec<_>>>().is_some_and(|typed| text.apply_all(&typed).is_ok()) {
        taken.waiting.clear();
        return;
    }
    for _ in 0..PASSES_MAX {
        let before = taken.waiting.len();
        for (author, said) in std::mem::take(&mut taken.waiting) {
            match take_one(text, author, &said) {
                Ok(()) => {}
                Err(TextError::Unseen { .. }) => taken.waiting.push((author, said)),
                Err(error) => {
                    taken.left_out.push(LeftOut { writer: WriterId::of(author), why: WhyLeftOut::of(&error) });
                }
            }
        }
        if taken.waiting.is_empty() || taken.waiting.len() == before {
            break;
        }
    }
}

fn take_one(text: &mut Text, author: ReplicaId, said: &Said) -> Result<(), TextError> {
    match said {
        Said::Typed(delta) => text.apply(author, delta),
        Said::Marked(mark) => text.apply_mark(author, mark),
        Said::Cleared | Said::Forgotten => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_was_left_out_all_are_counted_and_the_newest_named() {
        let left_out = |n: u8| LeftOut { writer: WriterId([n; 8]), why: WhyLeftOut::ALL[usize::from(n) % 6] };
        for (given, named) in [(0, 0), (1, 1), (15, 15), (16, 16), (17, 16), (200, 16)] {
            let mut all = LeftOuts::default();
            all.extend((0..given).map(left_out));
            assert_eq!((all.count(), all.newest().len()), (u64::from(given), named));
            assert_eq!(all.newest().last().copied(), given.checked_sub(1).map(left_out));
            let mut out = Writer::default();
            all.write(&mut out);
            let bytes = out.finish();
            assert!(bytes.len() <= LEFT_OUT_BYTES_MAX);
            let mut input = Reader::new(bytes);
            assert_eq!(LeftOuts::read(&mut input), Ok(all));
            assert_eq!(input.remaining(), 0);
        }
    }
}
