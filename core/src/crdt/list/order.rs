//! Elements in order, found by place and by index.
//!
//! A sorted list in pieces of at most [`PIECE_MAX`]: an insert moves what is in one piece, and an index is counted piece by
//! piece, which for lists that fit an op is a few hundred steps.

use crate::crdt::item::ItemId;
use crate::crdt::position::Position;
use crate::id::OpId;

/// A place, and whose it is where somebody made two places equal.
pub(super) type Key = (Position, ItemId);

const PIECE_MAX: usize = 256;

/// Puts the places that an op names, which share what they begin with among each other, on what the list's have of it
/// already: or else looking for the place of each would take time in how long they are.
#[derive(Debug, Default)]
pub(super) struct Shared(Option<(Position, Position)>);

impl Shared {
    pub(super) fn share(&mut self, place: &mut Position, order: &Order) {
        if !place.is_deep() {
            return;
        }
        let before = place.clone();
        let mut shared = match &self.0 {
            Some((before, after)) => place.clone().following(before, after),
            None => place.clone(),
        };
        for near in order.near(&shared) {
            shared = shared.sharing(near);
        }
        *place = shared.clone();
        self.0 = Some((before, shared));
    }
}

/// Keys in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    /// None is empty.
    pieces: Vec<Vec<Key>>,
    len: usize,
}

impl PartialEq for Order {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Order {}

impl Order {
    /// Of keys that are sorted already.
    pub(super) fn of(keys: Vec<Key>) -> Self {
        let len = keys.len();
        let mut keys = keys.into_iter();
        let piece = || Some(keys.by_ref().take(PIECE_MAX / 2).collect::<Vec<_>>()).filter(|piece| !piece.is_empty());
        Self { pieces: std::iter::from_fn(piece).collect(), len }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.pieces.iter().flatten()
    }

    /// The piece that a key is in, or would be, and its place there.
    fn find(&self, key: &Key) -> (usize, Result<usize, usize>) {
        let piece = self.pieces.partition_point(|piece| piece.last().is_some_and(|last| last < key));
        match self.pieces.get(piece) {
            Some(keys) => (piece, keys.binary_search(key)),
            None => (piece, Err(0)),
        }
    }

    /// What is next to a place.
    fn near(&self, place: &Position) -> [Option<&Position>; 2] {
        let key = (place.clone(), ItemId::first(OpId::from_bytes([0; 16])));
        let (piece, Ok(at) | Err(at)) = self.find(&key);
        let before = match at.checked_sub(1) {
            Some(before) => self.pieces.get(piece).and_then(|keys| keys.get(before)),
            None => piece.checked_sub(1).and_then(|piece| self.pieces.get(piece)?.last()),
        };
        let behind = self.pieces.get(piece).and_then(|keys| keys.get(at));
        [before, behind].map(|key| key.map(|(place, _)| place))
    }

    pub(super) fn insert(&mut self, key: Key) {
        let (piece, Err(at)) = self.find(&key) else { return };
        self.len += 1;
        // What is behind everything goes on with the last piece.
        let last = self.pieces.len().saturating_sub(1);
        let (piece, at) = match self.pieces.get(last) {
            None => {
                self.pieces.push(vec![key]);
                return;
            }
            Some(keys) if piece > last => (last, keys.len()),
            Some(_) => (piece, at),
        };
        let keys = &mut self.pieces[piece];
        keys.insert(at, key);
        if keys.len() > PIECE_MAX {
            let half = keys.split_off(keys.len() / 2);
            self.pieces.insert(piece + 1, half);
        }
    }

    pub(super) fn remove(&mut self, key: &Key) {
        let (piece, Ok(at)) = self.find(key) else { return };
        self.len -= 1;
        self.pieces[piece].remove(at);
        if self.pieces[piece].is_empty() {
            self.pieces.remove(piece);
        }
    }

    pub(super) fn at(&self, mut index: usize) -> Option<&Key> {
        for piece in &self.pieces {
            match index.checked_sub(piece.len()) {
                None => return piece.get(index),
                Some(rest) => index = rest,
            }
        }
        None
    }

    /// How many keys are before one.
    pub(super) fn index_of(&self, key: &Key) -> usize {
        let (piece, Ok(at) | Err(at)) = self.find(key);
        self.pieces[..piece].iter().map(Vec::len).sum::<usize>() + at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crdt::position::SessionName;

    proptest! {
        #[test]
        fn an_order_in_pieces_is_a_sorted_list(edits in prop::collection::vec((any::<bool>(), 0..600_u32), 0..900)) {
            let place = Position::between(None, None, SessionName([1; 6])).unwrap();
            let key = |nth| (place.clone(), ItemId { op: OpId::from_bytes([0; 16]), nth });
            let (mut order, mut plain) = (Order::default(), std::collections::BTreeSet::new());
            for (removes, nth) in edits {
                if removes && nth % 4 == 0 {
                    order.remove(&key(nth));
                    plain.remove(&key(nth));
                } else {
                    order.insert(key(nth));
                    plain.insert(key(nth));
                }
            }
            prop_assert!(order.iter().eq(plain.iter()));
            prop_assert_eq!(order.len(), plain.len());
            for (index, key) in plain.iter().enumerate().step_by(7) {
                prop_assert_eq!((order.at(index), order.index_of(key)), (Some(key), index));
            }
            prop_assert_eq!(order.at(plain.len()), None);
            prop_assert_eq!(Order::of(plain.into_iter().collect()), order);
        }
    }
}
