//! What every store must do, on a real Postgres with a schema per case.

#![allow(clippy::unwrap_used, reason = "cases fail by panicking")]

use syncline::conformance::Fixture;
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_tests::rig::postgres::fresh_schema_url;

fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(case);
}

async fn fresh() -> Fixture {
    let options = PostgresOptions::new(fresh_schema_url().await);
    Fixture::of(PostgresStore::connect(&options).await.unwrap())
}

syncline::store_conformance! { run: run, fresh: fresh }
