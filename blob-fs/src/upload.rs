//! Uploads that may be continued: the bytes so far in one file, and beside it a mark that says how many of them count.
//!
//! What must hold: a piece is taken under the upload's lock: the mark is read, the piece written behind what it says and
//! synced, then the mark is written and synced. So pieces of several servers are one after the other, a crash leaves the
//! mark before or the mark after, and bytes behind the mark count for nothing. The mark carries the state of the hash:
//! nothing is read again, neither to go on nor to finish.
//!
//! The mark's file has two places, written in turn: while one is written the other is whole.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use syncline::store::{Append, BlobError, BlobKey, BlobSource, Gather, PutOutcome, UploadKey, UploadMark, UploadStat};

use crate::Inner;
use crate::disk::{make_folder, sync_folder, sync_way, work};
use crate::error::{from_io, present};
use crate::stage::{Stage, reached};
use crate::temp::same;

/// What is taken, synced and marked at once, and held in memory until then.
const PIECE_BYTES: usize = 8 << 20;

/// A locked upload.
struct Upload {
    folder: PathBuf,
    bytes: File,
    marks: File,
    mark: Option<UploadMark>,
    /// Where the next mark goes: 0 or 1.
    place: u64,
    _lock: File,
}

/// Locks an upload's folder; `None` when it is not there and shall not be made. Held for one piece at most.
fn lock(folder: &Path, make: bool) -> Result<Option<File>, BlobError> {
    loop {
        if make {
            make_folder(folder)?;
        }
        match present(File::open(folder))? {
            Some(lock) => {
                lock.lock().map_err(from_io)?;
                // Else it was finished or dropped while we waited.
                if same(&lock, folder)? {
                    return Ok(Some(lock));
                }
            }
            None if make => {}
            None => return Ok(None),
        }
    }
}

impl Upload {
    /// Locks an upload; `None` when it is not there and shall not be made.
    fn lock(inner: &Inner, upload: UploadKey, make: bool) -> Result<Option<Self>, BlobError> {
        let folder = inner.layout.upload(upload);
        let Some(lock) = lock(&folder, make)? else { return Ok(None) };
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            present(options.read(true).write(true).create(make).truncate(false).open(folder.join(name)))
        };
        let (Some(bytes), Some(marks)) = (open("bytes")?, open("mark")?) else { return Ok(None) };
        let (mark, place) = newest(&marks)?;
        // Bytes that are gone were made a blob by who died then; the rest of the folder means nothing.
        let len = bytes.metadata().map_err(from_io)?.len();
        let mark = mark.filter(|mark| mark.size <= len);
        Ok((make || mark.is_some()).then_some(Self { folder, bytes, marks, mark, place, _lock: lock }))
    }

    fn size(&self) -> u64 {
        self.mark.as_ref().map_or(0, |mark| mark.size)
    }

    fn take(&mut self, inner: &Inner, append: Append, piece: &[Bytes]) -> Result<u64, BlobError> {
        let at = self.size();
        if at != append.offset {
            return Err(BlobError::WrongOffset { at });
        }
        let size = at.saturating_add(piece.iter().map(|chunk| chunk.len() as u64).sum());
        if size > append.size_max {
            return Err(BlobError::TooLarge { size, max: append.size_max });
        }
        let begins = self.mark.is_none();
        if begins {
            // Marks of an upload that was here before must not be taken for newer ones.
            self.marks.set_len(0).and_then(|()| self.bytes.set_len(0)).map_err(from_io)?;
            self.place = 0;
        }
        let mut mark = self.mark.take().unwrap_or_else(|| UploadMark::new(append.now));
        mark.touched = append.now;
        for chunk in piece {
            self.bytes.write_all_at(chunk, mark.size).map_err(from_io)?;
            mark.take(chunk, append.now);
        }
        self.bytes.sync_data().map_err(from_io)?;
        reached(Stage::PieceSynced);
        self.marks.write_all_at(&mark.to_bytes(), self.place * UploadMark::BYTES as u64).map_err(from_io)?;
        self.marks.sync_data().map_err(from_io)?;
        if begins {
            sync_way(inner.layout.root(), &self.folder)?;
        }
        reached(Stage::Marked);
        (self.mark, self.place) = (Some(mark), 1 - self.place);
        Ok(size)
    }

    fn finish(self, inner: &Inner, key: BlobKey, size: u64) -> Result<PutOutcome, BlobError> {
        let mark = self.mark.as_ref().ok_or(BlobError::NotFound)?;
        if mark.size < size {
            return Err(BlobError::TooShort { size: mark.size, announced: size });
        }
        let actual = mark.hasher.clone().finish();
        if mark.size > size || actual != key.blob {
            let taken = mark.size;
            self.remove()?;
            return Err(if taken > size {
                BlobError::TooLarge { size: taken, max: size }
            } else {
                BlobError::Mismatch { expected: key.blob, actual }
            });
        }
        let outcome = if inner.holds(key, size)? {
            PutOutcome::Present
        } else {
            // Bytes of a piece that was never marked are cut off.
            self.bytes.set_len(size).and_then(|()| self.bytes.sync_all()).map_err(from_io)?;
            inner.make_place(key)?;
            fs::rename(self.folder.join("bytes"), inner.layout.blob(key)).map_err(from_io)?;
            reached(Stage::Named);
            PutOutcome::Stored
        };
        inner.settle(key)?;
        reached(Stage::Finished);
        // The blob is there; what stays of the upload is found by the sweep.
        let _ = self.remove();
        Ok(outcome)
    }

    /// Under the lock: who waits for it finds the folder gone.
    fn remove(self) -> Result<(), BlobError> {
        fs::remove_dir_all(&self.folder).map_err(from_io)?;
        self.folder.parent().map_or(Ok(()), sync_folder)
    }
}

