//! The executable specification of a [`BlobStore`]: bytes in maps, verified as they pass.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::blob::{BlobError, BlobId, BlobKey, BlobSource, BlobStat, BlobStore, ByteRange, PutOutcome};
use crate::digest::Digest;
use crate::id::BucketId;

/// Blobs in memory.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    blobs: Mutex<BTreeMap<BlobKey, Bytes>>,
}

/// One chunk, then the end.
#[derive(Debug)]
pub struct BytesSource(Option<Bytes>);

impl BytesSource {
    /// A source of these bytes.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self(Some(bytes))
    }
}

#[async_trait]
impl BlobSource for BytesSource {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        Ok(self.0.take())
    }
}

impl MemoryBlobs {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every write is one map operation, so a poisoned lock guards a whole map.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<BlobKey, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn put(&self, key: BlobKey, size: u64, body: &mut dyn BlobSource) -> Result<PutOutcome, BlobError> {
        let mut held = BytesMut::new();
        while let Some(chunk) = body.next().await? {
            held.extend_from_slice(&chunk);
            let given = held.len() as u64;
            if given > size {
                return Err(BlobError::TooLarge { size: given, max: size });
            }
        }
        let actual = Digest::of(&[&held]);
        if actual != key.blob || held.len() as u64 != size {
            return Err(BlobError::Mismatch { expected: key.blob, actual });
        }
        match self.lock().insert(key, held.freeze()) {
            None => Ok(PutOutcome::Stored),
            Some(_) => Ok(PutOutcome::Present),
        }
    }

    async fn open(&self, key: BlobKey, range: ByteRange) -> Result<Box<dyn BlobSource>, BlobError> {
        let bytes = self.lock().get(&key).cloned().ok_or(BlobError::NotFound)?;
        let end = range.end.map_or(bytes.len(), |end| usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len()));
        let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
        Ok(Box::new(BytesSource::new(bytes.slice(start..end))))
    }

    async fn stat(&self, key: BlobKey) -> Result<Option<BlobStat>, BlobError> {
        let stat = self.lock().get(&key).map(|bytes| BlobStat { blob: key.blob, size: bytes.len() as u64 });
        Ok(stat)
    }

    async fn delete(&self, keys: &[BlobKey]) -> Result<u32, BlobError> {
        let mut blobs = self.lock();
        let gone = keys.iter().filter(|key| blobs.remove(key).is_some()).count();
        Ok(u32::try_from(gone).unwrap_or(u32::MAX))
    }

    async fn list(&self, bucket: BucketId, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobStat>, BlobError> {
        let first = after.map_or_else(
            || Bound::Included(BlobKey { bucket, blob: Digest::from_bytes([0; 32]) }),
            |blob| Bound::Excluded(BlobKey { bucket, blob }),
        );
        let blobs = self.lock();
        let listed = blobs.range((first, Bound::Unbounded)).take_while(|(key, _)| key.bucket == bucket).take(limit);
        Ok(listed.map(|(key, bytes)| BlobStat { blob: key.blob, size: bytes.len() as u64 }).collect())
    }
}
