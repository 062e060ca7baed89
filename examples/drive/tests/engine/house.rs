//! A server in memory and devices with real folders.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline::access::Caller;
use syncline::call::{Call, Reply};
use syncline::client::BlobTransport;
use syncline::decide::{Choice, LogWrites, Reads, Scope, View};
use syncline::in_process::InProcess;
use syncline::oplog::{LogBounds, Schema};
use syncline::server::Server;
use syncline::store::{MemoryBlobs, MemoryFanout, MemoryStore, PageLimit, StoreExt as _};
use syncline::time::{Env, EnvSource};
use syncline::tree::Label;
use syncline::{BucketId, Cursor, Digest, LogId, LogKey, ReplicaId, Timestamp};
use syncline_drive::engine::{Device, Engine, EngineError, Synced};
use syncline_drive::transfer::Limits;
use syncline_transport_http::client::{ClientOptions, HttpClient};
use syncline_transport_http::server::{App, ServerOptions, Tokens, serve};
use tokio::net::TcpListener;

/// 2023-11-14 22:13:20 UTC, and a millisecond later at each look.
const BEGIN_MS: u64 = 1_700_000_000_000;

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

#[derive(Debug, Default)]
pub(crate) struct Ticking {
    ticks: AtomicU64,
    ahead_ms: AtomicU64,
}

/// The same clock, wrong.
#[derive(Debug)]
struct Off(Arc<Ticking>, i64);

impl EnvSource for Off {
    fn env(&self) -> Env {
        let env = self.0.env();
        Env { now: Timestamp::from_ms(env.now.ms().saturating_add_signed(self.1)).unwrap(), ..env }
    }
}

impl EnvSource for Ticking {
    fn env(&self) -> Env {
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed);
        let now = Timestamp::from_ms(BEGIN_MS + ahead_ms + tick / 1_000).unwrap();
        Env { now, entropy: *Digest::of(&[&tick.to_be_bytes()]).as_bytes() }
    }
}

pub(crate) struct House {
    dir: tempfile::TempDir,
    store: Arc<MemoryStore>,
    pub(crate) server: Server,
    env: Arc<Ticking>,
}

pub(crate) struct Drive {
    pub(crate) root: PathBuf,
    pub(crate) engine: Option<Engine>,
    /// By how much its clock is wrong.
    pub(crate) off_ms: i64,
    name: &'static str,
    number: u8,
}

pub(crate) fn log() -> LogKey {
    LogKey { bucket: BucketId::DEFAULT, log: LogId::named("drive") }
}

impl House {
    pub(crate) fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    /// With its devices in this folder.
    pub(crate) fn on(dir: tempfile::TempDir) -> Self {
        let store = Arc::new(MemoryStore::new());
        let server = Server::new(Arc::<MemoryStore>::clone(&store), Arc::new(MemoryFanout::new()), Schema::default());
        let server = server.with_blobs(Arc::new(MemoryBlobs::new()));
        Self { dir, store, server, env: Arc::default() }
    }

    /// So much time passes.
    pub(crate) fn later(&self, ms: i64) {
        self.env.ahead_ms.fetch_add(ms.unsigned_abs(), Ordering::Relaxed);
    }

    /// The server forgets what was deleted long ago; says how many nodes that are.
    pub(crate) async fn purge(&self) -> usize {
        let (mut purged, mut after) = (0, None);
        loop {
            let (done, next) = self.server.retain_tree(log(), after, 100, self.env.env()).await.unwrap();
            purged += done.purged;
            match next {
                Some(_) => after = next,
                // A deleted folder goes in the pass after the one in which the last node in it went.
                None if done.purged > 0 => after = None,
                None => return purged,
            }
        }
    }