/// The newest mark that reads, and the place of the other.
fn newest(marks: &File) -> Result<(Option<UploadMark>, u64), BlobError> {
    let mut newest: Option<UploadMark> = None;
    let mut other = 0;
    for place in 0..2 {
        let mut bytes = vec![0; UploadMark::BYTES];
        let mut read = 0;
        while let 1.. = {
            let at = place * UploadMark::BYTES as u64 + read as u64;
            let more = marks.read_at(bytes.get_mut(read..).unwrap_or_default(), at).map_err(from_io)?;
            read += more;
            more
        } {}
        let Some(mark) = UploadMark::from_bytes(bytes.get(..read).unwrap_or_default()) else { continue };
        let newer = newest.as_ref().is_none_or(|newest| (mark.size, mark.touched) > (newest.size, newest.touched));
        if newer {
            (newest, other) = (Some(mark), 1 - place);
        }
    }
    Ok((newest, other))
}

pub(crate) async fn append(
    inner: &Arc<Inner>,
    upload: UploadKey,
    append: Append,
    body: &mut dyn BlobSource,
) -> Result<u64, BlobError> {
    let take = async |offset: u64, piece: Vec<Bytes>| {
        let inner = Arc::clone(inner);
        let append = Append { offset, ..append };
        work(move || match Upload::lock(&inner, upload, offset == 0)? {
            Some(mut upload) => upload.take(&inner, append, &piece),
            None => Err(BlobError::WrongOffset { at: 0 }),
        })
        .await
    };
    // Begins the upload, and checks the offset before anything is read.
    let mut offset = append.offset;
    let here = stat(inner, upload).await?.map(|stat| stat.size);
    if here.unwrap_or(0) != offset {
        return Err(BlobError::WrongOffset { at: here.unwrap_or(0) });
    }
    let mut body = Gather::new(body);
    let mut taken = false;
    loop {
        match body.next(PIECE_BYTES).await? {
            Some(piece) => offset = take(offset, piece).await?,
            None if taken => return Ok(offset),
            // No bytes at all: a sign of life.
            None => return take(offset, Vec::new()).await,
        }
        taken = true;
    }
}

pub(crate) async fn stat(inner: &Arc<Inner>, upload: UploadKey) -> Result<Option<UploadStat>, BlobError> {
    let inner = Arc::clone(inner);
    work(move || stat_now(&inner, upload)).await
}

/// Without the lock: a mark is read whole or not at all.
fn stat_now(inner: &Inner, upload: UploadKey) -> Result<Option<UploadStat>, BlobError> {
    let folder = inner.layout.upload(upload);
    let Some(marks) = present(File::open(folder.join("mark")))? else { return Ok(None) };
    let Some(bytes) = present(fs::metadata(folder.join("bytes")))? else { return Ok(None) };
    let (mark, _) = newest(&marks)?;
    let mark = mark.filter(|mark| mark.size <= bytes.len());
    Ok(mark.map(|mark| UploadStat { upload: upload.upload, size: mark.size, touched: mark.touched }))
}

pub(crate) fn finish(inner: &Inner, upload: UploadKey, key: BlobKey, size: u64) -> Result<PutOutcome, BlobError> {
    Upload::lock(inner, upload, false)?.ok_or(BlobError::NotFound)?.finish(inner, key, size)
}

/// Whether it was there.
pub(crate) fn discard(inner: &Inner, upload: UploadKey) -> Result<bool, BlobError> {
    match Upload::lock(inner, upload, false)? {
        Some(upload) => upload.remove().map(|()| true),
        None => clear(inner, upload).map(|()| false),
    }
}

/// Removes a folder in which there is no upload: somebody died while making or finishing it.
fn clear(inner: &Inner, upload: UploadKey) -> Result<(), BlobError> {
    let folder = inner.layout.upload(upload);
    // Who is just making it has the lock.
    if let Some(_lock) = lock(&folder, false)?
        && stat_now(inner, upload)?.is_none()
    {
        present(fs::remove_dir_all(folder))?;
    }
    Ok(())
}

/// Whoever lists uploads wants to drop old ones, so what died half-made is cleared on the way.
pub(crate) fn list(
    inner: &Inner,
    bucket: syncline::id::BucketId,
    after: Option<syncline::id::UploadId>,
    limit: usize,
) -> Result<Vec<UploadStat>, BlobError> {
    let mut listed = Vec::new();
    for name in crate::list::names(&inner.layout.uploads(bucket))? {
        let Ok(upload) = name.parse() else { continue };
        if after.is_some_and(|after| upload <= after) {
            continue;
        }
        if listed.len() == limit {
            break;
        }
        let upload = UploadKey { bucket, upload };
        match stat_now(inner, upload)? {
            Some(stat) => listed.push(stat),
            None => clear(inner, upload)?,
        }
    }
    Ok(listed)
}
