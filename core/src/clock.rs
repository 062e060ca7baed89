//! Vector clocks: what a replica had seen when it wrote.
//!
//! A clock maps replicas to counters; a missing entry and a zero are the same and only the missing form exists.
//! Strictly a "version vector" (Parker et al., 1983); the seeds say vector clock and so do we. Entries are never
//! dropped to save room: lossy pruning makes false orders (Super Productivity #8696, #8755, #9089). Instead the
//! number of authoring replicas of a log is bounded by [`limits::CLOCK_ENTRIES_MAX`].

use serde::{Deserialize, Serialize, Serializer};

use crate::codec::{DecodeError, Reader, Writer};
use crate::id::ReplicaId;
use crate::limits;

/// How two clocks relate. Complete by definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "two partial orders relate in exactly four ways")]
pub enum Causality {
    /// Same entries.
    Equal,
    /// Everything here is also there, and there is more.
    Before,
    /// Everything there is also here, and here is more.
    After,
    /// Each has something the other lacks.
    Concurrent,
}

/// Why a clock cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// Too many entries.
    #[error("the clock has {given} entries, at most {} are allowed", limits::CLOCK_ENTRIES_MAX)]
    TooManyEntries {
        /// Entries given.
        given: usize,
    },
    /// A counter above the limit.
    #[error("the counter of {replica} is {given}, at most {} is allowed", limits::CLOCK_COUNTER_MAX)]
    CounterTooLarge {
        /// Whose counter.
        replica: ReplicaId,
        /// The counter given.
        given: u64,
    },
}

/// Replica → how many of its ops had been seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct VectorClock {
    /// In replica order, each once and none zero. Few, and there is a clock in every head: a map of its own for each
    /// would take ten times the room.
    entries: Vec<(ReplicaId, u64)>,
}

impl VectorClock {
    /// Nothing seen.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Sets one entry; zero removes it.
    ///
    /// # Errors
    /// When the counter or the number of entries is over its limit; the clock is then unchanged.
    pub fn set(&mut self, replica: ReplicaId, counter: u64) -> Result<(), ClockError> {
        if counter > limits::CLOCK_COUNTER_MAX {
            return Err(ClockError::CounterTooLarge { replica, given: counter });
        }
        match (self.place(replica), counter) {
            (Ok(at), 0) => drop(self.entries.remove(at)),
            (Err(_), 0) => {}
            (Ok(at), counter) => self.entries[at].1 = counter,
            (Err(_), _) if self.entries.len() >= limits::CLOCK_ENTRIES_MAX => {
                return Err(ClockError::TooManyEntries { given: self.entries.len() + 1 });
            }
            (Err(at), counter) => self.entries.insert(at, (replica, counter)),
        }
        Ok(())
    }

    /// Where the replica's entry is, or would be.
    fn place(&self, replica: ReplicaId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&replica, |(known, _)| *known)
    }

    /// The counter of one replica, 0 when absent.
    #[must_use]
    pub fn get(&self, replica: ReplicaId) -> u64 {
        self.place(replica).map_or(0, |at| self.entries[at].1)
    }

    /// Entries in replica order.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, u64)> + '_ {
        self.entries.iter().copied()
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How this clock relates to `other`.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Causality {
        let (mut more_here, mut more_there) = (false, false);
        both(&self.entries, &other.entries, |_, here, there| {
            more_here |= here > there;
            more_there |= there > here;
        });
        match (more_here, more_there) {
            (false, false) => Causality::Equal,
            (false, true) => Causality::Before,
            (true, false) => Causality::After,
            (true, true) => Causality::Concurrent,
        }
    }

    /// Whether everything in `other` was seen here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        matches!(self.compare(other), Causality::Equal | Causality::After)
    }

    /// The entry-wise maximum: seen here or there.
    ///
    /// # Errors
    /// When the union has too many entries; the clock is then unchanged.
    pub fn join(&mut self, other: &Self) -> Result<(), ClockError> {
        let mut len = 0;
        both(&self.entries, &other.entries, |_, _, _| len += 1);
        if len > limits::CLOCK_ENTRIES_MAX {
            return Err(ClockError::TooManyEntries { given: len });
        }
        if len > self.len() {
            let mut entries = Vec::with_capacity(len);
            both(&self.entries, &other.entries, |replica, here, there| entries.push((replica, here.max(there))));
            self.entries = entries;
            return Ok(());
        }
        // Nobody new: most clocks that meet know each other's authors.
        let mut at = 0;
        let entries = &mut self.entries;
        for (replica, counter) in &other.entries {
            while entries[at].0 < *replica {
                at += 1;
            }
            entries[at].1 = entries[at].1.max(*counter);
        }
        Ok(())
    }

    /// A count, then (replica, counter) in replica order.
    pub fn encode(&self, out: &mut Writer) {
        out.len(self.len());
        for (replica, counter) in self.iter() {
            out.fixed(replica.as_bytes());
            out.u64(counter);
        }
    }

    /// The inverse of [`VectorClock::encode`].
    ///
    /// # Errors
    /// When the entries are not sorted, repeated, zero or over a limit.
    pub fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        const WHAT: &str = "a vector clock";
        let count = input.count(17, WHAT)?;
        if count > limits::CLOCK_ENTRIES_MAX {
            return Err(DecodeError::NotCanonical(WHAT));
        }
        let mut entries: Vec<(ReplicaId, u64)> = Vec::with_capacity(count);
        for _ in 0..count {
            let replica = ReplicaId::from_bytes(input.fixed(WHAT)?);
            let counter = input.u64(WHAT)?;
            let follows = entries.last().is_none_or(|(previous, _)| *previous < replica);
            if !follows || counter == 0 || counter > limits::CLOCK_COUNTER_MAX {
                return Err(DecodeError::NotCanonical(WHAT));
            }
            entries.push((replica, counter));
        }
        Ok(Self { entries })
    }
}

impl Serialize for VectorClock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for VectorClock {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> serde::de::Visitor<'de> for Entries {
            type Value = VectorClock;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of replica ids to counters")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<VectorClock, A::Error> {
                use serde::de::Error;
                let mut clock = VectorClock::new();
                let mut named = std::collections::BTreeSet::new();
                while let Some((replica, counter)) = map.next_entry::<ReplicaId, u64>()? {
                    if !named.insert(replica) {
                        return Err(A::Error::custom("a replica appears twice in the clock"));
                    }
                    if named.len() > limits::CLOCK_ENTRIES_MAX {
                        return Err(A::Error::custom(ClockError::TooManyEntries { given: named.len() }));
                    }
                    clock.set(replica, counter).map_err(A::Error::custom)?;
                }
                Ok(clock)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Every replica that one of two sorted lists has, with its counter in both.
fn both(here: &[(ReplicaId, u64)], there: &[(ReplicaId, u64)], mut each: impl FnMut(ReplicaId, u64, u64)) {
    let (mut here, mut there) = (here.iter(), there.iter());
    let (mut one, mut two) = (here.next(), there.next());
    loop {
        match (one, two) {
            (Some((a, x)), Some((b, y))) if a == b => {
                each(*a, *x, *y);
                (one, two) = (here.next(), there.next());
            }
            (Some((a, x)), two) if two.is_none_or(|(b, _)| a < b) => {
                each(*a, *x, 0);
                one = here.next();
            }
            (_, Some((b, y))) => {
                each(*b, 0, *y);
                two = there.next();
            }
            (_, None) => return,
        }
    }
}
