//! What Postgres adds to the store's contract: tables that many servers make at once, work that is counted, rows that
//! are checked, moves that race, signals between processes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod plans;
mod schema;
mod signals;
mod statements;
mod stored;
mod tree;

use syncline::conformance::author::Author;
use syncline::oplog::{Op, OpKind};
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_tests::rig::postgres::fresh_schema_url;

/// A store on a schema of its own, and how to reach it past the store.
async fn fresh() -> (PostgresStore, String) {
    let url = fresh_schema_url().await;
    (PostgresStore::connect(&PostgresOptions::new(&*url)).await.unwrap(), url)
}

/// Ops of one author that are always accepted in this order.
fn ops(author: &mut Author, count: usize) -> Vec<Op> {
    let entities = (0..=u8::MAX).cycle().take(count);
    entities.map(|entity| author.op(OpKind::Update, "merge", entity, "some payload of a usual size")).collect()
}
