//! Positions in a log, and the proof that two parties mean the same log.
//!
//! A [`Seq`] counts accepted ops from 1 without holes. A [`Cursor`] is a reader's position: everything up to
//! and including `seq` is applied there, and the log's running hash at that point was `anchor`. Because the
//! anchor covers every op before it, a server that was rolled back, forked, rewritten or swapped for another
//! log is found out on the next call (Raft checks the entry before the first for the same reason).
//!
//! Next: [`Gap`](crate::oplog::Gap) says what a mismatch means.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, DigestError, read_hex, write_hex};
use crate::id::LogKey;
use crate::time::Timestamp;

/// A position in one log: 1 for the first op, [`Seq::ZERO`] before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    /// Before the first op.
    pub const ZERO: Self = Self(0);
    /// The first op of a log.
    pub const FIRST: Self = Self(1);
    /// The last position there can be: 2^63 − 1, the largest integer both databases store.
    pub const MAX: Self = Self(i64::MAX.unsigned_abs());

    /// `None` above [`Seq::MAX`].
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The position as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The next position; `None` at the end of the number line.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// The position before, or [`Seq::ZERO`] again.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        Self::new(value).ok_or_else(|| serde::de::Error::custom("seq is above 2^63 - 1"))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seq({})", self.0)
    }
}

/// Which history a log key stands for: 128 random bits drawn when the log is created.
///
/// A log that was deleted and made again under the same key has another origin, so a cursor into the old
/// history cannot be mistaken for one into the new (Super Productivity #10145: an account reset reused
/// numbers behind other devices' cursors).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(pub [u8; 16]);

/// A log's origin and its running hash at one seq; 96 hexadecimal digits as text (origin, then hash).
///
/// `hash(0) = SHA-256("syncline/log/v1" ‖ 0 ‖ bucket ‖ log ‖ origin)` and
/// `hash(n) = SHA-256(hash(n−1) ‖ digest(n) ‖ accepted(n))`, where `digest(n)` is the SHA-256 of op n's canonical bytes and
/// `accepted(n)` the milliseconds at which the server took it, 8 bytes big-endian: what an edit counts for is bounded by
/// that time, so who has the same hash has the same winners. Hashing the digest instead of the bytes lets a chain be
/// checked without its payloads.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Anchor {
    /// The history this anchor belongs to.
    pub origin: Origin,
    /// The running hash.
    pub hash: Digest,
}

impl Anchor {
    /// The anchor before a log's first op.
    #[must_use]
    pub fn genesis(log: LogKey, origin: Origin) -> Self {
        let hash = Digest::of(&[b"syncline/log/v1\0", log.bucket.as_bytes(), log.log.as_bytes(), &origin.0]);
        Self { origin, hash }
    }

    /// The anchor after one more op with this digest, which the server took at that time.
    #[must_use]
    pub fn extend(self, op: Digest, accepted_at: Timestamp) -> Self {
        let accepted = accepted_at.ms().to_be_bytes();
        Self { origin: self.origin, hash: Digest::of(&[self.hash.as_bytes(), op.as_bytes(), &accepted]) }
    }

    /// Origin and hash, 48 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[..16].copy_from_slice(&self.origin.0);
        bytes[16..].copy_from_slice(self.hash.as_bytes());
        bytes
    }

    /// The inverse of [`Anchor::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 48]) -> Self {
        let mut origin = [0; 16];
        let mut hash = [0; 32];
        origin.copy_from_slice(&bytes[..16]);
        hash.copy_from_slice(&bytes[16..]);
        Self { origin: Origin(origin), hash: Digest::from_bytes(hash) }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.to_bytes())
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchor({self})")
    }
}

impl FromStr for Anchor {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        read_hex(text).map(Self::from_bytes)
    }
}

impl Serialize for Anchor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Anchor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A reader's position. `anchor` is absent only at the very start, before the reader knows any log,
/// and in foreign dialects that cannot carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Everything up to and including this is applied at the reader.
    pub seq: Seq,
    /// The running hash the reader saw there.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub anchor: Option<Anchor>,
}

impl Cursor {
    /// A reader that has nothing yet.
    pub const START: Self = Self { seq: Seq::ZERO, anchor: None };
}
