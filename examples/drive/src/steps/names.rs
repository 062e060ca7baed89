//! Changing names: never onto something that is there, and both at once.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{RenameFlags, fsync, renameat, renameat_with};
use rustix::io::Errno;

use crate::looks;

/// An entry of an open folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a str,
}

impl<'a> Entry<'a> {
    pub(super) fn new(folder: &'a impl AsFd, name: &'a str) -> Self {
        Self { folder: folder.as_fd(), name }
    }
}

/// Gives an entry another place where nothing is.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] when something is there that is not the entry itself under another spelling.
pub(super) fn rename(from: Entry<'_>, to: Entry<'_>) -> io::Result<()> {
    match renameat_with(from.folder, from.name, to.folder, to.name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => {
            // Where case does not count, an entry is in its own way.
            let (one, other) = (looks::entry(from.folder, from.name)?, looks::entry(to.folder, to.name)?);
            let same = one.zip(other).is_some_and(|(one, other)| one.print.identity == other.print.identity);
            // Two names of one file would stay two.
            let spelling = from.name != to.name && from.name.to_lowercase() == to.name.to_lowercase();
            if !(same && spelling) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            Ok(renameat(from.folder, from.name, to.folder, to.name)?)
        }
        // File systems that do not know the question: what is made there in between is lost, which nothing can prevent.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            if looks::entry(to.folder, to.name)?.is_some() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            Ok(renameat(from.folder, from.name, to.folder, to.name)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Lets two entries of a folder change places. `false`: the file system does not know how.
pub(super) fn exchange(folder: impl AsFd, one: &str, other: &str) -> io::Result<bool> {
    match renameat_with(&folder, one, &folder, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Brings the names in a folder to the disk.
pub(super) fn keep(folder: impl AsFd) -> io::Result<()> {
    Ok(fsync(folder)?)
}
