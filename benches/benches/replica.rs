//! What does a device wait for? A write and a read of its own beside bare SQLite, coming back online, a first download,
//! and what another device wrote.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use syncline::call::{Call, Push, Reply};
use syncline::client::Transport as _;
use syncline::oplog::Op;
use syncline::store::{PageLimit, SignalSource as _};
use syncline::{Cursor, EntityId, LogKey};
use syncline_benches::measure::{Compared, Meter, compare};
use syncline_benches::ops::log;
use syncline_benches::replica::device::Device;
use syncline_benches::replica::fresh;
use syncline_benches::replica::site::{Author, COLLECTION, Site, way};
use syncline_benches::spread::{self, spread};
use syncline_benches::table::{self, Aim, size, time};
use syncline_benches::{floor, scale};
use syncline_storage_sqlite::Durability;
use tokio::runtime::{Builder, Runtime};

const FOLDER: &str = env!("CARGO_TARGET_TMPDIR");
/// Entities on the device that writes and reads.
const ENTITIES: u64 = 10_000;
const SMALL: u64 = 1_000;
const PENDING: u64 = 1_000;
/// No answer in this time is none.
const PATIENCE: Duration = Duration::from_secs(30);

type Question = fn(&Runtime, &Site, &Path) -> anyhow::Result<()>;

fn main() -> anyhow::Result<()> {
    if fresh::told()? {
        return Ok(());
    }
    let folder = tempfile::tempdir_in(FOLDER)?;
    let site = Site::start(folder.path())?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    site.fill(log(1), scale(ENTITIES, SMALL))?;
    // `-- reads online` asks these alone.
    let told: Vec<String> = std::env::args().skip(1).filter(|told| !told.starts_with('-')).collect();
    let questions: [(&str, Question); 6] = [
        ("writes", writes),
        ("reads", reads),
        ("many", many),
        ("online", online),
        ("visible", visible),
        ("bootstrap", bootstrap),
    ];
    for (name, ask) in questions {
        if told.is_empty() || told.iter().any(|told| told == name) {
            ask(&runtime, &site, folder.path())?;
        }
    }
    site.stop()
}

/// Entities in an order that no page cache knows.
fn shuffled(mut entities: Vec<EntityId>) -> Vec<EntityId> {
    let mut state = 88_172_645_463_325_252_u64;
    for index in (1..entities.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (index as u64 + 1)).unwrap_or(0);
        entities.swap(index, other);
    }
    entities
}

/// A device that has log 1, and its entities.
fn settled(
    runtime: &Runtime,
    site: &Site,
    file: &Path,
    durability: Durability,
) -> anyhow::Result<(Device, Vec<EntityId>)> {
    let device = runtime.block_on(Device::open(file, log(1), site.url(), durability))?;
    runtime.block_on(device.sync())?;
    let entities = shuffled(runtime.block_on(device.entities())?);
    Ok((device, entities))
}

fn writes(runtime: &Runtime, site: &Site, folder: &Path) -> anyhow::Result<()> {
    spread::begin(
        "A write of one field on a device of 10,000 entities, offline; floor a row in a table with three indexes",
    );
    let full = (Durability::Full, floor::sqlite::Synchronous::Full, "durable");
    let normal = (Durability::MayLoseLastSeconds, floor::sqlite::Synchronous::Normal, "without the fsync");
    let (pairs, calls) = (scale(9, 1), scale(300, 5));
    for (ours, bare, name) in [full, normal] {
        for blind in [true, false] {
            let folder = tempfile::tempdir_in(folder)?;
            let (device, entities) = settled(runtime, site, &folder.path().join("ours.db"), ours)?;
            let mut bare = floor::sqlite::Bare::create(&folder.path().join("bare.db"), bare)?;
            let mut ops: VecDeque<Op> = Author::new(2).batch(((pairs + 1) * calls) as u64)?.into();
            let (mut next, mut row) = (entities.iter().cycle(), 0_u64);
            let write = || {
                let map = device.map(*next.next().context("an entity")?)?;
                row += 1;
                runtime.block_on(map.set("title", &format!("Call the plumber about number {row}")))?;
                Ok(())
            };
            let mut seq = 0;
            let insert = || {
                let op = ops.pop_front().context("an op")?;
                seq += 1;
                if blind { bare.insert_blindly(&op, seq) } else { bare.append(&[op]).map(drop) }
            };
            let spread = spread(Meter::new(), pairs, calls, write, insert)?;
            let beside = if blind { "insert" } else { "append: counter, newest, duplicate check, insert" };
            spread::row(&format!("{name}; beside {beside}"), &spread, Aim::Cost(1.5));
        }
    }
    Ok(())
}

