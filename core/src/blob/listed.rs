//! A manifest that keeps its pieces: how many of them it refers to, and whether they make its file.
//!
//! A file may have more pieces than one transaction takes, so they are counted, and released, some at a time: of its
//! different pieces in the order of their names the first `counted` have a reference for it. What must hold: who counts
//! writes what it counted in the transaction of the references, so a crash between two steps loses none and counts none twice.

use crate::codec::{DecodeError, Reader, Writer};
use crate::digest::Digest;

/// How far a manifest keeps what it lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the rules are built from every field")]
pub struct Listed {
    /// The SHA-256 of the file.
    pub file: Digest,
    /// Bytes of the file.
    pub bytes: u64,
    /// Different pieces.
    pub pieces: u32,
    /// Of these in the order of their names, so many have a reference for it.
    pub counted: u32,
    /// Whether they make the file.
    pub judged: Judged,
}

/// Whether the pieces of a manifest make the file that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every rule says what it does with each")]
pub enum Judged {
    /// Nobody has looked, and nobody may refer to it before.
    NotYet,
    /// They are many bytes: somebody will look, and until then it is taken for right.
    Later,
    /// They do.
    Right,
    /// They do not, and never will.
    Wrong,
}

impl Listed {
    /// Whether it may be referred to: every piece is kept, and what is known of the file is good.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.counted == self.pieces && matches!(self.judged, Judged::Later | Judged::Right)
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.fixed(self.file.as_bytes());
        [self.bytes, self.pieces.into(), self.counted.into()].into_iter().for_each(|number| out.u64(number));
        out.u8(match self.judged {
            Judged::NotYet => 0,
            Judged::Later => 1,
            Judged::Right => 2,
            Judged::Wrong => 3,
        });
    }

    pub(super) fn read(input: &mut Reader) -> Result<Self, DecodeError> {
        const WHAT: &str = "what a manifest keeps";
        let count = |number| u32::try_from(number).map_err(|_| DecodeError::NotCanonical(WHAT));
        let (file, bytes) = (Digest::from_bytes(input.fixed(WHAT)?), input.u64(WHAT)?);
        let (pieces, counted) = (count(input.u64(WHAT)?)?, count(input.u64(WHAT)?)?);
        let judged = match input.u8(WHAT)? {
            0 => Judged::NotYet,
            1 => Judged::Later,
            2 => Judged::Right,
            3 => Judged::Wrong,
            value => return Err(DecodeError::Unknown { what: WHAT, value: value.into() }),
        };
        if counted > pieces {
            return Err(DecodeError::NotCanonical(WHAT));
        }
        Ok(Self { file, bytes, pieces, counted, judged })
    }
}
