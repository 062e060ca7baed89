//! What a log knows of a blob: whether its bytes are there, who needs them, and how far the sweep is with them.
//!
//! ```text
//!            reserve                settle                 no need, lease over          grace over
//! (unknown) ────────► Promised ───────────────► Stored ────────────────────────► Doomed ───────────► Going ──► (unknown)
//!                        │                         ▲                                │                  ▲ bytes deleted
//!                        │ lease over              └──────── somebody needs it ─────┘                  │
//!                        └─────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A *reference* is a need without an end: the content of a live item, a revision that is kept. A *lease* is a need with an
//! end: a device was told that the bytes are there, or promised to send them, and will refer to them in a moment. A blob with
//! neither is doomed, and only after the grace is it taken: a reader that was told of it just before can still read it.
//!
//! What must hold: between *Going* and *unknown* nobody is told that the bytes are there, so a sweep that deletes them takes
//! nothing from anybody; every byte that is promised or stored counts against the quota, once.

use bytes::Bytes;

use super::listed::{Judged, Listed};
use crate::codec::{DecodeError, Reader, Writer};
use crate::digest::{BlobId, Digest};
use crate::limits;
use crate::time::Timestamp;

/// Where a blob's bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "readers must know every place")]
pub enum Place {
    /// Under their own name.
    Own,
    /// In a pack, with others.
    Packed {
        /// The pack's name.
        pack: BlobId,
        /// Where in it they begin.
        offset: u64,
    },
}

/// How far a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every rule says what it does with each")]
pub enum BlobState {
    /// Somebody said they would send it.
    Promised,
    /// Its bytes are there.
    Stored(Place),
    /// Its bytes are there and nobody needs them, as the sweep found at this time.
    Doomed(Place, Timestamp),
    /// Its bytes are being deleted, since this time.
    Going(Place, Timestamp),
}

/// What a log knows of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the rules are built from every field")]
pub struct BlobRecord {
    /// Which.
    pub blob: BlobId,
    /// Its bytes.
    pub size: u64,
    /// Whether it is a pack: bytes of other blobs put together. It is nobody's content, and its bytes are counted as theirs.
    pub pack: bool,
    /// How far it is.
    pub state: BlobState,
    /// How many refer to it.
    pub references: u64,
    /// Until when it is leased.
    pub leased_until: Timestamp,
    /// Of a manifest whose pieces are referred to: how far that is.
    pub listed: Option<Listed>,
}

/// What a device should do with a blob that it is about to refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a device does one of these")]
pub enum Need {
    /// Nothing: the bytes are there, and stay for the time of a lease.
    Have,
    /// Send it.
    Send,
    /// Ask again in a moment: it is being swept.
    Later,
}

/// A blob cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobRefused {
    /// It is being swept; a moment later it can be sent anew.
    #[error("the blob {0} is being swept")]
    Going(BlobId),
    /// Another size than the one known.
    #[error("the blob {blob} has {known} bytes, not {said}")]
    Size {
        /// Which.
        blob: BlobId,
        /// Its bytes as known.
        known: u64,
        /// Its bytes as said.
        said: u64,
    },
    /// Larger than a blob may be.
    #[error("a blob has at most {max} bytes, this one has {0}", max = limits::BLOB_BYTES_MAX)]
    TooLarge(u64),
    /// The quota does not hold it.
    #[error("{used} of {quota} bytes are used, {more} more do not fit")]
    OverQuota {
        /// Bytes promised and stored.
        used: u64,
        /// Bytes allowed.
        quota: u64,
        /// Bytes asked for.
        more: u64,
    },
    /// Another blob has the same first sixteen bytes of its name, which nobody will live to see by chance; or a pack has
    /// the name.
    #[error("another blob is known by the first half of the name {0}")]
    NameTaken(BlobId),
}

/// What a log's blobs take, and may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "a row")]
pub struct Usage {
    /// Bytes promised and stored.
    pub bytes: u64,
    /// Blobs promised and stored.
    pub blobs: u64,
    /// Bytes allowed; `None`: as many as the store holds.
    pub quota: Option<u64>,
}

impl Usage {
    /// Counts one blob more.
    ///
    /// # Errors
    /// When the quota does not hold it.
    pub fn take(&mut self, size: u64) -> Result<(), BlobRefused> {
        let sum = self.bytes.saturating_add(size);
        if let Some(quota) = self.quota.filter(|quota| sum > *quota) {
            return Err(BlobRefused::OverQuota { used: self.bytes, quota, more: size });
        }
        (self.bytes, self.blobs) = (sum, self.blobs.saturating_add(1));
        Ok(())
    }

    /// Counts one blob less.
    pub const fn give_back(&mut self, size: u64) {
        (self.bytes, self.blobs) = (self.bytes.saturating_sub(size), self.blobs.saturating_sub(1));
    }