fn reads(runtime: &Runtime, site: &Site, folder: &Path) -> anyhow::Result<()> {
    spread::begin("A read of one entity of 10,000; floor a prepared SELECT by key of the same row");
    let (pairs, calls) = (scale(9, 1), scale(2_000, 5));
    let file = folder.join("reads.db");
    let (device, entities) = settled(runtime, site, &file, Durability::Full)?;
    let bare = rusqlite::Connection::open(&file)?;
    let row: i64 = bare.query_row("SELECT id FROM log WHERE log = ?1", [log(1).log.as_bytes()], |row| row.get(0))?;
    let ask = |question: &str, ours: &[EntityId], aim: Aim| {
        let (mut next, mut same) = (ours.iter().cycle(), entities.iter().cycle());
        let read = || {
            let map = device.map(*next.next().context("an entity")?)?;
            let state = runtime.block_on(device.replica.state(map.key()))?;
            anyhow::ensure!(state.is_some(), "nothing there");
            Ok(())
        };
        let select = || {
            let entity = same.next().context("an entity")?;
            anyhow::ensure!(
                !floor::sqlite::value(&bare, row, COLLECTION, entity.as_bytes())?.is_empty(),
                "nothing there"
            );
            Ok(())
        };
        spread::row(question, &spread(Meter::new(), pairs, calls, read, select)?, aim);
        anyhow::Ok(())
    };
    ask("each of 10,000 in turn", &entities, Aim::Cost(1.5))?;
    let few = &entities[..scale(100, 5)];
    ask("a hundred again and again", few, Aim::Cost(1.5))?;
    for (number, entity) in few.iter().enumerate() {
        runtime.block_on(device.map(*entity)?.set("title", &format!("Edit number {number}")))?;
    }
    ask("a hundred, each with an edit that waits", few, Aim::Known)?;
    let one = &entities[..1];
    for number in 0..scale(1_000, 10) {
        runtime.block_on(device.map(one[0])?.set("title", &format!("Edit number {number}")))?;
    }
    ask("one with a thousand edits that wait", one, Aim::Known)
}

