//! What a scanner made of a blob, and who may read one before it did.
//!
//! A verdict is on bytes, so it is kept under their name: the same bytes under another file name, or sent again, have it
//! already. It says which engine made it; a newer version of the engine may see what the older one did not.
//!
//! What must hold: what was found is not read by anybody, whatever the policy, until an operator releases it; an older
//! version's word never replaces a newer one's, however late it comes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, Reader, Writer};
use crate::digest::{BlobId, Digest};
use crate::limits;
use crate::time::Timestamp;

/// Whether a log's blobs are scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "every rule says what it does with each")]
pub enum ScanPolicy {
    /// They are not.
    #[default]
    Off,
    /// They are, and can be read until something is found.
    Meanwhile,
    /// They are, and cannot be read until nothing was found.
    UntilClean,
}

/// Which engine judges, and by what knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "what a scanner says of itself")]
pub struct Engine {
    /// What it is called; cut after [`SCAN_TEXT_BYTES_MAX`](limits::SCAN_TEXT_BYTES_MAX) bytes.
    pub name: String,
    /// Grows with what it knows: the number of its signatures, as a rule.
    pub version: u64,
}

/// What an engine says of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a scanner says one of these, or fails")]
pub enum Finding {
    /// Nothing was found.
    Clean,
    /// This was found.
    Found(String),
    /// It cannot be judged, for this reason: too large for the engine, encrypted. Asking again will not help.
    Unfit(String),
}

/// What became of a blob that was scanned. One without a record is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "every rule says what it does with each")]
pub enum ScanState {
    /// Nothing was found.
    Clean,
    /// Something was found: nobody reads it.
    Quarantined,
    /// The engine cannot judge it: read only where what is pending is.
    Rejected,
    /// An operator lets it be read, whatever an engine says.
    Released,
}

/// What is kept of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the rules are built from every field")]
pub struct ScanRecord {
    /// Which blob.
    pub blob: BlobId,
    /// What became of it.
    pub state: ScanState,
    /// Who says so.
    pub engine: Engine,
    /// What was found, or why it cannot be judged.
    pub why: String,
    /// When the engine was asked.
    pub asked_at: Timestamp,
}

/// Why a blob is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unread {
    /// It waits for a scanner.
    #[error("the blob waits to be scanned")]
    Pending,
    /// Something was found.
    #[error("the blob is quarantined: {0}")]
    Quarantined(String),
    /// No scanner can judge it.
    #[error("the blob cannot be scanned: {0}")]
    Rejected(String),
}

/// A log's policy, and how far it is with a new version of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "a row")]
pub struct ScanTerms {
    /// The policy.
    pub policy: ScanPolicy,
    /// The newest engine that was seen; `None`: some blobs may have come while nothing was scanned.
    pub engine: Option<Engine>,
    /// Whether all blobs that were there before it were judged by it, or wait for it.
    pub passed: bool,
    /// How far it is with them, until then.
    pub at: Option<BlobId>,
}

impl Engine {
    /// An engine; a long name is cut.
    #[must_use]
    pub fn new(name: &str, version: u64) -> Self {
        Self { name: cut(name), version }
    }

    /// Whether this one's word still counts when `other` was asked.
    #[must_use]
    fn covers(&self, other: &Self) -> bool {
        self.name == other.name && self.version >= other.version
    }
}

impl ScanRecord {
    /// What an engine that was asked at this time says.
    #[must_use]
    pub fn of(blob: BlobId, engine: Engine, finding: Finding, asked_at: Timestamp) -> Self {
        let (state, why) = match finding {
            Finding::Clean => (ScanState::Clean, String::new()),
            Finding::Found(what) => (ScanState::Quarantined, cut(&what)),
            Finding::Unfit(why) => (ScanState::Rejected, cut(&why)),
        };
        Self { blob, state, engine, why, asked_at }
    }

    /// What is kept once an operator lets a blob be read, of what was kept before.
    #[must_use]
    pub fn released(blob: BlobId, kept: Option<Self>, now: Timestamp) -> Self {
        let (engine, why) =
            kept.map_or_else(|| (Engine::new("none", 0), String::new()), |kept| (kept.engine, kept.why));
        Self { blob, state: ScanState::Released, engine, why, asked_at: now }
    }

    /// Whether this engine has something to say that is not known.
    #[must_use]
    pub fn is_due(kept: Option<&Self>, engine: &Engine) -> bool {
        kept.is_none_or(|kept| kept.state != ScanState::Released && !kept.engine.covers(engine))
    }

