//! The folder that is synced, and the only way to what is in it: from its root down, a name at a time, no link followed.
//!
//! What must hold: whatever names a server sends and whatever links somebody lays, nothing outside the folder is opened,
//! made, changed or removed.

use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use syncline::files::{Identity, What};

use crate::looks::{self, Looks};

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// A folder that is synced, open.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    root: OwnedFd,
    identity: Identity,
}

/// Why a folder cannot be synced as it is. The first three stop everything: what is missing then was not deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootFault {
    /// Not mounted, moved away or deleted.
    #[error("the folder {0} is not there")]
    Missing(PathBuf),
    /// A file or something else is in its place.
    #[error("{0} is not a folder")]
    NotAFolder(PathBuf),
    /// Another folder is in its place: another volume is mounted there, or none.
    #[error("{0} is not the folder that was synced before")]
    Another(PathBuf),
    /// The system does not let us.
    #[error("the folder {0} cannot be opened: {1}")]
    Io(PathBuf, #[source] Error),
}

impl Folder {
    /// Opens the folder at `path`, which must be `known`, if it was opened before.
    ///
    /// Its number and time of birth say which folder it is. A volume's own number does not: it changes with a restart.
    ///
    /// # Errors
    /// When it is not there or is another one.
    pub fn open(path: &Path, known: Option<Identity>) -> Result<Self, RootFault> {
        let fault = |error: Errno| match error {
            Errno::NOENT => RootFault::Missing(path.to_owned()),
            Errno::NOTDIR => RootFault::NotAFolder(path.to_owned()),
            error => RootFault::Io(path.to_owned(), error.into()),
        };
        let root = openat(CWD, path, FOLDER, Mode::empty()).map_err(fault)?;
        let looks = looks::open(&root).map_err(|error| RootFault::Io(path.to_owned(), error))?;
        let identity = looks.print.identity;
        if known.is_some_and(|known| !is_same(known, identity)) {
            return Err(RootFault::Another(path.to_owned()));
        }
        Ok(Self { path: path.to_owned(), root, identity })
    }

    /// Which folder it is, to be known again.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens the folder with this path in it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what is no name; [`ErrorKind::NotADirectory`] where a link or a file is in the way;
    /// else what the system says.
    pub fn inside(&self, path: &[&str]) -> io::Result<OwnedFd> {
        let mut at = self.root.try_clone()?;
        for name in path {
            at = child(&at, check(name)?)?;
        }
        Ok(at)
    }

    /// Opens the folder that an entry is in; gives the entry's name back, checked.
    ///
    /// # Errors
    /// As [`inside`](Self::inside), and for the root, which is in nothing.
    pub fn around<'a>(&self, path: &[&'a str]) -> io::Result<(OwnedFd, &'a str)> {
        let (name, above) = path.split_last().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "this is the root"))?;
        Ok((self.inside(above)?, check(name)?))
    }

    /// How the entry with this path looks; `None`: it is not there, or a folder on the way to it.
    ///
    /// # Errors
    /// As [`around`](Self::around).
    pub fn looks(&self, path: &[&str]) -> io::Result<Option<Looks>> {
        match self.around(path) {
            Ok((folder, name)) => looks::entry(folder, name),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a file for reading; never a link, a pipe or a device.
    ///
    /// # Errors
    /// As [`around`](Self::around), and [`ErrorKind::InvalidInput`] for what is no file.
    pub fn file(&self, path: &[&str]) -> io::Result<(File, Looks)> {
        let (folder, name) = self.around(path)?;
        // A pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(folder, name, flags, Mode::empty())?);
        let looks = looks::open(&file)?;
        if matches!(looks.what, Some(What::File { .. })) {
            return Ok((file, looks));
        }
        Err(Error::new(ErrorKind::InvalidInput, "this is no file"))
    }
}

/// Opens a folder in an open one.
///
/// # Errors
/// [`ErrorKind::NotADirectory`] for a link, which is not followed; else what the system says.
pub fn child(folder: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    openat(folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map_err(|error| match error {
        // What Linux says of a link when a folder is asked for, and what POSIX says.
        Errno::LOOP | Errno::NOTDIR => Errno::NOTDIR.into(),
        error => error.into(),
    })
}

/// A name that names an entry of its folder and nothing else.
///
/// # Errors
/// [`ErrorKind::InvalidInput`].
pub fn check(name: &str) -> io::Result<&str> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{name:?} is no name")));
    }
    Ok(name)
}

fn is_same(one: Identity, other: Identity) -> bool {
    match (one.born_ns, other.born_ns) {
        (Some(one_born), Some(other_born)) => (one.inode, one_born) == (other.inode, other_born),
        _ => (one.device, one.inode) == (other.device, other.inode),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_that_is_not_there_or_another_one_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("drive");
        assert!(matches!(Folder::open(&at, None), Err(RootFault::Missing(_))));
        fs::create_dir(&at).unwrap();
        let known = Folder::open(&at, None).unwrap().identity();
        assert!(Folder::open(&at, Some(known)).is_ok());
        // Its volume's number alone may change.
        assert!(Folder::open(&at, Some(Identity { device: known.device + 1, ..known })).is_ok());

        fs::rename(&at, dir.path().join("old")).unwrap();
        fs::create_dir(&at).unwrap();
        assert!(matches!(Folder::open(&at, Some(known)), Err(RootFault::Another(_))));
        fs::remove_dir(&at).unwrap();
        fs::write(&at, b"").unwrap();
        assert!(matches!(Folder::open(&at, Some(known)), Err(RootFault::NotAFolder(_))));
    }

    #[test]
    fn nothing_is_reached_through_a_link_or_by_a_name_that_is_a_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("drive/d")).unwrap();
        fs::write(dir.path().join("secret"), b"secret").unwrap();
        symlink(dir.path(), dir.path().join("drive/out")).unwrap();
        symlink("d", dir.path().join("drive/in")).unwrap();
        symlink(dir.path().join("secret"), dir.path().join("drive/file")).unwrap();
        let folder = Folder::open(&dir.path().join("drive"), None).unwrap();

        assert!(folder.inside(&["d"]).is_ok());
        for link in ["out", "in"] {
            assert_eq!(folder.inside(&[link]).unwrap_err().kind(), ErrorKind::NotADirectory, "{link}");
            assert!(folder.file(&[link, "secret"]).is_err());
        }
        assert!(folder.file(&["file"]).is_err());
        for name in ["", ".", "..", "../secret", "/etc", "a\0b"] {
            assert_eq!(folder.inside(&[name]).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
            assert_eq!(folder.around(&["d", name]).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
        }
        assert!(folder.around(&[]).is_err());
    }
}
