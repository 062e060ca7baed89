//! What lies where under the root:
//!
//! ```text
//! <bucket>/aa/bb/<hash>            a blob; aa and bb are its first four digits
//! <bucket>/uploads/<id>/bytes      an upload's bytes so far, and perhaps some more
//! <bucket>/uploads/<id>/mark       how far it is
//! .temp/<process>/<number>         what is being written
//! .damaged/<bucket>-<hash>-<n>     what the scrub put aside
//! .format                          the version of all this
//! ```
//!
//! What must hold: every name is made here, of hexadecimal digits and dashes; nothing that a user chose is part of one.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use syncline::digest::Digest;
use syncline::id::BucketId;
use syncline::store::{BlobError, BlobKey, UploadKey};

use crate::disk::{make_folder, sync_folder};
use crate::error::{from_io, present};

const FORMAT: &[u8] = b"syncline blobs 1\n";

/// The paths of one store.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn open(root: PathBuf) -> Result<Self, BlobError> {
        make_folder(&root)?;
        let format = root.join(".format");
        match present(fs::read(&format))? {
            Some(found) if found == FORMAT => {}
            // Empty: whoever made it died before it was written.
            None | Some(_) if unused(&root)? => {
                // Whole or not at all, for others who open it now.
                let unnamed = root.join(format!(".format-{}", std::process::id()));
                fs::write(&unnamed, FORMAT).and_then(|()| fs::rename(&unnamed, &format)).map_err(from_io)?;
                sync_folder(&root)?;
            }
            _ => {
                let said = format!("{} holds something else than blobs of this version", root.display());
                return Err(BlobError::Unavailable(said.into()));
            }
        }
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn temp(&self) -> PathBuf {
        self.root.join(".temp")
    }

    pub(crate) fn damaged(&self) -> PathBuf {
        self.root.join(".damaged")
    }

    pub(crate) fn bucket(&self, bucket: BucketId) -> PathBuf {
        self.root.join(bucket.to_string())
    }

    pub(crate) fn blob(&self, key: BlobKey) -> PathBuf {
        let name = key.blob.to_string();
        let (first, second) = (name.get(..2).unwrap_or_default(), name.get(2..4).unwrap_or_default());
        self.bucket(key.bucket).join(first).join(second).join(&name)
    }

    pub(crate) fn uploads(&self, bucket: BucketId) -> PathBuf {
        self.bucket(bucket).join("uploads")
    }

    pub(crate) fn upload(&self, upload: UploadKey) -> PathBuf {
        self.uploads(upload.bucket).join(upload.upload.to_string())
    }
}

/// Whether nothing is there but what opening it makes.
fn unused(root: &Path) -> Result<bool, BlobError> {
    for entry in fs::read_dir(root).map_err(from_io)? {
        let name = entry.map_err(from_io)?.file_name();
        if name != ".temp" && !name.to_string_lossy().starts_with(".format") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The blob that a file's name says, if it lies where it belongs.
pub(crate) fn blob_of(name: &OsStr, first: &str, second: &str) -> Option<Digest> {
    let blob: Digest = name.to_str()?.parse().ok()?;
    let text = blob.to_string();
    (name == text.as_str() && text.starts_with(first) && text.get(2..4) == Some(second)).then_some(blob)
}
