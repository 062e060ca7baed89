//! Devices and a server in one process, with a way between them that loses what a test says.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use syncline::access::Caller;
use syncline::call::{Call, Reply};
use syncline::client::{CallError, Map, Replica, ReplicaError, ReplicaOptions, Retain, Status, Transport};
use syncline::oplog::{ConflictPolicy, Part, Rules, Schema};
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore, Store};
use syncline::time::EnvSource;
use syncline::wire::binary;
use syncline::{BucketId, Cursor, Env, LogId, LogKey, Seq, Timestamp};

pub(crate) const LOG: LogKey = LogKey { bucket: BucketId::from_bytes([1; 16]), log: LogId::from_bytes([2; 16]) };

/// The stores here never wait for anyone, so polling is all the runtime there is.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
    panic!("nobody will ever wake this")
}

/// A clock that goes on by a millisecond each time somebody looks, and may be off.
#[derive(Debug)]
pub(crate) struct Clock {
    now: Arc<AtomicU64>,
    ahead_ms: i64,
    seed: u8,
    drawn: AtomicU64,
}

impl EnvSource for Clock {
    fn env(&self) -> Env {
        let now = self.now.fetch_add(1, Ordering::Relaxed).saturating_add_signed(self.ahead_ms);
        let mut entropy = [self.seed; 32];
        entropy[..8].copy_from_slice(&self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        Env { now: Timestamp::from_ms(now).unwrap(), entropy }
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It does not arrive.
    Unreachable,
    /// It is done, and nobody hears of it.
    AnswerLost,
}

#[derive(Debug)]
pub(crate) struct Way {
    server: Mutex<Server>,
    env: Clock,
    pub(crate) faults: Mutex<VecDeque<Fault>>,
    pub(crate) calls: AtomicU64,
    /// Bytes of pages and states that were answered, in the binary form.
    pub(crate) bytes: AtomicU64,
    /// The bytes of all ops and snapshots that left a device.
    pub(crate) sent: Mutex<Vec<u8>>,
    /// What a server that cannot be trusted makes of its answers.
    pub(crate) meddler: Mutex<Meddler>,
    /// What the device's token is for.
    pub(crate) caller: Mutex<Caller>,
    /// By how much the server that is asked next is ahead of the time.
    pub(crate) ahead_ms: AtomicI64,
}

type Meddle = Box<dyn Fn(Reply) -> Reply + Send + Sync>;

#[derive(Default)]
pub(crate) struct Meddler(pub(crate) Option<Meddle>);

impl std::fmt::Debug for Meddler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Meddler({})", self.0.is_some())
    }
}

#[async_trait]
impl Transport for Way {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match &call {
            Call::Push(push) => push.ops.iter().for_each(|op| self.sent.lock().unwrap().extend(op.bytes())),
            Call::PutSnapshot { snapshot, .. } => self.sent.lock().unwrap().extend(snapshot.payload.bytes()),
            _ => {}
        }
        let fault = self.faults.lock().unwrap().pop_front().unwrap_or(Fault::None);
        if fault == Fault::Unreachable {
            return Err(CallError::Unreachable("no network".into()));
        }
        let (server, caller) = (self.server.lock().unwrap().clone(), self.caller.lock().unwrap().clone());
        let mut env = self.env.env();
        let now = env.now.ms().saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed));
        env.now = Timestamp::from_ms(now).unwrap();
        let reply = server.handle(&caller, call, env).await;
        if fault == Fault::AnswerLost {
            return Err(CallError::Interrupted("cut".into()));
        }
        let reply = reply?;
        let bytes = match &reply {
            Reply::Pulled(page) => binary::encode_page(page).len(),
            Reply::Pushed(pushed) => binary::encode_pushed(pushed).len(),
            Reply::Snapshot(Some(snapshot)) => binary::encode_snapshot(snapshot).len(),
            _ => 0,
        };
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(match &self.meddler.lock().unwrap().0 {
            Some(meddle) => meddle(reply),
            None => reply,
        })
    }
}

pub(crate) struct World {
    pub(crate) way: Way,
    now: Arc<AtomicU64>,
    schema: Schema,
    devices: u8,
    /// How devices are opened from now on.
    pub(crate) retain: Retain,
    pub(crate) part: Option<Part>,
}

pub(crate) struct Device {
    pub(crate) replica: Replica,
    pub(crate) store: Arc<MemoryStore>,
}

pub(crate) fn schema() -> Schema {
    Schema::default()
        .with("causal".parse().unwrap(), Rules::of(ConflictPolicy::Causal))
        .with("files".parse().unwrap(), Rules::of(ConflictPolicy::Precondition))
        .with("chat".parse().unwrap(), Rules::of(ConflictPolicy::Append))
        .with("counters".parse().unwrap(), Rules::counter())
        .with("documents".parse().unwrap(), Rules::document())
        .with("lists".parse().unwrap(), Rules::list())
        .with("registers".parse().unwrap(), Rules::register())
        .with("sets".parse().unwrap(), Rules::set())
        .with("texts".parse().unwrap(), Rules::text())
        .with("trees".parse().unwrap(), Rules::tree())
}

