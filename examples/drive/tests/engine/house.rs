//! A server in memory and devices with real folders.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline::access::Caller;
use syncline::client::BlobTransport;
use syncline::in_process::InProcess;
use syncline::oplog::Schema;
use syncline::server::Server;
use syncline::store::{MemoryBlobs, MemoryFanout, MemoryStore};
use syncline::time::{Env, EnvSource};
use syncline::tree::Label;
use syncline::{BucketId, Digest, LogId, LogKey, ReplicaId, Timestamp};
use syncline_drive::engine::{Device, Engine, EngineError, Synced};
use syncline_drive::transfer::Limits;

/// 2023-11-14 22:13:20 UTC, and a millisecond later at each look.
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

pub(crate) struct House {
    dir: tempfile::TempDir,
    pub(crate) server: Server,
    env: Arc<Ticking>,
}

pub(crate) struct Drive {
    pub(crate) root: PathBuf,
    pub(crate) engine: Option<Engine>,
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
        let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), Schema::default());
        let server = server.with_blobs(Arc::new(MemoryBlobs::new()));
        Self { dir, server, env: Arc::default() }
    }

    pub(crate) fn way(&self) -> Arc<dyn BlobTransport> {
        let env = Arc::<Ticking>::clone(&self.env);
        Arc::new(InProcess::new(self.server.clone(), Caller::operator(BucketId::DEFAULT), env))
    }

    pub(crate) async fn drive(&self, name: &'static str, number: u8) -> Drive {
        let root = self.dir.path().join(name);
        fs::create_dir(&root).unwrap();
        let mut drive = Drive { root, engine: None, name, number };
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
        drive.engine = Some(Engine::open(device, way, Arc::<Ticking>::clone(&self.env))?);
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
