//! What does Super Productivity's own client get from our server, beside what its own server gave it? And does any of it
//! cost more because an account has become old?
//!
//! A server process, sockets, a durable Postgres, gzipped uploads; client, server and Postgres share the machine. The
//! original's figures are of another run on a machine of this kind, so they say the order of size, no more. The old
//! account stands beside a young one in the same run.

use std::time::Duration;

use syncline_benches::measure::compare;
use syncline_benches::super_productivity::{Ask, Device, Load, Served, Wire, load};
use syncline_benches::table::{self, Aim, time};
use syncline_benches::{scale, servers};
use tokio::runtime::{Builder, Runtime};

const CONNECTIONS: usize = 8;
/// As the app uploads, and as it reads.
const BATCH: usize = 25;
const PAGE: usize = 500;
/// Where the old and the young account have a full state.
const FULL_STATE: usize = 50;
const YOUNG: usize = 100;
/// What we want beside the original, held against nothing.
const TENFOLD: &str = "≥ 10";

fn main() -> anyhow::Result<()> {
    let Some(cluster) = servers::durable_postgres("Super Productivity on Postgres")? else { return Ok(()) };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    memory(&runtime, &Served::start(&cluster)?)?;
    let served = Served::start(&cluster)?;
    runtime.block_on(crowd(&served))?;
    runtime.block_on(alone(&served))?;
    age(&runtime, &served)
}

/// What the original did with the same, the better of its two database layers: units a second.
fn begin(title: &str) {
    let head = [
        "question",
        "ours",
        "the original's, another run",
        "ratio",
        "aim",
        "p50 / p95 / p99",
        "CPU a unit: server + Postgres",
        "client",
    ];
    table::begin_with(title, &head);
}

fn row(question: &str, unit: &str, load: &Load, units: usize, original: Option<f64>, aim: &str) {
    let rate = load.rate(units);
    let each = |part: Duration| time(load.each_unit(part, units));
    let [p50, p95, p99] = [50, 95, 99].map(|percent| time(load.percentile(percent).as_secs_f64() * 1e9));
    table::cells(&[
        question,
        &format!("{rate:.0} {unit}/s"),
        &original.map_or_else(|| "–".to_owned(), |original| format!("{original:.0} {unit}/s")),
        &original.map_or_else(|| "–".to_owned(), |original| format!("{:.1}", rate / original)),
        aim,
        &format!("{p50} / {p95} / {p99}"),
        &format!("{} + {}", each(load.server), each(load.postgres)),
        &each(load.client),
    ]);
}

fn batches(mut device: Device, number: usize, ops: usize) -> (Device, Vec<Ask>) {
    let asks = (0..number).map(|_| device.batch(ops)).collect();
    (device, asks)
}

/// Eight connections at once.
async fn crowd(served: &Served) -> anyhow::Result<()> {
    begin("Super Productivity, eight connections at once");
    let uploads = scale(400, 2);
    let mut devices = Vec::new();
    for number in 0..CONNECTIONS {
        devices.push(batches(served.device(&format!("own{number}")).await?, uploads, BATCH));
    }
    let (uploaded, devices) = load(served, devices).await?;
    row("uploads of 25 ops, eight accounts", "op", &uploaded, BATCH, Some(674.0), TENFOLD);

    let token = served.account("shared").await?;
    let mut together = Vec::new();
    for number in 0..CONNECTIONS {
        let device = Device::connect(served.url(), &token, &format!("B_dev{number}")).await?;
        together.push(batches(device, uploads / 2, BATCH));
    }
    let (uploaded, _) = load(served, together).await?;
    row(
        "uploads of 25 ops, eight devices of one account, with what the others wrote",
        "op",
        &uploaded,
        BATCH,
        None,
        "to know",
    );

    let stored = uploads * BATCH;
    let limit = scale(PAGE, BATCH);
    let pages = |device: Device| {
        let starts = (0..scale(200, 2)).map(|number| (number * limit) % (stored - limit + 1));
        let page = |since: usize| Ask::Page { since: since as u64, limit, ops: limit };
        (device, starts.map(page).collect())
    };
    let mut readers = Vec::new();
    for device in devices {
        readers.push(pages(device.again(served.url()).await?));
    }
    let (read, _) = load(served, readers).await?;
    // 36 ms for 1000 ops, one at a time.
    row("pages of 500 ops, eight accounts", "page", &read, 1, Some(2.0 / 0.036), TENFOLD);
    Ok(())
}

