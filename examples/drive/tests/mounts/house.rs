//! A server in memory, devices whose folders have mounts, and a way to the server that can be cut off anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use syncline::access::{Access, Caller};
use syncline::call::{Call, Reply, Share, Shared};
use syncline::client::{BlobTransport, CallError, Transport};
use syncline::digest::BlobId;
use syncline::in_process::InProcess;
use syncline::oplog::Schema;
use syncline::server::Server;
use syncline::store::{
    BlobSource, ByteRange, MemoryBlobs, MemoryFanout, MemoryStore, NodeQuery, PutOutcome, SignalSource,
};
use syncline::time::{Env, EnvSource};
use syncline::tree::{Label, Node};
use syncline::{BucketId, Digest, EntityId, LogId, LogKey, OpId, ReplicaId, Timestamp};
use syncline_drive::engine::{Device, EngineError, Synced};
use syncline_drive::mounts::Mounts;
use syncline_drive::transfer::Limits;

const BEGIN_MS: u64 = 1_700_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct Ticking(AtomicU64);

impl EnvSource for Ticking {
    fn env(&self) -> Env {
        let tick = self.0.fetch_add(1, Ordering::Relaxed);
        let now = Timestamp::from_ms(BEGIN_MS + tick / 1_000).unwrap();
        Env { now, entropy: *Digest::of(&[&tick.to_be_bytes()]).as_bytes() }
    }
}

/// Counts what goes over it, and ends where it is told to: some call is carried out, its answer and all later calls are lost.
#[derive(Debug)]
pub(crate) struct Way {
    inside: InProcess,
    left: AtomicUsize,
    pub(crate) brought: AtomicUsize,
}

/// The device is dead: it does not ask again.
fn lost() -> CallError {
    CallError::Protocol("cut off".into())
}

impl Way {
    /// Whether a call arrives, and whether its answer does.
    fn pass(&self) -> (bool, bool) {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(1)));
        let left = left.unwrap_or(0);
        (left > 0, left > 1)
    }
}

/// Carries a call out as far as the way goes.
macro_rules! over {
    ($way:expr, $call:expr) => {{
        let (arrives, answers) = $way.pass();
        if !arrives {
            return Err(lost());
        }
        let answer = $call.await;
        if answers { answer } else { Err(lost()) }
    }};
}

#[async_trait]
impl Transport for Way {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        over!(self, self.inside.call(call))
    }

    async fn wakes(&self, log: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
        self.inside.wakes(log).await
    }
}

#[async_trait]
impl BlobTransport for Way {
    async fn put_blob(&self, log: LogId, blob: BlobId, bytes: Bytes) -> Result<PutOutcome, CallError> {
        over!(self, self.inside.put_blob(log, blob, bytes))
    }

    async fn put_blobs(&self, log: LogId, blobs: Vec<(BlobId, Bytes)>) -> Result<Vec<PutOutcome>, CallError> {
        over!(self, self.inside.put_blobs(log, blobs))
    }

    async fn upload_at(&self, log: LogId, blob: BlobId, size: u64) -> Result<u64, CallError> {
        over!(self, self.inside.upload_at(log, blob, size))
    }