    /// Its bytes: both counts, then the quota or nothing.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(32);
        out.u8(1);
        out.u64(self.bytes);
        out.u64(self.blobs);
        if let Some(quota) = self.quota {
            out.u64(quota);
        }
        out.finish()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "a log's use of blobs";
        let mut input = version(bytes, WHAT)?;
        let (bytes, blobs) = (input.u64(WHAT)?, input.u64(WHAT)?);
        let quota = (input.remaining() > 0).then(|| input.u64(WHAT)).transpose()?;
        input.finish()?;
        Ok(Self { bytes, blobs, quota })
    }
}

impl BlobRecord {
    /// A blob that somebody will send by the end of a lease.
    ///
    /// # Errors
    /// When it is too large, or the quota does not hold it.
    pub fn promise(blob: BlobId, size: u64, usage: &mut Usage, now: Timestamp) -> Result<Self, BlobRefused> {
        if size > limits::BLOB_BYTES_MAX {
            return Err(BlobRefused::TooLarge(size));
        }
        usage.take(size)?;
        let leased_until = now.plus_ms(limits::BLOB_LEASE_MS);
        Ok(Self { blob, size, pack: false, state: BlobState::Promised, references: 0, leased_until, listed: None })
    }

    /// A pack whose bytes are there.
    #[must_use]
    pub fn pack(blob: BlobId, size: u64, now: Timestamp) -> Self {
        let leased_until = now.plus_ms(limits::BLOB_LEASE_MS);
        Self { blob, size, pack: true, state: BlobState::Stored(Place::Own), references: 0, leased_until, listed: None }
    }

    /// Bytes that were found without a record: somebody died between putting them there and saying so. Nobody needs them
    /// as far as is known, and the sweep takes them if that is so.
    #[must_use]
    pub fn found(blob: BlobId, size: u64, usage: &mut Usage, now: Timestamp) -> Self {
        (usage.bytes, usage.blobs) = (usage.bytes.saturating_add(size), usage.blobs.saturating_add(1));
        let leased_until = now.plus_ms(limits::BLOB_LEASE_MS);
        Self { blob, size, pack: false, state: BlobState::Promised, references: 0, leased_until, listed: None }
    }

    /// The record without its bytes in the count.
    pub const fn uncount(&self, usage: &mut Usage) {
        if !self.pack {
            usage.give_back(self.size);
        }
    }

    /// Whether this is the record of that blob.
    ///
    /// # Errors
    /// When it is another's, or of other bytes.
    pub fn is_of(&self, blob: BlobId, size: u64) -> Result<(), BlobRefused> {
        if self.blob != blob {
            return Err(BlobRefused::NameTaken(blob));
        }
        if self.pack {
            return Err(BlobRefused::NameTaken(blob));
        }
        if self.size != size {
            return Err(BlobRefused::Size { blob, known: self.size, said: size });
        }
        Ok(())
    }

    /// Leases it, and says what is to be done.
    pub fn lease(&mut self, now: Timestamp) -> Need {
        let need = match self.state {
            BlobState::Going(..) => return Need::Later,
            BlobState::Promised => Need::Send,
            BlobState::Stored(_) => Need::Have,
            BlobState::Doomed(place, _) => {
                self.state = BlobState::Stored(place);
                Need::Have
            }
        };
        self.leased_until = self.leased_until.max(now.plus_ms(limits::BLOB_LEASE_MS));
        need
    }

    /// Its bytes are there. Whether they count: bytes that were there already lie where they lay.
    pub fn settle(&mut self, place: Place, now: Timestamp) -> bool {
        let fresh = self.state == BlobState::Promised;
        if fresh {
            self.state = BlobState::Stored(place);
        }
        self.lease(now);
        fresh
    }

    /// Where its bytes can be read.
    #[must_use]
    pub const fn readable(&self) -> Option<Place> {
        match self.state {
            BlobState::Stored(place) | BlobState::Doomed(place, _) => Some(place),
            BlobState::Promised | BlobState::Going(..) => None,
        }
    }

    /// Adds references; `false`, and nothing is changed, when its bytes are not there.
    pub fn refer(&mut self, more: u64) -> bool {
        match self.state {
            BlobState::Promised | BlobState::Going(..) => return false,
            BlobState::Doomed(place, _) => self.state = BlobState::Stored(place),
            BlobState::Stored(_) => {}
        }
        self.references = self.references.saturating_add(more);
        true
    }

    /// Takes references away.
    pub const fn release(&mut self, less: u64) {
        self.references = self.references.saturating_sub(less);
    }

