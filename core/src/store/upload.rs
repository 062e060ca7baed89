//! An upload on its way to be a blob: what is said of it, and what an adapter keeps beside its bytes.
//!
//! What must hold: a mark is written after the bytes it speaks of are durable, so that whoever reads it goes on from
//! there without reading them again: it carries the state of the hash.
//!
//! Next: [`BlobStore::append`](super::BlobStore::append).

use crate::digest::{Digest, Hasher};
use crate::id::{BucketId, UploadId};
use crate::time::Timestamp;

/// One upload of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a key is its parts")]
pub struct UploadKey {
    /// Whose.
    pub bucket: BucketId,
    /// Which.
    pub upload: UploadId,
}

/// Where and when bytes are appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers say all of it")]
pub struct Append {
    /// Where the upload is thought to go on, in bytes.
    pub offset: u64,
    /// Bytes the whole upload may reach.
    pub size_max: u64,
    /// When; what [`UploadStat::touched`] says later.
    pub now: Timestamp,
}

/// What is known of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct UploadStat {
    /// Which upload.
    pub upload: UploadId,
    /// Bytes taken so far: where it goes on.
    pub size: u64,
    /// When bytes were last appended, by the clock of who appended them.
    pub touched: Timestamp,
}

/// How far an upload is, with the hash of everything so far.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct UploadMark {
    /// Bytes taken so far.
    pub size: u64,
    /// When bytes were last appended.
    pub touched: Timestamp,
    /// Over everything taken.
    pub hasher: Hasher,
}

const MAGIC: &[u8; 8] = b"upload 1";
const SUM_BYTES: usize = 32;

impl UploadMark {
    /// Bytes of a mark: room for the hash of a later version, too.
    pub const BYTES: usize = 256;

    /// Of an upload without bytes.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { size: 0, touched: now, hasher: Hasher::new() }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8], now: Timestamp) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.touched = now;
    }

    /// As it is kept: [`UploadMark::BYTES`] bytes with a checksum of their own.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let state = self.hasher.save();
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(&self.touched.ms().to_be_bytes());
        bytes.push(u8::try_from(state.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(&state);
        bytes.resize(Self::BYTES - SUM_BYTES, 0);
        let sum = Digest::of(&[&bytes]);
        bytes.extend_from_slice(sum.as_bytes());
        bytes
    }

    /// `None` when these are not the bytes of a mark. An upload without one that reads begins anew: its bytes are still
    /// where they come from.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (said, sum) = bytes.split_at_checked(Self::BYTES - SUM_BYTES)?;
        if Digest::of(&[said]).as_bytes() != sum {
            return None;
        }
        let rest = said.strip_prefix(MAGIC)?;
        let (size, rest) = rest.split_first_chunk()?;
        let (touched, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first()?;
        Some(Self {
            size: u64::from_be_bytes(*size),
            touched: Timestamp::from_ms(u64::from_be_bytes(*touched))?,
            hasher: Hasher::restore(rest.get(..usize::from(*len))?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_is_read_back_goes_on_hashing() {
        let now = Timestamp::from_ms(7).unwrap();
        let content: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        for cut in [0, 1, 63, 64, 65, 999, 1_000] {
            let mut mark = UploadMark::new(now);
            mark.take(&content[..cut], now);
            let bytes = mark.to_bytes();
            assert_eq!(bytes.len(), UploadMark::BYTES);
            let mut mark = UploadMark::from_bytes(&bytes).unwrap();
            assert_eq!((mark.size, mark.touched), (cut as u64, now));
            mark.take(&content[cut..], now);
            assert_eq!(mark.hasher.finish(), Digest::of(&[&content]));
        }
    }

    /// Uploads begin anew when this form changes, so it does not change unnoticed.
    #[test]
    fn a_mark_has_the_form_it_always_had() {
        let mut mark = UploadMark::new(Timestamp::from_ms(7).unwrap());
        mark.take(b"hello", Timestamp::from_ms(8).unwrap());
        let sum = Digest::of(&[&mark.to_bytes()]).to_string();
        assert_eq!(sum, "eb0c8b8f456277e8fee5465e8baf740f434b5e57864b253a6a52cc5ba9aa1098");
    }

    #[test]
    fn rubbish_is_no_mark() {
        let good = UploadMark::new(Timestamp::from_ms(7).unwrap()).to_bytes();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(UploadMark::from_bytes(&bad).is_none(), "a flipped bit at {at}");
        }
        for len in 0..good.len() {
            assert!(UploadMark::from_bytes(&good[..len]).is_none(), "cut to {len}");
        }
        assert!(UploadMark::from_bytes(&[good, vec![0]].concat()).is_none(), "one byte more");
    }
}