impl World {
    pub(crate) fn new() -> Self {
        let now = Arc::new(AtomicU64::new(1_700_000_000_000));
        let env = Clock { now: Arc::clone(&now), ahead_ms: 0, seed: 255, drawn: AtomicU64::new(0) };
        let server = Mutex::new(server(Arc::new(MemoryStore::new())));
        let way = Way {
            server,
            env,
            faults: Mutex::default(),
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            sent: Mutex::default(),
            meddler: Mutex::default(),
            caller: Mutex::new(Caller::operator(LOG.bucket)),
            ahead_ms: AtomicI64::new(0),
        };
        Self { way, now, schema: schema(), devices: 0, retain: Retain::default(), part: None }
    }

    pub(crate) fn device(&mut self) -> Device {
        self.device_with_clock(0)
    }

    pub(crate) fn device_with_clock(&mut self, ahead_ms: i64) -> Device {
        self.open(Arc::new(MemoryStore::new()), ahead_ms)
    }

    /// Opens what a store holds, as a process does that was killed and started again.
    pub(crate) fn open(&mut self, store: Arc<MemoryStore>, ahead_ms: i64) -> Device {
        self.open_with(store, ahead_ms, |_| {})
    }

    pub(crate) fn open_with(
        &mut self,
        store: Arc<MemoryStore>,
        ahead_ms: i64,
        change: impl FnOnce(&mut ReplicaOptions),
    ) -> Device {
        let through = Arc::clone(&store) as Arc<dyn Store>;
        self.open_through(store, through, ahead_ms, change).unwrap()
    }

    /// The same through another store, which may fail.
    pub(crate) fn open_through(
        &mut self,
        store: Arc<MemoryStore>,
        through: Arc<dyn Store>,
        ahead_ms: i64,
        change: impl FnOnce(&mut ReplicaOptions),
    ) -> Result<Device, ReplicaError> {
        self.devices += 1;
        let now = Arc::clone(&self.now);
        let env = Arc::new(Clock { now, ahead_ms, seed: self.devices, drawn: AtomicU64::new(0) });
        let mut options = ReplicaOptions::default();
        options.schema = self.schema.clone();
        options.retain = self.retain;
        options.part = self.part.clone();
        change(&mut options);
        Ok(Device { replica: run(Replica::open(through, LOG, env, options))?, store })
    }

    /// Puts another server, with another store, in the old one's place.
    pub(crate) fn replace_server(&self, store: Arc<MemoryStore>) {
        *self.way.server.lock().unwrap() = server(store);
    }

    /// The server drops what is before.
    pub(crate) fn prune(&self, before: Seq) {
        let server = self.way.server.lock().unwrap().clone();
        run(server.prune(LOG, before)).unwrap();
    }

    pub(crate) fn sync(&self, device: &Device) -> Status {
        self.try_sync(device).unwrap()
    }

    pub(crate) fn try_sync(&self, device: &Device) -> Result<Status, ReplicaError> {
        run(device.replica.sync_once(&self.way))
    }

    /// Syncs until so many calls were made; then the server is not to be reached.
    pub(crate) fn sync_for(&self, calls: usize, device: &Device) {
        let faults = [vec![Fault::None; calls], vec![Fault::Unreachable; 9]].concat();
        self.fault(&faults);
        // Where it is cut off, it fails.
        let _ = self.try_sync(device);
        self.fault(&[]);
    }

    pub(crate) fn fault(&self, faults: &[Fault]) {
        *self.way.faults.lock().unwrap() = faults.iter().copied().collect();
    }

    pub(crate) fn calls(&self) -> u64 {
        self.way.calls.swap(0, Ordering::Relaxed)
    }
}

fn server(store: Arc<MemoryStore>) -> Server {
    Server::new(store, Arc::new(MemoryFanout::new()), schema())
}

impl Device {
    pub(crate) fn task(&self, name: &str) -> Map {
        self.replica.collection("tasks").unwrap().named(name)
    }

    pub(crate) fn set(&self, task: &str, field: &str, value: &str) -> syncline::client::Receipt {
        run(self.task(task).set(field, value)).unwrap()
    }

    pub(crate) fn read(&self, task: &str) -> String {
        let state = run(self.replica.state(self.task(task).key())).unwrap();
        state.map_or_else(|| "-".to_owned(), |state| String::from_utf8(state.to_vec()).unwrap())
    }

    /// How many steps its feed has from the start of the log.
    pub(crate) fn steps(&self) -> usize {
        let mut feed = self.replica.changes(Cursor::START);
        std::iter::from_fn(|| run(feed.try_next()).unwrap()).count()
    }

    /// Everything that is kept, copied: a backup, or a disk image.
    pub(crate) fn copy_of_store(&self) -> Arc<MemoryStore> {
        Arc::new(self.store.fork())
    }
}

/// A seq in range.
pub(crate) fn seq(value: u64) -> Seq {
    Seq::new(value).unwrap()
}

impl World {
    /// A clock and a source of randomness for a device that is opened by hand.
    pub(crate) fn env(&mut self) -> Arc<Clock> {
        self.devices += 1;
        let now = Arc::clone(&self.now);
        Arc::new(Clock { now, ahead_ms: 0, seed: self.devices, drawn: AtomicU64::new(0) })
    }

    pub(crate) fn later(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }
}