/// One connection, one request at a time.
async fn alone(served: &Served) -> anyhow::Result<()> {
    begin("Super Productivity, one request at a time");
    let number = scale(400, 2);
    let single = batches(served.device("single").await?, number, 1);
    let (load_of_one, _) = load(served, vec![single]).await?;
    row("uploads of one op", "upload", &load_of_one, 1, Some(1.0 / 0.034), "to know");
    let hundred = batches(served.device("hundred").await?, scale(200, 10), 100);
    let (load_of_hundred, devices) = load(served, vec![hundred]).await?;
    row("uploads of 100 ops", "op", &load_of_hundred, 100, Some(490.0), TENFOLD);
    let page = Ask::Page { since: 0, limit: 1_000, ops: 1_000 };
    let pages = devices.into_iter().map(|device| (device, vec![page.clone(); number])).collect();
    let (load_of_pages, _) = load(served, pages).await?;
    row("pages of 1000 ops", "page", &load_of_pages, 1, Some(1.0 / 0.036), TENFOLD);
    Ok(())
}

/// What an account costs that was used once and is left alone, and an open socket that says nothing.
fn memory(runtime: &Runtime, served: &Served) -> anyhow::Result<()> {
    let accounts = scale(2_000, 5);
    runtime.block_on(async {
        // Once pools, caches and threads are there.
        accounts_used_once(served, "warm", scale(500, 2)).await?;
        let before = served.resident()?;
        let tokens = accounts_used_once(served, "idle", accounts).await?;
        let after = served.resident()?;
        table::begin_with("Super Productivity, memory of the server", &["what", "bytes each", "aim"]);
        let each = |after: u64, before: u64, count: usize| {
            format!("{:.0}", after.saturating_sub(before) as f64 / count as f64)
        };
        table::cells(&["an idle account, used once", &each(after, before, accounts), "near zero"]);
        let mut sockets = Vec::new();
        for token in tokens.iter().take(scale(1_000, 2)) {
            let mut wire = Wire::connect(served.url()).await?;
            wire.upgrade(&format!("/api/sync/ws?token={token}&clientId=B_idle")).await?;
            sockets.push(wire);
        }
        let open = served.resident()?;
        table::cells(&["an open WebSocket that is idle", &each(open, after, sockets.len()), "to know"]);
        anyhow::Ok(())
    })
}

/// An upload, a page and a status of each.
async fn accounts_used_once(served: &Served, name: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let mut admin = Wire::connect(served.url()).await?;
    let mut tokens = Vec::new();
    for number in 0..count {
        let token = served.account_over(&mut admin, &format!("{name}{number}")).await?;
        let mut device = Device::connect(served.url(), &token, "B_idle").await?;
        let upload = device.batch(1);
        for ask in [&upload, &Ask::Page { since: 0, limit: PAGE, ops: 1 }, &Ask::Status] {
            device.ask(ask).await?;
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// The same requests of an account of 100,000 ops, beside one of 100.
fn age(runtime: &Runtime, served: &Served) -> anyhow::Result<()> {
    let ops = scale(100_000, 600);
    let old = runtime.block_on(filled(served, "old", ops))?;
    let mut young = runtime.block_on(filled(served, "young", YOUNG))?;
    let mut old = runtime.block_on(old.again(served.url()))?;
    table::begin(&format!("Super Productivity, an account of {ops} ops; floor: one of {YOUNG}, the same run"));
    let questions = [
        ("upload of one op", Kind::Upload),
        ("download of the last page, of 10", Kind::LastPage),
        ("late device with snapshot skip, page of 20", Kind::Late),
        ("status", Kind::Status),
        ("quota check, an upload of nothing to store", Kind::Nothing),
    ];
    for (question, kind) in questions {
        let mut ours = || runtime.block_on(repeat(&mut old, kind));
        let mut floor = || runtime.block_on(repeat(&mut young, kind));
        let compared = compare(served.both, scale(15, 1), &mut ours, &mut floor)?;
        table::row(question, "request", &compared, Aim::Cost(1.0));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Upload,
    LastPage,
    Late,
    Status,
    Nothing,
}

async fn repeat(device: &mut Device, kind: Kind) -> anyhow::Result<u64> {
    let times = match kind {
        // An account of 100 must not become one of 1000.
        Kind::Upload => scale(20, 1),
        _ => scale(200, 1),
    };
    for _ in 0..times {
        let ask = match kind {
            Kind::Upload => device.batch(1),
            Kind::LastPage => Ask::Page { since: device.cursor - 10, limit: PAGE, ops: 10 },
            Kind::Late => Ask::Page { since: 1, limit: 20, ops: 20 },
            Kind::Status => Ask::Status,
            Kind::Nothing => Ask::Nothing,
        };
        device.ask(&ask).await?;
    }
    Ok(times)
}

/// A device of an account with so many ops, one of which is a full state.
async fn filled(served: &Served, name: &str, ops: usize) -> anyhow::Result<Device> {
    let mut device = served.device(name).await?;
    let first = device.batch(FULL_STATE);
    device.ask(&first).await?;
    device.snapshot().await?;
    let mut left = ops - FULL_STATE - 1;
    while left > 0 {
        let count = left.min(100);
        let batch = device.batch(count);
        device.ask(&batch).await?;
        left -= count;
    }
    Ok(device)
}
