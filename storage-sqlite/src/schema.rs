//! The tables, as numbered migrations.
//!
//! What must hold: a migration that was released never changes; each is applied in one transaction together with
//! its number in `user_version`, so that a cut-off upgrade is one that did not happen; a file from a newer binary
//! is refused untouched.
//!
//! A log's 32 bytes of key are mapped onto a small integer, so that no row repeats them. All keys are blobs,
//! compared as bytes. A node's row has what is looked for (its folder, empty at the root; its folded name; `dead`, 0 while
//! it lives; whether it is a root of the trash; the largest seq of its stamps) and the node itself without `dead`, which
//! changes for whole folders at once. Integers that are `u64` in core are at most 2^63 − 1 there and fit SQLite's.

use syncline::store::StoreErrorKind;

use crate::db::Db;
use crate::error::{Failed, Outcome};

/// "Sycl": says in the file's header whose file it is.
const APPLICATION: i32 = 0x5379_636C;

pub(crate) const MIGRATIONS: &[&str] = &[
    // 1: everything core 0.1 keeps.
    "CREATE TABLE log (
         id INTEGER PRIMARY KEY, bucket BLOB NOT NULL, log BLOB NOT NULL, bounds BLOB NOT NULL,
         UNIQUE (bucket, log)) STRICT;
     CREATE TABLE op (
         log INTEGER NOT NULL, seq INTEGER NOT NULL, op_id BLOB NOT NULL, digest BLOB NOT NULL,
         anchor BLOB NOT NULL, accepted_at INTEGER NOT NULL, batch_rest INTEGER NOT NULL, body BLOB NOT NULL,
         PRIMARY KEY (log, seq)) STRICT, WITHOUT ROWID;
     CREATE UNIQUE INDEX op_by_id ON op (op_id, log);
     CREATE TABLE op_past (
         log INTEGER NOT NULL, op_id BLOB NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL,
         PRIMARY KEY (log, op_id)) STRICT, WITHOUT ROWID;
     CREATE TABLE head (
         log INTEGER NOT NULL, collection BLOB NOT NULL, entity BLOB NOT NULL, body BLOB NOT NULL,
         PRIMARY KEY (log, collection, entity)) STRICT, WITHOUT ROWID;
     CREATE TABLE slot (
         log INTEGER NOT NULL, name BLOB NOT NULL, collection BLOB NOT NULL, entity BLOB NOT NULL,
         PRIMARY KEY (log, name)) STRICT, WITHOUT ROWID;
     CREATE TABLE receipt (
         log INTEGER NOT NULL, request BLOB NOT NULL, fingerprint BLOB NOT NULL, answer BLOB NOT NULL,
         at INTEGER NOT NULL,
         PRIMARY KEY (log, request)) STRICT, WITHOUT ROWID;
     CREATE INDEX receipt_by_time ON receipt (log, at);
     CREATE TABLE snapshot (
         log INTEGER PRIMARY KEY, seq INTEGER NOT NULL, anchor BLOB NOT NULL, clock BLOB NOT NULL,
         schema_version INTEGER NOT NULL, form INTEGER NOT NULL, payload BLOB NOT NULL, digest BLOB NOT NULL) STRICT;
     CREATE TABLE node (
         log INTEGER NOT NULL, id BLOB NOT NULL, parent BLOB NOT NULL, name BLOB NOT NULL, folder INTEGER NOT NULL,
         dead INTEGER NOT NULL, trash INTEGER NOT NULL, changed INTEGER NOT NULL, body BLOB NOT NULL,
         PRIMARY KEY (log, id)) STRICT, WITHOUT ROWID;
     CREATE INDEX node_by_name ON node (log, parent, dead, name);
     CREATE INDEX node_by_change ON node (log, changed) WHERE dead = 0;
     CREATE INDEX node_by_death ON node (log, dead) WHERE dead > 0;
     CREATE INDEX node_in_trash ON node (log, id) WHERE trash = 1;
     CREATE INDEX node_folder ON node (log, parent) WHERE folder = 1;
     CREATE TABLE alias (
         log INTEGER NOT NULL, id BLOB NOT NULL, node BLOB NOT NULL, PRIMARY KEY (log, id)) STRICT, WITHOUT ROWID;
     CREATE INDEX alias_by_node ON alias (log, node);
     CREATE TABLE revision (
         log INTEGER NOT NULL, node BLOB NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL,
         PRIMARY KEY (log, node, seq)) STRICT, WITHOUT ROWID;",
];

/// Whether the file is ours and not from a newer binary; how many migrations it has seen. Reads only.
pub(crate) fn check(db: &Db) -> Outcome<usize> {
    let found = number(db, "user_version")?;
    let known = MIGRATIONS.len();
    let applied = usize::try_from(found).map_err(|_| Failed::corrupt(format!("schema version {found}")))?;
    let tables: i64 = db.connection().query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application = number(db, "application_id")?;
    if (tables > 0 || applied > 0) && application != APPLICATION {
        let text = format!("the file is a database of another program (application id {application:#x})");
        return Err(Failed::new(StoreErrorKind::Unsupported, text));
    }
    if applied > known {
        let text = format!("the file has schema version {found}, this binary knows versions up to {known}");
        return Err(Failed::new(StoreErrorKind::Unsupported, text));
    }
    Ok(applied)
}

/// Brings the file up to this binary's schema.
pub(crate) fn migrate(db: &Db) -> Outcome<()> {
    let applied = check(db)?;
    for (version, sql) in MIGRATIONS.iter().enumerate().skip(applied).map(|(index, sql)| (index + 1, sql)) {
        db.connection().execute_batch(&format!(
            "BEGIN IMMEDIATE; {sql} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {version}; COMMIT;"
        ))?;
    }
    Ok(())
}

fn number(db: &Db, pragma: &str) -> Outcome<i32> {
    Ok(db.connection().query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))?)
}
