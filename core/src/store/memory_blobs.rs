//! The executable specification of a [`BlobStore`]: bytes in maps, verified as they pass.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::blob::{BlobError, BlobId, BlobKey, BlobSource, BlobStat, BlobStore, ByteRange, PutOutcome};
use super::upload::{Append, UploadKey, UploadStat};
use super::verify::{Announced, Verified};
use crate::digest::Digest;
use crate::id::{BucketId, UploadId};
use crate::time::Timestamp;

/// Blobs in memory.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    blobs: BTreeMap<BlobKey, Bytes>,
    uploads: BTreeMap<UploadKey, Upload>,
}

#[derive(Debug)]
struct Upload {
    bytes: BytesMut,
    touched: Timestamp,
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

    /// Every write is one map operation, so a poisoned lock guards whole maps.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one piece, if the upload goes on at `append.offset`. One lock, so another append is before it or after it.
    fn take(&self, upload: UploadKey, append: Append, piece: &[u8]) -> Result<u64, BlobError> {
        let mut held = self.lock();
        let at = held.uploads.get(&upload).map_or(0, |upload| upload.bytes.len() as u64);
        if at != append.offset {
            return Err(BlobError::WrongOffset { at });
        }
        let size = at.saturating_add(piece.len() as u64);
        if size > append.size_max {
            return Err(BlobError::TooLarge { size, max: append.size_max });
        }
        let begun = || Upload { bytes: BytesMut::new(), touched: append.now };
        let upload = held.uploads.entry(upload).or_insert_with(begun);
        upload.bytes.extend_from_slice(piece);
        upload.touched = append.now;
        Ok(size)
    }
}

impl Held {
    fn insert(&mut self, key: BlobKey, bytes: Bytes) -> PutOutcome {
        match self.blobs.insert(key, bytes) {
            None => PutOutcome::Stored,
            Some(_) => PutOutcome::Present,
        }
    }
}

fn judge(key: BlobKey, size: u64, bytes: &[u8]) -> Result<(), BlobError> {
    let mut announced = Announced::new(key.blob, size);
    announced.take(bytes)?;
    announced.finish()
}

fn stat_of(upload: &UploadKey, held: &Upload) -> UploadStat {
    UploadStat { upload: upload.upload, size: held.bytes.len() as u64, touched: held.touched }
}

/// How many of something there were.
fn count(counted: usize) -> u32 {
    u32::try_from(counted).unwrap_or(u32::MAX)
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn put(&self, key: BlobKey, size: u64, body: &mut dyn BlobSource) -> Result<PutOutcome, BlobError> {
        let mut announced = Announced::new(key.blob, size);
        let mut held = BytesMut::new();
        while let Some(chunk) = body.next().await? {
            announced.take(&chunk)?;
            held.extend_from_slice(&chunk);
        }
        announced.finish()?;
        Ok(self.lock().insert(key, held.freeze()))
    }

    async fn open(&self, key: BlobKey, range: ByteRange) -> Result<Box<dyn BlobSource>, BlobError> {
        let bytes = self.lock().blobs.get(&key).cloned().ok_or(BlobError::NotFound)?;
        let size = bytes.len() as u64;
        let Range { start, end } = range.within(size);
        let index = |at| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let part = BytesSource::new(bytes.slice(index(start)..index(end)));
        let whole = end - start == size;
        Ok(Box::new(if whole {
            Verified::whole(part, key.blob, size)
        } else {
            Verified::part(part, key.blob, end - start)
        }))
    }

    async fn stat(&self, key: BlobKey) -> Result<Option<BlobStat>, BlobError> {
        let stat = self.lock().blobs.get(&key).map(|bytes| BlobStat { blob: key.blob, size: bytes.len() as u64 });
        Ok(stat)
    }

    async fn delete(&self, keys: &[BlobKey]) -> Result<u32, BlobError> {
        let mut held = self.lock();
        Ok(count(keys.iter().filter(|key| held.blobs.remove(key).is_some()).count()))
    }

    async fn list(&self, bucket: BucketId, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobStat>, BlobError> {
        let first = after.map_or_else(
            || Bound::Included(BlobKey { bucket, blob: Digest::from_bytes([0; 32]) }),
            |blob| Bound::Excluded(BlobKey { bucket, blob }),
        );
        let held = self.lock();
        let listed =
            held.blobs.range((first, Bound::Unbounded)).take_while(|(key, _)| key.bucket == bucket).take(limit);
        Ok(listed.map(|(key, bytes)| BlobStat { blob: key.blob, size: bytes.len() as u64 }).collect())
    }

    async fn append(&self, upload: UploadKey, append: Append, body: &mut dyn BlobSource) -> Result<u64, BlobError> {
        // Also where no bytes come: this begins the upload, and checks the offset before anything is read.
        let mut offset = self.take(upload, append, &[])?;
        while let Some(piece) = body.next().await? {
            offset = self.take(upload, Append { offset, ..append }, &piece)?;
        }
        Ok(offset)
    }

    async fn uploaded(&self, upload: UploadKey) -> Result<Option<UploadStat>, BlobError> {
        Ok(self.lock().uploads.get(&upload).map(|held| stat_of(&upload, held)))
    }

    async fn finish(&self, upload: UploadId, key: BlobKey, size: u64) -> Result<PutOutcome, BlobError> {
        let upload = UploadKey { bucket: key.bucket, upload };
        let mut held = self.lock();
        let bytes = &held.uploads.get(&upload).ok_or(BlobError::NotFound)?.bytes;
        match judge(key, size, bytes) {
            Err(short @ BlobError::TooShort { .. }) => Err(short),
            judged => {
                let bytes = held.uploads.remove(&upload).map(|upload| upload.bytes.freeze()).unwrap_or_default();
                judged.map(|()| held.insert(key, bytes))
            }
        }
    }

    async fn discard(&self, uploads: &[UploadKey]) -> Result<u32, BlobError> {
        let mut held = self.lock();
        Ok(count(uploads.iter().filter(|upload| held.uploads.remove(upload).is_some()).count()))
    }

    async fn uploads(
        &self,
        bucket: BucketId,
        after: Option<UploadId>,
        limit: usize,
    ) -> Result<Vec<UploadStat>, BlobError> {
        let first = after.map_or_else(
            || Bound::Included(UploadKey { bucket, upload: UploadId::from_bytes([0; 16]) }),
            |upload| Bound::Excluded(UploadKey { bucket, upload }),
        );
        let held = self.lock();
        let listed = held.uploads.range((first, Bound::Unbounded)).take_while(|(key, _)| key.bucket == bucket);
        Ok(listed.take(limit).map(|(key, upload)| stat_of(key, upload)).collect())
    }
}