    async fn append_blob(
        &self,
        log: LogId,
        blob: BlobId,
        size: u64,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, CallError> {
        over!(self, self.inside.append_blob(log, blob, size, offset, bytes))
    }

    async fn open_blob(&self, log: LogId, blob: BlobId, range: ByteRange) -> Result<Box<dyn BlobSource>, CallError> {
        self.brought.fetch_add(1, Ordering::Relaxed);
        over!(self, self.inside.open_blob(log, blob, range))
    }
}

pub(crate) struct House {
    dir: tempfile::TempDir,
    pub(crate) server: Server,
    env: Arc<Ticking>,
}

/// A device, and whose tree it follows.
pub(crate) struct Drive {
    pub(crate) root: PathBuf,
    pub(crate) way: Arc<Way>,
    pub(crate) mounts: Option<Mounts>,
    name: &'static str,
    number: u8,
    log: LogId,
    caller: Caller,
}

pub(crate) fn own() -> LogId {
    LogId::named("drive")
}

pub(crate) fn operator() -> Caller {
    Caller::operator(BucketId::DEFAULT)
}

/// Somebody who may write in one log and knows of no other.
pub(crate) fn guest(log: LogId) -> Caller {
    Caller { access: Access::Write, logs: Some(BTreeSet::from([log])), ..operator() }
}

impl House {
    pub(crate) fn new() -> Self {
        let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), Schema::default());
        let server = server.with_blobs(Arc::new(MemoryBlobs::new()));
        Self { dir: tempfile::tempdir().unwrap(), server, env: Arc::default() }
    }

    pub(crate) async fn drive(&self, name: &'static str, number: u8) -> Drive {
        let mut drive = self.drive_of(name, number, own(), operator());
        drive.mounts().own().begin().await.unwrap();
        drive
    }

    pub(crate) fn drive_of(&self, name: &'static str, number: u8, log: LogId, caller: Caller) -> Drive {
        let root = self.dir.path().join(name);
        fs::create_dir(&root).unwrap();
        let way = self.way(&caller, usize::MAX);
        let mut drive = Drive { root, way, mounts: None, name, number, log, caller };
        self.start(&mut drive, usize::MAX).unwrap();
        drive
    }

    fn way(&self, caller: &Caller, left: usize) -> Arc<Way> {
        let inside = InProcess::new(self.server.clone(), caller.clone(), Arc::<Ticking>::clone(&self.env));
        Arc::new(Way { inside, left: left.into(), brought: 0.into() })
    }

    pub(crate) fn state(&self, drive: &Drive) -> PathBuf {
        self.dir.path().join(format!("{}-state", drive.name))
    }

    /// Starts a device, anew if it runs, with a way that so many calls go over.
    pub(crate) fn start(&self, drive: &mut Drive, calls: usize) -> Result<(), EngineError> {
        drive.mounts = None;
        drive.way = self.way(&drive.caller, calls);
        let device = Device {
            folder: drive.root.clone(),
            state: self.state(drive),
            log: LogKey { bucket: BucketId::DEFAULT, log: drive.log },
            replica: ReplicaId::from_bytes([drive.number; 16]),
            label: Label::new(drive.name).unwrap(),
            limits: Limits::default(),
        };
        let way: Arc<dyn BlobTransport> = Arc::<Way>::clone(&drive.way);
        drive.mounts = Some(Mounts::open(device, way, Arc::<Ticking>::clone(&self.env))?);
        Ok(())
    }

    pub(crate) fn env(&self) -> Arc<Ticking> {
        Arc::<Ticking>::clone(&self.env)
    }

    pub(crate) async fn ask(&self, call: Call) -> Reply {
        self.server.handle(&operator(), call, self.env.env()).await.unwrap()
    }

    /// Shares a folder of the own tree; gives its log.
    pub(crate) async fn share(&self, folder: EntityId) -> LogId {
        let env = self.env.env();
        let share = Share {
            log: own(),
            id: OpId::from_bytes(env.uuid7("share")),
            replica: ReplicaId::from_bytes([200; 16]),
            folder,
            to: LogId::from_bytes(env.uuid7("to")),
            mount: EntityId::from_bytes(env.uuid7("mount")),
        };
        match self.ask(Call::ShareFolder(share)).await {
            Reply::Shared(Shared::Done { .. }) => share.to,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn nodes(&self, log: LogId) -> BTreeMap<EntityId, Node> {
        match self.ask(Call::Nodes { log, asked: NodeQuery::All { after: None }, limit: 5_000 }).await {
            Reply::Nodes(page) => page.nodes.into_iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    /// The names that live in a log's tree.
    pub(crate) async fn names(&self, log: LogId) -> BTreeSet<String> {
        let live = self.nodes(log).await.into_values().filter(|node| node.dead.is_none() && node.parent.is_some());
        live.map(|node| node.name.as_str().to_owned()).collect()
    }
}

impl Drive {
    pub(crate) fn mounts(&mut self) -> &mut Mounts {
        self.mounts.as_mut().unwrap()
    }

    /// Syncs, with nothing in the way.
    pub(crate) async fn sync(&mut self) -> Synced {
        let synced = self.mounts().sync(false).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(synced.troubles.is_empty(), "{synced:?}");
        synced
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).unwrap_or_else(|error| panic!("{from}: {error}"));
    }

    /// A node of the own tree.
    pub(crate) fn node(&self, path: &str) -> EntityId {
        let base = self.mounts.as_ref().unwrap().own().base();
        path.split('/')
            .try_fold(base.root(), |folder, name| base.at(folder, name))
            .unwrap_or_else(|| panic!("no {path}"))
    }

    /// Everything in the folder.
    pub(crate) fn show(&self) -> BTreeMap<String, String> {
        let mut shown = BTreeMap::new();
        show(&self.root, "", &mut shown);
        shown
    }
}

fn show(folder: &Path, before: &str, shown: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{before}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            shown.insert(format!("{path}/"), String::new());
            show(&entry.path(), &format!("{path}/"), shown);
        } else {
            shown.insert(path, fs::read_to_string(entry.path()).unwrap());
        }
    }
}

/// What a folder is to show: `path=text`, or `path/`.
pub(crate) fn shown(lines: &[&str]) -> BTreeMap<String, String> {
    let pair =
        |line: &&str| line.split_once('=').map_or(((*line).to_owned(), String::new()), |(a, b)| (a.into(), b.into()));
    lines.iter().map(pair).collect()
}

/// All devices show the same, and have nothing to say any more.
pub(crate) async fn alike(drives: &mut [&mut Drive], lines: &[&str]) {
    for _ in 0..2 {
        for drive in drives.iter_mut() {
            drive.sync().await;
        }
    }
    for drive in drives.iter_mut() {
        let synced = drive.sync().await;
        assert_eq!((synced.told, synced.done), (0, 0), "what is alike is told again");
        assert_eq!(drive.show(), shown(lines), "{}", drive.name);
    }
}
