//! What the kernel asks, and who answers. Nothing is decided here.
//!
//! What must hold: who waits for bytes holds up nobody else.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno as Answer, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{OFlags, fstatvfs};
use rustix::io::Errno;
use syncline::files::Happening;
use syncline::tree::Content;

use super::attr::{Owner, attr};
use super::change::Changes;
use super::core::{Core, Entry};
use super::handles::{Handle, Handles, Opened};

/// How long the kernel believes what it was told: it asks each time, for the engine changes the folder as well.
const BELIEVED: Duration = Duration::ZERO;

/// Where the kernel's questions arrive.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) core: Arc<Core>,
    pub(super) handles: Arc<Handles>,
    pub(super) owner: Owner,
}

type Done<T> = Result<T, Errno>;

fn said(error: Errno) -> Answer {
    Answer::from_i32(error.raw_os_error())
}

/// A name that others could have, too.
fn text(name: &OsStr) -> Done<&str> {
    name.to_str().ok_or(Errno::ILSEQ)
}

fn ended(done: Done<()>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(said(error)),
    }
}

impl Edge {
    /// Tells the kernel of an entry.
    fn told(&self, folder: u64, name: &str) -> Done<fuser::FileAttr> {
        let inside = self.core.inside(folder)?;
        let entry = self.core.find(&inside, name)?;
        let number = self.core.inodes().tell(folder, name, entry.who());
        Ok(attr(number, &entry, self.owner))
    }

    fn entry(&self, folder: u64, name: Done<&str>, reply: ReplyEntry) {
        match name.and_then(|name| self.told(folder, name)) {
            Ok(attr) => reply.entry(&BELIEVED, &attr, Generation(0)),
            Err(error) => reply.error(said(error)),
        }
    }

    /// A file is open from now on. `None`: it is a placeholder, and who writes to it takes it for what is shown now.
    fn add(&self, number: u64, access: OFlags, file: Option<Opened>) -> u64 {
        let shown = if file.is_none() { self.core.content_of_placeholder(number) } else { None };
        self.handles.add(number, access, file, shown)
    }

    /// Does something with an open file once it is here: at once, or when its bytes came.
    /// If it has to have some content then and has another, that is an error.
    fn once_here(
        &self,
        handle: Arc<Handle>,
        (what, shown): (Happening, Option<Content>),
        then: impl FnOnce(Done<Arc<Opened>>) + Send + 'static,
    ) {
        if let Some(file) = handle.file.get() {
            return then(Ok(Arc::clone(file)));
        }
        let core = Arc::clone(&self.core);
        self.core.runtime.spawn(async move {
            let opened = core.open_whole(handle.number, handle.access, what).await;
            let opened = opened.and_then(|opened| core.is_what_was_shown(&opened, shown).map(|()| opened));
            let file = opened.map(|opened| Arc::clone(handle.file.get_or_init(|| Arc::new(opened))));
            // Whoever ends the runtime needs no answer.
            let _ = tokio::task::spawn_blocking(move || then(file)).await;
        });
    }

    fn attr_of(&self, number: u64, handle: Option<u64>) -> Done<fuser::FileAttr> {
        let open = handle.and_then(|handle| self.handles.get(handle).ok());
        if let Some(file) = open.and_then(|handle| handle.file.get().cloned()) {
            return self.core.attr_of_open(number, &file.file);
        }
        match self.core.entry_or_root(number) {
            Ok(entry) => Ok(attr(number, &entry, self.owner)),
            // It has no name any more, and somebody has it open.
            Err(error) => match self.handles.of(number) {
                Some(file) => self.core.attr_of_open(number, &file.file),
                None => Err(error),
            },
        }
    }

    fn open_file(&self, number: u64, flags: OFlags, reply: ReplyOpen) {
        let access = flags & (OFlags::WRONLY | OFlags::RDWR);
        let writes = !access.is_empty();
        let open = |file| FileHandle(self.add(number, access, file));
        let found = (|| {
            if flags.contains(OFlags::TRUNC) && writes {
                return self.core.open_empty(number, access).map(Some);
            }
            self.core.open(number, access)
        })();
        match found {
            Ok(Some(file)) => reply.opened(open(Some(file)), FopenFlags::empty()),
            // It is brought when it is read or written: perhaps all of it is replaced.
            Ok(None) if writes => reply.opened(open(None), FopenFlags::empty()),
            Ok(None) => {
                let this = self.clone();
                self.core.runtime.spawn(async move {
                    match this.core.open_whole(number, access, Happening::Read).await {
                        Ok(file) => {
                            let handle = this.add(number, access, Some(file));
                            reply.opened(FileHandle(handle), FopenFlags::empty());
                        }
                        Err(error) => reply.error(said(error)),
                    }
                });
            }
            Err(error) => reply.error(said(error)),
        }
    }
}

