//! A cell that belongs to its newest write.
//!
//! Writes with one stamp are of one author and come in its order; which of them it is counts too, so that of two copies of a
//! cell the newer one is known.
//!
//! # Bytes
//!
//! The stamp, and how many writes with that stamp came before it as a varint.

use super::moment::{Stamp, decode_stamp, encode_stamp};
use crate::codec::{DecodeError, Reader, Writer};

/// A value, when it was written, and which of its author's writes with that stamp it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Newest<T> {
    pub(super) stamp: Stamp,
    pub(super) nth: u32,
    pub(super) value: T,
}

impl<T> Newest<T> {
    pub(super) const fn new(stamp: Stamp, value: T) -> Self {
        Self { stamp, nth: 0, value }
    }

    /// What a write makes of a cell; `None` where it is older than what is there.
    pub(super) fn after(known: Option<&Self>, stamp: Stamp, value: T) -> Option<Self> {
        let nth = match known {
            Some(known) if known.stamp > stamp => return None,
            Some(known) if known.stamp == stamp => known.nth.saturating_add(1),
            _ => 0,
        };
        Some(Self { stamp, nth, value })
    }

    /// Whether it is newer than another copy.
    pub(super) fn beats(&self, other: &Self) -> bool {
        self.when() > other.when()
    }

    /// Its place in the order of writes.
    pub(super) const fn when(&self) -> (Stamp, u32) {
        (self.stamp, self.nth)
    }

    pub(super) fn encode_when(&self, out: &mut Writer) {
        encode_stamp(self.stamp, out);
        out.u64(self.nth.into());
    }
}

pub(super) fn decode_when(input: &mut Reader) -> Result<(Stamp, u32), DecodeError> {
    let stamp = decode_stamp(input)?;
    let nth = u32::try_from(input.u64("a write")?).map_err(|_| DecodeError::NotCanonical("a write"))?;
    Ok((stamp, nth))
}

impl<T: Clone> Newest<T> {
    /// Keeps the newer of two copies.
    pub(super) fn join(ours: &mut Option<Self>, theirs: Option<&Self>) {
        if let Some(theirs) = theirs
            && ours.as_ref().is_none_or(|ours| theirs.beats(ours))
        {
            *ours = Some(theirs.clone());
        }
    }
}
