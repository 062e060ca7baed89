//! How a file looks, in one question to the system.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Mode, Statx, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::io::Errno;
use rustix::path::Arg;
use syncline::files::{Fingerprint, Identity, What};

/// What is asked for: one call answers all of it.
pub(crate) const ASKED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// How an entry of a folder looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what a file system says")]
pub struct Looks {
    /// What it is; `None`: a socket, a pipe or a device.
    pub what: Option<What>,
    /// What tells it from others, and from what it was.
    pub print: Fingerprint,
    /// Its permission bits.
    pub mode: u16,
}

/// How an entry of an open folder looks, links not followed; `None`: it is not there.
///
/// # Errors
/// What the system says.
pub fn entry(folder: impl AsFd, name: impl Arg) -> io::Result<Option<Looks>> {
    match statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, ASKED) {
        Ok(found) => Ok(Some(read(&found))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How an open file looks.
///
/// # Errors
/// What the system says.
pub fn open(file: impl AsFd) -> io::Result<Looks> {
    Ok(read(&statx(file, c"", AtFlags::EMPTY_PATH, ASKED)?))
}

/// What the system's answer means.
pub(crate) fn read(found: &Statx) -> Looks {
    let mode = Mode::from_raw_mode(found.stx_mode.into()).bits();
    let what = match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::RegularFile => Some(What::File { executable: mode & 0o100 != 0 }),
        FileType::Directory => Some(What::Folder),
        FileType::Symlink => Some(What::Symlink),
        _ => None,
    };
    let is_folder = what == Some(What::Folder);
    let born = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    let identity = Identity {
        device: makedev(found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
        born_ns: born.then(|| ns(found.stx_btime)),
    };
    // What a folder holds is told by its entries.
    let print = if is_folder {
        Fingerprint { size: 0, modified_ns: 0, changed_ns: 0, identity }
    } else {
        Fingerprint {
            size: found.stx_size,
            modified_ns: ns(found.stx_mtime),
            changed_ns: ns(found.stx_ctime),
            identity,
        }
    };
    Looks { what, print, mode: found.stx_mode & 0o7777 }
}

fn ns(time: StatxTimestamp) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.into())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_looks_as_the_system_says() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        let path = dir.path().join("a");
        fs::write(&path, b"four").unwrap();
        let (looks, said) = (entry(&folder, "a").unwrap().unwrap(), fs::metadata(&path).unwrap());
        assert_eq!(looks.what, Some(What::File { executable: false }));
        assert_eq!((looks.print.size, looks.print.identity.inode), (4, said.ino()));
        assert_eq!(looks.print.identity.device, said.dev());
        assert_eq!(looks.print.modified_ns, said.mtime() * 1_000_000_000 + said.mtime_nsec());
        assert_eq!(looks.print.changed_ns, said.ctime() * 1_000_000_000 + said.ctime_nsec());
        assert_eq!(open(File::open(&path).unwrap()).unwrap(), looks);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(entry(&folder, "a").unwrap().unwrap().what, Some(What::File { executable: true }));
        assert_eq!(entry(&folder, "b").unwrap(), None);
    }

    #[test]
    fn a_folder_stays_the_same_whatever_is_put_into_it_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let before = entry(&folder, "d").unwrap().unwrap();
        fs::write(dir.path().join("d/x"), b"x").unwrap();
        assert_eq!(entry(&folder, "d").unwrap().unwrap(), before);
        symlink("d", dir.path().join("l")).unwrap();
        assert_eq!(entry(&folder, "l").unwrap().unwrap().what, Some(What::Symlink));
    }
}
