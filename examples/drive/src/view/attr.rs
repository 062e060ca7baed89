//! How entries look to the kernel.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo};
use rustix::fs::{Statx, StatxTimestamp};
use syncline::files::{Held, What};

use super::core::Entry;
use crate::looks::Looks;

/// Bytes of a block, as systems count them.
const BLOCK: u32 = 4_096;

/// Whose the view's files are, where nothing says so: the folder's owner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

pub(super) fn attr(number: u64, entry: &Entry, owner: Owner) -> FileAttr {
    match entry {
        Entry::Here(statx, looks) => here(number, statx, looks),
        Entry::Placeholder(_, held) => placeholder(number, held, owner),
    }
}

/// Of something in the folder: as it is there.
pub(super) fn here(number: u64, statx: &Statx, looks: &Looks) -> FileAttr {
    FileAttr {
        ino: INodeNo(number),
        size: statx.stx_size,
        blocks: statx.stx_blocks,
        atime: time(statx.stx_atime),
        mtime: time(statx.stx_mtime),
        ctime: time(statx.stx_ctime),
        crtime: time(statx.stx_btime),
        kind: kind(looks.what),
        perm: looks.mode,
        nlink: statx.stx_nlink,
        uid: statx.stx_uid,
        gid: statx.stx_gid,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

/// Of a placeholder: its size and time, and that it takes no room.
fn placeholder(number: u64, held: &Held, owner: Owner) -> FileAttr {
    let (bytes, at, runs) = held.content.map_or((0, 0, false), |c| (c.bytes, c.modified_at.ms(), c.executable));
    let time = UNIX_EPOCH + Duration::from_millis(at);
    FileAttr {
        ino: INodeNo(number),
        size: bytes,
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: FileType::RegularFile,
        perm: if runs { 0o755 } else { 0o644 },
        nlink: 1,
        uid: owner.uid,
        gid: owner.gid,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

pub(super) const fn kind(what: Option<What>) -> FileType {
    match what {
        Some(What::Folder) => FileType::Directory,
        Some(What::Symlink) => FileType::Symlink,
        _ => FileType::RegularFile,
    }
}

fn time(time: StatxTimestamp) -> SystemTime {
    let nanos = Duration::from_nanos(time.tv_nsec.into());
    match u64::try_from(time.tv_sec) {
        Ok(seconds) => UNIX_EPOCH + Duration::from_secs(seconds) + nanos,
        Err(_) => UNIX_EPOCH - Duration::from_secs(time.tv_sec.unsigned_abs()) + nanos,
    }
}
