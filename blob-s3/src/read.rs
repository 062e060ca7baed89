//! Reading a blob: the service's stream, held against the blob's name.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore as _};
use syncline::store::{BlobError, BlobKey, BlobSource, ByteRange, BytesSource, Verified};

use crate::Inner;
use crate::error::from_s3;

/// Ends beyond this are no ends: some services do not read so large a number.
const END_MAX: u64 = 1 << 50;

/// An answer of the service.
pub(crate) struct Answer {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    /// Of the whole object.
    pub(crate) size: u64,
}

#[async_trait]
impl BlobSource for Answer {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        match self.stream.next().await {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes)),
            // Gone in the middle of it.
            Some(Err(error)) => Err(from_s3(error)),
        }
    }
}

impl Inner {
    pub(crate) async fn get(&self, path: &Path, range: Option<GetRange>) -> object_store::Result<Answer> {
        let result = self.s3.get_opts(path, GetOptions { range, ..GetOptions::default() }).await?;
        Ok(Answer { size: result.meta.size, stream: result.into_stream() })
    }

    pub(crate) async fn open(&self, key: BlobKey, range: ByteRange) -> Result<Box<dyn BlobSource>, BlobError> {
        let path = self.layout.blob(key);
        let end = range.end.filter(|end| *end < END_MAX);
        let wanted = match end {
            None if range.start == 0 => None,
            None => Some(GetRange::Offset(range.start)),
            Some(end) => Some(GetRange::Bounded(range.start..end)),
        };
        // The service has no answer for a part without bytes.
        if range.start >= END_MAX || end.is_some_and(|end| end <= range.start) {
            return self.nothing(key, &path).await;
        }
        match self.get(&path, wanted.clone()).await {
            Ok(answer) => {
                let part = range.within(answer.size);
                let (size, len) = (answer.size, part.end - part.start);
                let whole = len == size;
                Ok(Box::new(if whole {
                    Verified::whole(answer, key.blob, size)
                } else {
                    Verified::part(answer, key.blob, len)
                }))
            }
            Err(error) => match from_s3(error) {
                BlobError::Unavailable(error) if wanted.is_some() => match self.size(&path).await? {
                    Some(size) if range.within(size).is_empty() => self.nothing(key, &path).await,
                    Some(_) => Err(BlobError::Unavailable(error)),
                    None => Err(BlobError::NotFound),
                },
                error => Err(error),
            },
        }
    }

    /// No bytes of a blob that is there.
    async fn nothing(&self, key: BlobKey, path: &Path) -> Result<Box<dyn BlobSource>, BlobError> {
        self.size(path).await?.ok_or(BlobError::NotFound)?;
        Ok(Box::new(Verified::part(BytesSource::new(Bytes::new()), key.blob, 0)))
    }
}
