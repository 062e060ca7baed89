//! What does a durable push cost, beside the bare loop on the same settings? And what do writers gain by being many?

use std::collections::VecDeque;
use std::sync::Arc;

use syncline::store::Store;
use syncline::{LogKey, oplog::Op};
use syncline_benches::measure::{Compared, Meter, compare};
use syncline_benches::ops::{Author, env, log, push, upload};
use syncline_benches::table::Aim;
use syncline_benches::{floor, scale, servers, table};
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_storage_sqlite::{Durability, SqliteOptions, SqliteStore};
use tokio::runtime::Runtime;

const FOLDER: &str = env!("CARGO_TARGET_TMPDIR");

fn main() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    sqlite(&runtime)?;
    postgres(&runtime)
}

fn sqlite(runtime: &Runtime) -> anyhow::Result<()> {
    table::begin("Push into SQLite, beside the bare loop: counter, newest op of the entity, duplicate check, insert");
    let full = (Durability::Full, floor::sqlite::Synchronous::Full);
    let normal = (Durability::MayLoseLastSeconds, floor::sqlite::Synchronous::Normal);
    for (name, (ours, bare), batch, batches, aim) in [
        ("durable, batches of 100", full, 100, scale(150, 3), Aim::Speed(0.7)),
        ("durable, one op", full, 1, scale(1_500, 5), Aim::Speed(0.7)),
        ("durable, batches of 1000", full, 1_000, scale(20, 1), Aim::Speed(0.7)),
        ("may lose the last seconds, batches of 100", normal, 100, scale(150, 3), Aim::Known),
    ] {
        let folder = tempfile::tempdir_in(FOLDER)?;
        let store = SqliteStore::open(SqliteOptions::new(folder.path().join("ours.db")).durability(ours))?;
        let mut bare = floor::sqlite::Bare::create(&folder.path().join("bare.db"), bare)?;
        let floor = |ops: &[Op]| bare.append(ops);
        let compared = pushes(runtime, Meter::new(), &store, floor, (batch, batches))?;
        table::row(name, "op", &compared, aim);
    }
    let folder = tempfile::tempdir_in(FOLDER)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(SqliteOptions::new(folder.path().join("ours.db")))?);
    many(runtime, Meter::new(), &store, Aim::Speed(8.0))
}

fn postgres(runtime: &Runtime) -> anyhow::Result<()> {
    let Some(server) = servers::durable_postgres("Push into Postgres")? else { return Ok(()) };
    table::begin("Push into Postgres (fsync on), beside bare whole-batch statements; CPU is ours and the server's");
    let store = runtime.block_on(PostgresStore::connect(&PostgresOptions::new(&server.url)))?;
    let mut bare = runtime.block_on(floor::postgres::Bare::create(&server.url))?;
    let (size, batches) = (100, scale(100, 3));
    let floor = |ops: &[Op]| runtime.block_on(bare.append(ops));
    let compared = pushes(runtime, server.meter, &store, floor, (size, batches))?;
    table::row("batches of 100, floor doing the same reads in as many round trips", "op", &compared, Aim::Speed(0.7));

    let store = runtime.block_on(PostgresStore::connect(&fresh(runtime, &server.url)?))?;
    let floor = |ops: &[Op]| runtime.block_on(bare.append_blindly(ops));
    let compared = pushes(runtime, server.meter, &store, floor, (size, batches))?;
    table::row("batches of 100, floor one blind statement", "op", &compared, Aim::Known);

    let store: Arc<dyn Store> = Arc::new(runtime.block_on(PostgresStore::connect(&fresh(runtime, &server.url)?))?);
    many(runtime, server.meter, &store, Aim::Known)
}

fn fresh(runtime: &Runtime, url: &str) -> anyhow::Result<PostgresOptions> {
    let url = runtime.block_on(syncline_tests::rig::postgres::fresh_schema(url))?;
    Ok(PostgresOptions::new(url))
}

/// The same ops into ours and into the floor, sealed beforehand: `(ops in a batch, batches in a turn)`.
fn pushes(
    runtime: &Runtime,
    meter: Meter,
    store: &dyn Store,
    mut floor: impl FnMut(&[Op]) -> anyhow::Result<u64>,
    (size, batches): (usize, usize),
) -> anyhow::Result<Compared> {
    let pairs = scale(9, 1);
    let (mut author, before) = Author::of_log()?;
    runtime.block_on(push(store, upload(log(0), before), env(0)?))?;
    let mut waiting = VecDeque::new();
    for _ in 0..batches * (pairs + 1) {
        waiting.push_back(author.batch(size)?);
    }
    let mut waiting_floor = waiting.clone();
    let mut ours = || {
        let mut done = 0;
        for ops in waiting.drain(..batches) {
            done += runtime.block_on(push(store, upload(log(0), ops), env(1)?))?;
        }
        Ok(done)
    };
    let mut floor = || waiting_floor.drain(..batches).map(|ops| floor(&ops)).sum();
    compare(meter, pairs, &mut ours, &mut floor)
}

/// 64 writers that each push one op and wait for it, beside one that does.
fn many(runtime: &Runtime, meter: Meter, store: &Arc<dyn Store>, aim: Aim) -> anyhow::Result<()> {
    let alone = log(1_000);
    let mut single = writers(runtime, store, |_| (alone, 1), 1)?;
    let mut own = writers(runtime, store, |number| (log(number), 1), 64)?;
    let mut shared = writers(runtime, store, |number| (log(2_000), u64::from(number)), 64)?;
    let (each, one) = (scale(60, 2), scale(1_000, 4));
    for (question, many) in [("64 writers of one op, each its own log", &mut own), ("64 writers, one log", &mut shared)]
    {
        let mut ours = || runtime.block_on(all(store, many, each));
        let mut floor = || runtime.block_on(all(store, &mut single, one));
        let compared = compare(meter, scale(7, 1), &mut ours, &mut floor)?;
        table::row(&format!("{question}; beside one writer"), "op", &compared, aim);
    }
    Ok(())
}

type Writers = Vec<(LogKey, Author)>;

fn writers(
    runtime: &Runtime,
    store: &Arc<dyn Store>,
    place: impl Fn(u32) -> (LogKey, u64),
    count: u32,
) -> anyhow::Result<Writers> {
    let mut writers = Vec::new();
    for number in 0..count {
        let (log, replica) = place(number);
        let mut author = Author::among(replica);
        runtime.block_on(push(&**store, upload(log, author.batch(1)?), env(0)?))?;
        writers.push((log, author));
    }
    Ok(writers)
}

/// Each pushes so many ops, one after the other, all writers at once.
async fn all(store: &Arc<dyn Store>, writers: &mut Writers, each: usize) -> anyhow::Result<u64> {
    let tasks: Vec<_> = writers
        .drain(..)
        .map(|(log, mut author)| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                for _ in 0..each {
                    push(&*store, upload(log, author.batch(1)?), env(1)?).await?;
                }
                anyhow::Ok((log, author))
            })
        })
        .collect();
    let done = (tasks.len() * each) as u64;
    for task in tasks {
        writers.push(task.await??);
    }
    Ok(done)
}
