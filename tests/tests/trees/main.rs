//! Files and folders through a server over SQLite and Postgres: every race of the table (F01 to F82) in both orders, and random
//! races of two and three devices, made from their numbers. The model, the table and the devices are core's.
//!
//! After each commit the server's answer, the commit sent again, and the tree that the store keeps are held against the model.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "core's own proofs use more of the model")]

#[path = "../../../core/tests/tree/device.rs"]
mod device;
#[path = "../../../core/tests/tree/fuzz.rs"]
mod fuzz;
#[path = "../../../core/tests/tree/scenarios.rs"]
mod scenarios;
#[path = "../../../core/tests/tree/server.rs"]
mod server;
#[path = "../../../core/tests/tree/table.rs"]
mod table;
#[path = "../../../core/tests/tree/through.rs"]
mod through;

use std::sync::Arc;

use syncline::store::Store;
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_tests::rig::postgres::fresh_schema_url;

use fuzz::{runs, three_devices, two_devices};
use scenarios::play;
use server::Server;
use through::Through;

/// Random races of each kind.
const RUNS: u64 = 100;

/// Servers over one store, each in a log of its own.
fn over(store: Arc<dyn Store>) -> impl FnMut() -> Server {
    let (server, mut log) = (Through::server(store), 0);
    move || {
        log += 1;
        Server::over(Through::new(&server, log).mirror())
    }
}

fn races(mut server: impl FnMut() -> Server) {
    for run in runs(RUNS) {
        two_devices(run, &mut server);
        three_devices(run, server());
    }
}

fn sqlite(prove: impl FnOnce(Arc<dyn Store>)) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("a.db"))).expect("a store");
    prove(Arc::new(store));
}

fn postgres(prove: impl FnOnce(Arc<dyn Store>)) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let store = runtime.block_on(async {
        let options = PostgresOptions::new(fresh_schema_url().await);
        PostgresStore::connect(&options).await.expect("a store")
    });
    let _inside = runtime.enter();
    prove(Arc::new(store));
}

#[test]
fn every_race_of_the_table_ends_as_it_says_over_sqlite() {
    sqlite(|store| play(over(store)));
}

#[test]
fn every_race_of_the_table_ends_as_it_says_over_postgres() {
    postgres(|store| play(over(store)));
}

#[test]
fn random_races_end_over_sqlite_as_they_do_in_the_model() {
    sqlite(|store| races(over(store)));
}

#[test]
fn random_races_end_over_postgres_as_they_do_in_the_model() {
    postgres(|store| races(over(store)));
}
