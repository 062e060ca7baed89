//! Files and folders that are open through the view.
//!
//! A file that is at the server only is open without being here until somebody reads it or writes a part of it. What must
//! hold: who has a file open keeps reading the bytes it was opened with, whatever comes in its place.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fuser::FileType;
use rustix::fs::{OFlags, openat};
use rustix::io::Errno;
use syncline::files::{Happening, What};
use syncline::tree::Content;

use super::core::{Core, Entry, Inside, errno};
use super::inodes::Who;
use crate::looks;
use crate::uses::Open;

/// How often a file is opened again that was taken away while it was.
const TRIES: usize = 16;

/// An open file that is here.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    _open: Open,
}

/// A file that is open.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) number: u64,
    pub(super) access: OFlags,
    /// Once it is here.
    pub(super) file: OnceLock<Arc<Opened>>,
    /// What it contained when it was opened without being here.
    pub(super) shown: Option<Content>,
}

/// What a folder listed when it was opened.
pub(super) type Listing = Vec<(String, FileType)>;

/// All that is open.
#[derive(Debug, Default)]
pub(super) struct Handles {
    files: Mutex<HashMap<u64, Arc<Handle>>>,
    folders: Mutex<HashMap<u64, Arc<Listing>>>,
    next: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handles {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A file is open from now on.
    pub(super) fn add(&self, number: u64, access: OFlags, file: Option<Opened>, shown: Option<Content>) -> u64 {
        let cell = OnceLock::new();
        if let Some(file) = file {
            // It is new.
            let _ = cell.set(Arc::new(file));
        }
        let handle = self.number();
        lock(&self.files).insert(handle, Arc::new(Handle { number, access, file: cell, shown }));
        handle
    }

    pub(super) fn get(&self, handle: u64) -> Result<Arc<Handle>, Errno> {
        lock(&self.files).get(&handle).cloned().ok_or(Errno::BADF)
    }

    /// A file that is open under this number, and is here.
    pub(super) fn of(&self, number: u64) -> Option<Arc<Opened>> {
        lock(&self.files)
            .values()
            .filter(|handle| handle.number == number)
            .find_map(|handle| handle.file.get().cloned())
    }

    pub(super) fn close(&self, handle: u64) {
        lock(&self.files).remove(&handle);
    }

    pub(super) fn list(&self, listing: Listing) -> u64 {
        let handle = self.number();
        lock(&self.folders).insert(handle, Arc::new(listing));
        handle
    }

    pub(super) fn listing(&self, handle: u64) -> Result<Arc<Listing>, Errno> {
        lock(&self.folders).get(&handle).cloned().ok_or(Errno::BADF)
    }

    pub(super) fn close_folder(&self, handle: u64) {
        lock(&self.folders).remove(&handle);
    }
}

impl Core {
    /// Opens a file that is here. `None`: it is not, any more.
    fn open_here(&self, inside: &Inside, name: &str, access: OFlags) -> Result<Option<Opened>, Errno> {
        // A pipe would wait for a writer.
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        for _ in 0..TRIES {
            let file = match openat(&inside.folder, name, flags, rustix::fs::Mode::empty()) {
                Err(Errno::NOENT) => return Ok(None),
                opened => File::from(opened?),
            };
            let looks = looks::open(&file).map_err(|error| errno(&error))?;
            if !matches!(looks.what, Some(What::File { .. })) {
                return Err(Errno::INVAL);
            }
            let opened = self.opened(file, &looks, access);
            // It may have been taken away in between.
            let now = looks::entry(&inside.folder, name).map_err(|error| errno(&error))?;
            if now.is_some_and(|now| now.print.identity == looks.print.identity) {
                return Ok(Some(opened));
            }
        }
        Err(Errno::BUSY)
    }

    /// An open file, of which the engine knows from now on that it is.
    pub(super) fn opened(&self, file: File, looks: &looks::Looks, access: OFlags) -> Opened {
        let writes = access.intersects(OFlags::WRONLY | OFlags::RDWR);
        Opened { file, _open: self.folder().uses().open(looks.print.identity, writes) }
    }

    /// Opens the file with this number, if it is here.
    pub(super) fn open(&self, number: u64, access: OFlags) -> Result<Option<Opened>, Errno> {
        let (inside, name, entry) = self.entry(number)?;
        if matches!(entry, Entry::Placeholder(..)) {
            return Ok(None);
        }
        let opened = self.open_here(&inside, &name, access)?;
        let Some(opened) = opened else { return Ok(None) };
        // The kernel keeps what it read by the number: another file needs another.
        let looks = looks::open(&opened.file).map_err(|error| errno(&error))?;
        match self.inodes().who(number) {
            Some(Who::Here(known)) if known != looks.print.identity => Err(Errno::STALE),
            _ => Ok(Some(opened)),
        }
    }

    /// What the file with this number contains, if it is a placeholder.
    pub(super) fn content_of_placeholder(&self, number: u64) -> Option<Content> {
        match self.entry(number) {
            Ok((.., Entry::Placeholder(_, held))) => held.content,
            _ => None,
        }
    }

    /// Whether a file that was brought for somebody who writes a part of it has the content that he opened: he knows places
    /// in no other.
    pub(super) fn is_what_was_shown(&self, opened: &Opened, shown: Option<Content>) -> Result<(), Errno> {
        let Some(shown) = shown else { return Ok(()) };
        let identity = looks::open(&opened.file).map_err(|error| errno(&error))?.print.identity;
        let came = self.window().both().content_here(identity);
        if came.is_some_and(|came| !came.is_same(&shown)) { Err(Errno::STALE) } else { Ok(()) }
    }

    /// Opens the file with this number, for somebody who reads it or will write a part of it: brings it if it is not here.
    pub(super) async fn open_whole(
        self: &Arc<Self>,
        number: u64,
        access: OFlags,
        what: Happening,
    ) -> Result<Opened, Errno> {
        for _ in 0..TRIES {
            let this = Arc::clone(self);
            let found = tokio::task::spawn_blocking(move || match this.open(number, access)? {
                Some(opened) => Ok(Ok(opened)),
                None => Ok(Err(this.entry(number)?)),
            });
            match found.await.map_err(|_| Errno::IO)?? {
                Ok(opened) => return Ok(opened),
                Err((inside, _, Entry::Placeholder(id, _))) => self.hydrate(id, inside.folder, what).await?,
                Err(_) => {}
            }
        }
        Err(Errno::BUSY)
    }
}
