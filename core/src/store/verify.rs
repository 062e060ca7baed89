//! Own hash as the only truth, on the way in and on the way out.
//!
//! What must hold: who has been given all bytes of a blob by [`Verified`] has been given the right ones; what
//! [`Announced`] lets through has the size and the hash that were announced.

use async_trait::async_trait;
use bytes::Bytes;

use super::blob::{BlobError, BlobId, BlobSource};
use crate::digest::Hasher;

/// A blob on its way in: counts and hashes what comes.
#[derive(Debug, Clone)]
pub struct Announced {
    blob: BlobId,
    size: u64,
    taken: u64,
    hasher: Hasher,
}

impl Announced {
    /// What is to come.
    #[must_use]
    pub fn new(blob: BlobId, size: u64) -> Self {
        Self { blob, size, taken: 0, hasher: Hasher::new() }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] as soon as more came than announced.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        if self.taken > self.size {
            return Err(BlobError::TooLarge { size: self.taken, max: self.size });
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Whether all bytes came that were announced.
    #[must_use]
    pub const fn complete(&self) -> bool {
        self.taken == self.size
    }

    /// Judges what came.
    ///
    /// # Errors
    /// [`BlobError::TooShort`], [`BlobError::Mismatch`].
    pub fn finish(self) -> Result<(), BlobError> {
        if !self.complete() {
            return Err(BlobError::TooShort { size: self.taken, announced: self.size });
        }
        let actual = self.hasher.finish();
        if actual == self.blob { Ok(()) } else { Err(BlobError::Mismatch { expected: self.blob, actual }) }
    }
}

/// A blob, or a part of one, on its way out.
#[derive(Debug)]
pub struct Verified<S> {
    inner: S,
    blob: BlobId,
    left: u64,
    hasher: Option<Hasher>,
    damaged: bool,
}

impl<S> Verified<S> {
    /// A whole blob of `size` bytes.
    #[must_use]
    pub fn whole(inner: S, blob: BlobId, size: u64) -> Self {
        Self { inner, blob, left: size, hasher: Some(Hasher::new()), damaged: false }
    }

    /// A part of a blob that has `size` bytes: only their number is held against it.
    #[must_use]
    pub const fn part(inner: S, blob: BlobId, size: u64) -> Self {
        Self { inner, blob, left: size, hasher: None, damaged: false }
    }

    fn accepts(&mut self, bytes: &[u8]) -> bool {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else { return false };
        self.left = left;
        let Some(hasher) = &mut self.hasher else { return true };
        hasher.update(bytes);
        left > 0 || self.fits()
    }

    /// Whether everything came, and hashes to the name where that can be said.
    fn fits(&mut self) -> bool {
        self.left == 0 && self.hasher.take().is_none_or(|hasher| hasher.finish() == self.blob)
    }
}

#[async_trait]
impl<S: BlobSource> BlobSource for Verified<S> {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        if !self.damaged {
            match self.inner.next().await? {
                Some(bytes) if self.accepts(&bytes) => return Ok(Some(bytes)),
                None if self.fits() => return Ok(None),
                _ => self.damaged = true,
            }
        }
        Err(BlobError::Corrupt { blob: self.blob })
    }
}

#[async_trait]
impl BlobSource for Box<dyn BlobSource> {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        (**self).next().await
    }
}
