//! A replica on a machine whose power is cut: what the application wrote and was told is kept is there.
//!
//! What must hold: with full durability every field shows the newest write that was acknowledged or the one that was under
//! way; in any case the replica opens, goes on, and after syncing shows what another device shows. A field only grows, so
//! what it shows says which writes are there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use syncline::access::Caller;
use syncline::call::{Call, Reply};
use syncline::client::{CallError, Map, Replica, ReplicaError, ReplicaOptions, Transport, Write};
use syncline::conformance::support::log;
use syncline::oplog::{OpKind, Payload, Precondition, Schema};
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore, Store};
use syncline::time::{Env, EnvSource, Timestamp};
use syncline_prove::Chance;
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_test_vfs::Machine;

use super::lives::{CUTS, Mode, cut_at_last};
use super::{keeps_all, wait};
use crate::part::{Counts, count};

/// Entities that are written.
const NAMES: u64 = 12;

/// A clock that goes on when somebody looks, and randomness of its seed.
#[derive(Debug)]
struct Clock(AtomicU64, u64);

impl EnvSource for Clock {
    fn env(&self) -> Env {
        let looked = self.0.fetch_add(1, Ordering::Relaxed);
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&looked.to_be_bytes());
        entropy[8..16].copy_from_slice(&self.1.to_be_bytes());
        Env { now: Timestamp::from_ms(1_700_000_000_000 + looked).expect("in range"), entropy }
    }
}

fn clock(seed: u64) -> Arc<Clock> {
    Arc::new(Clock(AtomicU64::new(0), seed))
}

/// A server in this process, whose power stays on.
#[derive(Debug)]
struct Here(Server, Arc<Clock>);

impl Here {
    fn new() -> Self {
        let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), Schema::default());
        Self(server, clock(u64::MAX))
    }
}

#[async_trait]
impl Transport for Here {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        Ok(self.0.handle(&Caller::operator(log(1).bucket), call, self.1.env()).await?)
    }
}

/// What the application knows of a field.
#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// The newest value that it was told is kept.
    kept: u64,
    /// The newest that it tried to write.
    tried: u64,
    /// The newest of which the server was told.
    synced: u64,
}

struct App {
    known: BTreeMap<u64, Known>,
    next: u64,
}

fn map(replica: &Replica, name: u64) -> Map {
    replica.collection("tasks").expect("a good name").named(&name.to_string())
}

fn open(store: Arc<dyn Store>, clock: Arc<Clock>) -> Result<Replica, ReplicaError> {
    wait(Replica::open(store, log(1), clock, ReplicaOptions::default()))
}

fn show(replica: &Replica, name: u64) -> Result<u64, ReplicaError> {
    Ok(wait(map(replica, name).field::<u64>("n"))?.unwrap_or(0))
}

impl App {
    /// What one does with an application, until the power goes.
    fn use_it(&mut self, replica: &Replica, way: &Here, chance: &mut Chance) -> Result<(), ReplicaError> {
        for _ in 0..1 + chance.below(8) {
            match chance.below(6) {
                0 => self.sync(replica, way)?,
                1 => self.write(replica, 2 + chance.below(8), chance)?,
                2 => {
                    let name = chance.below(NAMES);
                    let (shown, known) = (show(replica, name)?, self.known(name));
                    assert!(shown >= known.kept, "field {name} shows {shown}: {known:?}");
                }
                _ => self.write(replica, 1, chance)?,
            }
        }
        Ok(())
    }

    fn known(&self, name: u64) -> Known {
        self.known.get(&name).copied().unwrap_or_default()
    }

