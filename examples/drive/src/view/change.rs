//! What programs do to the view that is done to the folder: reading, making, changing, moving, deleting.
//!
//! What must hold: no link is followed out of the folder; what is done to something in the folder is an ordinary edit to the
//! engine, and what is done where a placeholder stands is told to it.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, TimeOrNow};
use rustix::fs::{
    AtFlags, Dir, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid, chownat, fchmod,
    fchown, ftruncate, futimens, mkdirat, openat, readlinkat, renameat_with, statx, symlinkat, unlinkat, utimensat,
};
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use syncline::EntityId;
use syncline::files::Held;

use super::attr::{here, kind};
use super::core::{Core, Entry, Inside, allowed, errno, is_folder, seen};
use super::handles::{Listing, Opened};
use super::inodes::ROOT;
use super::union::union;
use crate::folder::child;
use crate::looks::{self, ASKED};

type Done<T> = Result<T, Errno>;

/// The bits of permissions that are taken over: who runs a file does so as nobody else.
const PERMISSIONS: u32 = 0o777;

/// What is to be changed about a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changes {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) atime: Option<TimeOrNow>,
    pub(super) mtime: Option<TimeOrNow>,
}

impl Changes {
    /// Whether nothing is, that a placeholder would have to remember.
    pub(super) const fn is_nothing(&self) -> bool {
        self.mode.is_none() && self.uid.is_none() && self.gid.is_none() && self.size.is_none() && self.mtime.is_none()
    }

    fn owner(&self) -> Option<(Option<Uid>, Option<Gid>)> {
        let (uid, gid) = (self.uid.map(Uid::from_raw), self.gid.map(Gid::from_raw));
        (uid.is_some() || gid.is_some()).then_some((uid, gid))
    }

    fn times(&self) -> Option<Timestamps> {
        if self.atime.is_none() && self.mtime.is_none() {
            return None;
        }
        Some(Timestamps { last_access: spec(self.atime), last_modification: spec(self.mtime) })
    }

    /// Changes an open file.
    pub(super) fn of_file(&self, file: &File) -> Done<()> {
        if let Some(size) = self.size {
            ftruncate(file, size)?;
        }
        if let Some((uid, gid)) = self.owner() {
            fchown(file, uid, gid)?;
        }
        if let Some(mode) = self.mode {
            fchmod(file, Mode::from_raw_mode(mode & PERMISSIONS))?;
        }
        match self.times() {
            Some(times) => futimens(file, &times),
            None => Ok(()),
        }
    }
}

fn spec(time: Option<TimeOrNow>) -> Timespec {
    match time {
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        Some(TimeOrNow::Now) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        Some(TimeOrNow::SpecificTime(time)) => since_1970(time),
    }
}

fn since_1970(time: SystemTime) -> Timespec {
    let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Timespec { tv_sec: seconds(after.as_secs()), tv_nsec: after.subsec_nanos().into() },
        Err(error) => {
            let before = error.duration();
            let whole = -seconds(before.as_secs());
            match before.subsec_nanos() {
                0 => Timespec { tv_sec: whole, tv_nsec: 0 },
                nanos => Timespec { tv_sec: whole - 1, tv_nsec: (1_000_000_000 - nanos).into() },
            }
        }
    }
}

/// A placeholder that is to be moved.
#[derive(Debug)]
pub(super) struct Asks {
    pub(super) id: EntityId,
    pub(super) held: Held,
    pub(super) to: EntityId,
    /// The folder that it goes to, open.
    pub(super) folder: OwnedFd,
}

impl Core {
    pub(super) fn entry_or_root(&self, number: u64) -> Done<Entry> {
        if number != ROOT {
            return Ok(self.entry(number)?.2);
        }
        let root = statx(self.folder().root(), c"", AtFlags::EMPTY_PATH, ASKED)?;
        Ok(Entry::Here(Box::new(root), looks::read(&root)))
    }

    /// Whether an entry has no place any more.
    pub(super) fn is_nowhere(&self, number: u64) -> bool {
        number != ROOT && self.inodes().place(number).is_none()
    }

    pub(super) fn attr_of_open(&self, number: u64, file: &File) -> Done<FileAttr> {
        let found = statx(file, c"", AtFlags::EMPTY_PATH, ASKED)?;
        Ok(here(number, &found, &looks::read(&found)))
    }

    /// What a folder lists.
    pub(super) fn list(&self, number: u64) -> Done<Listing> {
        let inside = self.inside(number)?;
        let away = inside.node.map(|node| self.window().both().inside(node)).unwrap_or_default();
        let away = away.into_iter().map(|(_, held)| (held.at, FileType::RegularFile));
        let mut listing = vec![(".".to_owned(), FileType::Directory), ("..".to_owned(), FileType::Directory)];
        listing.extend(union(entries(&inside.folder)?, away));
        Ok(listing)
    }

