//! Names of objects.
//!
//! What must hold: names are made of digits, dashes and the operator's prefix; the order of names is that of ids.

use object_store::path::Path;
use syncline::id::{BucketId, UploadId};
use syncline::store::{BlobId, BlobKey, UploadKey};

/// The names of one store.
#[derive(Debug)]
pub(crate) struct Layout {
    prefix: String,
}

impl Layout {
    pub(crate) const fn new(prefix: String) -> Self {
        Self { prefix }
    }

    fn path(&self, name: &str) -> Path {
        // Empty parts, as of an empty prefix, are left out.
        Path::from(format!("{}/{name}", self.prefix))
    }

    pub(crate) fn format(&self) -> Path {
        self.path("format")
    }

    pub(crate) fn blobs(&self, bucket: BucketId) -> Path {
        self.path(&format!("blobs/{bucket}"))
    }

    pub(crate) fn blob(&self, key: BlobKey) -> Path {
        self.path(&format!("blobs/{}/{}", key.bucket, key.blob))
    }

    pub(crate) fn uploads(&self, bucket: BucketId) -> Path {
        self.path(&format!("uploads/{bucket}"))
    }

    pub(crate) fn upload(&self, upload: UploadKey) -> Path {
        self.path(&format!("uploads/{}/{}", upload.bucket, upload.upload))
    }

    pub(crate) fn piece(&self, upload: UploadKey, number: u32) -> Path {
        self.path(&format!("uploads/{}/{}/{number:08}", upload.bucket, upload.upload))
    }

    /// A name behind all pieces of an upload, and before the next upload's.
    pub(crate) fn behind(&self, upload: UploadKey) -> Path {
        self.path(&format!("uploads/{}/{}/~", upload.bucket, upload.upload))
    }
}

/// The blob that a name says.
pub(crate) fn blob_of(path: &Path) -> Option<BlobId> {
    path.filename()?.parse().ok()
}

/// The upload and the number that a piece's name says.
pub(crate) fn piece_of(path: &Path) -> Option<(UploadId, u32)> {
    let mut parts = path.as_ref().rsplit('/');
    let number = parts.next()?.parse().ok()?;
    Some((parts.next()?.parse().ok()?, number))
}
