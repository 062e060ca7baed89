//! Where bytes live, named by their SHA-256.
//!
//! What must hold: a blob is visible only when it is whole and hashes to its name, and once a put or finish has said so
//! it survives a crash; a whole read that does not hash to its name ends with an error; whatever fails may be repeated.
//! Several servers may use one backend at once.
//!
//! Small chunks are packed above this trait, so an adapter has no packs and no call for many blobs at once: what would
//! gain by it is one blob here.
//!
//! Next: [`UploadMark`](super::UploadMark) and [`Announced`](super::Announced) for what adapters share,
//! [`MemoryBlobs`](super::MemoryBlobs) for the executable specification.

use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::id::{BucketId, UploadId};

use super::upload::{Append, UploadKey, UploadStat};

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

impl ByteRange {
    /// The bytes meant, of a blob of `size` bytes: held inside it, empty where it begins past its end.
    #[must_use]
    pub fn within(self, size: u64) -> Range<u64> {
        let end = self.end.map_or(size, |end| end.min(size));
        self.start.min(end)..end
    }
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
    /// No such blob, or no such upload.
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
    /// Fewer bytes than announced.
    #[error("{size} bytes came, announced were {announced}")]
    TooShort {
        /// Bytes that came.
        size: u64,
        /// Bytes announced.
        announced: u64,
    },
    /// The upload does not go on there. Nothing was changed by the bytes that came after `at`.
    #[error("the upload goes on at byte {at}")]
    WrongOffset {
        /// Where it goes on.
        at: u64,
    },
    /// What is stored under this name are other bytes: a damaged disk, or somebody's hand.
    #[error("the stored bytes of blob {blob} are damaged")]
    Corrupt {
        /// Which blob.
        blob: BlobId,
    },
    /// No room: the disk or the quota is used up. Nothing of this blob is visible; others are as they were.
    #[error("the blob store is full: {0}")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The backend does not let us: permissions or credentials. Somebody has to mend it.
    #[error("the blob store refuses access: {0}")]
    Denied(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The backend failed, or where the bytes come from. Whether a put, finish or delete took effect is not known; each
    /// may be repeated. After an append, [`BlobStore::uploaded`] says how far it came.
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

    /// Stores a blob: visible only when complete and when its bytes hash to `key.blob`. Putting what is there is success,
    /// and its bytes are verified all the same: who says a name must have the bytes. Dropping the future leaves nothing
    /// visible, or the whole blob.
    ///
    /// # Errors
    /// [`BlobError::Mismatch`], [`BlobError::TooLarge`] or [`BlobError::TooShort`] when the bytes are not the ones
    /// announced; [`BlobError::Full`]; what `body` failed with; [`BlobError::Denied`] and [`BlobError::Unavailable`]. After
    /// any of them nothing is visible that was not before, save after `Unavailable`: then perhaps the whole blob.
    async fn put(&self, key: BlobKey, size: u64, body: &mut dyn BlobSource) -> Result<PutOutcome, BlobError>;

    /// Reads a blob or a part of it; a part that reaches past its end is held inside it.
    ///
    /// A whole read is verified: its source does not give the last bytes unless all hash to `key.blob`. A part cannot be,
    /// beyond its length: its reader holds it against a manifest, or reads blobs of the size it needs.
    ///
    /// # Errors
    /// [`BlobError::NotFound`]; [`BlobError::Denied`] and [`BlobError::Unavailable`]. The source ends with
    /// [`BlobError::Corrupt`] when the bytes are not the blob's.
    async fn open(&self, key: BlobKey, range: ByteRange) -> Result<Box<dyn BlobSource>, BlobError>;

    /// What is known of a blob; `None` when it is not there.
    ///
    /// # Errors
    /// [`BlobError::Denied`] and [`BlobError::Unavailable`].
    async fn stat(&self, key: BlobKey) -> Result<Option<BlobStat>, BlobError>;

    /// Deletes blobs; absent ones are no error. Only the sweep calls this. Returns how many there were.
    ///
    /// # Errors
    /// [`BlobError::Denied`] and [`BlobError::Unavailable`]; some of them may be gone.
    async fn delete(&self, keys: &[BlobKey]) -> Result<u32, BlobError>;

    /// The blobs of a bucket in id order, after one id.
    ///
    /// # Errors
    /// [`BlobError::Denied`] and [`BlobError::Unavailable`].
    async fn list(&self, bucket: BucketId, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobStat>, BlobError>;

    /// Takes more of an upload and says how far it is; at offset 0 begins it when it is not there. What it said is kept
    /// survives a crash, and any server on the backend goes on from there.
    ///
    /// Bytes are taken while they come: when `body` fails, or the future is dropped, what was kept until then stays, and
    /// [`BlobStore::uploaded`] says how much that is. Of two appends at one offset one is taken.
    ///
    /// # Errors
    /// [`BlobError::WrongOffset`] when it does not go on at `append.offset`, also when another append came between;
    /// [`BlobError::TooLarge`] when it would grow past `append.size_max`, without the piece that would do so;
    /// [`BlobError::Full`]; what `body` failed with; [`BlobError::Denied`] and [`BlobError::Unavailable`].
    async fn append(&self, upload: UploadKey, append: Append, body: &mut dyn BlobSource) -> Result<u64, BlobError>;

    /// How far an upload is; `None` when it is not there.
    ///
    /// # Errors
    /// [`BlobError::Denied`] and [`BlobError::Unavailable`].
    async fn uploaded(&self, upload: UploadKey) -> Result<Option<UploadStat>, BlobError>;

    /// Makes an upload a blob of the same bucket; the upload is gone then.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] when there is no such upload, also when it was finished before: this says nothing about the
    /// blob, so that nobody gets one by its name. [`BlobError::TooShort`] when more is to come: the upload stays.
    /// [`BlobError::TooLarge`] and [`BlobError::Mismatch`] discard it, as does [`BlobError::Corrupt`]: what was stored on
    /// the way is damaged, and has to be sent again. [`BlobError::Full`], [`BlobError::Denied`] and
    /// [`BlobError::Unavailable`] leave it as it was, or finished.
    async fn finish(&self, upload: UploadId, key: BlobKey, size: u64) -> Result<PutOutcome, BlobError>;

    /// Drops uploads; absent ones are no error. Returns how many there were.
    ///
    /// # Errors
    /// [`BlobError::Denied`] and [`BlobError::Unavailable`]; some of them may be gone.
    async fn discard(&self, uploads: &[UploadKey]) -> Result<u32, BlobError>;

    /// The uploads of a bucket in id order, after one id: the sweep finds those that nobody continues.
    ///
    /// # Errors
    /// [`BlobError::Denied`] and [`BlobError::Unavailable`].
    async fn uploads(
        &self,
        bucket: BucketId,
        after: Option<UploadId>,
        limit: usize,
    ) -> Result<Vec<UploadStat>, BlobError>;
}
