//! Room between neighbours: where places have grown long, those around are put closer together.
//!
//! A list that is sorted by hand over and over puts elements between the same few again and again, and each time their
//! places grow. So an edit whose place would be long moves the elements around it as well, in the same op, each to where it
//! stands: they get new, short places in one run. That is what a move is, so nothing else has to know. What somebody else puts between two of them at the
//! same time stays near them, but perhaps on another side of one.

use super::{List, ListEdit, ListError};
use crate::crdt::context::Named;
use crate::crdt::item::ItemId;
use crate::crdt::position::{Position, SessionName};

/// A place longer than this is worth moving others.
const LONG_BYTES: usize = 64;
/// A place up to this long is left alone.
const SHORT_BYTES: usize = 24;
/// Elements that are moved on each side, at most.
const SIDE_MAX: usize = 64;

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
        let leaves = |index: usize| without.is_some() && self.at(index) == without;
        let left = index.checked_sub(1).and_then(|left| if leaves(left) { left.checked_sub(1) } else { Some(left) });
        let right = if leaves(index) { index + 1 } else { index };
        let place = |index: usize| self.order.at(index).map(|(place, _)| place);
        let plain = run(left.and_then(place), place(right), count, session);
        if let Ok(places) = &plain
            && places.iter().all(|place| place.as_bytes().len() <= LONG_BYTES)
        {
            return Ok((places.clone(), Vec::new()));
        }
        // The elements on both sides up to one with a short place.
        let long = |at: &usize| place(*at).is_some_and(|place| place.as_bytes().len() > SHORT_BYTES);
        let stays = |at: &usize| !leaves(*at);
        let end = left.map_or(0, |left| left + 1);
        let mut before: Vec<usize> = (0..end).rev().take(SIDE_MAX).take_while(long).filter(stays).collect();
        before.reverse();
        let after: Vec<usize> = (right..self.len()).take(SIDE_MAX).take_while(long).filter(stays).collect();
        let outer = |at: Option<usize>| at.filter(|at| !leaves(*at));
        let left = outer(before.first().map_or(left, |first| first.checked_sub(1)));
        let right = after.last().map_or(right, |last| last + 1);
        let all = run(left.and_then(place), place(right), before.len() + count + after.len(), session);
        let Ok(mut all) = all else { return Ok((plain?, Vec::new())) };
        let behind = all.split_off(before.len() + count);
        let new = all.split_off(before.len());
        let moved = before.into_iter().chain(after).zip(all.into_iter().chain(behind));
        let moves = moved.filter_map(|(at, place)| Some(ListEdit::Move(self.name_at(at)?, place)));
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
