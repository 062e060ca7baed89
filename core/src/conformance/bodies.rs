//! Bodies for blobs: long ones whose pieces are counted while anybody holds them, failing ones, and ones that never end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;

use crate::digest::{Digest, Hasher};
use crate::id::{BucketId, UploadId};
use crate::store::{Append, BlobError, BlobKey, BlobSource, BlobStore, ByteRange, BytesSource, PutOutcome, UploadKey};
use crate::time::Timestamp;

/// Bytes that differ with `seed` and from block to block, `len` of them.
#[must_use]
pub fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Many pieces, one after the other, and how many bytes of them are held at once.
#[derive(Debug, Clone)]
pub struct Pieces {
    seed: u64,
    left: usize,
    piece: usize,
    held: Arc<Held>,
}

#[derive(Debug, Default)]
struct Held {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A piece, counted until it is dropped.
struct Piece {
    bytes: Vec<u8>,
    held: Arc<Held>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.held.now.fetch_sub(self.bytes.len(), Ordering::SeqCst);
    }
}

impl Pieces {
    /// `count` pieces of `piece` bytes.
    #[must_use]
    pub fn new(seed: u64, count: usize, piece: usize) -> Self {
        Self { seed, left: count, piece, held: Arc::default() }
    }

    /// The name of all of it.
    #[must_use]
    pub fn blob(&self) -> Digest {
        let mut hasher = Hasher::new();
        for at in 0..self.left {
            hasher.update(&content(self.seed + at as u64, self.piece));
        }
        hasher.finish()
    }

    /// Bytes still to come.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.left as u64 * self.piece as u64
    }

    /// The most bytes of it that were held at once.
    #[must_use]
    pub fn most_held(&self) -> usize {
        self.held.most.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl BlobSource for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let bytes = content(self.seed, self.piece);
        self.seed += 1;
        let now = self.held.now.fetch_add(bytes.len(), Ordering::SeqCst) + bytes.len();
        self.held.most.fetch_max(now, Ordering::SeqCst);
        Ok(Some(Bytes::from_owner(Piece { bytes, held: Arc::clone(&self.held) })))
    }
}

/// How a body goes on after its bytes.
#[derive(Debug, Clone)]
enum Rest {
    Fails,
    NeverComes(Arc<AtomicBool>),
}

/// Some bytes, and then no end.
#[derive(Debug)]
pub struct Broken {
    bytes: Option<Bytes>,
    rest: Rest,
}

impl Broken {
    /// Fails after these bytes.
    #[must_use]
    pub const fn after(bytes: Bytes) -> Self {
        Self { bytes: Some(bytes), rest: Rest::Fails }
    }

    /// Waits for ever after these bytes.
    #[must_use]
    pub fn stuck_after(bytes: Bytes) -> (Self, Stuck) {
        let flag = Arc::new(AtomicBool::new(false));
        (Self { bytes: Some(bytes), rest: Rest::NeverComes(Arc::clone(&flag)) }, Stuck(flag))
    }
}

#[async_trait]
impl BlobSource for Broken {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        match (self.bytes.take(), &self.rest) {
            (Some(bytes), _) => Ok(Some(bytes)),
            (None, Rest::Fails) => Err(BlobError::Unavailable("the source broke".into())),
            (None, Rest::NeverComes(flag)) => {
                flag.store(true, Ordering::SeqCst);
                std::future::pending().await
            }
        }
    }
}

/// Tells when a body waits for ever.
#[derive(Debug)]
pub struct Stuck(Arc<AtomicBool>);

impl Stuck {
    /// Runs `work` until its body is stuck, then drops it.
    pub async fn cancels<T>(&self, work: impl Future<Output = T> + Send) {
        let mut work = Box::pin(work);
        std::future::poll_fn(|context| {
            assert!(Pin::as_mut(&mut work).poll(context).is_pending(), "it ended without its bytes");
            if self.0.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// A bucket.
#[must_use]
pub const fn bucket(number: u8) -> BucketId {
    BucketId::from_bytes([number; 16])
}

/// These bytes in a bucket.
#[must_use]
pub fn key(number: u8, bytes: &[u8]) -> BlobKey {
    BlobKey { bucket: bucket(number), blob: Digest::of(&[bytes]) }
}

/// An upload in bucket 1.
#[must_use]
pub const fn upload(number: u8) -> UploadKey {
    UploadKey { bucket: bucket(1), upload: UploadId::from_bytes([number; 16]) }
}

/// One piece, then the end.
#[must_use]
pub fn body(bytes: &[u8]) -> BytesSource {
    BytesSource::new(Bytes::copy_from_slice(bytes))
}

/// Puts bytes under a key, announced as `size`.
///
/// # Errors
/// As the store says.
pub async fn put(store: &dyn BlobStore, key: BlobKey, size: u64, bytes: &[u8]) -> Result<PutOutcome, BlobError> {
    store.put(key, size, &mut body(bytes)).await
}

/// Appends bytes to an upload at a time, in milliseconds.
///
/// # Errors
/// As the store says.
pub async fn append(
    store: &dyn BlobStore,
    upload: UploadKey,
    offset: u64,
    now_ms: u64,
    bytes: &[u8],
) -> Result<u64, BlobError> {
    store.append(upload, at(offset, now_ms), &mut body(bytes)).await
}

/// An append without a bound.
///
/// # Panics
/// When the time cannot be said.
#[must_use]
pub fn at(offset: u64, now_ms: u64) -> Append {
    Append { offset, size_max: u64::MAX, now: Timestamp::from_ms(now_ms).expect("a time") }
}

/// Reads a source to its end.
///
/// # Errors
/// What it ended with.
pub async fn drain(mut source: Box<dyn BlobSource>) -> Result<Vec<u8>, BlobError> {
    let mut held = Vec::new();
    while let Some(chunk) = source.next().await? {
        held.extend_from_slice(&chunk);
    }
    Ok(held)
}

/// Reads a blob or a part of it.
///
/// # Errors
/// As the store says, or its source.
pub async fn read(store: &dyn BlobStore, key: BlobKey, range: ByteRange) -> Result<Vec<u8>, BlobError> {
    drain(store.open(key, range).await?).await
}
