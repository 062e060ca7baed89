//! One connection: its settings, its cached statements, and the count of what it executed.
//!
//! What must hold: every statement of the adapter is run here, from a text that does not depend on how many keys
//! are asked for, so that it is prepared once per connection and counted each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Params, Row};
use syncline::store::StoreErrorKind;

use crate::error::{Failed, Outcome};
use crate::guard::Guard;
use crate::options::{Durability, SqliteOptions};
use crate::schema;

/// The write-ahead log's file is cut back to this when it is next reused.
const WAL_BYTES_MAX: u32 = 64 << 20;
const STATEMENTS_CACHED: usize = 128;

/// What opening further connections takes.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) options: SqliteOptions,
    pub(crate) guard: Guard,
    pub(crate) statements: Arc<AtomicU64>,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Db {
    connection: Connection,
    statements: Arc<AtomicU64>,
}

impl Db {
    /// The connection that writes. Makes the file when it is not there.
    pub(crate) fn writer(source: &Source) -> Outcome<Self> {
        let db = Self::open(source, OpenFlags::SQLITE_OPEN_CREATE)?;
        // Before the first write: a file that is not ours is left as it was.
        schema::check(&db)?;
        let mode: String = db.connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            let text = format!("the write-ahead log cannot be used here; the journal mode stays {mode:?}");
            return Err(Failed::new(StoreErrorKind::Unsupported, text));
        }
        let synchronous = match source.options.durability {
            Durability::Full => "FULL",
            Durability::MayLoseLastSeconds => "NORMAL",
        };
        let SqliteOptions { checkpoint_pages: checkpoint, writer_cache_kib: cache, .. } = source.options;
        db.connection.execute_batch(&format!(
            "PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = {checkpoint};
             PRAGMA journal_size_limit = {WAL_BYTES_MAX}; PRAGMA cache_size = -{cache};
             PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
        ))?;
        source.guard.remember()?;
        db.settle()?;
        Ok(db)
    }

    /// Makes durable what this connection found. After a failed sync, ours or that of a process before us, the
    /// kernel may take pages for written that never were ("fsyncgate"), and what is appended behind them is lost
    /// with them at the next power cut. So everything committed is copied out of the write-ahead log, synced anew,
    /// and the log emptied; a commit behind that makes the emptying durable, or an old log could come back over the
    /// newer pages.
    fn settle(&self) -> Outcome<()> {
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            let text = "a foreign connection keeps the write-ahead log from being emptied";
            return Err(Failed::new(StoreErrorKind::Busy, text));
        }
        let version: i32 = self.connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        // Setting it to what it is still writes the page it stands on.
        Ok(self.connection.execute_batch(&format!("PRAGMA user_version = {version}"))?)
    }

    /// A connection that only reads.
    pub(crate) fn reader(source: &Source) -> Outcome<Self> {
        source.guard.check()?;
        let db = Self::open(source, OpenFlags::empty())?;
        let cache = source.options.reader_cache_kib;
        // Query-only and not read-only: a reader of a write-ahead log takes part in its shared memory.
        db.connection.execute_batch(&format!(
            "PRAGMA query_only = ON; PRAGMA cache_size = -{cache}; PRAGMA temp_store = MEMORY;"
        ))?;
        Ok(db)
    }

    fn open(source: &Source, extra: OpenFlags) -> Outcome<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | extra;
        let path = source.guard.path();
        let connection = match source.options.vfs.as_deref() {
            Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
            None => Connection::open_with_flags(path, flags)?,
        };
        connection.busy_timeout(source.options.busy_wait)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        // Without it a build with statistics (STAT4, as the bundled one) prepares a statement anew whenever another value
        // is bound to a range of it: three quarters of what a short read costs.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(Self { connection, statements: Arc::clone(&source.statements) })
    }

    /// For schema changes and checks, which are neither cached nor counted.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether no transaction is open: SQLite ends one by itself after some errors.
    pub(crate) fn is_idle(&self) -> bool {
        self.connection.is_autocommit()
    }

    /// Executes a statement without rows.
    pub(crate) fn run(&self, sql: &'static str, params: impl Params) -> Outcome<usize> {
        self.count();
        Ok(self.connection.prepare_cached(sql)?.execute(params)?)
    }

    /// The first row, if there is one.
    pub(crate) fn one<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Outcome<T>,
    ) -> Outcome<Option<T>> {
        self.count();
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    }

    /// Row after row until `read` has enough and says [`Next::Stop`].
    pub(crate) fn each(
        &self,
        sql: &'static str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Outcome<Next>,
    ) -> Outcome<()> {
        self.count();
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            if read(row)? == Next::Stop {
                break;
            }
        }
        Ok(())
    }

    fn count(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a reader of rows wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    More,
    Stop,
}
