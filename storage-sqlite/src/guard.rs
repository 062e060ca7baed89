//! Whose file it is: the lock against a second process, the file system it may live on, and whether the file at the
//! path is still the one we opened.
//!
//! What must hold: a file that was deleted or replaced under us is never written or read again; nothing that went
//! to it after that is acknowledged.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::FlockOperation;
use syncline::store::StoreErrorKind;

use crate::error::{Failed, Outcome};
use crate::options::NetworkFileSystem;

/// Magic numbers of `statfs(2)` for file systems whose files other machines may have open, and for FUSE, which does
/// not tell what is behind it.
const NETWORK: [(u64, &str); 14] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x564C, "NCP"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "kAFS"),
    (0x7375_7245, "Coda"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
    (0x6573_5546, "FUSE"),
];

/// The held file.
#[derive(Debug)]
pub(crate) struct Guard {
    path: PathBuf,
    identity: OnceLock<(u64, u64)>,
    halted: OnceLock<String>,
    /// Released by the system when it is closed, also when the process dies.
    _lock: File,
}

impl Guard {
    /// Takes the lock beside `path`. The file itself need not exist yet.
    pub(crate) fn take(path: &Path, network: NetworkFileSystem) -> Outcome<Self> {
        let path = absolute(path)?;
        if network == NetworkFileSystem::Refused {
            refuse_network(path.parent().unwrap_or(&path))?;
        }
        let mut beside = path.clone().into_os_string();
        beside.push(".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&beside).map_err(|error| {
            Failed::new(StoreErrorKind::Unavailable, format!("cannot open {}: {error}", Path::new(&beside).display()))
        })?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let text = format!("{} is open in another process or store", path.display());
                return Err(Failed::new(StoreErrorKind::Locked, text));
            }
            Err(error) => {
                return Err(Failed::new(
                    StoreErrorKind::Unsupported,
                    format!("this file system has no locks: {error}"),
                ));
            }
        }
        Ok(Self { path, identity: OnceLock::new(), halted: OnceLock::new(), _lock: lock })
    }

    /// The path without links, as it was when the lock was taken.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Remembers which file is at the path now; the first call counts.
    pub(crate) fn remember(&self) -> Outcome<()> {
        let now = identity(&self.path).map_err(|error| self.gone(&error))?;
        let first = *self.identity.get_or_init(|| now);
        if first == now { Ok(()) } else { Err(self.halt("replaced by another file")) }
    }

    /// Whether the file at the path is still the one remembered. Once it was not, it never is again.
    pub(crate) fn check(&self) -> Outcome<()> {
        if let Some(why) = self.halted.get() {
            return Err(Failed::corrupt(why));
        }
        self.remember()
    }

    fn gone(&self, error: &std::io::Error) -> Failed {
        if error.kind() == std::io::ErrorKind::NotFound {
            return self.halt("deleted or moved away");
        }
        Failed::new(StoreErrorKind::Unavailable, format!("cannot look at {}: {error}", self.path.display()))
    }

    fn halt(&self, how: &str) -> Failed {
        let text = format!("{} was {how} while it was open; the store has stopped", self.path.display());
        Failed::corrupt(self.halted.get_or_init(|| text))
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Two spellings of one file share one lock.
fn absolute(path: &Path) -> Outcome<PathBuf> {
    let failed = |error| Failed::new(StoreErrorKind::Unavailable, format!("cannot find {}: {error}", path.display()));
    match fs::canonicalize(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or_else(|| {
                Failed::new(StoreErrorKind::Unsupported, format!("{} does not name a file", path.display()))
            })?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(fs::canonicalize(folder).map_err(failed)?.join(name))
        }
        found => found.map_err(failed),
    }
}

fn refuse_network(folder: &Path) -> Outcome<()> {
    let stat = rustix::fs::statfs(folder).map_err(|error| {
        Failed::new(StoreErrorKind::Unavailable, format!("cannot look at {}: {error}", folder.display()))
    })?;
    match network_name(u64::try_from(stat.f_type).unwrap_or(0)) {
        None => Ok(()),
        Some(name) => {
            let text =
                format!("{} is on a network file system ({name}); see allow_network_file_system", folder.display());
            Err(Failed::new(StoreErrorKind::Unsupported, text))
        }
    }
}

fn network_name(magic: u64) -> Option<&'static str> {
    // Some architectures sign-extend the 32-bit number.
    let magic = magic & 0xFFFF_FFFF;
    NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_q09_network_file_systems_are_known_by_their_magic_numbers() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xFFFF_FFFF_FE53_4D42), Some("SMB2"));
        assert_eq!(network_name(0xEF53), None, "ext4 is local");
        assert_eq!(network_name(0x0102_1994), None, "tmpfs is local");
    }
}