    /// What the sweep does with it now.
    #[must_use]
    pub fn swept(&self, now: Timestamp) -> Swept {
        let counted = self.listed.filter(|listed| listed.counted > 0);
        if self.references == 0 && counted.is_some_and(|listed| listed.judged == Judged::Wrong) {
            return Swept::Releases;
        }
        if self.references > 0 || self.leased_until >= now {
            return Swept::Kept;
        }
        let waited = |since: Timestamp, ms: u64| since.plus_ms(ms) < now;
        match self.state {
            // Its bytes may have come all the same, just before whoever took them died.
            BlobState::Promised => Swept::Moved(BlobState::Going(Place::Own, now)),
            BlobState::Stored(place) => Swept::Moved(BlobState::Doomed(place, now)),
            BlobState::Doomed(_, since) if counted.is_some() && waited(since, limits::BLOB_GRACE_MS) => Swept::Releases,
            BlobState::Doomed(place, since) if waited(since, limits::BLOB_GRACE_MS) => {
                Swept::Moved(BlobState::Going(place, now))
            }
            // Whoever was deleting it died before it said so; deleting twice does no harm.
            BlobState::Going(place, since) if waited(since, limits::BLOB_DELETE_MS) => {
                Swept::Moved(BlobState::Going(place, now))
            }
            BlobState::Doomed(..) | BlobState::Going(..) => Swept::Kept,
        }
    }

    /// Its bytes:
    ///
    /// ```text
    /// version     1 byte, 1
    /// blob        32 bytes
    /// size        varint
    /// pack        1 byte, 0 or 1
    /// state       1 byte: 0 promised, 1 stored, 2 doomed, 3 going; then, but for 0, the place:
    ///             0 own, 1 packed with the pack's 32 bytes and the varint offset; then, for 2 and 3, varint ms
    /// references  varint
    /// leased      varint ms
    /// listed      nothing, or of a manifest: file 32 bytes, its bytes, pieces and counted varints,
    ///             judged 1 byte: 0 not yet, 1 later, 2 right, 3 wrong
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(160);
        out.u8(1);
        out.fixed(self.blob.as_bytes());
        out.u64(self.size);
        out.u8(u8::from(self.pack));
        let (tag, place, since) = match self.state {
            BlobState::Promised => (0, None, None),
            BlobState::Stored(place) => (1, Some(place), None),
            BlobState::Doomed(place, since) => (2, Some(place), Some(since)),
            BlobState::Going(place, since) => (3, Some(place), Some(since)),
        };
        out.u8(tag);
        match place {
            None => {}
            Some(Place::Own) => out.u8(0),
            Some(Place::Packed { pack, offset }) => {
                out.u8(1);
                out.fixed(pack.as_bytes());
                out.u64(offset);
            }
        }
        if let Some(since) = since {
            out.u64(since.ms());
        }
        out.u64(self.references);
        out.u64(self.leased_until.ms());
        if let Some(listed) = &self.listed {
            listed.write(&mut out);
        }
        out.finish()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "a blob's record";
        let mut input = version(bytes, WHAT)?;
        let blob = Digest::from_bytes(input.fixed(WHAT)?);
        let size = input.u64(WHAT)?;
        let pack = match input.u8(WHAT)? {
            tag @ (0 | 1) => tag == 1,
            _ => return Err(DecodeError::NotCanonical(WHAT)),
        };
        let tag = input.u8(WHAT)?;
        let state = match tag {
            0 => BlobState::Promised,
            1 => BlobState::Stored(place(&mut input)?),
            2 => BlobState::Doomed(place(&mut input)?, time(&mut input)?),
            3 => BlobState::Going(place(&mut input)?, time(&mut input)?),
            _ => return Err(DecodeError::Unknown { what: WHAT, value: tag.into() }),
        };
        let references = input.u64(WHAT)?;
        let leased_until = time(&mut input)?;
        let listed = (input.remaining() > 0).then(|| Listed::read(&mut input)).transpose()?;
        input.finish()?;
        Ok(Self { blob, size, pack, state, references, leased_until, listed })
    }
}

/// What the sweep does with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the sweep carries out each")]
pub enum Swept {
    /// Nothing.
    Kept,
    /// It is one step nearer to its end; its bytes go once it is [`BlobState::Going`].
    Moved(BlobState),
    /// It is a manifest, and refers to pieces that have to be released first.
    Releases,
}

fn version(bytes: Bytes, what: &'static str) -> Result<Reader, DecodeError> {
    let mut input = Reader::new(bytes);
    match input.u8(what)? {
        1 => Ok(input),
        value => Err(DecodeError::Unknown { what, value: value.into() }),
    }
}

fn place(input: &mut Reader) -> Result<Place, DecodeError> {
    const WHAT: &str = "a blob's place";
    match input.u8(WHAT)? {
        0 => Ok(Place::Own),
        1 => Ok(Place::Packed { pack: Digest::from_bytes(input.fixed(WHAT)?), offset: input.u64(WHAT)? }),
        value => Err(DecodeError::Unknown { what: WHAT, value: value.into() }),
    }
}

fn time(input: &mut Reader) -> Result<Timestamp, DecodeError> {
    const WHAT: &str = "a time";
    Timestamp::from_ms(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))
}
