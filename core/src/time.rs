//! Time and randomness as values.
//!
//! Core never asks a clock or a random source: whoever calls it hands in an [`Env`]. So a rule can be run
//! again with the same answer, a store may restart a decision, and a simulator owns the world.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::ReplicaId;

/// Milliseconds since 1970-01-01T00:00:00Z, at most 2^48 − 1 (the year 10889; what a UUIDv7 and an [`Hlc`] hold).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The largest time that can be said.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// `None` above [`Timestamp::MAX`].
    #[must_use]
    pub const fn from_ms(ms: u64) -> Option<Self> {
        if ms <= Self::MAX.0 { Some(Self(ms)) } else { None }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// This many milliseconds earlier, held at 1970.
    #[must_use]
    pub const fn minus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// This many milliseconds later, held at [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        let sum = self.0.saturating_add(ms);
        if sum > Self::MAX.0 { Self::MAX } else { Self(sum) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = u64::deserialize(deserializer)?;
        Self::from_ms(ms).ok_or_else(|| serde::de::Error::custom("time is above 2^48 - 1 ms"))
    }
}

/// A hybrid logical clock reading (Kulkarni et al., 2014): wall time in ms, then a counter for events in the same ms.
///
/// It orders an author's own ops whatever its wall clock does; between authors the total order is
/// (hlc, replica, op id). Text form: `<ms>.<counter>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hlc {
    /// Wall time of the author, never going back.
    pub ms: Timestamp,
    /// Events within that millisecond.
    #[serde(default)]
    pub counter: u16,
}

impl Hlc {
    /// The reading for a local event at wall time `now`: greater than `self` whatever `now` says.
    /// At the end of the number line it stays put rather than wrapping.
    #[must_use]
    pub fn tick(self, now: Timestamp) -> Self {
        if now > self.ms {
            return Self { ms: now, counter: 0 };
        }
        match self.counter.checked_add(1) {
            Some(counter) => Self { ms: self.ms, counter },
            None if self.ms < Timestamp::MAX => Self { ms: self.ms.plus_ms(1), counter: 0 },
            None => self,
        }
    }

    /// The reading after seeing `remote` at wall time `now`.
    #[must_use]
    pub fn observe(self, remote: Self, now: Timestamp) -> Self {
        self.max(remote).tick(now)
    }

    /// What this reading counts for once a server accepted the op at `accepted_at`: a clock that runs ahead
    /// wins by at most [`limits::CLOCK_DRIFT_MS_MAX`](crate::limits::CLOCK_DRIFT_MS_MAX). Pure in stored data,
    /// so every reader computes the same; the op's own bytes stay as they were.
    #[must_use]
    pub fn capped(self, accepted_at: Timestamp) -> Self {
        let cap = accepted_at.plus_ms(crate::limits::CLOCK_DRIFT_MS_MAX);
        if self.ms > cap { Self { ms: cap, counter: u16::MAX } } else { self }
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.ms.0, self.counter)
    }
}

/// The world as one call sees it: what time it is, and fresh randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Env {
    /// The caller's wall clock.
    pub now: Timestamp,
    /// 256 random bits, drawn afresh for each call.
    pub entropy: [u8; 32],
}

impl Env {
    /// 128 bits for `purpose`: the same answer each time it is asked, so that a decision may run twice.
    #[must_use]
    pub fn bytes16(&self, purpose: &str) -> [u8; 16] {
        let digest = Digest::of(&[&self.entropy, purpose.as_bytes()]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
        bytes
    }

    /// 256 bits for `purpose`.
    #[must_use]
    pub fn bytes32(&self, purpose: &str) -> [u8; 32] {
        *Digest::of(&[&self.entropy, b"\x20", purpose.as_bytes()]).as_bytes()
    }

    /// A version 7 UUID (RFC 9562) for `purpose`: ids made later sort later, which keeps index pages warm.
    #[must_use]
    pub fn uuid7(&self, purpose: &str) -> [u8; 16] {
        let random = self.bytes16(purpose);
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[..10]);
        uuid::Builder::from_unix_timestamp_millis(self.now.0, &tail).into_uuid().into_bytes()
    }
}

/// Where whoever drives a replica gets its [`Env`]s: the system's clock and randomness, or a test's.
pub trait EnvSource: fmt::Debug + Send + Sync + 'static {
    /// The world now, with fresh randomness.
    fn env(&self) -> Env;
}

/// The total order of two authored events, for last writer wins: (hlc, replica, op id). Exact ties are the same op.
pub type AuthoredOrder = (Hlc, ReplicaId, crate::id::OpId);
