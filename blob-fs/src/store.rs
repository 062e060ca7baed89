//! The trait, method by method.

use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use syncline::id::{BucketId, UploadId};
use syncline::store::{
    Append, BlobError, BlobId, BlobKey, BlobSource, BlobStat, BlobStore, ByteRange, PutOutcome, UploadKey, UploadStat,
};

use crate::disk::work;
use crate::error::present;
use crate::{FsBlobs, list, put, read, upload};

#[async_trait]
impl BlobStore for FsBlobs {
    fn name(&self) -> &'static str {
        "fs"
    }

    async fn put(&self, key: BlobKey, size: u64, body: &mut dyn BlobSource) -> Result<PutOutcome, BlobError> {
        put::put(&self.inner, key, size, body).await
    }

    async fn open(&self, key: BlobKey, range: ByteRange) -> Result<Box<dyn BlobSource>, BlobError> {
        read::open(&self.inner, key, range).await
    }

    async fn stat(&self, key: BlobKey) -> Result<Option<BlobStat>, BlobError> {
        let path = self.inner.layout.blob(key);
        let found = work(move || present(fs::metadata(path))).await?;
        Ok(found.map(|found| BlobStat { blob: key.blob, size: found.len() }))
    }

    /// Not synced: a blob that comes back after a crash is swept again.
    async fn delete(&self, keys: &[BlobKey]) -> Result<u32, BlobError> {
        let paths: Vec<_> = keys.iter().map(|key| self.inner.layout.blob(*key)).collect();
        work(move || {
            let mut gone = 0;
            for path in paths {
                gone += u32::from(present(fs::remove_file(path))?.is_some());
            }
            Ok(gone)
        })
        .await
    }

    async fn list(&self, bucket: BucketId, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobStat>, BlobError> {
        let inner = Arc::clone(&self.inner);
        work(move || list::blobs(&inner.layout, bucket, after, limit)).await
    }

    async fn append(&self, upload: UploadKey, append: Append, body: &mut dyn BlobSource) -> Result<u64, BlobError> {
        upload::append(&self.inner, upload, append, body).await
    }

    async fn uploaded(&self, upload: UploadKey) -> Result<Option<UploadStat>, BlobError> {
        upload::stat(&self.inner, upload).await
    }

    async fn finish(&self, upload: UploadId, key: BlobKey, size: u64) -> Result<PutOutcome, BlobError> {
        let inner = Arc::clone(&self.inner);
        work(move || upload::finish(&inner, UploadKey { bucket: key.bucket, upload }, key, size)).await
    }

    async fn discard(&self, uploads: &[UploadKey]) -> Result<u32, BlobError> {
        let (inner, uploads) = (Arc::clone(&self.inner), uploads.to_vec());
        work(move || {
            let mut gone = 0;
            for upload in uploads {
                gone += u32::from(upload::discard(&inner, upload)?);
            }
            Ok(gone)
        })
        .await
    }

    async fn uploads(
        &self,
        bucket: BucketId,
        after: Option<UploadId>,
        limit: usize,
    ) -> Result<Vec<UploadStat>, BlobError> {
        let inner = Arc::clone(&self.inner);
        work(move || upload::list(&inner, bucket, after, limit)).await
    }
}
