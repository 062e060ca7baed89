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
//! its runs, before they differ in their counts. Nobody else counts on in a session's run. (One that goes on next to what it inserted
//! earlier, or comes back to where something of its own was removed, is in one run with that, and what somebody put there meanwhile
//! too.) Positions that begin alike share
//! that in memory and in bytes, so that what many of them cost is what they differ in.
//!
//! How long it gets: a run of n costs the integer n, whatever n; appending or prepending in turn with others costs a number
//! each time, and no level; random places cost a level for every doubling or so, one byte within one session. Inserting each
//! time into the middle costs equal levels, one below the other, and these are counted: 100,000 of them take a few bytes.
//! Only inserting each time next to the newest, now on this side and then on that without a rule or by three or more in turn, makes
//! it longer: where the sides are random by 0.4 bytes an insert, by 0.9 where three take turns and by 3.3 where it is somebody new each
//! time; by two in the exact middle where three take turns; by at most ten, and by [`Position::GROWTH_BYTES_MAX`] next to what somebody made up. So
//! [`limits::POSITION_BYTES_MAX`] is room for a million random inserts by a few and 100,000 by anybody, in whatever pattern; beyond is
//! [`PlaceFull`]. Each op of such a pattern says the whole position; what holds many of them says what they share once.
//!
//! Why nothing is moved closer together: the order of fixed keys is the order that everybody saw, whatever anybody does at
//! the same time. New keys for elements that nobody moved would take part in a race with moves, and what somebody else inserts
//! between old keys would stand elsewhere among new ones, unless every old key is kept; a tree of ids in place of
//! keys keeps what was removed. No key can do better than grow by a bit for each choice of a side, so the price is paid only where it is due.
//!
//! Where next: `chain`, the levels in memory; `bytes`, how they are written.

mod bytes;
mod chain;

use std::fmt;
use std::sync::Arc;

pub(super) use bytes::Places;
use chain::{Level, Node, Rest};

use crate::limits;

/// A replica's name for what it inserts while it is open: random, so that nobody else's is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "six random bytes")]
pub struct SessionName(pub [u8; 6]);

/// A place among siblings. A copy costs nothing; comparing two costs what they do not share in memory.
#[derive(Clone)]
pub struct Position(Arc<Node>);

/// There is no room for one more within [`limits::POSITION_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position takes at most {max} bytes, and one between these would take {given}", max = limits::POSITION_BYTES_MAX)]
pub struct PlaceFull {
    /// Bytes it would take.
    pub given: usize,
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({:02x?})", self.to_bytes())
    }
}

impl Position {
    /// How many bytes longer than the longer of its neighbours a new position is, at most.
    pub const GROWTH_BYTES_MAX: usize = 24;

    /// A position after `left` and before `right`, where these are. Of two neighbours with the same position, which only
    /// authors that break the rules make, it is after both.
    ///
    /// # Errors
    /// [`PlaceFull`].
    pub fn between(left: Option<&Self>, right: Option<&Self>, session: SessionName) -> Result<Self, PlaceFull> {
        let fits = |next: &Self| left.is_none_or(|left| next > left) && right.is_none_or(|right| next < right);
        // Goes on with a run of this session that one of the neighbours is the end of.
        let own = |of: Option<&Self>, step: i64| of?.counted(session, step).filter(fits);
        let next = own(left, 1).or_else(|| own(right, -1)).or_else(|| Self::new_run(left, right, session));
        // Somebody used up all numbers.
        let next = next.ok_or(PlaceFull { given: limits::POSITION_BYTES_MAX + 1 })?;
        if next.bytes_len() > limits::POSITION_BYTES_MAX {
            return Err(PlaceFull { given: next.bytes_len() });
        }
        Ok(next)
    }

    /// The place `step` further in a run of this session.
    fn counted(&self, session: SessionName, step: i64) -> Option<Self> {
        let last = Some(&self.0).filter(|last| last.level.session == session)?;
        let level = Level { count: last.level.count.checked_add(step)?, ..last.level };
        let above = last.above.clone();
        let above = if last.times > 1 { Some(Self::push(above, last.level, last.times - 1)) } else { above };
        Some(Self::push(above, level, 1))
    }

    /// Begins a run where there is room between one place and another after it. `None` where somebody used up all numbers.
    fn new_run(left: Option<&Self>, right: Option<&Self>, session: SessionName) -> Option<Self> {
        let (depth, above, below) = chain::split(left, right);
        let (start, mut left, mut right) = (left, Rest::of(&above), Rest::of(&below));
        while let (Some((one, many)), Some((other, times))) = (left.next, right.next) {
            if one != other {
                break;
            }
            left.pass(many.min(times));
            right.pass(many.min(times));
        }
        let number = match (left.next, right.next) {
            (None, None) => Some(0),
            // What continues `left` is behind it, up to `right`.
            (None, Some((right, _))) => Some(right.number.checked_sub(1)?),
            (Some((left, _)), None) => left.number.checked_add(1),
            (Some((left, _)), Some((right, _))) => left.number.checked_add(1).filter(|number| *number < right.number),
        };
        // Where no number is free, further down, behind what is there.
        let mut free = number;
        let number = loop {
            if let Some(free) = free {
                break free;
            }
            let Some((level, times)) = left.next else { break 0 };
            left.pass(if level.number == i64::MAX { times } else { 1 });
            free = left.next.and_then(|(deeper, _)| deeper.number.checked_add(1));
        };
        // What was passed of `left` is shared with it.
        let base = start.and_then(|start| start.first(depth + left.nodes)).cloned();
        let base = match left.part() {
            Some((level, times)) => Some(Self::push(base, level, times)),
            None => base,
        };
        Some(Self::push(base, Level { number, session, count: 0 }, 1))
    }
}
