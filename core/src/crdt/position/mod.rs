//! Where something stands among its siblings: a key that never changes, between any two of which there is room for another.
//!
//! A position is a path of levels, each (number, session, count). Positions compare level by level; one that continues
//! another comes after it and before everything that comes after that. Who inserts goes on with its own count where it stands
//! next to what it inserted itself, up or down, so a run typed forwards or backwards shares everything but its last
//! integer. Elsewhere it takes the next free number on the shallowest level, and where neighbours leave no number between
//! them, it goes one level down.
//!
//! What must hold: [`Position::between`] is between its neighbours, always. Runs that are inserted at the same place at the same time
//! stand one after the other, each whole: they differ in their session, a random name that an open replica gives to
//! its runs, before they differ in their counts. Nobody else counts on in a session's run.
//!
//! How long it gets: a run of n costs the integer n, whatever n; appending or prepending in turn with others costs a number
//! each time, and no level; random places cost a level for every doubling or so, one byte within one session. Inserting each
//! time into the middle costs equal levels, one below the other, and these are counted: 100,000 of them take a few bytes.
//! Only inserting each time between the two that were inserted last, now on this side and then on that without a rule, costs
//! a byte for each turn (eight, where it is another session's): no fixed key can do better than grow there.
//! At [`limits::POSITION_BYTES_MAX`] such a place is full. A list moves neighbours closer together long before that.
//!
//! # Bytes
//!
//! Bytes compare as positions do. An integer from −64 to 63 is the byte 128 + it. A larger one is 0xC0 + its bytes − 1, then
//! those, big-endian, as few as hold it; a smaller one is 0x3F − (bytes − 1), then the complement of those of −1 − it.
//!
//! Of a level with the number 0 and the session of the level before: the byte 128 + the count where that is from −31 to 30, else
//! 0x60 (it is smaller) or 0x9F (it is larger) and the count. With the number 0 and another session: 0xA0, the session's 6
//! bytes, the count. With another number: the byte 0x60 + the number from −32 to −1, 0xA0 + the number from 1 to 31, else the
//! number as a larger or smaller integer; 0 where the session is that of the level before, else 1 and its 6 bytes; the count.
//!
//! Of equal levels one below the other the first two are there. Then comes 0 and how many more there are, where nothing follows
//! or bytes that are smaller than those of the second; else 1 and −1 − how many more.

mod bytes;
mod path;

use std::sync::Arc;

use ::bytes::Bytes;
use path::Path;

use crate::codec::DecodeError;
use crate::limits;

const BAD: DecodeError = DecodeError::NotCanonical("a position");

/// A replica's name for what it inserts while it is open: random, so that nobody else's is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "six random bytes")]
pub struct SessionName(pub [u8; 6]);

/// A place among siblings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(Arc<[u8]>);

/// There is no room for one more within [`limits::POSITION_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position takes at most {max} bytes, and one between these would take {given}", max = limits::POSITION_BYTES_MAX)]
pub struct PlaceFull {
    /// Bytes it would take.
    pub given: usize,
}

impl Position {
    /// A position after `left` and before `right`, where these are. Of two neighbours with the same position, which only
    /// authors that break the rules make, it is after both.
    ///
    /// # Errors
    /// [`PlaceFull`].
    pub fn between(left: Option<&Self>, right: Option<&Self>, session: SessionName) -> Result<Self, PlaceFull> {
        let (above, below) = (Self::path(left), Self::path(right));
        let fits =
            |next: &Vec<u8>| left.is_none_or(|left| **next > *left.0) && right.is_none_or(|right| **next < *right.0);
        // Goes on with a run of this session that one of the neighbours is the end of.
        let own = |path: &Path, step: i64| path.counted(session, step)?.encode().filter(fits);
        let bytes = match own(&above, 1).or_else(|| own(&below, -1)) {
            Some(next) => next,
            None => {
                let longest = left.map_or(0, |left| left.0.len()).max(right.map_or(0, |right| right.0.len()));
                let full = PlaceFull { given: longest.max(limits::POSITION_BYTES_MAX) + 1 };
                above.new_run(&below, session).and_then(|path| path.encode()).ok_or(full)?
            }
        };
        if bytes.len() > limits::POSITION_BYTES_MAX {
            return Err(PlaceFull { given: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The position with these bytes.
    ///
    /// # Errors
    /// When they are none, or too many.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() || bytes.len() > limits::POSITION_BYTES_MAX {
            return Err(BAD);
        }
        Path::read(bytes).ok_or(BAD)?;
        Ok(Self(bytes.into()))
    }

    fn path(position: Option<&Self>) -> Path {
        position.and_then(|Self(bytes)| Path::read(bytes)).unwrap_or_default()
    }
}

/// How two positions share their bytes: how many of the first the second begins with.
pub(super) fn shared(one: &Position, two: &Position) -> usize {
    one.0.iter().zip(&*two.0).take_while(|(one, two)| one == two).count()
}

/// Puts a position together from the one before it.
pub(super) fn joined(before: Option<&Position>, shared: usize, rest: &Bytes) -> Result<Position, DecodeError> {
    let head = match (before, shared) {
        (None, 0) => return Position::from_bytes(rest),
        (Some(Position(before)), shared) => before.get(..shared).ok_or(BAD)?,
        (None, _) => return Err(BAD),
    };
    // One spelling: what is shared is said to be.
    let more = before.and_then(|Position(before)| before.get(shared));
    if more.is_some() && more == rest.first() {
        return Err(BAD);
    }
    Position::from_bytes(&[head, rest].concat())
}