/// Open flags as the kernel gives them.
fn flags(raw: i32) -> OFlags {
    OFlags::from_bits_retain(raw.cast_unsigned())
}

impl Filesystem for Edge {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        for wanted in [InitFlags::FUSE_ATOMIC_O_TRUNC, InitFlags::FUSE_AUTO_INVAL_DATA, InitFlags::FUSE_PARALLEL_DIROPS]
        {
            // An older kernel does without.
            let _ = config.add_capabilities(wanted);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(parent.0, name.to_str().ok_or(Errno::NOENT), reply);
    }

    fn forget(&self, _: &Request, ino: INodeNo, nlookup: u64) {
        self.core.inodes().forget(ino.0, nlookup);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr_of(ino.0, fh.map(|fh| fh.0)) {
            Ok(attr) => reply.attr(&BELIEVED, &attr),
            Err(error) => reply.error(said(error)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        fh: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changes = Changes { mode, uid, gid, size, atime, mtime };
        let (this, number) = (self.clone(), ino.0);
        let answer = move |done: Done<()>| match done.and_then(|()| this.attr_of(number, fh.map(|fh| fh.0))) {
            Ok(attr) => reply.attr(&BELIEVED, &attr),
            Err(error) => reply.error(said(error)),
        };
        let open = fh.and_then(|fh| self.handles.get(fh.0).ok()).and_then(|handle| handle.file.get().cloned());
        if let Some(file) = open.or_else(|| self.core.is_nowhere(number).then(|| self.handles.of(number)).flatten()) {
            return answer(changes.of_file(&file.file));
        }
        match self.core.entry_or_root(number) {
            Ok(Entry::Placeholder(..)) if changes.size == Some(0) => {
                answer(self.core.open_empty(number, OFlags::WRONLY).map(drop));
            }
            Ok(Entry::Placeholder(..)) if changes.is_nothing() => answer(Ok(())),
            Ok(Entry::Placeholder(..)) => {
                let core = Arc::clone(&self.core);
                self.core.runtime.spawn(async move {
                    let opened = core.open_whole(number, OFlags::WRONLY, Happening::Wrote).await;
                    let _ = tokio::task::spawn_blocking(move || {
                        answer(opened.and_then(|opened| changes.of_file(&opened.file)));
                    })
                    .await;
                });
            }
            Ok(Entry::Here(..)) => answer(self.core.change(number, &changes)),
            Err(error) => answer(Err(error)),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.core.read_link(ino.0) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(said(error)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let made = text(name).and_then(|name| self.core.make_folder(parent.0, name, mode & !umask).map(|()| name));
        self.entry(parent.0, made, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        ended(text(name).and_then(|name| self.core.unlink(parent.0, name)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        ended(text(name).and_then(|name| self.core.remove_folder(parent.0, name)), reply);
    }

    fn symlink(&self, _: &Request, parent: INodeNo, link_name: &OsStr, target: &Path, reply: ReplyEntry) {
        let made = text(link_name).and_then(|name| self.core.make_link(parent.0, name, target).map(|()| name));
        self.entry(parent.0, made, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (name, new) = match (text(name), text(newname)) {
            (Ok(name), Ok(new)) => (name, new),
            (Err(error), _) | (_, Err(error)) => return reply.error(said(error)),
        };
        let how = rustix::fs::RenameFlags::from_bits_retain(flags.bits());
        match self.core.rename((parent.0, name), (newparent.0, new), how) {
            Ok(None) => reply.ok(),
            Ok(Some(asks)) => {
                let core = Arc::clone(&self.core);
                let (from, to) = ((parent.0, name.to_owned()), (newparent.0, new.to_owned()));
                self.core.runtime.spawn(async move {
                    let moved = core.move_placeholder(asks.id, asks.held, (asks.to, asks.folder), to.1.clone()).await;
                    if moved.is_ok() {
                        core.inodes().rename((from.0, &from.1), (to.0, &to.1));
                    }
                    ended(moved, reply);
                });
            }
            Err(error) => reply.error(said(error)),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, raw: OpenFlags, reply: ReplyOpen) {
        self.open_file(ino.0, flags(raw.0), reply);
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, raw: i32, reply: ReplyCreate) {
        let access = flags(raw) & (OFlags::WRONLY | OFlags::RDWR);
        let created = text(name).and_then(|name| {
            let opened = self.core.create(parent.0, name, mode & !umask, flags(raw))?;
            Ok((self.told(parent.0, name)?, opened))
        });
        match created {
            Ok((attr, opened)) => {
                let handle = FileHandle(self.add(attr.ino.0, access, opened));
                reply.created(&BELIEVED, &attr, Generation(0), handle, FopenFlags::empty());
            }
            Err(error) => reply.error(said(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let handle = match self.handles.get(fh.0) {
            Ok(handle) => handle,
            Err(error) => return reply.error(said(error)),
        };
        self.once_here(handle, (Happening::Read, None), move |file| {
            let read = file.and_then(|file| super::change::read(&file.file, offset, size));
            match read {
                Ok(bytes) => reply.data(&bytes),
                Err(error) => reply.error(said(error)),
            }
        });
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        raw: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let answer = move |done: Done<usize>| match done.and_then(|n| u32::try_from(n).map_err(|_| Errno::IO)) {
            Ok(written) => reply.written(written),
            Err(error) => reply.error(said(error)),
        };
        let handle = match self.handles.get(fh.0) {
            Ok(handle) => handle,
            Err(error) => return answer(Err(error)),
        };
        // Where the end is the kernel does not know of a file that has changed since it looked.
        let appends = flags(raw.0).contains(OFlags::APPEND);
        if let Some(file) = handle.file.get() {
            return answer(super::change::write(&file.file, data, offset, appends));
        }
        let data = data.to_vec();
        let shown = handle.shown.filter(|_| !appends);
        self.once_here(handle, (Happening::Wrote, shown), move |file| {
            answer(file.and_then(|file| super::change::write(&file.file, &data, offset, appends)));
        });
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.handles.close(fh.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        let file = self.handles.get(fh.0).map(|handle| handle.file.get().cloned());
        ended(
            file.and_then(|file| match file {
                Some(file) if datasync => file.file.sync_data().map_err(|error| super::core::errno(&error)),
                Some(file) => file.file.sync_all().map_err(|error| super::core::errno(&error)),
                None => Ok(()),
            }),
            reply,
        );
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.core.list(ino.0) {
            Ok(listing) => reply.opened(FileHandle(self.handles.list(listing)), FopenFlags::empty()),
            Err(error) => reply.error(said(error)),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listing = match self.handles.listing(fh.0) {
            Ok(listing) => listing,
            Err(error) => return reply.error(said(error)),
        };
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (name, kind)) in listing.iter().enumerate().skip(skip) {
            let next = u64::try_from(at).map_or(u64::MAX, |at| at + 1);
            // Its number is known once it is looked up; this one only must not be none.
            let number = if name == "." { ino } else { INodeNo(u64::MAX - next) };
            if reply.add(number, next, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.handles.close_folder(fh.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = self.core.inside(ino.0).and_then(|inside| rustix::fs::fsync(&inside.folder));
        ended(synced, reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match fstatvfs(self.core.folder().root()) {
            Ok(said) => {
                let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
                let (size, fragment) = (small(said.f_bsize), small(said.f_frsize));
                let longest = small(said.f_namemax);
                reply.statfs(
                    said.f_blocks,
                    said.f_bfree,
                    said.f_bavail,
                    said.f_files,
                    said.f_ffree,
                    size,
                    longest,
                    fragment,
                );
            }
            Err(error) => reply.error(said(error)),
        }
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        sized(text(name).and_then(|name| self.core.attribute(ino.0, name)), size, reply);
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        sized(self.core.attributes(ino.0), size, reply);
    }

    fn setxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, value: &[u8], flags: i32, _: u32, reply: ReplyEmpty) {
        ended(text(name).and_then(|name| self.core.set_attribute(ino.0, name, value, flags)), reply);
    }

    fn removexattr(&self, _: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        ended(text(name).and_then(|name| self.core.remove_attribute(ino.0, name)), reply);
    }
}

fn sized(value: Done<Vec<u8>>, size: u32, reply: ReplyXattr) {
    let value = value.and_then(|value| Ok((u32::try_from(value.len()).map_err(|_| Errno::TOOBIG)?, value)));
    match value {
        Ok((len, _)) if size == 0 => reply.size(len),
        Ok((len, _)) if len > size => reply.error(said(Errno::RANGE)),
        Ok((_, value)) => reply.data(&value),
        Err(error) => reply.error(said(error)),
    }
}
