//! Blocking work off the async threads, and directories that are durable.

use std::fs::{self, File};
use std::path::Path;

use syncline::store::BlobError;

use crate::error::from_io;

/// Runs blocking work: on the runtime's blocking pool, or in place where there is no runtime.
///
/// Work that has begun ends, also when the caller is gone; whatever it returns then is dropped.
pub(crate) async fn work<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => match runtime.spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(BlobError::Unavailable(Box::new(error))),
        },
        Err(_) => work(),
    }
}

/// Makes what is in a directory durable: the names, not the files.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), BlobError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(from_io)
}

/// Makes the way from `root` down to `folder` durable, both included.
///
/// Each time anew: another process may have made a directory and not have come to sync it. What is clean costs nearly
/// nothing.
pub(crate) fn sync_way(root: &Path, folder: &Path) -> Result<(), BlobError> {
    for folder in folder.ancestors() {
        sync_folder(folder)?;
        if folder == root {
            break;
        }
    }
    Ok(())
}

/// Makes a directory and those above it.
pub(crate) fn make_folder(folder: &Path) -> Result<(), BlobError> {
    fs::create_dir_all(folder).map_err(from_io)
}
