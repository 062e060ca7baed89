//! Does anything cost more because a log has become long? The floor is the same call near the log's beginning.

use syncline::oplog::LogBounds;
use syncline::store::{PageLimit, Store, StoreExt as _};
use syncline::{Cursor, Seq};
use syncline_benches::measure::{Memory, Meter, compare};
use syncline_benches::ops::{Author, env, log, push, upload};
use syncline_benches::table::{self, Aim, row_of, size};
use syncline_benches::{scale, servers};
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use tokio::runtime::Runtime;

/// Where the floor reads.
const EARLY: u64 = 1_000;

fn main() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let ops = scale(1_000_000, 3_000);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    // One reader, so that there is one cache to fill.
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("ours.db")).readers(1))?;
    table::begin(&format!("A log of {ops} ops in SQLite, beside the same near its beginning"));
    ask(&runtime, Meter::new(), &store, ops)?;
    drop(store);
    let Some(server) = servers::durable_postgres("A long log in Postgres")? else { return Ok(()) };
    let store = runtime.block_on(PostgresStore::connect(&PostgresOptions::new(&server.url)))?;
    table::begin(&format!("A log of {ops} ops in Postgres, beside the same near its beginning"));
    ask(&runtime, server.meter, &store, ops)
}

fn ask(runtime: &Runtime, meter: Meter, store: &dyn Store, ops: u64) -> anyhow::Result<()> {
    let (mut long, before) = Author::of_log()?;
    runtime.block_on(push(store, upload(log(0), before), env(0)?))?;
    for at in 0..ops / 1_000 {
        runtime.block_on(push(store, upload(log(0), long.batch(1_000)?), env(at)?))?;
    }
    memory(runtime, store, ops)?;
    let page = |after: u64| {
        move || {
            let (after, limit) = (Seq::new(after).unwrap_or_default(), PageLimit::default());
            for _ in 0..scale(100, 2) {
                let page = runtime.block_on(store.ops_after(log(0), after, limit))?;
                anyhow::ensure!(page.ops.len() == 500, "the page is short: {}", page.ops.len());
            }
            Ok(scale(100, 2))
        }
    };
    let compared = compare(meter, scale(9, 1), &mut page(ops - 500), &mut page(EARLY))?;
    table::row("page of 500 at the end", "page", &compared, Aim::Cost(1.0));

    let (mut short, before) = Author::of_log()?;
    runtime.block_on(push(store, upload(log(1), before), env(0)?))?;
    let push_to = |author: &mut Author, number| {
        for _ in 0..scale(30, 2) {
            runtime.block_on(push(store, upload(log(number), author.batch(100)?), env(1)?))?;
        }
        Ok(scale(30, 2))
    };
    let mut ours = || push_to(&mut long, 0);
    let other = push_to;
    let mut floor = || other(&mut short, 1);
    let compared = compare(meter, scale(9, 1), &mut ours, &mut floor)?;
    table::row("push of 100 at the end, beside a short log", "push", &compared, Aim::Cost(1.0));
    Ok(())
}

/// Reads everything as a client does, checking every page, and keeps nothing.
fn memory(runtime: &Runtime, store: &dyn Store, ops: u64) -> anyhow::Result<()> {
    let origin = |bounds: LogBounds| Cursor { seq: Seq::ZERO, anchor: Some(bounds.base) };
    let start = runtime.block_on(store.bounds(log(0)))?.map(origin).unwrap_or_default();
    let mut cursor = start;
    let mut read = 0_u64;
    let mut early = None;
    while read < ops {
        let page = runtime.block_on(store.ops_after(log(0), cursor.seq, PageLimit::default()))?;
        anyhow::ensure!(page.gap(cursor).is_none() && !page.ops.is_empty(), "the log has a gap at {}", cursor.seq);
        cursor = page.next(cursor);
        read += page.ops.len() as u64;
        // Once the caches have what they hold at most; they are small beside the log.
        if early.is_none() && read >= ops / 10 {
            Memory::forget_peak()?;
            early = Some(Memory::now()?);
        }
    }
    let (early, late) = (early.unwrap_or(Memory::now()?), Memory::now()?);
    let ratio = late.peak as f64 / early.peak as f64;
    let question = "memory after a pull of everything; floor: after a tenth";
    row_of(question, &size(late.peak), &size(early.peak), &format!("{ratio:.2}"), "memory ≤ 1.1");
    Ok(())
}
