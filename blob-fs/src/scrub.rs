//! Finding damage: every blob is read and held against its name; one that does not fit is put aside, never deleted.
//!
//! What must hold: a blob that was put aside is not there for readers, so that it can be stored again; its bytes lie in
//! `.damaged` for whoever wants to look.

use std::fs::{self, File};
use std::io::{self, Write};

use syncline::digest::Hasher;
use syncline::id::BucketId;
use syncline::store::{BlobError, BlobKey};

use crate::disk::{make_folder, sync_folder, work};
use crate::error::{from_io, present};
use crate::{FsBlobs, Inner, list};

/// What one step of a scrub found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Scrubbed {
    /// Blobs read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that were not what their names say, now aside.
    pub damaged: Vec<BlobKey>,
    /// Where the next step goes on; `None` after the last.
    pub next: Option<BlobKey>,
}

impl FsBlobs {
    /// Reads up to `limit` blobs after one, in key order over all buckets, and puts the damaged ones aside.
    ///
    /// # Errors
    /// [`BlobError::Denied`], [`BlobError::Full`] and [`BlobError::Unavailable`]: what the disk said. A blob that cannot be
    /// read is not put aside: the disk may be at fault.
    pub async fn scrub(&self, after: Option<BlobKey>, limit: usize) -> Result<Scrubbed, BlobError> {
        let inner = std::sync::Arc::clone(&self.inner);
        work(move || inner.scrub(after, limit)).await
    }
}

/// Hashes what is written to it.
struct Hashing(Hasher);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Inner {
    fn scrub(&self, after: Option<BlobKey>, limit: usize) -> Result<Scrubbed, BlobError> {
        let mut scrubbed = Scrubbed::default();
        let mut room = limit;
        for name in list::names(self.layout.root())? {
            let Ok(bucket) = name.parse::<BucketId>() else { continue };
            if after.is_some_and(|after| bucket < after.bucket) {
                continue;
            }
            let from = after.filter(|after| after.bucket == bucket).map(|after| after.blob);
            let blobs = list::blobs(&self.layout, bucket, from, room)?;
            for stat in &blobs {
                let key = BlobKey { bucket, blob: stat.blob };
                self.scrub_one(key, &mut scrubbed)?;
                scrubbed.next = Some(key);
            }
            room -= blobs.len();
            if room == 0 {
                return Ok(scrubbed);
            }
        }
        scrubbed.next = None;
        Ok(scrubbed)
    }

    fn scrub_one(&self, key: BlobKey, scrubbed: &mut Scrubbed) -> Result<(), BlobError> {
        let Some(mut file) = present(File::open(self.layout.blob(key)))? else { return Ok(()) };
        let mut hashing = Hashing(Hasher::new());
        let mut buffered = io::BufReader::with_capacity(256 << 10, &mut file);
        scrubbed.bytes += io::copy(&mut buffered, &mut hashing).map_err(from_io)?;
        scrubbed.blobs += 1;
        if hashing.0.finish() != key.blob {
            self.put_aside(key)?;
            scrubbed.damaged.push(key);
        }
        Ok(())
    }

    fn put_aside(&self, key: BlobKey) -> Result<(), BlobError> {
        let aside = self.layout.damaged();
        make_folder(&aside)?;
        // What was put aside earlier under this name stays.
        let name = format!("{}-{}", key.bucket, key.blob);
        let mut free = (0_u32..).map(|number| aside.join(format!("{name}-{number}"))).filter(|path| !path.exists());
        if let Some(path) = free.next() {
            present(fs::rename(self.layout.blob(key), path))?;
        }
        sync_folder(&aside)
    }
}
