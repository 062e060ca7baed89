//! Reading a blob: a file in pieces, held against its name.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use syncline::store::{BlobError, BlobKey, BlobSource, ByteRange, Verified};

use crate::Inner;
use crate::disk::work;
use crate::error::{from_io, present};

/// What is read at once: enough that the hop to the pool costs little, and small beside what a server holds.
const PIECE_BYTES: u64 = 256 << 10;

/// A part of an open file. What was opened stays readable when the name is gone.
#[derive(Debug)]
struct FilePart {
    file: Arc<File>,
    left: Range<u64>,
}

#[async_trait]
impl BlobSource for FilePart {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let (file, at) = (Arc::clone(&self.file), self.left.start);
        let len = usize::try_from(PIECE_BYTES.min(self.left.end - at)).unwrap_or_default();
        let bytes = work(move || {
            let mut bytes = vec![0; len];
            let read = file.read_at(&mut bytes, at).map_err(from_io)?;
            bytes.truncate(read);
            Ok(Bytes::from(bytes))
        })
        .await?;
        self.left.start += bytes.len() as u64;
        // A file that became shorter ends here; whoever verifies misses the rest.
        Ok((!bytes.is_empty()).then_some(bytes))
    }
}

pub(crate) async fn open(inner: &Arc<Inner>, key: BlobKey, range: ByteRange) -> Result<Box<dyn BlobSource>, BlobError> {
    let path = inner.layout.blob(key);
    let opened = work(move || {
        let Some(file) = present(File::open(path))? else { return Err(BlobError::NotFound) };
        let size = file.metadata().map_err(from_io)?.len();
        Ok((file, size))
    });
    let (file, size) = opened.await?;
    let left = range.within(size);
    let len = left.end - left.start;
    let part = FilePart { file: Arc::new(file), left };
    let whole = len == size;
    Ok(Box::new(if whole { Verified::whole(part, key.blob, size) } else { Verified::part(part, key.blob, len) }))
}
