//! Bytes on their way to a server and back.
//!
//! What must hold: what is sent hashes to its name when it is sent, not only when the file was read; what comes is held
//! against its name before it counts; memory does not grow with files; whatever is cut off goes on where it was.
//!
//! Next: `upload`, `download`, and `together` for what is small; `again` for what is tried again, `pace` for limits, `progress` for what a person sees.

mod again;
mod download;
mod pace;
mod progress;
#[cfg(test)]
mod testing;
mod together;
mod upload;

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;

use syncline::LogId;
use syncline::blob::ManifestError;
use syncline::client::{BlobTransport, CallError};
use syncline::digest::BlobId;
use syncline::time::EnvSource;

use crate::folder::Folder;

pub use download::Near;
pub use pace::Pace;
pub use progress::Progress;
pub use upload::{Outgoing, Sent};

/// What is on its way at once.
const AT_ONCE: usize = 6;

/// The way of bytes between a folder and a server.
#[derive(Debug)]
pub struct Transfer {
    way: Arc<dyn BlobTransport>,
    log: LogId,
    env: Arc<dyn EnvSource>,
    folder: Arc<Folder>,
    up: Pace,
    down: Pace,
}

/// How fast bytes may go, in bytes a second; `None`: as fast as they can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "one per direction")]
pub struct Limits {
    /// To the server.
    pub up: Option<NonZeroU32>,
    /// From the server.
    pub down: Option<NonZeroU32>,
}

/// Why bytes did not arrive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The server refused, or was not reached, several times.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What the server has is not what it should be.
    #[error("the server's bytes of {0} are damaged")]
    Damaged(BlobId),
    /// The list of a file's pieces does not read, or is another file's.
    #[error("the list of the pieces of {file} does not read: {source}")]
    Manifest {
        /// The file.
        file: BlobId,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The list of pieces is that of another file.
    #[error("the list of the pieces of {0} is that of another file")]
    OtherFile(BlobId),
    /// The disk does not take it, or give it.
    #[error("the disk: {0}")]
    Disk(#[from] io::Error),
}

impl Transfer {
    /// The way between a folder and a log's blobs. `env` gives the jitter of waits.
    #[must_use]
    pub fn new(
        way: Arc<dyn BlobTransport>,
        log: LogId,
        folder: Arc<Folder>,
        env: Arc<dyn EnvSource>,
        limits: Limits,
    ) -> Self {
        Self { way, log, env, folder, up: Pace::new(limits.up), down: Pace::new(limits.down) }
    }
}

/// Runs work on the disk off the threads that talk to the server.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
