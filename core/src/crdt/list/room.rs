//! Room between neighbours: where places have grown long, those around are put closer together.
//!
//! A list that is sorted by hand over and over, or in whose middle several insert in turn, puts elements between the same few
//! again and again, and each time their places grow. So an edit whose place would be long moves the elements around it as well, in the same op,
//! each to where it stands: they get new, short places in one run. That is what a move is, so nothing else has to know.
//! What somebody else puts between two of them at the same time stays near them, but perhaps on another side of one.
//!
//! How much is moved: as few as give room. A place may be [`SPARE_BYTES`] longer than what stands [`SIDES`]'s last away on either side; the
//! elements around are taken that use up most of this, then those that use up less, as long as there are many of
//! them. So an edit moves a few most of the time and many seldom, and what everybody stands on grows by one level
//! in thousands of inserts: of 100,000 in one place no place takes more than 500 bytes, where three insert in turn in the exact
//! middle, or 210 where one inserts on either side of the newest at random. An insert moves four others then, on average, and six where three
//! insert on either side of the newest at random.

use super::{List, ListEdit, ListError};
use crate::crdt::context::Named;
use crate::crdt::item::ItemId;
use crate::crdt::position::{Position, SessionName};

/// How much longer than what stands far away a place may be before others are moved.
const SPARE_BYTES: usize = 96;
/// Elements that are moved on each side, at most: those that use up three quarters of the spare, half, a quarter, any.
const SIDES: [usize; 4] = [32, 128, 512, 2048];

impl List {
    /// Places for `count` elements before the one at `index`, without one that leaves; and the moves that make room for them.
    pub(super) fn room(
        &self,
        index: usize,
        without: Option<ItemId>,
        count: usize,
        session: SessionName,
    ) -> Result<(Vec<Position>, Vec<ListEdit>), ListError> {
        if index > self.len() {
            return Err(ListError::Index { index, len: self.len() });
        }
        // The list without the one that leaves.
        let leaves = without.and_then(|id| self.index_of(id));
        let there = |at: usize| if leaves.is_some_and(|leaves| at >= leaves) { at + 1 } else { at };
        let index = index - usize::from(leaves.is_some_and(|leaves| leaves < index));
        let place = |at: usize| self.order.at(there(at)).map(|(place, _)| place);
        let len = |at: Option<usize>| at.and_then(place).map_or(0, |place| place.as_bytes().len());
        let left = |at: usize| at.checked_sub(1).and_then(place);
        let plain = run(left(index), place(index), count, session);
        let longest = |places: &[Position]| places.iter().map(|place| place.as_bytes().len()).max().unwrap_or(0);
        let plain_len = plain.as_deref().map_or(usize::MAX, longest);
        if plain_len <= SPARE_BYTES {
            return Ok((plain?, Vec::new()));
        }
        let far = SIDES[SIDES.len() - 1];
        let base = len(index.checked_sub(far + 1)).max(len(Some(index + far)));
        if plain_len <= base + SPARE_BYTES {
            return Ok((plain?, Vec::new()));
        }
        let (mut start, mut end) = (index, index);
        for (quarter, side) in (0..SIDES.len()).rev().zip(SIDES) {
            let long = |at: usize| len(Some(at)) > base + quarter * (SPARE_BYTES / SIDES.len());
            while index - start < side && start > 0 && long(start - 1) {
                start -= 1;
            }
            while end - index < side && long(end) {
                end += 1;
            }
            if index - start < side && end - index < side {
                break;
            }
        }
        let all = run(left(start), place(end), end - start + count, session);
        let Some(mut all) = all.ok().filter(|all| longest(all) < plain_len) else { return Ok((plain?, Vec::new())) };
        let behind = all.split_off(index - start + count);
        let new = all.split_off(index - start);
        let moves = (start..end).zip(all.into_iter().chain(behind));
        let moves = moves.filter_map(|(at, place)| Some(ListEdit::Move(self.name_at(there(at))?, place)));
        Ok((new, moves.collect()))
    }

    fn name_at(&self, index: usize) -> Option<Named<ItemId>> {
        self.at(index).and_then(|id| self.name(id))
    }
}

/// Places one after the other between two.
fn run(
    left: Option<&Position>,
    right: Option<&Position>,
    count: usize,
    session: SessionName,
) -> Result<Vec<Position>, ListError> {
    let mut places: Vec<Position> = Vec::with_capacity(count);
    for _ in 0..count {
        places.push(Position::between(places.last().or(left), right, session)?);
    }
    Ok(places)
}
