//! Where bytes live, named by their SHA-256. The trait is fixed here; its adapters come with the blob half.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use crate::id::BucketId;

pub use crate::digest::BlobId;

/// One blob of one bucket. Buckets never share blobs: sharing would tell one tenant what another has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a key is its parts")]
pub struct BlobKey {
    /// Whose.
    pub bucket: BucketId,
    /// Which.
    pub blob: BlobId,
}

/// Part of a blob: `start` inclusive, `end` exclusive, `None` to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "a range is its ends")]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: Option<u64>,
}

/// What is known of a blob without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct BlobStat {
    /// Which blob.
    pub blob: BlobId,
    /// Its size in bytes.
    pub size: u64,
}

/// What a put found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutOutcome {
    /// The bytes are stored now.
    Stored,
    /// They were there already.
    Present,
}

/// Why a blob operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// No such blob.
    #[error("no such blob")]
    NotFound,
    /// The bytes are not the ones announced.
    #[error("the bytes hash to {actual}, announced was {expected}")]
    Mismatch {
        /// The id announced.
        expected: BlobId,
        /// The id of what came.
        actual: BlobId,
    },
    /// More bytes than announced or allowed.
    #[error("the blob has {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// Bytes given.
        size: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// The backend failed.
    #[error("the blob store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A pulled stream of chunks.
#[async_trait]
pub trait BlobSource: Send {
    /// The next chunk, `None` at the end.
    ///
    /// # Errors
    /// When the bytes cannot be had.
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError>;
}

/// Where blobs live.
#[async_trait]
pub trait BlobStore: Debug + Send + Sync + 'static {
    /// A short name for errors and metrics.
    fn name(&self) -> &'static str;

    /// Stores a blob: visible only when complete and when its bytes hash to `key.blob`. Putting what is there is success.
    ///
    /// # Errors
    /// [`BlobError::Mismatch`] or [`BlobError::TooLarge`] when the bytes are not the ones announced.
    async fn put(&self, key: BlobKey, size: u64, body: &mut dyn BlobSource) -> Result<PutOutcome, BlobError>;

    /// Reads a blob or a part of it.
    ///
    /// # Errors
    /// [`BlobError::NotFound`].
    async fn open(&self, key: BlobKey, range: ByteRange) -> Result<Box<dyn BlobSource>, BlobError>;

    /// What is known of a blob; `None` when it is not there.
    ///
    /// # Errors
    /// When the backend fails.
    async fn stat(&self, key: BlobKey) -> Result<Option<BlobStat>, BlobError>;

    /// Deletes blobs; absent ones are no error. Only the sweep calls this. Returns how many there were.
    ///
    /// # Errors
    /// When the backend fails.
    async fn delete(&self, keys: &[BlobKey]) -> Result<u32, BlobError>;

    /// The blobs of a bucket in id order, after one id.
    ///
    /// # Errors
    /// When the backend fails.
    async fn list(&self, bucket: BucketId, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobStat>, BlobError>;
}
