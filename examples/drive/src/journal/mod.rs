//! What a device remembers of its folder and of the server, in one SQLite file beside the folder.
//!
//! What must hold: what a transaction wrote is on the disk, all of it or nothing; a file that does not read is put aside, never
//! written into, and never deleted: an empty journal takes folder and server for two that were never in touch, so that
//! everything of either stays. Only one program writes; others may look.
//!
//! Next: `batch` for what is written, `load` for what is read, `form` for how.

mod batch;

mod form;
mod load;
mod told;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use syncline::codec::DecodeError;

pub use batch::Batch;
pub use load::{Pin, Status, Waiting};
pub use told::{read_told, write_told};

/// `SyDr`, so that a file that is something else is known by its header.
const APPLICATION: i32 = 0x5379_4472;
const VERSION: i32 = 1;

const SCHEMA: &str = "
    CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE held(id BLOB PRIMARY KEY, held BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE remote(id BLOB PRIMARY KEY, node BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE outbox(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, asked BLOB NOT NULL, told BLOB NOT NULL) STRICT;
    CREATE TABLE contents(print BLOB PRIMARY KEY, content BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE manifests(id BLOB PRIMARY KEY, manifest BLOB NOT NULL) STRICT;
    CREATE TABLE pins(node BLOB PRIMARY KEY, pin INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE issues(folder BLOB NOT NULL, at TEXT NOT NULL, about INTEGER NOT NULL, issue BLOB NOT NULL,
        PRIMARY KEY(folder, at, about)) STRICT, WITHOUT ROWID;
";

/// What a device remembers.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    path: PathBuf,
}

/// Why a journal does not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A newer program made it.
    #[error("the journal is of version {0}; this program knows up to {VERSION}")]
    Newer(i32),
    /// What it says does not read. [`Journal::set_aside`] begins a new one.
    #[error("the journal does not read: {0}")]
    Unreadable(String),
    /// There is none yet.
    #[error("there is no journal yet")]
    None,
    /// There is no room.
    #[error("there is no room for the journal: {0}")]
    Full(#[source] rusqlite::Error),
    /// The database does not answer.
    #[error("the journal does not answer: {0}")]
    Database(#[source] rusqlite::Error),
    /// Its file cannot be used.
    #[error("the journal's file cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Unreadable(error.to_string()),
            Some(ErrorCode::DiskFull) => Self::Full(error),
            _ => Self::Database(error),
        }
    }
}

impl From<DecodeError> for JournalError {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl Journal {
    /// Opens the journal in this file, made if it is not there. One that does not read is put aside: then the second answer
    /// says where it is.
    ///
    /// # Errors
    /// When it is a newer program's, or cannot be written.
    pub fn open(path: &Path) -> Result<(Self, Option<PathBuf>), JournalError> {
        match Self::open_as_it_is(path) {
            Err(JournalError::Unreadable(_)) => {
                let aside = put_aside(path)?;
                Ok((Self::open_as_it_is(path)?, Some(aside)))
            }
            opened => Ok((opened?, None)),
        }
    }

    /// Opens the journal in this file to look at it, or to note something small, while another program keeps the folder.
    ///
    /// # Errors
    /// When there is none, or it does not read.
    pub fn beside(path: &Path) -> Result<Self, JournalError> {
        if !path.exists() {
            return Err(JournalError::None);
        }
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn open_as_it_is(path: &Path) -> Result<Self, JournalError> {
        let journal = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let said: String = journal.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if said == "ok" { Ok(journal) } else { Err(JournalError::Unreadable(said)) }
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, JournalError> {
        let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(Duration::from_secs(10))?;
        db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        db.execute_batch("PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;")?;
        let mut journal = Self { db, path: path.to_owned() };
        journal.begin()?;
        Ok(journal)
    }

    fn begin(&mut self) -> Result<(), JournalError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let number = |name: &str| transaction.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0));
        let (application, version) = (number("application_id")?, number("user_version")?);
        match (application, version) {
            (APPLICATION, VERSION) => return Ok(()),
            (APPLICATION, newer) if newer > VERSION => return Err(JournalError::Newer(newer)),
            (0, 0) => {}
            _ => return Err(JournalError::Unreadable("it is another program's".into())),
        }
        let tables: u32 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 {
            return Err(JournalError::Unreadable("it is another program's".into()));
        }
        transaction.execute_batch(SCHEMA)?;
        transaction
            .execute_batch(&format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"))?;
        Ok(transaction.commit()?)
    }

    /// Puts this journal aside, because what it says does not read, and begins an empty one; says where the old one is.
    ///
    /// # Errors
    /// When its file cannot be renamed, or another not be made.
    pub fn set_aside(self) -> Result<(Self, PathBuf), JournalError> {
        let Self { db, path } = self;
        // One that does not close is put aside as well.
        let _ = db.close();
        let aside = put_aside(&path)?;
        Ok((Self::open_as_it_is(&path)?, aside))
    }

    /// Writes all that `write` does, or nothing if it fails.
    ///
    /// # Errors
    /// What `write` failed with, or the database.
    pub fn write<T>(&mut self, write: impl FnOnce(&Batch<'_>) -> Result<T, JournalError>) -> Result<T, JournalError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = write(&Batch::of(&transaction))?;
        transaction.commit()?;
        Ok(done)
    }
}

/// The first free name beside it.
fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let with = |path: &Path, end: &str| {
        let mut name = OsString::from(path.as_os_str());
        name.push(end);
        PathBuf::from(name)
    };
    let mut aside = with(path, ".unreadable");
    for number in 2_u32.. {
        if !aside.try_exists()? {
            break;
        }
        aside = with(path, &format!(".unreadable-{number}"));
    }
    fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        match fs::rename(with(path, end), with(&aside, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests;
