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
use syncline::Digest;
use syncline::files::{Identity, RootState, What};

use crate::looks::{self, Looks};
use crate::uses::Uses;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// A folder that is synced, open.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    root: OwnedFd,
    identity: Identity,
    uses: Uses,
}

impl Folder {
    /// Opens the folder at `path`; says what is there when it is none.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn open(path: &Path) -> io::Result<Result<Self, RootState>> {
        let root = match openat(CWD, path, FOLDER, Mode::empty()) {
            Ok(root) => root,
            Err(Errno::NOENT) => return Ok(Err(RootState::Missing)),
            Err(Errno::NOTDIR) => return Ok(Err(RootState::Other)),
            Err(error) => return Err(error.into()),
        };
        let identity = looks::open(&root)?.print.identity;
        Ok(Ok(Self { path: path.to_owned(), root, identity, uses: Uses::default() }))
    }

    /// That it is a folder, and which: the number of its volume is made of the folder's own number and time of birth, for
    /// what the system calls the volume changes with a restart, and where a volume is not mounted there is another folder.
    #[must_use]
    pub fn state(&self) -> RootState {
        let Identity { device, inode, born_ns } = self.identity;
        let (kind, known) = born_ns.map_or((0_u8, device.cast_signed()), |born| (1, born));
        let digest = Digest::of(&[&[kind], &inode.to_be_bytes(), &known.to_be_bytes()]);
        let mut volume = 0;
        for byte in &digest.as_bytes()[..8] {
            volume = volume << 8 | u64::from(*byte);
        }
        // Stores hold 63 bits.
        RootState::Folder { volume: volume >> 1 }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who has files of it open, as far as that is known.
    #[must_use]
    pub const fn uses(&self) -> &Uses {
        &self.uses
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
        let no_file = || Error::new(ErrorKind::InvalidInput, "this is no file");
        let file = match openat(folder, name, flags, Mode::empty()) {
            Err(Errno::LOOP) => return Err(no_file()),
            opened => File::from(opened?),
        };
        let looks = looks::open(&file)?;
        if matches!(looks.what, Some(What::File { .. })) { Ok((file, looks)) } else { Err(no_file()) }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_that_is_not_there_or_another_one_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("drive");
        let state = || Folder::open(&at).unwrap().map_or_else(|state| state, |folder| folder.state());
        assert_eq!(state(), RootState::Missing);
        fs::create_dir(&at).unwrap();
        let before = state();
        assert_eq!(state(), before);

        fs::rename(&at, dir.path().join("old")).unwrap();
        fs::create_dir(&at).unwrap();
        assert_ne!(state(), before);
        fs::remove_dir(&at).unwrap();
        fs::write(&at, b"").unwrap();
        assert_eq!(state(), RootState::Other);
        fs::remove_file(&at).unwrap();
        fs::rename(dir.path().join("old"), &at).unwrap();
        assert_eq!(state(), before);
    }

    #[test]
    fn nothing_is_reached_through_a_link_or_by_a_name_that_is_a_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("drive/d")).unwrap();
        fs::write(dir.path().join("secret"), b"secret").unwrap();
        symlink(dir.path(), dir.path().join("drive/out")).unwrap();
        symlink("d", dir.path().join("drive/in")).unwrap();
        symlink(dir.path().join("secret"), dir.path().join("drive/file")).unwrap();
        let folder = Folder::open(&dir.path().join("drive")).unwrap().unwrap();

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
