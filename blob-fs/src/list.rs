//! Walking the folders in id order.

use std::fs;
use std::path::Path;

use syncline::digest::Digest;
use syncline::id::BucketId;
use syncline::store::{BlobError, BlobStat};

use crate::error::{from_io, present};
use crate::layout::{Layout, blob_of};

/// The names in a folder, in order; none where there is no folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, BlobError> {
    let Some(entries) = present(fs::read_dir(folder))? else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is no text is not of our making.
        names.extend(entry.map_err(from_io)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// Two digits.
fn is_level(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The blobs of a bucket in id order, after one.
pub(crate) fn blobs(
    layout: &Layout,
    bucket: BucketId,
    after: Option<Digest>,
    limit: usize,
) -> Result<Vec<BlobStat>, BlobError> {
    let mut listed = Vec::new();
    let begin = after.map(|after| after.to_string()).unwrap_or_default();
    let folder = layout.bucket(bucket);
    for first in names(&folder)?.iter().filter(|name| is_level(name) && ***name >= *begin.get(..2).unwrap_or_default())
    {
        for second in names(&folder.join(first))?.iter().filter(|name| is_level(name)) {
            if *format!("{first}{second}") < *begin.get(..4).unwrap_or_default() {
                continue;
            }
            let folder = folder.join(first).join(second);
            for name in names(&folder)? {
                let Some(blob) = blob_of(name.as_ref(), first, second) else { continue };
                if after.is_some_and(|after| blob <= after) {
                    continue;
                }
                if listed.len() == limit {
                    return Ok(listed);
                }
                // Deleted meanwhile: not there.
                if let Some(found) = present(fs::metadata(folder.join(name)))? {
                    listed.push(BlobStat { blob, size: found.len() });
                }
            }
        }
    }
    Ok(listed)
}
