//! Storing a blob: an unfinished file, hashed while it is written; fsync; its name; fsync of the directories.
//!
//! What must hold: dropping the future at any point removes the unfinished file; a name is given only to bytes that
//! are durable and hash to it.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use syncline::store::{Announced, BlobError, BlobKey, BlobSource, Gather, PutOutcome};

use crate::Inner;
use crate::disk::{make_folder, sync_way, work};
use crate::error::{from_io, present};
use crate::stage::{Stage, reached};
use crate::temp::TempFile;

/// What goes to the pool at once: the hop there is small beside hashing it.
const PIECE_BYTES: usize = 1 << 20;

/// A blob being written.
struct Writing {
    announced: Announced,
    /// `None` where the blob is there already: its bytes are verified and not written.
    temp: Option<TempFile>,
}

impl Writing {
    fn begin(inner: &Inner, key: BlobKey, size: u64) -> Result<Self, BlobError> {
        let temp = if inner.holds(key, size)? { None } else { Some(inner.temp.file()?) };
        reached(Stage::Made);
        Ok(Self { announced: Announced::new(key.blob, size), temp })
    }

    fn take(mut self, piece: &[Bytes]) -> Result<Self, BlobError> {
        for chunk in piece {
            self.announced.take(chunk)?;
            if let Some(temp) = &mut self.temp {
                temp.file.write_all(chunk).map_err(from_io)?;
            }
        }
        if self.temp.is_some() {
            reached(Stage::Written);
        }
        Ok(self)
    }

    fn end(self, inner: &Inner, key: BlobKey) -> Result<PutOutcome, BlobError> {
        self.announced.finish()?;
        let Some(temp) = self.temp else {
            // Whoever stored it may not have come to this.
            inner.settle(key)?;
            return Ok(PutOutcome::Present);
        };
        temp.file.sync_all().map_err(from_io)?;
        reached(Stage::Synced);
        inner.name(temp, key)?;
        Ok(PutOutcome::Stored)
    }
}

impl Inner {
    /// Whether a file of this size has the blob's name.
    pub(crate) fn holds(&self, key: BlobKey, size: u64) -> Result<bool, BlobError> {
        let found = present(fs::metadata(self.layout.blob(key)))?;
        Ok(found.is_some_and(|found| found.is_file() && found.len() == size))
    }

    fn name(&self, temp: TempFile, key: BlobKey) -> Result<(), BlobError> {
        let path = self.layout.blob(key);
        self.make_place(key)?;
        temp.name(&path)?;
        reached(Stage::Named);
        self.settle(key)
    }

    /// Makes the folder that a blob lies in.
    pub(crate) fn make_place(&self, key: BlobKey) -> Result<(), BlobError> {
        self.layout.blob(key).parent().map_or(Ok(()), make_folder)
    }

    /// Makes a blob's name durable.
    pub(crate) fn settle(&self, key: BlobKey) -> Result<(), BlobError> {
        if let Some(folder) = self.layout.blob(key).parent() {
            sync_way(self.layout.root(), folder)?;
        }
        reached(Stage::Settled);
        Ok(())
    }
}

pub(crate) async fn put(
    inner: &Arc<Inner>,
    key: BlobKey,
    size: u64,
    body: &mut dyn BlobSource,
) -> Result<PutOutcome, BlobError> {
    let mut body = Gather::new(body);
    let mine = Arc::clone(inner);
    // A blob of one piece takes one hop.
    let mut first = body.next(PIECE_BYTES).await?;
    let mut writing = None;
    while let Some(piece) = first.take() {
        let next = body.next(PIECE_BYTES).await;
        let (inner, begun) = (Arc::clone(inner), writing.take());
        let begun: Writing =
            work(move || begun.map_or_else(|| Writing::begin(&inner, key, size), Ok)?.take(&piece)).await?;
        writing = Some(begun);
        first = next?;
    }
    work(move || writing.map_or_else(|| Writing::begin(&mine, key, size), Ok)?.end(&mine, key)).await
}
