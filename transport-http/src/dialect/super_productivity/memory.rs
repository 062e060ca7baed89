//! What this process remembers to save itself a read or a write. None of it is truth: an empty memory answers the same.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use syncline::id::{EntityId, LogKey, ReplicaId};
use syncline::seq::{Origin, Seq};
use syncline::time::Timestamp;

/// Entries of one kind at most; beyond it everything of the kind is forgotten.
const ENTRIES_MAX: usize = 50_000;
/// Builds of different accounts' states that may run at once, about.
const STRIPES: usize = 64;

/// Caches.
#[derive(Debug)]
pub(super) struct Memory {
    /// Long client names, and the history beside which they are known to be kept.
    pub(super) names: Shelf<LogKey, (Option<Origin>, BTreeMap<ReplicaId, String>)>,
    /// When a device's note was last written from here.
    pub(super) touched: Shelf<(LogKey, EntityId), Timestamp>,
    /// Bytes of the kept snapshot at this seq.
    pub(super) kept_bytes: Shelf<LogKey, (Seq, u64)>,
    building: Vec<tokio::sync::Mutex<()>>,
}

impl Memory {
    pub(super) fn new() -> Self {
        let building = (0..STRIPES).map(|_| tokio::sync::Mutex::default()).collect();
        Self { names: Shelf::default(), touched: Shelf::default(), kept_bytes: Shelf::default(), building }
    }

    /// Forgets a log that was deleted.
    pub(super) fn forget(&self, log: LogKey) {
        self.names.lock().remove(&log);
        self.touched.lock().retain(|(of, _), _| *of != log);
        self.kept_bytes.lock().remove(&log);
    }

    /// Held while a log's state is built, so that whoever waits finds it kept.
    pub(super) async fn building(&self, log: LogKey) -> tokio::sync::MutexGuard<'_, ()> {
        let bytes = log.log.as_bytes();
        self.building[usize::from(bytes[0]) % STRIPES].lock().await
    }
}

/// One kind of thing remembered.
#[derive(Debug)]
pub(super) struct Shelf<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Shelf<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key).cloned()
    }

    pub(super) fn put(&self, key: K, value: V) {
        let mut shelf = self.lock();
        if shelf.len() >= ENTRIES_MAX {
            shelf.clear();
        }
        shelf.insert(key, value);
    }

    /// What is remembered is whole whatever happened to whoever held the lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