    /// The server forgets its log up to here: the tree stands in for it.
    pub(crate) async fn prune(&self) {
        let rule = |view: &View| {
            let bounds = view.log(log()).bounds.clone().unwrap();
            let first = bounds.last.next().unwrap();
            let bounds = LogBounds { first, base: bounds.tip, bytes: 0, ..bounds };
            let writes = LogWrites { prune_before: Some(first), ..LogWrites::new(log(), bounds) };
            Choice::Done((), Some(writes.alone()))
        };
        self.store.decide(Scope::log(log(), Reads::default()), rule).await.unwrap();
    }

    pub(crate) fn env(&self) -> Arc<dyn EnvSource> {
        Arc::<Ticking>::clone(&self.env)
    }

    /// Commits in the log.
    pub(crate) async fn commits(&self) -> usize {
        let call = Call::Pull { log: log().log, cursor: Cursor::START, limit: PageLimit::default() };
        match self.server.handle(&Caller::operator(BucketId::DEFAULT), call, self.env.env()).await {
            Ok(Reply::Pulled(page)) if !page.more => page.ops.len(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn way(&self) -> Arc<dyn BlobTransport> {
        let env = Arc::<Ticking>::clone(&self.env);
        Arc::new(InProcess::new(self.server.clone(), Caller::operator(BucketId::DEFAULT), env))
    }

    /// The way of programs: the same server behind a socket, for as long as the runtime lives.
    pub(crate) async fn over_http(&self) -> Arc<dyn BlobTransport> {
        const TOKEN: &str = "the operator's token of these tests, long enough";
        let tokens = Tokens::new(self.server.clone()).with_operator(TOKEN, BucketId::DEFAULT);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = App::new(self.server.clone(), tokens, ServerOptions::default());
        tokio::spawn(serve(listener, app, std::future::pending()));
        Arc::new(HttpClient::new(ClientOptions::new(&url, TOKEN)).unwrap())
    }

    pub(crate) async fn drive(&self, name: &'static str, number: u8) -> Drive {
        let root = self.dir.path().join(name);
        fs::create_dir(&root).unwrap();
        let mut drive = Drive { root, engine: None, off_ms: 0, name, number };
        self.start(&mut drive).unwrap();
        drive.engine().begin().await.unwrap();
        drive
    }

    /// Starts a device, anew if it runs.
    pub(crate) fn start(&self, drive: &mut Drive) -> Result<(), EngineError> {
        self.start_over(drive, self.way())
    }

    pub(crate) fn start_over(&self, drive: &mut Drive, way: Arc<dyn BlobTransport>) -> Result<(), EngineError> {
        drive.engine = None;
        let device = Device {
            folder: drive.root.clone(),
            state: self.state(drive),
            log: log(),
            replica: ReplicaId::from_bytes([drive.number; 16]),
            label: Label::new(drive.name).unwrap(),
            limits: Limits::default(),
        };
        drive.engine = Some(Engine::open(device, way, Arc::new(Off(Arc::clone(&self.env), drive.off_ms)))?);
        Ok(())
    }

    pub(crate) fn state(&self, drive: &Drive) -> PathBuf {
        self.dir.path().join(format!("{}-state", drive.name))
    }
}

impl Drive {
    pub(crate) fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().unwrap()
    }

    pub(crate) async fn sync(&mut self) -> Synced {
        self.engine().sync(false).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        if let Some(folder) = self.at(path).parent() {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(self.at(path), text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Everything in the folder: contents of files, targets of links, and who may be run.
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
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            shown.insert(format!("{path}/"), String::new());
            show(&entry.path(), &format!("{path}/"), shown);
        } else if kind.is_symlink() {
            shown.insert(path, format!("-> {}", fs::read_link(entry.path()).unwrap().display()));
        } else {
            let bytes = fs::read(entry.path()).unwrap();
            let runs = if entry.metadata().unwrap().permissions().mode() & 0o111 == 0 { "" } else { "* " };
            let text = String::from_utf8(bytes.clone()).unwrap_or_else(|_| Digest::of(&[&bytes]).to_string());
            shown.insert(path, format!("{runs}{text}"));
        }
    }
}
