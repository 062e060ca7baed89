//! What the system said, as what to do about it.

use std::io::{Error, ErrorKind};

use syncline::store::BlobError;

/// An error of the file system.
pub(crate) fn from_io(error: Error) -> BlobError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::Full(Box::new(error)),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => BlobError::Denied(Box::new(error)),
        _ => BlobError::Unavailable(Box::new(error)),
    }
}

/// `None` where there is nothing.
pub(crate) fn present<T>(result: Result<T, Error>) -> Result<Option<T>, BlobError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(from_io(error)),
    }
}
