//! Why: a file outlives the binary that made it. How: a file of every earlier schema is kept and opened, and a file
//! of a later one is refused untouched.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use support::*;
use syncline::decide::Uploaded;
use syncline::id::RequestId;
use syncline::store::StoreErrorKind;
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};

/// What each fixture was filled with, by the binary of its time: 20 ops in log 1, the last one under a request id.
fn fill(store: &SqliteStore) {
    push(store, log(1), (1..=19).map(op).collect()).unwrap();
    push_with(store, log(1), vec![op(20)], None, Some(RequestId::from_bytes(id16(6, 1)))).unwrap();
}

#[test]
fn a_file_of_schema_1_opens_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v1.db");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1.db"), &path).unwrap();
    let store = SqliteStore::open(SqliteOptions::new(&path)).unwrap();
    let kept = pull_all(&store, log(1));
    assert_eq!(
        kept.iter().map(|logged| &logged.op).collect::<Vec<_>>(),
        (1..=20).map(op).map(|op| op.raw().clone()).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
    let again = push_with(&store, log(1), vec![op(20)], None, Some(RequestId::from_bytes(id16(6, 1)))).unwrap();
    assert!(matches!(again, Uploaded::Done { replayed: true, .. }), "{again:?}");
    assert_eq!(push(&store, log(1), vec![op(21)]).unwrap().seq, seq(21));
}

#[test]
fn this_binary_still_makes_the_newest_fixture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    fill(&SqliteStore::open(SqliteOptions::new(&path)).unwrap());
    let schema = |path: &Path| -> Vec<String> {
        let connection = Connection::open(path).unwrap();
        let mut statement = connection.prepare("SELECT sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
        rows.map(|sql| sql.unwrap().unwrap_or_default()).collect()
    };
    let fixture = folder.path().join("v1.db");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1.db"), &fixture).unwrap();
    assert_eq!(schema(&path), schema(&fixture), "a released migration changed; add a new one and a fixture instead");
}

#[test]
fn a_file_of_a_newer_schema_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    fill(&SqliteStore::open(SqliteOptions::new(&path)).unwrap());
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 7; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let before = fs::read(&path).unwrap();
    let error = SqliteStore::open(SqliteOptions::new(&path)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    let text = error.to_string();
    assert!(text.contains("version 7") && text.contains("up to 1"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
}
