//! The suite every store must pass, over SQLite.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use syncline::conformance::Fixture;
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};

syncline::store_conformance! {
    run: support::block_on,
    fresh: || async {
        let folder = tempfile::tempdir().unwrap();
        Fixture::with(SqliteStore::open(SqliteOptions::new(folder.path().join("a.db"))).unwrap(), folder)
    }
}
