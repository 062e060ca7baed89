//! What was shown lately: the state of an entity with the writes that wait. Reading it again, also after another write,
//! does not begin from the disk, however many writes wait.
//!
//! What must hold: it is of one history. Whatever changes the mirror, or the queue other than by adding to its end, ends
//! all of it; it is told so by the lower half of the replica's version.

use std::collections::HashMap;

use bytes::Bytes;

use super::replica::PLAIN_WRITE;
use crate::oplog::EntityKey;

/// States are kept until they take this much room; then it begins anew.
const BYTES_MAX: usize = 1 << 20;
/// About what one takes besides its bytes.
const EACH: usize = 128;

/// States by entity.
#[derive(Debug, Default)]
pub(super) struct Shown {
    held: HashMap<EntityKey, (usize, Option<Bytes>)>,
    bytes: usize,
    /// What they are of.
    history: u64,
}

/// What a look at an entity found.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) state: Option<Vec<u8>>,
    /// How many of the entity's waiting writes are in it; `None` when that says too little to go on from.
    pub(super) applied: Option<usize>,
}

impl Shown {
    /// The state with the first of `waiting` writes applied, and how many.
    pub(super) fn find(&self, key: &EntityKey, version: u64, waiting: usize) -> Option<(usize, Option<Bytes>)> {
        if self.history != version % PLAIN_WRITE {
            return None;
        }
        self.held.get(key).filter(|(applied, _)| *applied <= waiting).cloned()
    }

    fn put(&mut self, key: &EntityKey, version: u64, applied: usize, state: Option<&[u8]>) {
        let size = state.map_or(0, <[u8]>::len) + EACH;
        if self.history != version % PLAIN_WRITE || self.bytes + size > BYTES_MAX {
            *self = Self { history: version % PLAIN_WRITE, ..Self::default() };
        }
        if size > BYTES_MAX || self.held.get(key).is_some_and(|(known, _)| *known >= applied) {
            return;
        }
        let old = self.held.insert(key.clone(), (applied, state.map(Bytes::copy_from_slice)));
        self.bytes += size;
        self.bytes -= old.map_or(0, |(_, state)| state.map_or(0, |state| state.len()) + EACH);
    }
}

impl Seen {
    /// The state, remembered for the next time.
    pub(super) fn keep(self, key: &EntityKey, version: u64, shown: &mut Shown) -> Option<Vec<u8>> {
        if let Some(applied) = self.applied {
            shown.put(key, version, applied, self.state.as_deref());
        }
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> EntityKey {
        EntityKey { collection: crate::oplog::Collection::system("sys.test"), entity: crate::EntityId::named(name) }
    }

    #[test]
    fn plain_writes_leave_what_was_shown_and_everything_else_ends_it() {
        let mut shown = Shown::default();
        shown.put(&key("a"), 2, 3, Some(b"state"));
        let found = Some((3, Some(Bytes::from_static(b"state"))));
        assert_eq!(shown.find(&key("a"), 2 + 7 * PLAIN_WRITE, 4), found);
        assert_eq!(shown.find(&key("a"), 2, 2), None, "a write that was in it is gone");
        assert_eq!(shown.find(&key("a"), 4, 4), None);
        shown.put(&key("b"), 4, 0, None);
        assert_eq!((shown.find(&key("b"), 4, 0), shown.held.len()), (Some((0, None)), 1));
    }

    #[test]
    fn what_was_shown_takes_so_much_room_and_no_more() {
        let mut shown = Shown::default();
        for number in 0..100 {
            shown.put(&key(&number.to_string()), 2, 0, Some(&[7; 50_000]));
            assert!(shown.bytes <= BYTES_MAX);
        }
        assert!(shown.held.len() > 10);
        shown.put(&key("large"), 2, 0, Some(&vec![7; BYTES_MAX]));
        assert_eq!(shown.find(&key("large"), 2, 0), None);
    }
}