    pub(super) fn read_link(&self, number: u64) -> Done<Vec<u8>> {
        let (inside, name, _) = self.entry(number)?;
        Ok(readlinkat(&inside.folder, &name, Vec::new())?.into_bytes())
    }

    fn nothing_at(&self, inside: &Inside, name: &str) -> Done<()> {
        match self.find(inside, name) {
            Ok(_) => Err(Errno::EXIST),
            // Names of ours are not there, and are not made either.
            Err(Errno::NOENT) => allowed(name).map(drop).map_err(|_| Errno::PERM),
            Err(error) => Err(error),
        }
    }

    pub(super) fn make_folder(&self, folder: u64, name: &str, mode: u32) -> Done<()> {
        let inside = self.inside(folder)?;
        self.nothing_at(&inside, name)?;
        mkdirat(&inside.folder, name, Mode::from_raw_mode(mode & PERMISSIONS))?;
        // What is taken off here was not asked to be.
        fchmod(child(&inside.folder, name).map_err(|error| errno(&error))?, Mode::from_raw_mode(mode & PERMISSIONS))
    }

    pub(super) fn make_link(&self, folder: u64, name: &str, target: &Path) -> Done<()> {
        let inside = self.inside(folder)?;
        self.nothing_at(&inside, name)?;
        symlinkat(target.as_os_str().as_bytes(), &inside.folder, name)
    }

