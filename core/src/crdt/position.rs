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
//! each time, and no level; random places cost a level for every doubling or so. Only inserting each time between the two
//! that were inserted last costs a level each time, three bytes within one session: no fixed key can do better than grow there.
//! At [`limits::POSITION_BYTES_MAX`] such a place is full. A list moves neighbours closer together long before that.
//!
//! # Bytes
//!
//! Per level, so that bytes compare as positions do: the number; 0 when the session is that of the level before, else 1 and
//! its 6 bytes; the count. An integer from −64 to 63 is the byte 128 + it. A larger one is 0xC0 + its bytes − 1, then
//! those, big-endian, as few as hold it; a smaller one is 0x3F − (bytes − 1), then the complement of those of −1 − it.

use bytes::Bytes;

use crate::codec::DecodeError;
use crate::limits;

const BAD: DecodeError = DecodeError::NotCanonical("a position");

/// A replica's name for what it inserts while it is open: random, so that nobody else's is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "six random bytes")]
pub struct SessionName(pub [u8; 6]);

/// A place among siblings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(Bytes);

/// There is no room for one more within [`limits::POSITION_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position takes at most {max} bytes, and one between these would take {given}", max = limits::POSITION_BYTES_MAX)]
pub struct PlaceFull {
    /// Bytes it would take.
    pub given: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    number: i64,
    session: SessionName,
    count: i64,
}

