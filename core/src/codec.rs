//! The canonical byte form shared by ops, heads, snapshots and the binary wire.
//!
//! Integers are LEB128 varints in their shortest form, byte strings are a varint length and the bytes, ids
//! and digests are their fixed bytes, lists are a varint count and the items. A reader refuses every other
//! spelling of the same value, so equal values have equal bytes and equal hashes.

use bytes::Bytes;

use crate::id::EntityId;

/// Why bytes are not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the bytes end inside {0}")]
    Truncated(&'static str),
    /// A value is not in its one canonical spelling, or out of its range.
    #[error("{0} is not in canonical form")]
    NotCanonical(&'static str),
    /// A tag or version this reader does not know.
    #[error("unknown {what}: {value}")]
    Unknown {
        /// What was being read.
        what: &'static str,
        /// The value found.
        value: u64,
    },
    /// Bytes follow the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

/// Builds canonical bytes.
#[derive(Debug, Clone, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// A writer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// One byte as it is.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// A varint.
    pub fn u64(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    /// A count or length as a varint.
    pub fn len(&mut self, value: usize) {
        self.u64(value as u64);
    }

    /// Bytes of a length both sides know.
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A length, then the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.fixed(bytes);
    }

    /// The bytes written so far, copied; the writer is empty afterwards and keeps its room.
    #[must_use]
    pub fn flush(&mut self) -> Bytes {
        let bytes = Bytes::copy_from_slice(&self.0);
        self.0.clear();
        bytes
    }

    /// The bytes written.
    #[must_use]
    pub fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }
}

/// Reads canonical bytes; byte strings come out as cheap slices of the input.
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    /// How far it has read; cutting the bytes instead would count references for every field.
    at: usize,
}

impl Reader {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.at).ok_or(DecodeError::Truncated(what))?;
        self.at += 1;
        Ok(byte)
    }

    /// A varint in its shortest form, at most `u64::MAX`.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let low = u64::from(byte & 0x7f);
            let last = byte & 0x80 == 0;
            let overflows = shift == 63 && low > 1;
            let padded = last && byte == 0 && shift > 0;
            if overflows || padded {
                return Err(DecodeError::NotCanonical(what));
            }
            value |= low << shift;
            if last {
                return Ok(value);
            }
        }
        Err(DecodeError::NotCanonical(what))
    }

    /// A count of items that take at least `item_bytes` each: refused when the rest cannot hold them, so that
    /// a hostile count allocates nothing.
    pub fn count(&mut self, item_bytes: usize, what: &'static str) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.u64(what)?).map_err(|_| DecodeError::Truncated(what))?;
        if count.saturating_mul(item_bytes.max(1)) > self.remaining() {
            return Err(DecodeError::Truncated(what));
        }
        Ok(count)
    }

    /// `N` bytes.
    pub fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let mut bytes = [0; N];
        let range = self.skip(N, what)?;
        bytes.copy_from_slice(&self.bytes[range]);
        Ok(bytes)
    }

    /// A length, then that many bytes.
    pub fn bytes(&mut self, what: &'static str) -> Result<Bytes, DecodeError> {
        let len = self.count(1, what)?;
        let range = self.skip(len, what)?;
        Ok(self.bytes.slice(range))
    }

    /// Skips `len` bytes; gives their place in what is read.
    pub fn place(&mut self, len: usize, what: &'static str) -> Result<std::ops::Range<usize>, DecodeError> {
        self.skip(len, what)
    }

    /// `len` bytes, whose number both sides know.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<Bytes, DecodeError> {
        let range = self.skip(len, what)?;
        Ok(self.bytes.slice(range))
    }

    /// An entity id.
    pub fn entity(&mut self) -> Result<EntityId, DecodeError> {
        self.fixed("an entity id").map(EntityId::from_bytes)
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Ends the value: anything left is an error.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    fn skip(&mut self, len: usize, what: &'static str) -> Result<std::ops::Range<usize>, DecodeError> {
        if len > self.remaining() {
            return Err(DecodeError::Truncated(what));
        }
        let from = self.at;
        self.at += len;
        Ok(from..self.at)
    }
}