    /// Makes a file and opens it. `None`: it is a placeholder.
    pub(super) fn create(&self, folder: u64, name: &str, mode: u32, flags: OFlags) -> Done<Option<Opened>> {
        let inside = self.inside(folder)?;
        let access = flags & (OFlags::WRONLY | OFlags::RDWR);
        match self.find(&inside, name) {
            Err(Errno::NOENT) => {}
            Ok(_) if flags.contains(OFlags::EXCL) => return Err(Errno::EXIST),
            Ok(entry) => {
                let number = self.inodes().tell(folder, name, entry.who());
                let opened = if flags.contains(OFlags::TRUNC) {
                    self.open_empty(number, access).map(Some)
                } else {
                    self.open(number, access)
                };
                self.inodes().forget(number, 1);
                return opened;
            }
            Err(error) => return Err(error),
        }
        self.nothing_at(&inside, name)?;
        let make = access | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & PERMISSIONS);
        let file = File::from(openat(&inside.folder, name, make, mode)?);
        fchmod(&file, mode)?;
        let looks = looks::open(&file).map_err(|error| errno(&error))?;
        Ok(Some(self.opened(file, &looks, access)))
    }

    /// Opens the file with this number, and empties it: a placeholder without bringing it.
    pub(super) fn open_empty(&self, number: u64, access: OFlags) -> Done<Opened> {
        let (inside, name, entry) = self.entry(number)?;
        if let Entry::Placeholder(id, _) = entry {
            self.empty(&inside, &name, id)?;
        }
        let opened = self.open(number, access)?.ok_or(Errno::BUSY)?;
        ftruncate(&opened.file, 0)?;
        Ok(opened)
    }

    /// Changes something that is here.
    pub(super) fn change(&self, number: u64, changes: &Changes) -> Done<()> {
        if number == ROOT {
            return self.inside(ROOT).and_then(|inside| changes.of_file(&File::from(inside.folder)));
        }
        let (inside, name, entry) = self.entry(number)?;
        let Entry::Here(_, looks) = entry else { return Err(Errno::BUSY) };
        if is_folder(&looks) {
            return changes.of_file(&child(&inside.folder, &name).map_err(|error| errno(&error))?.into());
        }
        if changes.size.is_some() {
            let opened = self.open(number, OFlags::WRONLY)?.ok_or(Errno::BUSY)?;
            return changes.of_file(&opened.file);
        }
        if let Some((uid, gid)) = changes.owner() {
            chownat(&inside.folder, &*name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if changes.mode.is_some() {
            let opened = self.open(number, OFlags::RDONLY)?.ok_or(Errno::BUSY)?;
            Changes { uid: None, gid: None, atime: None, mtime: None, ..*changes }.of_file(&opened.file)?;
        }
        match changes.times() {
            Some(times) => utimensat(&inside.folder, &*name, &times, AtFlags::SYMLINK_NOFOLLOW),
            None => Ok(()),
        }
    }

    /// Deletes a file or a link, or a placeholder.
    pub(super) fn unlink(&self, folder: u64, name: &str) -> Done<()> {
        let inside = self.inside(folder)?;
        let entry = self.find(&inside, name)?;
        if let Entry::Here(_, looks) = &entry {
            if is_folder(looks) {
                return Err(Errno::ISDIR);
            }
            match unlinkat(&inside.folder, name, AtFlags::empty()) {
                // The engine took it away meanwhile: what is left is a placeholder.
                Err(Errno::NOENT) => {}
                done => done?,
            }
        }
        let left = inside.node.and_then(|node| self.window().both().at(node, name));
        if let Some((id, _)) = left {
            self.delete(id)?;
        }
        self.inodes().unlink(folder, name);
        Ok(())
    }

    /// Deletes a folder with nothing in it.
    pub(super) fn remove_folder(&self, folder: u64, name: &str) -> Done<()> {
        let inside = self.inside(folder)?;
        let Entry::Here(_, looks) = self.find(&inside, name)? else { return Err(Errno::NOTDIR) };
        self.is_free_of_placeholders(&looks)?;
        unlinkat(&inside.folder, name, AtFlags::REMOVEDIR)?;
        self.inodes().unlink(folder, name);
        Ok(())
    }

    fn is_free_of_placeholders(&self, looks: &looks::Looks) -> Done<()> {
        let both = self.window().both();
        let node = both.shown.folder(looks.print.identity);
        if node.is_some_and(|node| !both.inside(node).is_empty()) { Err(Errno::NOTEMPTY) } else { Ok(()) }
    }

    /// Gives something another place. `Some`: it is a placeholder, and the server has to be asked.
    pub(super) fn rename(&self, from: (u64, &str), to: (u64, &str), how: RenameFlags) -> Done<Option<Asks>> {
        let (source, target) = (self.inside(from.0)?, self.inside(to.0)?);
        let entry = self.find(&source, from.1)?;
        allowed(to.1).map_err(|_| Errno::PERM)?;
        let there = match self.find(&target, to.1) {
            Ok(there) => Some(there),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error),
        };
        if there.is_some() && how.contains(RenameFlags::NOREPLACE) {
            return Err(Errno::EXIST);
        }
        let rename = || renameat_with(&source.folder, from.1, &target.folder, to.1, how);
        match (&entry, &there) {
            (Entry::Placeholder(..), _) | (_, Some(Entry::Placeholder(..))) if how.contains(RenameFlags::EXCHANGE) => {
                return Err(Errno::INVAL);
            }
            (Entry::Placeholder(id, held), None) => {
                // A folder that the server does not have yet can have nothing of it: who moves copies.
                let to = target.node.ok_or(Errno::XDEV)?;
                return Ok(Some(Asks { id: *id, held: (**held).clone(), to, folder: target.folder }));
            }
            (Entry::Placeholder(..), Some(_)) => return Err(Errno::XDEV),
            (Entry::Here(_, looks), Some(Entry::Placeholder(..))) if is_folder(looks) => return Err(Errno::NOTDIR),
            (_, Some(Entry::Placeholder(id, _))) => self.replace(*id, rename)?,
            (_, Some(Entry::Here(_, looks))) if is_folder(looks) && !how.contains(RenameFlags::EXCHANGE) => {
                self.is_free_of_placeholders(looks)?;
                rename()?;
            }
            (_, Some(Entry::Here(..)) | None) => rename()?,
        }
        if how.contains(RenameFlags::EXCHANGE) {
            self.inodes().exchange(from, to);
        } else {
            self.inodes().rename(from, to);
        }
        Ok(None)
    }
}

/// What is in an open folder, and can be shown.
fn entries(folder: &OwnedFd) -> Done<Vec<(String, FileType)>> {
    // Opened anew: who reads the entries of an open folder goes on where the last one stopped.
    let anew = child(folder, ".").map_err(|error| errno(&error))?;
    let mut found = Vec::new();
    for entry in Dir::read_from(&anew)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if matches!(name, "." | "..") {
            continue;
        }
        if let Some((_, looks)) = seen(folder, name)? {
            found.push((name.to_owned(), kind(looks.what)));
        }
    }
    Ok(found)
}

/// Reads a part of a file: as much as there is.
pub(super) fn read(file: &File, mut offset: u64, size: u32) -> Done<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| Errno::INVAL)?];
    let mut len = 0;
    while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset) {
            Ok(0) => break,
            Ok(read) => (len, offset) = (len + read, offset + read as u64),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(errno(&error)),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// Writes a part of a file: where it is said, or at its end, wherever that is by now.
pub(super) fn write(file: &File, bytes: &[u8], offset: u64, appends: bool) -> Done<usize> {
    let how = if appends { ReadWriteFlags::APPEND } else { ReadWriteFlags::empty() };
    pwritev2(file, &[IoSlice::new(bytes)], offset, how)
}
