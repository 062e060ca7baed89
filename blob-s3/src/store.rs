//! The trait, method by method.

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::ObjectStore as _;
use syncline::id::{BucketId, UploadId};
use syncline::store::{
    Append, BlobError, BlobId, BlobKey, BlobSource, BlobStat, BlobStore, ByteRange, PutOutcome, UploadKey, UploadStat,
};

use crate::S3Blobs;
use crate::error::from_s3;
use crate::layout::blob_of;

/// Questions on their way at once, of a sweep.
const ASKED_AT_ONCE: usize = 16;

#[async_trait]
impl BlobStore for S3Blobs {
    fn name(&self) -> &'static str {
        "s3"
    }

    async fn put(&self, key: BlobKey, size: u64, body: &mut dyn BlobSource) -> Result<PutOutcome, BlobError> {
        self.inner.put(key, size, body).await
    }

    async fn open(&self, key: BlobKey, range: ByteRange) -> Result<Box<dyn BlobSource>, BlobError> {
        self.inner.open(key, range).await
    }

    async fn stat(&self, key: BlobKey) -> Result<Option<BlobStat>, BlobError> {
        let size = self.inner.size(&self.inner.layout.blob(key)).await?;
        Ok(size.map(|size| BlobStat { blob: key.blob, size }))
    }

    /// The service does not say what there was, so each is asked for.
    async fn delete(&self, keys: &[BlobKey]) -> Result<u32, BlobError> {
        let inner = &self.inner;
        let asked: Vec<_> = keys
            .iter()
            .map(|key| async move {
                let path = inner.layout.blob(*key);
                Ok::<_, BlobError>(inner.size(&path).await?.map(|_| path))
            })
            .collect();
        let there: Vec<_> = stream::iter(asked)
            .buffer_unordered(ASKED_AT_ONCE)
            .try_filter_map(async |path| Ok(path))
            .try_collect()
            .await?;
        let count = u32::try_from(there.len()).unwrap_or(u32::MAX);
        inner.delete_all(there).await?;
        Ok(count)
    }

    async fn list(&self, bucket: BucketId, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobStat>, BlobError> {
        let folder = self.inner.layout.blobs(bucket);
        let mut listed = match after {
            None => self.inner.s3.list(Some(&folder)),
            Some(blob) => {
                self.inner.s3.list_with_offset(Some(&folder), &self.inner.layout.blob(BlobKey { bucket, blob }))
            }
        };
        let mut blobs = Vec::new();
        while blobs.len() < limit
            && let Some(object) = listed.try_next().await.map_err(from_s3)?
        {
            let Some(blob) = blob_of(&object.location) else { continue };
            if after.is_none_or(|after| blob > after) {
                blobs.push(BlobStat { blob, size: object.size });
            }
        }
        Ok(blobs)
    }

    async fn append(&self, upload: UploadKey, append: Append, body: &mut dyn BlobSource) -> Result<u64, BlobError> {
        self.inner.append(upload, append, body).await
    }

    async fn uploaded(&self, upload: UploadKey) -> Result<Option<UploadStat>, BlobError> {
        self.inner.uploaded(upload).await
    }

    async fn finish(&self, upload: UploadId, key: BlobKey, size: u64) -> Result<PutOutcome, BlobError> {
        self.inner.finish(UploadKey { bucket: key.bucket, upload }, key, size).await
    }

    async fn discard(&self, uploads: &[UploadKey]) -> Result<u32, BlobError> {
        let mut gone = 0;
        for upload in uploads {
            gone += u32::from(self.inner.remove(*upload).await?);
        }
        Ok(gone)
    }

    async fn uploads(
        &self,
        bucket: BucketId,
        after: Option<UploadId>,
        limit: usize,
    ) -> Result<Vec<UploadStat>, BlobError> {
        self.inner.uploads(bucket, after, limit).await
    }
}
