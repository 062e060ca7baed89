//! One program at a time keeps a folder: two would each take what the other does for somebody's edits.
//!
//! What must hold: the lock ends with the program, however it ends; it leaves nothing in the folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// The right to keep a folder, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _folder: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Locked {
    /// Another program has it.
    #[error("another program keeps this folder already")]
    Taken,
    /// The system does not let us.
    #[error("the folder cannot be locked: {0}")]
    Io(#[source] io::Error),
}

impl Lock {
    /// Takes the lock of a folder.
    ///
    /// # Errors
    /// When another program has it.
    pub fn take(folder: &Path) -> Result<Self, Locked> {
        let folder = File::open(folder).map_err(Locked::Io)?;
        match folder.try_lock() {
            Ok(()) => Ok(Self { _folder: folder }),
            Err(TryLockError::WouldBlock) => Err(Locked::Taken),
            Err(TryLockError::Error(error)) => Err(Locked::Io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e47_a_second_program_on_a_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        assert!(matches!(Lock::take(dir.path()), Err(Locked::Taken)));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        drop(lock);
        assert!(Lock::take(dir.path()).is_ok());
        assert!(matches!(Lock::take(&dir.path().join("not there")), Err(Locked::Io(_))));
    }
}
