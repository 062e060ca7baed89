//! What every store must do, on Postgres through a pooler in transaction mode (P9): consecutive statements of a session meet
//! different backends.

#![allow(clippy::unwrap_used, reason = "cases fail by panicking")]

use syncline::conformance::Fixture;
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_tests::rig::postgres::fresh_pooled_url;

fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(case);
}

async fn fresh() -> Fixture {
    let mut options = PostgresOptions::new(fresh_pooled_url().await);
    options.statement_cache = false;
    Fixture::of(PostgresStore::connect(&options).await.unwrap())
}

syncline::store_conformance! { run: run, fresh: fresh }
