//! Where files are written before they have a name.
//!
//! What must hold: each process writes into a folder of its own and holds a lock on it for as long as it lives; the
//! system releases the lock with the process, however it ends. A folder that nobody locks may be removed. No clocks.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use syncline::store::BlobError;

use crate::disk::make_folder;
use crate::error::{from_io, present};

/// Tells stores of one process apart.
static FOLDERS: AtomicU64 = AtomicU64::new(0);

/// This process' own folder. Removed when dropped.
#[derive(Debug)]
pub(crate) struct TempFolder {
    path: PathBuf,
    files: AtomicU64,
    _lock: File,
}

impl TempFolder {
    pub(crate) fn make(under: &Path) -> Result<Self, BlobError> {
        make_folder(under)?;
        loop {
            let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
            let path = under.join(format!("{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {}
                // Left by a process that had our number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(from_io(error)),
            }
            if let Some(lock) = lock(&path)? {
                return Ok(Self { path, files: AtomicU64::new(0), _lock: lock });
            }
        }
    }

    /// A new, empty file.
    pub(crate) fn file(&self) -> Result<TempFile, BlobError> {
        let path = self.path.join(self.files.fetch_add(1, Ordering::Relaxed).to_string());
        let file = File::create_new(&path).map_err(from_io)?;
        Ok(TempFile { path: Some(path), file })
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // What stays is removed by the next sweep.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// An unfinished file: removed when dropped, unless it was given a name.
#[derive(Debug)]
pub(crate) struct TempFile {
    path: Option<PathBuf>,
    pub(crate) file: File,
}

impl TempFile {
    /// Gives it its name, in place of whatever had it.
    pub(crate) fn name(mut self, path: &Path) -> Result<(), BlobError> {
        if let Some(temp) = &self.path {
            fs::rename(temp, path).map_err(from_io)?;
            self.path = None;
        }
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// Locks a folder if nobody has it; `None` when somebody has, or when it was removed meanwhile.
fn lock(folder: &Path) -> Result<Option<File>, BlobError> {
    let Some(file) = present(File::open(folder))? else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(same(&file, folder)?.then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(from_io(error)),
    }
}

/// Whether an open file is still what is under a path.
pub(crate) fn same(file: &File, path: &Path) -> Result<bool, BlobError> {
    let open = file.metadata().map_err(from_io)?;
    let named = present(fs::metadata(path))?;
    Ok(named.is_some_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino())))
}

/// Removes the folders of processes that are gone.
pub(crate) fn sweep(under: &Path) -> Result<(), BlobError> {
    let Some(entries) = present(fs::read_dir(under))? else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(from_io)?.path();
        if let Some(_lock) = lock(&path)? {
            // Another sweep may be at it, too.
            present(fs::remove_dir_all(&path))?;
        }
    }
    Ok(())
}
