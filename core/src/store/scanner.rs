//! Who looks into blobs for what should not be there: an engine behind a process, a socket, a service.
//!
//! What must hold: a verdict is on all of the blob's bytes, by the engine that it names; whatever goes wrong is an error and
//! no verdict, and the blob waits on. A scanner ends each call in a time of its own choosing.

use std::fmt::Debug;

use async_trait::async_trait;

use super::BlobSource;
use crate::blob::{Engine, Finding};

/// Why there is no verdict. The blob is asked about again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The engine cannot be reached, or is not what it should be.
    #[error("the scanner does not answer: {0}")]
    Down(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than it may.
    #[error("the scanner took too long")]
    Timeout,
    /// The blob's bytes cannot be read.
    #[error("the blob cannot be read: {0}")]
    Bytes(#[from] super::BlobError),
}

/// An engine that judges blobs.
#[async_trait]
pub trait Scanner: Debug + Send + Sync + 'static {
    /// Which engine answers now. Asked before blobs are shown to it: a verdict counts for the version that was said before,
    /// so that one which changes in between is asked once more.
    ///
    /// # Errors
    /// [`ScanError::Down`] or [`ScanError::Timeout`].
    async fn engine(&self) -> Result<Engine, ScanError>;

    /// What it says of a blob of `size` bytes. It need not read to the end to find something, only to find nothing.
    ///
    /// # Errors
    /// Why there is no verdict.
    async fn scan(&self, size: u64, bytes: &mut dyn BlobSource) -> Result<Finding, ScanError>;
}
