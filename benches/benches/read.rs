//! What does reading a page of 500 ops cost, beside the bare query on the same table?

use rusqlite::Connection;
use sqlx::Connection as _;
use syncline::Seq;
use syncline::store::{PageLimit, Store};
use syncline_benches::measure::{Compared, Meter, compare};
use syncline_benches::ops::{Author, env, log, push, upload};
use syncline_benches::table::Aim;
use syncline_benches::{floor, scale, servers, table};
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use tokio::runtime::Runtime;

const PAGE: usize = 500;

fn main() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    sqlite(&runtime)?;
    postgres(&runtime)
}

fn sqlite(runtime: &Runtime) -> anyhow::Result<()> {
    table::begin("A page of 500 from SQLite, beside the bare query");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let path = folder.path().join("ours.db");
    let store = SqliteStore::open(SqliteOptions::new(&path))?;
    let last = fill(runtime, &store)?;
    let connection = Connection::open(&path)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;")?;
    let floor = |after| Ok(floor::sqlite::page(&connection, after, PAGE)?.len());
    let compared = pages(runtime, Meter::new(), &store, floor, last)?;
    table::row("page of 500", "op", &compared, Aim::Speed(0.7));
    Ok(())
}

fn postgres(runtime: &Runtime) -> anyhow::Result<()> {
    let Some(server) = servers::durable_postgres("Pages from Postgres")? else { return Ok(()) };
    table::begin("A page of 500 from Postgres, beside the bare query; CPU is ours and the server's");
    let store = runtime.block_on(PostgresStore::connect(&PostgresOptions::new(&server.url)))?;
    let last = fill(runtime, &store)?;
    let mut connection = runtime.block_on(sqlx::PgConnection::connect(&server.url))?;
    runtime.block_on(sqlx::raw_sql("VACUUM ANALYZE op").execute(&mut connection))?;
    let floor = |after| Ok(runtime.block_on(floor::postgres::page(&mut connection, after, PAGE))?.len());
    let compared = pages(runtime, server.meter, &store, floor, last)?;
    table::row("page of 500", "op", &compared, Aim::Speed(0.7));
    Ok(())
}

fn fill(runtime: &Runtime, store: &dyn Store) -> anyhow::Result<u64> {
    let (mut author, before) = Author::of_log()?;
    runtime.block_on(push(store, upload(log(0), before), env(0)?))?;
    let batches = scale(50, 1);
    for _ in 0..batches {
        runtime.block_on(push(store, upload(log(0), author.batch(1_000)?), env(1)?))?;
    }
    Ok(batches * 1_000)
}

/// From one end of the log to the other, page by page.
fn pages(
    runtime: &Runtime,
    meter: Meter,
    store: &dyn Store,
    mut floor: impl FnMut(u64) -> anyhow::Result<usize>,
    last: u64,
) -> anyhow::Result<Compared> {
    let limit = PageLimit::default();
    let mut ours = || {
        let mut ops = 0;
        for after in (0..last).step_by(PAGE) {
            let after = Seq::new(after).unwrap_or_default();
            ops += runtime.block_on(store.ops_after(log(0), after, limit))?.ops.len() as u64;
        }
        Ok(ops)
    };
    let mut floor = || {
        let mut ops = 0;
        for after in (0..last).step_by(PAGE) {
            ops += floor(after)? as u64;
        }
        Ok(ops)
    };
    compare(meter, scale(15, 1), &mut ours, &mut floor)
}
