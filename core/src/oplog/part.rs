//! Part of a log's entities: what a partial replica holds and what a server tells it in full.
//!
//! A part is a set of prefixes of entity keys: a collection, a collection and the first bytes of an entity's id (ids that
//! share a beginning because the application chose them so), or one whole key. What must hold: no prefix of a part lies
//! within another, so a part has one spelling and a key lies within at most one prefix.
//!
//! As text, a prefix is the collection, and behind a colon the id's first bytes in hexadecimal; a part is its prefixes in
//! order with commas between: `notes,tasks:0190a1`.
//!
//! Where next: [`Page::only`](crate::call::Page::only), which leaves out what is not in a part.

use std::fmt;
use std::str::FromStr;

use super::op::{Collection, CollectionError, EntityKey, Subject};
use crate::limits;

/// The beginning that some entity keys share. Orders as keys do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPrefix {
    collection: Collection,
    start: Box<[u8]>,
}

/// Some of a log's entities; at least one prefix, at most [`limits::PART_PREFIXES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// Sorted, none within another.
    prefixes: Box<[KeyPrefix]>,
}

/// Why something is no part of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// Too few or too many prefixes.
    #[error("a part has 1 to {max} prefixes, this one has {0}", max = limits::PART_PREFIXES_MAX)]
    Prefixes(usize),
    /// An id has 16 bytes.
    #[error("an entity's id begins with at most 16 bytes, not {0}")]
    Start(usize),
    /// The text behind the colon is not pairs of lower-case hexadecimal digits, at least one.
    #[error("the beginning of an id is written in pairs of lower-case hexadecimal digits")]
    Hex,
    /// The text before it is no collection.
    #[error("{0}")]
    Collection(#[from] CollectionError),
}

impl KeyPrefix {
    /// All of a collection.
    #[must_use]
    pub fn collection(collection: Collection) -> Self {
        Self { collection, start: Box::default() }
    }

    /// The entities of a collection whose ids begin with these bytes.
    ///
    /// # Errors
    /// [`PartError::Start`] for more than 16.
    pub fn starting(collection: Collection, start: &[u8]) -> Result<Self, PartError> {
        if start.len() > 16 {
            return Err(PartError::Start(start.len()));
        }
        Ok(Self { collection, start: start.into() })
    }

    /// One entity.
    #[must_use]
    pub fn entity(key: &EntityKey) -> Self {
        Self { collection: key.collection.clone(), start: key.entity.as_bytes().as_slice().into() }
    }

    /// The collection it is of.
    #[must_use]
    pub const fn of(&self) -> &Collection {
        &self.collection
    }

    /// The first bytes of the ids; none for all of the collection.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// Whether the entity's key begins so.
    #[must_use]
    pub fn holds(&self, key: &EntityKey) -> bool {
        self.collection == key.collection && key.entity.as_bytes().starts_with(&self.start)
    }

    /// Whether every key that begins as `other` says begins as this says.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.collection == other.collection && other.start.starts_with(&self.start)
    }
}

impl Part {
    /// The part that these prefixes make together.
    ///
    /// # Errors
    /// [`PartError::Prefixes`] when there is none, or too many that are not within another.
    pub fn of(prefixes: impl IntoIterator<Item = KeyPrefix>) -> Result<Self, PartError> {
        let mut all: Vec<KeyPrefix> = prefixes.into_iter().collect();
        all.sort_unstable();
        // What lies within a prefix sorts behind it, before everything that does not.
        all.dedup_by(|later, kept| kept.covers(later));
        if all.is_empty() || all.len() > limits::PART_PREFIXES_MAX {
            return Err(PartError::Prefixes(all.len()));
        }
        Ok(Self { prefixes: all.into() })
    }

    /// Whole collections.
    ///
    /// # Errors
    /// When a name is none, or as [`Part::of`].
    pub fn collections<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, PartError> {
        let prefix = |name| Collection::new(name).map(KeyPrefix::collection);
        Self::of(names.into_iter().map(prefix).collect::<Result<Vec<_>, _>>()?)
    }

    /// Its prefixes in order.
    #[must_use]
    pub fn prefixes(&self) -> &[KeyPrefix] {
        &self.prefixes
    }

    /// Whether the entity is in it.
    #[must_use]
    pub fn holds(&self, key: &EntityKey) -> bool {
        let behind = |prefix: &KeyPrefix| {
            (&prefix.collection, &*prefix.start) <= (&key.collection, key.entity.as_bytes().as_slice())
        };
        let at = self.prefixes.partition_point(behind);
        at.checked_sub(1).is_some_and(|at| self.prefixes[at].holds(key))
    }

    /// Whether anything of what an op is about is in it. An op about the whole log is not.
    #[must_use]
    pub fn touches(&self, subject: &Subject) -> bool {
        subject.keys().any(|key| self.holds(&key))
    }

    /// Whether all of `prefix` is in it.
    #[must_use]
    pub fn covers(&self, prefix: &KeyPrefix) -> bool {
        self.prefixes.iter().any(|own| own.covers(prefix))
    }

    /// What is in one of the two or in both.
    ///
    /// # Errors
    /// As [`Part::of`].
    pub fn and(&self, other: &Self) -> Result<Self, PartError> {
        Self::of(self.prefixes.iter().chain(&other.prefixes).cloned())
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.collection.fmt(f)?;
        if !self.start.is_empty() {
            f.write_str(":")?;
            crate::digest::write_hex(f, &self.start)?;
        }
        Ok(())
    }
}

impl FromStr for KeyPrefix {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let Some((collection, hex)) = text.split_once(':') else {
            return Ok(Self::collection(Collection::new(text)?));
        };
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(PartError::Hex),
        };
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        if pairs.is_empty() || !rest.is_empty() {
            return Err(PartError::Hex);
        }
        let start = pairs.iter().map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?));
        Self::starting(Collection::new(collection)?, &start.collect::<Result<Vec<u8>, PartError>>()?)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, prefix) in self.prefixes.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            prefix.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for Part {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        Self::of(text.split(',').map(KeyPrefix::from_str).collect::<Result<Vec<_>, _>>()?)
    }
}

impl serde::Serialize for Part {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Part {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