    /// Whether a newer word takes this one's place.
    #[must_use]
    pub fn yields_to(&self, newer: &Self) -> bool {
        match self.state {
            ScanState::Released => false,
            _ if self.engine.name == newer.engine.name => newer.engine.version >= self.engine.version,
            _ => newer.asked_at >= self.asked_at,
        }
    }

    /// Whether a blob of which this is kept may be read.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(kept: Option<&Self>, policy: ScanPolicy) -> Result<(), Unread> {
        let strict = policy == ScanPolicy::UntilClean;
        match kept {
            Some(Self { state: ScanState::Quarantined, why, .. }) => Err(Unread::Quarantined(why.clone())),
            Some(Self { state: ScanState::Rejected, why, .. }) if strict => Err(Unread::Rejected(why.clone())),
            None if strict => Err(Unread::Pending),
            _ => Ok(()),
        }
    }

    /// Its bytes: version 1, the blob's 32, state (0 clean, 1 quarantined, 2 rejected, 3 released), engine, reason and time.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(96);
        out.u8(1);
        out.fixed(self.blob.as_bytes());
        out.u8(match self.state {
            ScanState::Clean => 0,
            ScanState::Quarantined => 1,
            ScanState::Rejected => 2,
            ScanState::Released => 3,
        });
        write_engine(&mut out, &self.engine);
        out.bytes(self.why.as_bytes());
        out.u64(self.asked_at.ms());
        out.finish()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "a scan's record";
        let mut input = opened(bytes, WHAT)?;
        let blob = Digest::from_bytes(input.fixed(WHAT)?);
        let state = match input.u8(WHAT)? {
            0 => ScanState::Clean,
            1 => ScanState::Quarantined,
            2 => ScanState::Rejected,
            3 => ScanState::Released,
            value => return Err(DecodeError::Unknown { what: WHAT, value: value.into() }),
        };
        let engine = read_engine(&mut input)?;
        let why = text(&mut input, WHAT)?;
        let asked_at = Timestamp::from_ms(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?;
        input.finish()?;
        Ok(Self { blob, state, engine, why, asked_at })
    }
}

impl ScanTerms {
    /// The terms once this engine was seen: one that is new begins with all blobs that are there.
    #[must_use]
    pub fn seen(self, engine: &Engine) -> Self {
        if self.engine.as_ref().is_some_and(|known| known.covers(engine)) {
            return self;
        }
        Self { policy: self.policy, engine: Some(engine.clone()), passed: false, at: None }
    }

    /// Its bytes: version 1, policy (0 off, 1 meanwhile, 2 until clean), whether there is an engine and the engine,
    /// whether it has passed, whether there is a place and the place.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(96);
        out.u8(1);
        out.u8(match self.policy {
            ScanPolicy::Off => 0,
            ScanPolicy::Meanwhile => 1,
            ScanPolicy::UntilClean => 2,
        });
        out.u8(u8::from(self.engine.is_some()));
        if let Some(engine) = &self.engine {
            write_engine(&mut out, engine);
        }
        out.u8(u8::from(self.passed));
        out.u8(u8::from(self.at.is_some()));
        if let Some(at) = &self.at {
            out.fixed(at.as_bytes());
        }
        out.finish()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "a log's scanning";
        let mut input = opened(bytes, WHAT)?;
        let policy = match input.u8(WHAT)? {
            0 => ScanPolicy::Off,
            1 => ScanPolicy::Meanwhile,
            2 => ScanPolicy::UntilClean,
            value => return Err(DecodeError::Unknown { what: WHAT, value: value.into() }),
        };
        let engine = if flag(&mut input, WHAT)? { Some(read_engine(&mut input)?) } else { None };
        let passed = flag(&mut input, WHAT)?;
        let at = if flag(&mut input, WHAT)? { Some(Digest::from_bytes(input.fixed(WHAT)?)) } else { None };
        input.finish()?;
        Ok(Self { policy, engine, passed, at })
    }
}

/// At most as much of a text as is kept.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(limits::SCAN_TEXT_BYTES_MAX)].to_owned()
}

fn opened(bytes: Bytes, what: &'static str) -> Result<Reader, DecodeError> {
    let mut input = Reader::new(bytes);
    match input.u8(what)? {
        1 => Ok(input),
        value => Err(DecodeError::Unknown { what, value: value.into() }),
    }
}

fn flag(input: &mut Reader, what: &'static str) -> Result<bool, DecodeError> {
    match input.u8(what)? {
        tag @ (0 | 1) => Ok(tag == 1),
        _ => Err(DecodeError::NotCanonical(what)),
    }
}

