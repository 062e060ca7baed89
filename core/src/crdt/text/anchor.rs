//! Places that stay where they are while others edit: cursors, selections, comments.
//!
//! An anchor names a character and a side of it. The character may move or be deleted; the anchor then stands where it
//! is, or where it was. Anchors mean the same on every replica that has the character's event.
//!
//! ```text
//! anchor := 0 start | 1 end | 2 before a character | 3 after it; for a character its author's 16 bytes, number:varint
//! ```

use bytes::Bytes;

use super::collect::Standing;
use super::tracker::UNDER;
use super::{Text, TextError};
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::ReplicaId;

/// The side of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums, reason = "a character has two sides")]
pub enum Side {
    /// Before it: what is inserted between the anchor and what stood before comes before the anchor.
    Before,
    /// Behind it: what is inserted there comes behind the anchor.
    After,
}

/// A place in a text that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a place is at a character or at an end")]
pub enum Anchor {
    /// Before everything, now and ever.
    Start,
    /// Behind everything.
    End,
    /// At a character.
    Char {
        /// Who inserted it.
        replica: ReplicaId,
        /// The number of that event among theirs.
        seq: u64,
        /// Where the anchor stands.
        side: Side,
    },
}

impl Anchor {
    /// The anchor as bytes, 18 to 26 for a character.
    #[must_use]
    pub fn encode(self) -> Bytes {
        let mut out = Writer::default();
        self.write(&mut out);
        out.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When the bytes are not an anchor.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes.clone());
        let anchor = Self::read(&mut input)?;
        input.finish()?;
        Ok(anchor)
    }

    pub(super) fn write(self, out: &mut Writer) {
        match self {
            Self::Start => out.u8(0),
            Self::End => out.u8(1),
            Self::Char { replica, seq, side } => {
                out.u8(if side == Side::Before { 2 } else { 3 });
                out.fixed(replica.as_bytes());
                out.u64(seq);
            }
        }
    }

    pub(super) fn read(input: &mut Reader) -> Result<Self, DecodeError> {
        let side = match input.u8("an anchor")? {
            0 => return Ok(Self::Start),
            1 => return Ok(Self::End),
            2 => Side::Before,
            3 => Side::After,
            value => return Err(DecodeError::Unknown { what: "an anchor", value: value.into() }),
        };
        let replica = ReplicaId::from_bytes(input.fixed("an author")?);
        Ok(Self::Char { replica, seq: input.u64("the number of an event")?, side })
    }
}

impl Text {
    /// An anchor at position `at` that holds on to the character behind it ([`Side::Before`]) or before it
    /// ([`Side::After`]); at the ends, where there is none, to the end.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`]; [`TextError::Collected`] if the character's name was dropped with the history.
    pub fn anchor(&mut self, at: usize, side: Side) -> Result<Anchor, TextError> {
        let len = self.len();
        let char = match side {
            _ if at > len => return Err(TextError::OutOfBounds { at: at as u64, len: len as u64 }),
            Side::Before if at == len => return Ok(Anchor::End),
            Side::After if at == 0 => return Ok(Anchor::Start),
            Side::Before => at,
            Side::After => at - 1,
        };
        let now = self.graph.frontier().to_vec();
        let id = self.lay_out(&now)?.id_at(super::int(char));
        let (author, seq) = if id >= UNDER {
            self.base.name_at(id - UNDER, 1).0.ok_or(TextError::Collected)?
        } else {
            self.authors.of(id)
        };
        Ok(Anchor::Char { replica: self.authors.get(author).id, seq: seq.into(), side })
    }

    /// Where an anchor stands now, in characters.
    ///
    /// # Errors
    /// [`TextError::Unseen`] if its character has not arrived here; [`TextError::Collected`] if it was deleted before the
    /// kept history begins, or its name was dropped.
    pub fn resolve(&mut self, anchor: Anchor) -> Result<usize, TextError> {
        let (replica, seq, side) = match anchor {
            Anchor::Start => return Ok(0),
            Anchor::End => return Ok(self.len()),
            Anchor::Char { replica, seq, side } => (replica, seq, side),
        };
        let unseen = TextError::Unseen { replica, seq };
        let author = self.authors.find(replica).ok_or(unseen.clone())?;
        let number =
            u32::try_from(seq).ok().filter(|seq| *seq < self.authors.get(author).next).ok_or(unseen.clone())?;
        self.hydrate()?;
        let now = self.graph.frontier().to_vec();
        let id = match self.authors.lv(author, number) {
            Some(lv) => lv,
            None => match self.base.place_of((author, number)).ok_or(TextError::Collected)? {
                (place, Standing::There) => UNDER + place,
                (place, Standing::Deleted) if place < self.base.len => {
                    return Ok(self.lay_out(&now)?.place_of(UNDER + place).0 as usize);
                }
                (place, Standing::Deleted) => {
                    // Behind the last character there was: where that one is now.
                    let Some(last) = place.checked_sub(1) else { return Ok(0) };
                    let (at, shown) = self.lay_out(&now)?.place_of(UNDER + last);
                    return Ok(at as usize + usize::from(shown));
                }
            },
        };
        if id < UNDER && self.ops.run_at(id).kind != super::ops::Kind::Insert {
            return Err(unseen);
        }
        let (place, shown) = self.lay_out(&now)?.place_of(id);
        Ok(place as usize + usize::from(shown && side == Side::After))
    }
}
