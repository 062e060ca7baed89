//! The bare loop over rusqlite, on the settings of our adapter.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};
use syncline::oplog::Op;

use super::entity;

/// When a commit waits for the disk; as the adapter's option of the same meaning.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "a write waits for the disk or it does not")]
pub enum Synchronous {
    /// Always.
    Full,
    /// At checkpoints.
    Normal,
}

/// A table with three indexes and a counter.
#[derive(Debug)]
pub struct Bare {
    connection: Connection,
}

impl Bare {
    /// Makes the file.
    ///
    /// # Errors
    /// SQLite's.
    pub fn create(path: &Path, synchronous: Synchronous) -> anyhow::Result<Self> {
        let connection = Connection::open(path)?;
        let synchronous = match synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.execute_batch(&format!(
            "PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 10000;
             PRAGMA journal_size_limit = {}; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;
             PRAGMA cell_size_check = ON;
             CREATE TABLE log (id INTEGER PRIMARY KEY, last INTEGER NOT NULL);
             INSERT INTO log VALUES (1, 0);
             CREATE TABLE op (log INTEGER NOT NULL, seq INTEGER NOT NULL, op_id BLOB NOT NULL, entity BLOB NOT NULL,
                              accepted_at INTEGER NOT NULL, body BLOB NOT NULL);
             CREATE UNIQUE INDEX op_by_seq ON op (log, seq);
             CREATE UNIQUE INDEX op_by_id ON op (log, op_id);
             CREATE INDEX op_by_entity ON op (log, entity, seq);",
            64 << 20
        ))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { connection })
    }

    /// Appends a batch in one transaction.
    ///
    /// # Errors
    /// SQLite's, or when an op is there already.
    pub fn append(&mut self, ops: &[Op]) -> anyhow::Result<u64> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let count = i64::try_from(ops.len())?;
        let last: i64 = transaction
            .prepare_cached("UPDATE log SET last = last + ?1 WHERE id = 1 RETURNING last")?
            .query_row([count], |row| row.get(0))?;
        let mut newest = transaction
            .prepare_cached("SELECT seq, body FROM op WHERE log = 1 AND entity = ?1 ORDER BY seq DESC LIMIT 1")?;
        let mut known = transaction.prepare_cached("SELECT seq FROM op WHERE log = 1 AND op_id = ?1")?;
        let mut insert = transaction.prepare_cached(
            "INSERT INTO op (log, seq, op_id, entity, accepted_at, body) VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        )?;
        for (op, seq) in ops.iter().zip(last - count + 1..) {
            let id = op.id();
            let head = newest.query_row([entity(op)], |row| {
                let body = row.get_ref(1)?.as_blob()?.len();
                Ok((row.get::<_, i64>(0)?, body))
            });
            let before = head.optional()?;
            let twice: Option<i64> = known.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
            anyhow::ensure!(twice.is_none() && before.is_none_or(|(before, _)| before < seq), "not a new op");
            insert.execute(params![seq, id.as_bytes(), entity(op), op.hlc().ms.ms().cast_signed(), &op.bytes()[..]])?;
        }
        drop((newest, known, insert));
        transaction.commit()?;
        Ok(ops.len() as u64)
    }

    /// Inserts one row in a transaction of its own, without having looked at anything: the least there is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn insert_blindly(&mut self, op: &Op, seq: u64) -> anyhow::Result<()> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO op (log, seq, op_id, entity, accepted_at, body) VALUES (2, ?1, ?2, ?3, ?4, ?5)",
        )?;
        let (id, at) = (op.id(), op.hlc().ms.ms().cast_signed());
        insert.execute(params![seq.cast_signed(), id.as_bytes(), entity(op), at, &op.bytes()[..]])?;
        Ok(())
    }
}

/// Reads one value of our adapter's table by its key, and copies it.
///
/// # Errors
/// SQLite's, and when it is not there.
pub fn value(connection: &Connection, log: i64, collection: &str, entity: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut statement =
        connection.prepare_cached("SELECT body FROM head WHERE log = ?1 AND collection = ?2 AND entity = ?3")?;
    Ok(statement.query_row(params![log, collection.as_bytes(), entity], |row| row.get(0))?)
}

/// Reads our adapter's table: a page of whole rows, with every value in memory of its own, and nothing checked.
///
/// # Errors
/// SQLite's.
pub fn page(connection: &Connection, after: u64, ops: usize) -> anyhow::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, digest, anchor, accepted_at, batch_rest, body FROM op WHERE log = 1 AND seq > ?1
         ORDER BY seq LIMIT ?2",
    )?;
    let rows = statement.query_map(params![after.cast_signed(), i64::try_from(ops)?], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Seq, digest, anchor, time, rest of the batch, bytes.
pub type Row = (i64, [u8; 32], [u8; 32], i64, i64, Vec<u8>);

/// Keeps a snapshot's state as one row an entity, in one durable transaction.
///
/// # Errors
/// SQLite's, and a state that does not read.
pub fn keep_state(path: &Path, snapshot: &syncline::oplog::Snapshot) -> anyhow::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 10000;
         CREATE TABLE head (log INTEGER NOT NULL, collection BLOB NOT NULL, entity BLOB NOT NULL, body BLOB NOT NULL,
                            PRIMARY KEY (log, collection, entity)) WITHOUT ROWID;",
    )?;
    let state = syncline::oplog::LogState::from_bytes(snapshot.payload.bytes().clone())?;
    let transaction = connection.transaction()?;
    let mut insert = transaction.prepare("INSERT INTO head VALUES (1, ?1, ?2, ?3)")?;
    for (key, value) in state.iter() {
        insert.execute(params![key.collection.as_str().as_bytes(), key.entity.as_bytes(), value])?;
    }
    drop(insert);
    Ok(transaction.commit()?)
}
