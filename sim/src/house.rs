//! Who is in a run: devices, the server's processes over their store, and what is remembered of writes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_channel::mpsc::UnboundedSender;
use syncline::access::{Access, Caller};
use syncline::client::{Replica, SharedKeyring};
use syncline::seal::LogSecret;
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore};
use syncline::time::EnvSource;
use syncline::{BucketId, Digest, Env, LogId, LogKey, OpId, ReplicaId, Timestamp};

use crate::disk::Disk;
use crate::draw::Draw;
use crate::ledger::{Aside, Ledger};
use crate::plan::Plan;
use crate::schedule::lock;
use crate::weather::Weather;
use crate::world::{self, World};

/// The log that everybody syncs.
pub(crate) const LOG: LogKey = LogKey { bucket: BucketId::from_bytes([1; 16]), log: LogId::from_bytes([2; 16]) };

/// When a run begins.
const BEGINNING_MS: u64 = 1_700_000_000_000;
/// The version of the application that ends as everybody's.
const VERSION: u32 = 1;

/// A machine's clock and its randomness.
#[derive(Debug)]
pub(crate) struct Clock {
    weather: Arc<Weather>,
    ahead_ms: AtomicI64,
    draw: Mutex<Draw>,
}

impl Clock {
    pub(crate) fn new(weather: &Arc<Weather>, draw: Draw) -> Arc<Self> {
        Arc::new(Self { weather: Arc::clone(weather), ahead_ms: AtomicI64::new(0), draw: Mutex::new(draw) })
    }

    pub(crate) fn set(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }
}

impl EnvSource for Clock {
    fn env(&self) -> Env {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let now = (BEGINNING_MS + self.weather.now()).saturating_add_signed(ahead);
        Env { now: Timestamp::from_ms(now).unwrap_or(Timestamp::MAX), entropy: lock(&self.draw).bytes() }
    }
}

/// What a disk held, and which of the followed writes are among it.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) kept: MemoryStore,
    pub(crate) writes: BTreeSet<usize>,
}

/// Writes whose users decided about them, on any device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decided {
    pub(crate) given_up: Vec<Aside>,
    /// Sent again after they were set aside.
    pub(crate) retried: BTreeSet<OpId>,
    /// Devices that took a restore back which waited, once for each.
    pub(crate) taken_back: Vec<usize>,
}

/// A device.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) number: usize,
    pub(crate) disk: Arc<Disk>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) image: Mutex<Option<Image>>,
    /// Followed writes that its disk has, waiting or done.
    pub(crate) writes: Mutex<BTreeSet<usize>>,
    pub(crate) replica: Mutex<Option<Replica>>,
    pub(crate) era: AtomicU64,
    /// How often its process opened its replica.
    pub(crate) life: AtomicU64,
    /// Every name that what is on its disk had.
    pub(crate) names: Mutex<BTreeSet<ReplicaId>>,
    /// When calls arrive again, and when answers do.
    pub(crate) mute_until: AtomicU64,
    pub(crate) deaf_until: AtomicU64,
    /// What it may do less than everything, and until when.
    pub(crate) rights: Mutex<Option<(u64, Option<Access>)>>,
    pub(crate) version: AtomicU32,
    pub(crate) calls: AtomicU64,
    pub(crate) keys: SharedKeyring,
    decided: Arc<Mutex<Decided>>,
    /// Whether it is told of networks that come and go.
    pub(crate) network: Mutex<Option<UnboundedSender<bool>>>,
}

impl Room {
    pub(crate) fn device(&self) -> Option<world::Device> {
        let replica = lock(&self.replica).clone()?;
        let era = self.era.load(Ordering::Relaxed);
        Some(world::Device { replica, number: self.number, era, decided: Arc::clone(&self.decided) })
    }

    pub(crate) fn caller(&self, now: u64) -> Caller {
        let mut caller = Caller::operator(LOG.bucket);
        match *lock(&self.rights) {
            Some((until, Some(access))) if now < until => caller.access = access,
            Some((until, None)) if now < until => caller.logs = Some(BTreeSet::new()),
            _ => {}
        }
        caller
    }

    /// Notes the name that the replica has by now.
    pub(crate) fn note_name(&self, replica: &Replica) {
        lock(&self.names).insert(replica.id());
    }

    /// Tells the running process of a network that came or went.
    pub(crate) fn tell(&self, online: bool) {
        if let Some(network) = &*lock(&self.network) {
            // Nobody listens while it is down.
            let _ = network.unbounded_send(online);
        }
    }
}

/// A server's process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) server: Arc<Server>,
    pub(crate) fanout: MemoryFanout,
    /// When it began.
    pub(crate) since: u64,
}