fn text(input: &mut Reader, what: &'static str) -> Result<String, DecodeError> {
    let bytes = input.bytes(what)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| DecodeError::NotCanonical(what))?;
    Ok(text.to_owned())
}

fn write_engine(out: &mut Writer, engine: &Engine) {
    out.bytes(engine.name.as_bytes());
    out.u64(engine.version);
}

fn read_engine(input: &mut Reader) -> Result<Engine, DecodeError> {
    const WHAT: &str = "an engine";
    Ok(Engine { name: text(input, WHAT)?, version: input.u64(WHAT)? })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::default().plus_ms(ms)
    }

    fn record(engine: &str, version: u64, asked: u64, state: ScanState) -> ScanRecord {
        let (engine, blob) = (Engine::new(engine, version), Digest::of(&[b"x"]));
        ScanRecord { blob, state, engine, why: "why".into(), asked_at: at(asked) }
    }

    #[test]
    fn the_newer_version_counts_however_late_the_older_ones_word_comes() {
        let kept = record("a", 5, 100, ScanState::Quarantined);
        for (engine, version, asked, yields) in
            [("a", 4, 200, false), ("a", 5, 50, true), ("a", 6, 50, true), ("b", 1, 99, false), ("b", 1, 100, true)]
        {
            let newer = record(engine, version, asked, ScanState::Clean);
            assert_eq!(kept.yields_to(&newer), yields, "{engine} {version} asked at {asked}");
        }
        let released = record("a", 5, 100, ScanState::Released);
        assert!(!released.yields_to(&record("a", 6, 200, ScanState::Quarantined)));
        assert!(!ScanRecord::is_due(Some(&released), &Engine::new("a", 9)));
        for (version, due) in [(4, false), (5, false), (6, true)] {
            assert_eq!(ScanRecord::is_due(Some(&kept), &Engine::new("a", version)), due);
        }
        assert!(ScanRecord::is_due(Some(&kept), &Engine::new("b", 1)) && ScanRecord::is_due(None, &kept.engine));
    }

    #[test]
    fn who_may_read_is_a_table() {
        use ScanPolicy::{Meanwhile, Off, UntilClean};
        let rows = [
            (None, [true, true, false]),
            (Some(ScanState::Clean), [true, true, true]),
            (Some(ScanState::Quarantined), [false, false, false]),
            (Some(ScanState::Rejected), [true, true, false]),
            (Some(ScanState::Released), [true, true, true]),
        ];
        for (state, expected) in rows {
            let kept = state.map(|state| record("a", 1, 1, state));
            let read = [Off, Meanwhile, UntilClean].map(|policy| ScanRecord::admit(kept.as_ref(), policy).is_ok());
            assert_eq!(read, expected, "{state:?}");
        }
    }

    #[test]
    fn rows_come_back_as_they_were_and_nothing_else_reads() {
        for state in [ScanState::Clean, ScanState::Quarantined, ScanState::Rejected, ScanState::Released] {
            let record = record("engine", 27_000, 7, state);
            let bytes = record.to_bytes();
            assert_eq!(ScanRecord::from_bytes(bytes.clone()).unwrap(), record);
            for end in 0..bytes.len() {
                assert!(ScanRecord::from_bytes(bytes.slice(..end)).is_err(), "cut at {end}");
            }
        }
        for policy in [ScanPolicy::Off, ScanPolicy::Meanwhile, ScanPolicy::UntilClean] {
            for (engine, at) in [(None, None), (Some(Engine::new("e", 3)), Some(Digest::of(&[b"y"])))] {
                let terms = ScanTerms { policy, engine, passed: at.is_none(), at };
                let bytes = terms.to_bytes();
                assert_eq!(ScanTerms::from_bytes(bytes.clone()).unwrap(), terms);
                assert!(ScanTerms::from_bytes(bytes.slice(..bytes.len() - 1)).is_err());
            }
        }
        assert!(ScanTerms::from_bytes(Bytes::from_static(&[2, 0, 0, 0, 0])).is_err());
        assert!(ScanTerms::from_bytes(Bytes::from_static(&[1, 9, 0, 0, 0])).is_err());
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let max = limits::SCAN_TEXT_BYTES_MAX;
        for (len, kept) in [(max - 1, max - 1), (max, max), (max + 1, max)] {
            assert_eq!(Engine::new(&"e".repeat(len), 1).name.len(), kept);
        }
        let long = format!("{}ü", "e".repeat(max - 1));
        assert_eq!(Engine::new(&long, 1).name.len(), max - 1, "half a character is none");
    }
}