impl Position {
    /// A position after `left` and before `right`, where these are. Of two neighbours with the same position, which only
    /// authors that break the rules make, it is after both.
    ///
    /// # Errors
    /// [`PlaceFull`].
    pub fn between(left: Option<&Self>, right: Option<&Self>, session: SessionName) -> Result<Self, PlaceFull> {
        let levels = (Self::levels(left), Self::levels(right));
        let fits =
            |next: &Vec<u8>| left.is_none_or(|left| **next > *left.0) && right.is_none_or(|right| **next < *right.0);
        // Goes on with a run of this session that one of the neighbours is the end of.
        let own = |levels: &[Level], step: i64| Some(encode(&counted(levels, session, step)?)).filter(fits);
        let bytes = match own(&levels.0, 1).or_else(|| own(&levels.1, -1)) {
            Some(next) => next,
            None => {
                let longest = left.map_or(0, |left| left.0.len()).max(right.map_or(0, |right| right.0.len()));
                let full = PlaceFull { given: longest.max(limits::POSITION_BYTES_MAX) + 1 };
                encode(&new_run(&levels.0, &levels.1, session).ok_or(full)?)
            }
        };
        if bytes.len() > limits::POSITION_BYTES_MAX {
            return Err(PlaceFull { given: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The position with these bytes.
    ///
    /// # Errors
    /// When they are none, or too many.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut levels = Levels { rest: &bytes, session: None };
        if bytes.is_empty() || bytes.len() > limits::POSITION_BYTES_MAX {
            return Err(BAD);
        }
        while !levels.rest.is_empty() {
            levels.read().ok_or(BAD)?;
        }
        Ok(Self(bytes))
    }

    fn levels(position: Option<&Self>) -> Vec<Level> {
        let Some(Self(bytes)) = position else { return Vec::new() };
        let mut levels = Levels { rest: bytes, session: None };
        std::iter::from_fn(|| levels.read()).collect()
    }
}

/// The place `step` further in a run of this session.
fn counted(levels: &[Level], session: SessionName, step: i64) -> Option<Vec<Level>> {
    let mut next = levels.to_vec();
    let last = next.last_mut().filter(|last| last.session == session)?;
    last.count = last.count.checked_add(step)?;
    Some(next)
}

/// Begins a run where there is room. `None` where somebody used up all numbers.
fn new_run(left: &[Level], right: &[Level], session: SessionName) -> Option<Vec<Level>> {
    let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let mut base = left[..same].to_vec();
    let free = match (left.get(same), right.get(same)) {
        (None, None) => Some(0),
        // What continues `left` is behind it, up to `right`.
        (None, Some(right)) => Some(right.number.checked_sub(1)?),
        (Some(left), None) => left.number.checked_add(1),
        (Some(left), Some(right)) => left.number.checked_add(1).filter(|number| *number < right.number),
    };
    let mut below = left[same..].iter();
    let number = free.or_else(|| {
        // No number is free here: further down, behind what is there.
        loop {
            base.extend(below.next());
            match below.as_slice().first() {
                None => return Some(0),
                Some(deeper) => {
                    if let Some(number) = deeper.number.checked_add(1) {
                        return Some(number);
                    }
                }
            }
        }
    });
    base.push(Level { number: number?, session, count: 0 });
    Some(base)
}

fn encode(levels: &[Level]) -> Vec<u8> {
    let mut out = Vec::with_capacity(12 * levels.len());
    let mut before = None;
    for level in levels {
        encode_int(level.number, &mut out);
        if before == Some(level.session) {
            out.push(0);
        } else {
            out.push(1);
            out.extend_from_slice(&level.session.0);
        }
        encode_int(level.count, &mut out);
        before = Some(level.session);
    }
    out
}

fn encode_int(value: i64, out: &mut Vec<u8>) {
    if let Ok(small) = u8::try_from(value.saturating_add(128))
        && (64..192).contains(&small)
    {
        out.push(small);
        return;
    }
    let bytes = if value < 0 { !value } else { value }.to_be_bytes();
    let skipped = bytes.iter().take_while(|byte| **byte == 0).count();
    let more = u8::try_from(7 - skipped.min(7)).unwrap_or(7);
    if value < 0 {
        out.push(0x3f - more);
        out.extend(bytes[7 - usize::from(more)..].iter().map(|byte| !byte));
    } else {
        out.push(0xc0 + more);
        out.extend_from_slice(&bytes[7 - usize::from(more)..]);
    }
}

struct Levels<'b> {
    rest: &'b [u8],
    session: Option<SessionName>,
}

impl Levels<'_> {
    /// The next level; `None` at the end, and where the bytes are none.
    fn read(&mut self) -> Option<Level> {
        let number = self.int()?;
        let session = match self.byte()? {
            0 => self.session?,
            1 => {
                let (name, rest) = self.rest.split_first_chunk::<6>()?;
                self.rest = rest;
                Some(SessionName(*name)).filter(|name| self.session != Some(*name))?
            }
            _ => return None,
        };
        self.session = Some(session);
        Some(Level { number, session, count: self.int()? })
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn int(&mut self) -> Option<i64> {
        let head = self.byte()?;
        let (more, negative) = match head {
            0x40..=0xbf => return Some(i64::from(head) - 128),
            0xc0..=0xc7 => (usize::from(head - 0xc0), false),
            0x38..=0x3f => (usize::from(0x3f - head), true),
            _ => return None,
        };
        let (bytes, rest) = self.rest.split_at_checked(more + 1)?;
        self.rest = rest;
        let mut all = [0; 8];
        all[7 - more..].copy_from_slice(bytes);
        if negative {
            all[7 - more..].iter_mut().for_each(|byte| *byte = !*byte);
        }
        let value = i64::from_be_bytes(all);
        let fewest = value >= 64 && (more == 0 || all[7 - more] != 0);
        fewest.then_some(if negative { !value } else { value })
    }
}

/// How two positions share their bytes: how many of the first the second begins with.
pub(super) fn shared(one: &Position, two: &Position) -> usize {
    one.0.iter().zip(&two.0).take_while(|(one, two)| one == two).count()
}

/// Puts a position together from the one before it.
pub(super) fn joined(before: Option<&Position>, shared: usize, rest: &Bytes) -> Result<Position, DecodeError> {
    let head = match (before, shared) {
        (None, 0) => return Position::from_bytes(rest.clone()),
        (Some(Position(before)), shared) => before.get(..shared).ok_or(BAD)?,
        (None, _) => return Err(BAD),
    };
    // One spelling: what is shared is said to be.
    let more = before.and_then(|Position(before)| before.get(shared));
    if more.is_some() && more == rest.first() {
        return Err(BAD);
    }
    Position::from_bytes([head, rest].concat().into())
}