/// Everybody.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) world: Arc<World>,
    pub(crate) plan: Plan,
    pub(crate) weather: Arc<Weather>,
    pub(crate) rooms: Mutex<Vec<Arc<Room>>>,
    pub(crate) store: Arc<Disk>,
    pub(crate) server_clock: Arc<Clock>,
    pub(crate) image: Mutex<Option<MemoryStore>>,
    /// The server's processes; `None` while one is down.
    pub(crate) servers: Mutex<Vec<Option<Process>>>,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) epoch: AtomicU32,
    /// The version of the application that its server understands.
    pub(crate) version: AtomicU32,
    /// Entities whose value was reckoned a second time.
    pub(crate) reckoned: AtomicU64,
    pub(crate) decided: Arc<Mutex<Decided>>,
    /// Names that an older self and a younger one, or two devices, had at once.
    pub(crate) doubled: Mutex<BTreeSet<ReplicaId>>,
    /// Devices that are to be killed: it is the runner's to do.
    pub(crate) to_kill: Mutex<Vec<usize>>,
}

impl House {
    pub(crate) fn new(world: Arc<World>, plan: Plan, readable: bool) -> Arc<Self> {
        let weather = Arc::new(Weather::new(&plan, readable));
        let house = Self {
            world,
            rooms: Mutex::default(),
            store: Disk::of_server(&weather),
            server_clock: Clock::new(&weather, weather.draw(&[3])),
            image: Mutex::default(),
            servers: Mutex::new(vec![None; plan.servers]),
            ledger: Mutex::default(),
            epoch: AtomicU32::new(1),
            version: AtomicU32::new(VERSION),
            reckoned: AtomicU64::new(0),
            decided: Arc::default(),
            doubled: Mutex::default(),
            to_kill: Mutex::default(),
            weather,
            plan,
        };
        Arc::new(house)
    }

    /// A device with what is on a disk; it is not running yet.
    pub(crate) fn add(&self, kept: MemoryStore, writes: BTreeSet<usize>, like: Option<&Room>) -> Arc<Room> {
        let mut rooms = lock(&self.rooms);
        let number = rooms.len();
        let keys = SharedKeyring::default();
        let epochs = like.map_or_else(|| vec![1], |room| room.keys.epochs());
        for epoch in epochs {
            self.give_key(&keys, epoch);
        }
        let room = Arc::new(Room {
            number,
            disk: Disk::of_device(&self.weather, number as u64, kept),
            clock: Clock::new(&self.weather, self.weather.draw(&[4, number as u64])),
            image: Mutex::default(),
            writes: Mutex::new(writes),
            replica: Mutex::default(),
            era: AtomicU64::new(0),
            life: AtomicU64::new(0),
            names: Mutex::new(like.map_or_else(BTreeSet::new, |room| lock(&room.names).clone())),
            mute_until: AtomicU64::new(0),
            deaf_until: AtomicU64::new(0),
            rights: Mutex::default(),
            version: AtomicU32::new(like.map_or(VERSION, |room| room.version.load(Ordering::Relaxed))),
            calls: AtomicU64::new(0),
            keys,
            decided: Arc::clone(&self.decided),
            network: Mutex::default(),
        });
        rooms.push(Arc::clone(&room));
        room
    }

    /// Everybody who has the key of an epoch has the same one: the application brings it to its devices.
    pub(crate) fn give_key(&self, keys: &SharedKeyring, epoch: u32) {
        if let Err(error) = keys.add(epoch, &self.key(epoch)) {
            self.weather.broke("a key can be added twice", error.to_string());
        }
    }

    pub(crate) fn key(&self, epoch: u32) -> LogSecret {
        let secret = Digest::of(&[b"key", &self.weather.seed.to_be_bytes(), &epoch.to_be_bytes()]);
        LogSecret::from_bytes(*secret.as_bytes())
    }

    pub(crate) fn rooms(&self) -> Vec<Arc<Room>> {
        lock(&self.rooms).clone()
    }

    pub(crate) fn start_server(&self, number: usize) {
        let fanout = MemoryFanout::new();
        let store = Arc::clone(&self.store) as Arc<dyn syncline::store::Store>;
        let schema = self.world.schema.clone().understood_up_to(self.version.load(Ordering::Relaxed));
        let server = Server::new(store, Arc::new(fanout.clone()), schema);
        if let Some(place) = lock(&self.servers).get_mut(number) {
            *place = Some(Process { server: Arc::new(server), fanout, since: self.weather.now() });
        }
    }

    /// One of the processes that are up.
    pub(crate) fn a_server(&self, draw: &mut Draw) -> Option<(usize, Process)> {
        let servers = lock(&self.servers);
        let up: Vec<_> = servers.iter().enumerate().filter_map(|(at, up)| Some((at, up.as_ref()?))).collect();
        draw.pick(&up).map(|(at, process)| (*at, Process::clone(process)))
    }

    /// Whether a process that began then is still up.
    pub(crate) fn is_up(&self, number: usize, since: u64) -> bool {
        lock(&self.servers).get(number).is_some_and(|up| up.as_ref().is_some_and(|process| process.since == since))
    }
}
