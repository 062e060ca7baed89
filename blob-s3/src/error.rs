//! What the service said, as what to do about it.

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};
use syncline::store::BlobError;

/// An error of the service, once its retries are used up.
pub(crate) fn from_s3(error: Error) -> BlobError {
    match error {
        Error::NotFound { .. } if !said(&error, &["NoSuchBucket"]) => BlobError::NotFound,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => BlobError::Denied(Box::new(error)),
        // There is no code for it in S3; these are MinIO's, Ceph's and HTTP's.
        _ if said(&error, &["XMinioStorageFull", "QuotaExceeded", "507 Insufficient Storage"]) => {
            BlobError::Full(Box::new(error))
        }
        _ => BlobError::Unavailable(Box::new(error)),
    }
}

fn said(error: &Error, words: &[&str]) -> bool {
    let text = error.to_string();
    words.iter().any(|word| text.contains(word))
}

/// `None` where there is nothing.
pub(crate) fn present<T>(result: Result<T, Error>) -> Result<Option<T>, BlobError> {
    match result.map_err(from_s3) {
        Ok(value) => Ok(Some(value)),
        Err(BlobError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a conditional put found something there.
pub(crate) const fn taken(error: &Error) -> bool {
    matches!(error, Error::AlreadyExists { .. } | Error::Precondition { .. })
}

/// Whether the answer to a request was lost, so that nobody knows whether it was carried out.
pub(crate) fn interrupted(error: &Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return matches!(error.kind(), HttpErrorKind::Interrupted | HttpErrorKind::Timeout);
        }
        source = error.source();
    }
    false
}
