//! Values that merge as they were parsed last, so that an edit costs what it changes and not the whole state.
//!
//! What must hold: as of what was shown ([`Shown`](super::shown::Shown)), each is of one history and has the first so many of its entity's waiting
//! writes. Who uses one takes it out meanwhile; another who asks then reads the state anew.
//!
//! Where next: [`value`](super::value), which holds values here.

use std::any::Any;

use super::entry::Entry;
use super::error::ReplicaError;
use super::gate::lock;
use super::replica::{Inner, PLAIN_WRITE};
use crate::oplog::EntityKey;

/// Values that are kept: those that were used last.
const KEPT: usize = 16;

/// Up to which write a value is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Upto {
    /// What it is of.
    pub(super) history: u64,
    /// How many of the entity's waiting writes are in it.
    pub(super) applied: usize,
}

#[derive(Debug)]
struct Held {
    key: EntityKey,
    upto: Upto,
    content: Box<dyn Any + Send>,
}

/// Parsed values, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct Parsed(Vec<Held>);

impl Parsed {
    /// Takes out a value of this type.
    pub(super) fn take<C: Any>(&mut self, key: &EntityKey) -> Option<(Upto, Box<C>)> {
        let at = self.0.iter().position(|held| held.key == *key)?;
        let Held { upto, content, .. } = self.0.remove(at);
        Some((upto, content.downcast().ok()?))
    }

    pub(super) fn put<C: Any + Send>(&mut self, key: &EntityKey, upto: Upto, content: Box<C>) {
        self.0.retain(|held| held.key != *key && held.upto.history == upto.history);
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(Held { key: key.clone(), upto, content });
    }
}

impl Inner {
    /// The writes on an entity that wait behind those that a value has; `None` where it must be read anew.
    pub(super) async fn since(&self, key: &EntityKey, upto: Upto) -> Result<Option<(Upto, Vec<Entry>)>, ReplicaError> {
        let goes_on = || {
            let version = self.version.load(std::sync::atomic::Ordering::Acquire);
            version.is_multiple_of(2) && version % PLAIN_WRITE == upto.history
        };
        if !goes_on() {
            return Ok(None);
        }
        let numbers = {
            let memory = lock(&self.memory);
            if memory.identity.renew || memory.pending.newest_state().is_some() {
                return Ok(None);
            }
            match memory.pending.of(key).get(upto.applied..) {
                Some(numbers) => numbers.to_vec(),
                None => return Ok(None),
            }
        };
        let entries = self.entries_among(&numbers).await?;
        let whole = entries.len() == numbers.len() && goes_on();
        Ok(whole.then(|| (Upto { applied: upto.applied + entries.len(), ..upto }, entries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oplog::Collection;

    #[test]
    fn values_of_one_history_are_kept_and_those_used_last() {
        let key = |number: u64| EntityKey {
            collection: Collection::system("sys.test"),
            entity: crate::EntityId::named(&number.to_string()),
        };
        let upto = |history, applied| Upto { history, applied };
        let mut parsed = Parsed::default();
        for number in 0..=KEPT as u64 {
            parsed.put(&key(number), upto(2, 1), Box::new(number));
        }
        assert_eq!(parsed.take::<u64>(&key(0)), None);
        assert_eq!(parsed.take::<u64>(&key(1)), Some((upto(2, 1), Box::new(1))));
        assert_eq!(parsed.take::<u64>(&key(1)), None, "taken out");
        assert_eq!(parsed.take::<String>(&key(2)), None, "of another type");
        parsed.put(&key(1), upto(4, 0), Box::new(7_u64));
        assert_eq!(parsed.0.len(), 1, "what is of another history is over");
    }
}