    /// Writes so many fields at once.
    fn write(&mut self, replica: &Replica, count: u64, chance: &mut Chance) -> Result<(), ReplicaError> {
        let first = chance.below(NAMES);
        let names: Vec<u64> = (0..count).map(|more| (first + more) % NAMES).collect();
        self.next += 1;
        let value = self.next;
        for name in &names {
            self.known.entry(*name).or_default().tried = value;
        }
        let write = |name: &u64| Write {
            key: map(replica, *name).key().clone(),
            kind: OpKind::Update,
            precondition: Precondition::None,
            payload: Payload::Json(format!(r#"{{"n":{value}}}"#).into()),
        };
        if let [name] = *names {
            wait(map(replica, name).set("n", &value))?;
        } else {
            wait(replica.write_batch(names.iter().map(write).collect()))?;
        }
        for name in names {
            self.known.entry(name).or_default().kept = value;
        }
        Ok(())
    }

    fn sync(&mut self, replica: &Replica, way: &Here) -> Result<(), ReplicaError> {
        let status = wait(replica.sync_once(way))?;
        if status.is_safe() {
            self.known.values_mut().for_each(|known| known.synced = known.kept);
        }
        Ok(())
    }

    fn check(&mut self, replica: &Replica, mode: Mode, run: &str) {
        for (name, known) in &mut self.known {
            let shown = show(replica, *name).unwrap_or_else(|error| panic!("{run}: {error}"));
            let least = if keeps_all(mode.durability()) { known.kept } else { 0 };
            assert!(shown >= least && shown <= known.tried, "{run}: field {name} shows {shown}: {known:?}");
            // What was under way and is there is kept from now on; what may be lost and is lost was never kept.
            known.kept = shown;
        }
    }
}

/// Lives one life of a device.
///
/// # Panics
/// When a promise is broken.
pub(super) fn life(mode: Mode, seed: u64, machine: &Machine, folder: &Path) -> Counts {
    let mut chance = Chance::new(seed);
    let mut counts = Counts::new();
    let (way, clock) = (Here::new(), clock(seed));
    let pages = if chance.once_in(2) { 4 } else { 10_000 };
    let options = SqliteOptions::device(folder.join("a.db")).vfs(machine.name());
    let options = options.checkpoint_pages(pages).durability(mode.durability());
    let mut app = App { known: BTreeMap::new(), next: 0 };
    for cut in 0..CUTS {
        let run = format!("{mode:?}, cut {cut}");
        if chance.once_in(4) {
            machine.cut_power_at(1 + chance.below(40));
            let opened = SqliteStore::open(options.clone()).map(|store| open(Arc::new(store), Arc::clone(&clock)));
            count(&mut counts, "cuts while recovering", u64::from(machine.is_off()));
            assert!(matches!(opened, Ok(Ok(_))) || machine.is_off(), "{run}: it does not open: {opened:?}");
            drop(opened);
            machine.cut_power();
            machine.restart();
        }
        let store = SqliteStore::open(options.clone()).unwrap_or_else(|error| panic!("{run}: {error}"));
        let replica = open(Arc::new(store), Arc::clone(&clock)).unwrap_or_else(|error| panic!("{run}: {error}"));
        app.check(&replica, mode, &run);
        let most = chance.of(&[20, 120, 600]);
        machine.cut_power_at(1 + chance.below(most));
        if let Err(error) = app.use_it(&replica, &way, &mut chance) {
            assert!(machine.is_off(), "{run}: it fails with the power on: {error}");
        }
        drop(replica);
        cut_at_last(mode, machine, &mut counts);
    }
    let store = SqliteStore::open(options).unwrap_or_else(|error| panic!("{mode:?}, at the end: {error}"));
    let replica = open(Arc::new(store), clock).unwrap_or_else(|error| panic!("{mode:?}, at the end: {error}"));
    app.check(&replica, mode, "at the end");
    settle(&app, &replica, &way, mode, seed);
    counts
}

/// Everything reaches the server, and another device shows the same.
fn settle(app: &App, replica: &Replica, way: &Here, mode: Mode, seed: u64) {
    let mut rounds = 0;
    while !wait(replica.sync_once(way)).unwrap_or_else(|error| panic!("{mode:?}, at the end: {error}")).is_safe() {
        rounds += 1;
        assert!(rounds < 20, "{mode:?}: it is never safe: {:?}", replica.status());
    }
    let status = replica.status();
    assert_eq!((status.parked, status.unread), (0, 0), "{mode:?}: {status:?}");
    let other = open(Arc::new(MemoryStore::new()), clock(!seed)).expect("memory does not fail");
    wait(other.sync_once(way)).expect("a good server");
    for (name, known) in &app.known {
        let (here, there) = (show(replica, *name).expect("shown"), show(&other, *name).expect("shown"));
        assert_eq!(here, there, "{mode:?}: field {name}: {known:?}");
        let least = known.kept.max(known.synced);
        assert!(here >= least, "{mode:?}: field {name} shows {here} after syncing: {known:?}");
    }
}
