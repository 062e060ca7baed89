//! Storing a blob: a small one by one conditional put, a large one in parts that become visible together.
//!
//! What must hold: nothing is put under a blob's name, and no parts are completed, before all bytes hashed to it. Putting
//! over a blob puts the very same bytes, so it harms nobody. A put whose answer was lost may be repeated.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore as _, ObjectStoreExt as _, PutMode, PutPayload};
use syncline::store::{Announced, BlobError, BlobKey, BlobSource, Gather, PutOutcome};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::Inner;
use crate::error::{from_s3, interrupted, present, taken};

/// Parts a multipart upload may have.
const PARTS_MAX: u64 = 10_000;
const MIB: u64 = 1 << 20;
/// How often a conditional put is repeated whose answer was lost.
const CREATES_MAX: u32 = 3;

/// Parts on their way. Dropped before it is completed, it is aborted.
struct Parts {
    upload: Option<Box<dyn MultipartUpload>>,
    sending: JoinSet<object_store::Result<()>>,
    at_once: usize,
}

impl Parts {
    /// Waits while `room` or more are on their way.
    async fn settle(&mut self, room: usize) -> Result<(), BlobError> {
        while self.sending.len() > room {
            match self.sending.join_next().await {
                Some(Ok(sent)) => sent.map_err(from_s3)?,
                Some(Err(error)) => return Err(BlobError::Unavailable(Box::new(error))),
                None => {}
            }
        }
        Ok(())
    }

    async fn send(&mut self, part: Vec<Bytes>) -> Result<(), BlobError> {
        self.settle(self.at_once.saturating_sub(1)).await?;
        if let Some(upload) = &mut self.upload {
            self.sending.spawn(upload.put_part(part.into_iter().collect()));
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), BlobError> {
        self.settle(0).await?;
        if let Some(upload) = &mut self.upload {
            upload.complete().await.map_err(from_s3)?;
        }
        self.upload = None;
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.sending.abort_all();
        if let (Some(mut upload), Ok(runtime)) = (self.upload.take(), Handle::try_current()) {
            // What stays is invisible, and the bucket's own rule removes it.
            runtime.spawn(async move { upload.abort().await });
        }
    }
}

impl Inner {
    /// The size under a name.
    pub(crate) async fn size(&self, path: &Path) -> Result<Option<u64>, BlobError> {
        Ok(present(self.s3.head(path).await)?.map(|found| found.size))
    }

    pub(crate) async fn put(
        &self,
        key: BlobKey,
        size: u64,
        body: &mut dyn BlobSource,
    ) -> Result<PutOutcome, BlobError> {
        if size <= self.part_bytes as u64 {
            self.put_small(key, size, body).await
        } else {
            self.put_large(key, size, body).await
        }
    }

    async fn put_small(&self, key: BlobKey, size: u64, body: &mut dyn BlobSource) -> Result<PutOutcome, BlobError> {
        let mut announced = Announced::new(key.blob, size);
        let mut body = Gather::new(body);
        let mut bytes = Vec::new();
        // One piece at most passes as announced, then the end.
        while let Some(piece) = body.next(self.part_bytes).await? {
            piece.iter().try_for_each(|chunk| announced.take(chunk))?;
            bytes = piece;
        }
        announced.finish()?;
        let path = self.layout.blob(key);
        let payload: PutPayload = bytes.into_iter().collect();
        if self.create(&path, payload.clone()).await? {
            return Ok(PutOutcome::Stored);
        }
        if self.size(&path).await? == Some(size) {
            return Ok(PutOutcome::Present);
        }
        // Damaged; the right bytes are here.
        self.s3.put(&path, payload).await.map_err(of_put)?;
        Ok(PutOutcome::Stored)
    }

    /// Makes an object, unless one is there. Where an answer was lost and the put repeated, that one may be ours: who
    /// has to know compares what is there.
    pub(crate) async fn create(&self, path: &Path, payload: PutPayload) -> Result<bool, BlobError> {
        for _ in 0..CREATES_MAX {
            match self.s3.put_opts(path, payload.clone(), PutMode::Create.into()).await {
                Ok(_) => return Ok(true),
                Err(error) if taken(&error) => return Ok(false),
                // The S3 client does not repeat these by itself: it cannot know that we look what is there.
                Err(error) if interrupted(&error) => {}
                Err(error) => return Err(of_put(error)),
            }
        }
        let last = self.s3.put_opts(path, payload, PutMode::Create.into()).await;
        last.map(|_| true).or_else(|error| if taken(&error) { Ok(false) } else { Err(of_put(error)) })
    }

    async fn put_large(&self, key: BlobKey, size: u64, body: &mut dyn BlobSource) -> Result<PutOutcome, BlobError> {
        let path = self.layout.blob(key);
        let there = self.size(&path).await? == Some(size);
        let part = self.part_for(size);
        let mut parts = Parts { upload: None, sending: JoinSet::new(), at_once: self.parts_at_once };
        if !there {
            parts.upload = Some(self.s3.put_multipart(&path).await.map_err(of_put)?);
        }
        let mut announced = Announced::new(key.blob, size);
        let mut body = Gather::new(body);
        while let Some(piece) = body.next(part).await? {
            piece.iter().try_for_each(|chunk| announced.take(chunk))?;
            parts.send(piece).await?;
        }
        announced.finish()?;
        if there {
            return Ok(PutOutcome::Present);
        }
        let completed = parts.complete().await;
        // An answer may be lost after the deed, and a deed be less than was asked for: what is there says it.
        match self.size(&path).await? {
            Some(found) if found == size => Ok(PutOutcome::Stored),
            Some(_) if completed.is_ok() => {
                self.s3.delete(&path).await.map_err(from_s3)?;
                Err(BlobError::Corrupt { blob: key.blob })
            }
            _ => {
                Err(completed.err().unwrap_or_else(|| BlobError::Unavailable("what was completed is not there".into())))
            }
        }
    }

    /// The size of all parts but the last.
    fn part_for(&self, size: u64) -> usize {
        let least = size.div_ceil(PARTS_MAX).div_ceil(MIB) * MIB;
        self.part_bytes.max(usize::try_from(least).unwrap_or(usize::MAX))
    }
}

/// Where nothing can be put, the bucket is not there: not the blob.
pub(crate) fn of_put(error: object_store::Error) -> BlobError {
    match error {
        object_store::Error::NotFound { source, .. } => BlobError::Unavailable(source),
        error => from_s3(error),
    }
}
