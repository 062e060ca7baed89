//! The way to a server.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::call::{Call, Refusal, Reply};
use crate::digest::BlobId;
use crate::id::{LogId, LogKey};
use crate::store::{BlobSource, ByteRange, PutOutcome, SignalSource};

/// The client's way to a server: HTTP, or a function call in the same process.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Asks and waits for the answer. Tries once: whoever retries must decide on the same ids.
    ///
    /// # Errors
    /// What went wrong on the way, or the server's refusal.
    async fn call(&self, call: Call) -> Result<Reply, CallError>;

    /// Listens to a log: the first wake says where it ends now. `None` where this way has no wakes; a client then asks
    /// from time to time. Wakes are hints, so a client asks now and then even with them.
    ///
    /// # Errors
    /// As [`Transport::call`].
    async fn wakes(&self, log: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
        let _ = log;
        Ok(None)
    }
}

/// The way of bytes to a server that keeps blobs, and back. What a log may refer to is asked for with
/// [`Call::Reserve`]. Every call may be repeated.
#[async_trait]
pub trait BlobTransport: Transport {
    /// Sends a blob of at most [`BLOB_PUT_BYTES_MAX`](crate::limits::BLOB_PUT_BYTES_MAX) bytes.
    ///
    /// # Errors
    /// As [`Transport::call`].
    async fn put_blob(&self, log: LogId, blob: BlobId, bytes: Bytes) -> Result<PutOutcome, CallError>;

    /// Sends many small blobs at once, at most [`LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX) with at most
    /// [`BLOB_BATCH_BYTES_MAX`](crate::limits::BLOB_BATCH_BYTES_MAX) bytes; says of each whether it was new.
    ///
    /// # Errors
    /// As [`Transport::call`].
    async fn put_blobs(&self, log: LogId, blobs: Vec<(BlobId, Bytes)>) -> Result<Vec<PutOutcome>, CallError>;

    /// Brings many small blobs at once, whole and verified, in the order they were asked for: at most
    /// [`LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX) with at most
    /// [`BLOB_BATCH_BYTES_MAX`](crate::limits::BLOB_BATCH_BYTES_MAX) bytes. All of them, or none: a refusal may be about any.
    /// Where a way has no better one, they come one after the other.
    ///
    /// # Errors
    /// As [`Transport::call`], and [`CallError::Interrupted`] when the way broke in one of them.
    async fn get_blobs(&self, log: LogId, blobs: &[BlobId]) -> Result<Vec<Bytes>, CallError> {
        let mut brought = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let mut source = self.open_blob(log, *blob, ByteRange::default()).await?;
            let mut held = BytesMut::new();
            while let Some(bytes) = source.next().await.map_err(|error| CallError::Interrupted(error.into()))? {
                held.extend_from_slice(&bytes);
            }
            brought.push(held.freeze());
        }
        Ok(brought)
    }

    /// How far the upload of a large blob is: where it goes on.
    ///
    /// # Errors
    /// As [`Transport::call`].
    async fn upload_at(&self, log: LogId, blob: BlobId, size: u64) -> Result<u64, CallError>;

    /// Sends the next bytes of a large blob of `size` bytes, at most
    /// [`BLOB_PIECE_BYTES_MAX`](crate::limits::BLOB_PIECE_BYTES_MAX) of them; says where it goes on. With its last byte it
    /// is stored.
    ///
    /// # Errors
    /// As [`Transport::call`]; [`ErrorCode::UploadOffset`](crate::call::ErrorCode::UploadOffset) when it goes on elsewhere.
    async fn append_blob(
        &self,
        log: LogId,
        blob: BlobId,
        size: u64,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, CallError>;

    /// A blob, or a part of it. A whole one is verified: its source does not end unless all of it hashes to its name. Of a
    /// part only its length can be told; its reader holds it against something else.
    ///
    /// # Errors
    /// As [`Transport::call`]; the source's are [`BlobError::Unavailable`](crate::store::BlobError::Unavailable) when the
    /// way broke, and [`BlobError::Corrupt`](crate::store::BlobError::Corrupt).
    async fn open_blob(&self, log: LogId, blob: BlobId, range: ByteRange) -> Result<Box<dyn BlobSource>, CallError>;
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server answered that it will not.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No connection. The call did not arrive.
    #[error("the server cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection ended before the answer: the call may have been done. Repeat it with the same ids.
    #[error("the connection ended before the answer: {0}")]
    Interrupted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer does not read.
    #[error("the server's answer does not read: {0}")]
    Protocol(String),
}
