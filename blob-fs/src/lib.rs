//! Blobs in a directory: [`FsBlobs`] is a [`BlobStore`](syncline::store::BlobStore) over any local file system of Unix.
//!
//! What must hold: a file under its final name is whole and durable before anybody is told so (write, fsync, rename,
//! fsync of the directories, in this order); nothing else is ever under such a name. Several servers may use one
//! directory at once: names are hashes, renames are atomic, uploads are locked piece by piece, and unfinished files are
//! removed only when the process that wrote them is gone. On a network file system this needs working `flock`.
//!
//! Files are blocking, so work goes to tokio's blocking pool: its threads are bounded, shared with the rest of the
//! server and reused, and pieces are large enough (a mebibyte) that the hop costs little. Without a runtime the work is
//! done in place.
//!
//! Next: `layout` for what lies where, `put` for the order of steps, `upload` for what may be continued, [`Scrubbed`]
//! for finding damage.

mod disk;
mod error;
mod layout;
mod list;
mod put;
mod read;
mod scrub;
mod stage;
mod store;
mod temp;
#[cfg(test)]
mod tests;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;

use syncline::store::BlobError;

use layout::Layout;
pub use scrub::Scrubbed;
use temp::TempFolder;

/// Blobs in a directory. Cheap to clone; all clones are one store.
#[derive(Debug, Clone)]
pub struct FsBlobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    layout: Layout,
    temp: TempFolder,
}

impl FsBlobs {
    /// Opens a directory, made if it is not there, and removes what processes that are gone left unfinished.
    ///
    /// Does file work in the calling thread.
    ///
    /// # Errors
    /// [`BlobError::Denied`], [`BlobError::Full`]; [`BlobError::Unavailable`] also when the directory holds something
    /// that a version of ours would not have made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, BlobError> {
        let layout = Layout::open(root.into())?;
        temp::sweep(&layout.temp())?;
        let temp = TempFolder::make(&layout.temp())?;
        Ok(Self { inner: Arc::new(Inner { layout, temp }) })
    }
}