/// What writers gain by being many.
fn many(runtime: &Runtime, site: &Site, folder: &Path) -> anyhow::Result<()> {
    table::begin("Writes that are awaited together, durable; beside one that is awaited before the next");
    let file = folder.join("many.db");
    let (device, entities) = settled(runtime, site, &file, Durability::Full)?;
    let (device, entities) = (Arc::new(device), Arc::new(entities));
    for writers in [8, 64] {
        let next = Arc::new(AtomicU64::new(0));
        let work = |writers: u64, each: u64| {
            let (device, entities, next) = (Arc::clone(&device), Arc::clone(&entities), Arc::clone(&next));
            runtime.block_on(async move {
                let tasks: Vec<_> = (0..writers)
                    .map(|_| {
                        let (device, entities, next) = (Arc::clone(&device), Arc::clone(&entities), Arc::clone(&next));
                        tokio::spawn(async move {
                            for _ in 0..each {
                                let number = next.fetch_add(1, Ordering::Relaxed);
                                let at = usize::try_from(number)? % entities.len();
                                device.map(entities[at])?.set("title", &format!("Edit number {number}")).await?;
                            }
                            anyhow::Ok(())
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await??;
                }
                anyhow::Ok(writers * each)
            })
        };
        let mut ours = || work(writers, scale(1_024 / writers, 1));
        let mut alone = || work(1, scale(256, 4));
        let compared = compare(Meter::new(), scale(7, 1), &mut ours, &mut alone)?;
        table::row(&format!("{writers} at once"), "write", &compared, Aim::Speed(4.0));
    }
    Ok(())
}

fn online(runtime: &Runtime, site: &Site, folder: &Path) -> anyhow::Result<()> {
    table::begin("1,000 writes made offline, until the server has them; floor one push of 1,000 ops, and nothing kept");
    let pending = scale(PENDING, 20);
    let pairs = scale(7, 1);
    let (device, _) = settled(runtime, site, &folder.join("online.db"), Durability::Full)?;
    let (way, place) = (way(site.url())?, log(2));
    site.fill(place, 10)?;
    let mut author = Author::new(3);
    let (mut trips, mut written, mut compared) = (0, 0_u64, Compared::default());
    for pair in 0..=pairs {
        for number in 0..pending {
            let map = device.map(EntityId::named(&format!("offline {number}")))?;
            written += 1;
            runtime.block_on(map.set("title", &format!("Written offline, number {written}")))?;
        }
        let mut batch = Some(author.batch(pending)?);
        let mut ours = || {
            trips = trips.max(runtime.block_on(device.sync())?);
            Ok(1)
        };
        let mut floor = || {
            runtime.block_on(push(&way, place, batch.take().context("one batch")?))?;
            Ok(1)
        };
        // A pair of its own each time, for what waits has to be written first.
        let one = turn_each(&mut ours, &mut floor)?;
        if pair > 0 {
            compared.pairs.push(one);
        }
    }
    table::row(
        &format!("at most {trips} round trips (aim ≤ 3), below a second"),
        "1,000 writes",
        &compared,
        Aim::Known,
    );
    let opened = Instant::now();
    drop(device);
    let device = runtime.block_on(Device::open(&folder.join("online.db"), log(1), site.url(), Durability::Full))?;
    let opened = opened.elapsed();
    drop(device);
    table::row_of("to close and to open it again", &time(opened.as_secs_f64() * 1e9), "–", "–", "to know");
    Ok(())
}

fn turn_each(
    ours: &mut dyn FnMut() -> anyhow::Result<u64>,
    floor: &mut dyn FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<(syncline_benches::measure::Cost, syncline_benches::measure::Cost)> {
    use syncline_benches::measure::turn;
    let first = turn(Meter::new(), ours)?;
    Ok((first, turn(Meter::new(), floor)?))
}

async fn push(way: &syncline_transport_http::client::HttpClient, place: LogKey, ops: Vec<Op>) -> anyhow::Result<()> {
    let push = Push { log: place.log, request: None, cursor: None, atomic: false, ops };
    let Reply::Pushed(pushed) = way.call(Call::Push(push)).await? else { anyhow::bail!("not an answer to a push") };
    anyhow::ensure!(pushed.verdicts.iter().all(|verdict| verdict.seq().is_some()), "an op was not accepted");
    Ok(())
}

/// From a write on one device until the other shows it.
fn visible(runtime: &Runtime, site: &Site, folder: &Path) -> anyhow::Result<()> {
    spread::begin(
        "From before a write on one device until the other reads it; floor push, wake and pull, nothing kept",
    );
    let place = log(3);
    site.fill(place, 10)?;
    let open = |name: &str| runtime.block_on(Device::open(&folder.join(name), place, site.url(), Durability::Full));
    let (here, there) = (open("here.db")?, open("there.db")?);
    let _guard = runtime.enter();
    let (_one, _two) = (here.keep_in_step(), there.keep_in_step());
    let mut events = there.replica.events();
    let mut number = 0_u64;
    let mut shown = || {
        number += 1;
        runtime.block_on(async {
            let (title, name) = (format!("Version {number}"), EntityId::named("shared"));
            here.map(name)?.set("title", &title).await?;
            let map = there.map(name)?;
            // Events say where to look, and merge; so it is there once it can be read.
            while map.field::<String>("title").await?.as_ref() != Some(&title) {
                tokio::time::timeout(PATIENCE, events.next()).await?;
            }
            Ok(())
        })
    };
    // Until both have what there is and listen.
    shown()?;
    let (near, far, bare) = (way(site.url())?, way(site.url())?, log(4));
    site.fill(bare, 10)?;
    let mut author = Author::new(4);
    let mut wakes = runtime.block_on(far.wakes(bare))?;
    let mut cursor = runtime.block_on(pull(&far, bare, Cursor::START))?;
    let plain = || {
        let ops = author.batch(1)?;
        runtime.block_on(async {
            push(&near, bare, ops).await?;
            let before = cursor.seq;
            while cursor.seq == before {
                tokio::time::timeout(PATIENCE, wakes.next()).await?.context("the socket ended")?;
                cursor = pull(&far, bare, cursor).await?;
            }
            Ok(())
        })
    };
    let spread = spread(Meter::new(), scale(7, 1), scale(60, 3), shown, plain)?;
    spread::row("write to read", &spread, Aim::Known);
    Ok(())
}

async fn pull(
    way: &syncline_transport_http::client::HttpClient,
    place: LogKey,
    cursor: Cursor,
) -> anyhow::Result<Cursor> {
    let call = Call::Pull { log: place.log, cursor, limit: PageLimit::default() };
    let Reply::Pulled(page) = way.call(call).await? else { anyhow::bail!("not a page") };
    Ok(page.next)
}

/// A fresh device, in a process of its own.
fn bootstrap(runtime: &Runtime, site: &Site, folder: &Path) -> anyhow::Result<()> {
    let head = [
        "first download of",
        "time (CPU)",
        "floor: fetch, insert rows",
        "ratio",
        "data",
        "memory at most, beyond the data",
        "aim",
        "opened again",
    ];
    table::begin_with("A fresh device begins from a snapshot over loopback", &head);
    for (number, entities, aim) in [(10, scale(10_000, 1_000), 10), (11, scale(100_000, 2_000), 50)] {
        let data = site.fill(log(number), entities)?.context("a snapshot")?.payload.bytes().len() as u64;
        let (mut wall, mut ratio, mut last) = (Vec::new(), Vec::new(), None);
        for round in 0..scale(3, 1) {
            let file = folder.join(format!("fresh-{number}-{round}.db"));
            let spent = fresh::run(site.url(), number, &file, false)?;
            anyhow::ensure!(spent.entities == entities, "{} of {entities} entities", spent.entities);
            let again = fresh::run(site.url(), number, &file, true)?;
            let bare = bare_bootstrap(runtime, site, log(number), &folder.join(format!("bare-{number}-{round}.db")))?;
            wall.push(spent.wall.as_secs_f64() * 1e9);
            ratio.push(spent.wall.as_secs_f64() / bare.as_secs_f64());
            last = Some((spent, again, bare));
        }
        let (spent, again, bare) = last.context("a round")?;
        wall.sort_by(f64::total_cmp);
        ratio.sort_by(f64::total_cmp);
        table::cells(&[
            &format!("{entities} entities"),
            &format!("{} (CPU {})", time(spread::percentile(&wall, 50)), time(spent.cpu.as_secs_f64() * 1e9)),
            &time(bare.as_secs_f64() * 1e9),
            &format!("{:.2}", spread::percentile(&ratio, 50)),
            &size(data),
            &format!(
                "{} (in all {}, then {})",
                size(spent.peak.saturating_sub(data)),
                size(spent.peak),
                size(spent.after)
            ),
            &format!("≤ {aim} MB"),
            &format!("{} in {}", size(again.peak), time(again.wall.as_secs_f64() * 1e9)),
        ]);
    }
    Ok(())
}

/// The same state fetched and kept as rows, in one transaction, by hand.
fn bare_bootstrap(runtime: &Runtime, site: &Site, place: LogKey, file: &Path) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let way = way(site.url())?;
    let Reply::Snapshot(snapshot) = runtime.block_on(way.call(Call::GetSnapshot(place.log)))? else {
        anyhow::bail!("not a snapshot")
    };
    floor::sqlite::keep_state(file, &*snapshot.context("a snapshot")?)?;
    Ok(begun.elapsed())
}
