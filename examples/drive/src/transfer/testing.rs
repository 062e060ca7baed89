//! A server in memory, and a way to it that breaks.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use syncline::access::Caller;
use syncline::call::{Call, ManifestKept, Reply};
use syncline::client::{BlobTransport, CallError, Transport};
use syncline::digest::BlobId;
use syncline::in_process::InProcess;
use syncline::oplog::{Schema, Sealing};
use syncline::server::Server;
use syncline::store::{BlobError, BlobSource, ByteRange, MemoryBlobs, MemoryFanout, MemoryStore, PutOutcome};
use syncline::time::{Env, EnvSource};
use syncline::{BucketId, LogId, LogKey, Timestamp};

use super::{Limits, Outgoing, Transfer};
use crate::folder::Folder;
use crate::read::read;

#[derive(Debug)]
pub(super) struct Fixed;

impl EnvSource for Fixed {
    fn env(&self) -> Env {
        Env { now: Timestamp::from_ms(1_000).unwrap(), entropy: [7; 32] }
    }
}

pub(super) struct World {
    _dir: tempfile::TempDir,
    path: PathBuf,
    pub(super) folder: Arc<Folder>,
    pub(super) way: Arc<Way>,
    pub(super) transfer: Transfer,
}

/// Bytes that nothing repeats in.
pub(super) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn log() -> LogKey {
    LogKey { bucket: BucketId::DEFAULT, log: LogId::named("drive") }
}

impl World {
    pub(super) async fn new() -> Self {
        let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), Schema::default());
        let server = server.with_blobs(Arc::new(MemoryBlobs::new()));
        let inner = InProcess::new(server, Caller::operator(BucketId::DEFAULT), Arc::new(Fixed));
        inner.call(Call::CreateLog { log: log().log, sealing: Sealing::default() }).await.unwrap();
        let way = Arc::new(Way::to(inner));
        let dir = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::open(dir.path()).unwrap().unwrap());
        let through: Arc<dyn BlobTransport> = Arc::<Way>::clone(&way);
        let transfer = Transfer::new(through, log().log, Arc::clone(&folder), Arc::new(Fixed), Limits::default());
        Self { path: dir.path().to_owned(), _dir: dir, folder, way, transfer }
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn file(&self, name: &str, bytes: &[u8]) -> Outgoing {
        fs::write(self.at(name), bytes).unwrap();
        self.outgoing(name)
    }

    /// Many at once: a file is read a tick after it was written.
    pub(super) fn files(&self, sizes: &[usize]) -> Vec<Outgoing> {
        let write = |(at, len): (usize, &usize)| fs::write(self.at(&at.to_string()), noise(*len, at as u64)).unwrap();
        sizes.iter().enumerate().for_each(write);
        (0..sizes.len()).map(|at| self.outgoing(&at.to_string())).collect()
    }

    pub(super) fn link(&self, name: &str, target: &str) -> Outgoing {
        std::os::unix::fs::symlink(target, self.at(name)).unwrap();
        self.outgoing(name)
    }

    fn outgoing(&self, name: &str) -> Outgoing {
        let looks = self.folder.looks(&[name]).unwrap().unwrap();
        let what = looks.what.unwrap();
        let reading = read(&self.folder, &[name], what, &looks.print, None).unwrap();
        Outgoing { path: vec![name.into()], what, reading }
    }

    pub(super) async fn bytes(&self, blob: BlobId) -> Bytes {
        let mut source = self.way.inner.open_blob(log().log, blob, ByteRange::default()).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(more) = source.next().await.unwrap() {
            bytes.extend_from_slice(&more);
        }
        bytes.into()
    }

    /// Whether the server has all of a file, and keeps its pieces.
    pub(super) async fn has(&self, file: &Outgoing) -> bool {
        let Some(manifest) = &file.reading.manifest else {
            return self.bytes(file.reading.content.blob).await.len() as u64 == file.reading.content.bytes;
        };
        let mut bytes = Vec::new();
        for piece in manifest.pieces() {
            bytes.extend_from_slice(&self.bytes(piece.blob).await);
        }
        let kept = self.way.inner.call(Call::KeepManifest { log: log().log, manifest: manifest.id() }).await.unwrap();
        assert!(matches!(kept, Reply::ManifestKept(ManifestKept::Kept { judged: true })), "{kept:?}");
        syncline::Digest::of(&[&bytes]) == file.reading.content.blob
            && self.bytes(manifest.id()).await == manifest.to_bytes()
    }

    pub(super) async fn quota(&self, bytes: u64) {
        self.way.inner.call(Call::SetBlobQuota { log: log().log, quota: Some(bytes) }).await.unwrap();
    }
}

/// A way that counts, and breaks when it is told to.
#[derive(Debug)]
pub(super) struct Way {
    inner: InProcess,
    asked: AtomicU64,
    fail_every: AtomicU64,
    cut_after: AtomicU64,
    lies: AtomicBool,
    sent: AtomicU64,
    received: Arc<AtomicU64>,
}

impl Way {
    fn to(inner: InProcess) -> Self {
        let number = || AtomicU64::new(0);
        Self {
            inner,
            asked: number(),
            fail_every: number(),
            cut_after: AtomicU64::new(u64::MAX),
            lies: AtomicBool::new(false),
            sent: number(),
            received: Arc::new(number()),
        }
    }

    pub(super) fn fail_every(&self, calls: u64) {
        self.fail_every.store(calls, Ordering::Relaxed);
    }

    /// Every download ends after so many bytes.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.cut_after.store(bytes, Ordering::Relaxed);
    }

    /// Other bytes come than were asked for.
    pub(super) fn lie(&self) {
        self.lies.store(true, Ordering::Relaxed);
    }

    /// How many requests there were.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The call may have been done, or not.
    async fn broken<T>(&self, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let every = self.fail_every.load(Ordering::Relaxed);
        if every == 0 || !asked.is_multiple_of(every) {
            return call.await;
        }
        if asked.is_multiple_of(2) {
            call.await?;
        }
        Err(CallError::Interrupted("the line was cut".into()))
    }

    fn count(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[async_trait]
impl Transport for Way {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        self.broken(self.inner.call(call)).await
    }
}

#[async_trait]
impl BlobTransport for Way {
    async fn put_blob(&self, log: LogId, blob: BlobId, bytes: Bytes) -> Result<PutOutcome, CallError> {
        self.count(bytes.len());
        self.broken(self.inner.put_blob(log, blob, bytes)).await
    }

    async fn put_blobs(&self, log: LogId, blobs: Vec<(BlobId, Bytes)>) -> Result<Vec<PutOutcome>, CallError> {
        self.count(blobs.iter().map(|(_, bytes)| bytes.len()).sum());
        self.broken(self.inner.put_blobs(log, blobs)).await
    }

    async fn upload_at(&self, log: LogId, blob: BlobId, size: u64) -> Result<u64, CallError> {
        self.broken(self.inner.upload_at(log, blob, size)).await
    }

    async fn append_blob(&self, log: LogId, blob: BlobId, size: u64, at: u64, bytes: Bytes) -> Result<u64, CallError> {
        self.count(bytes.len());
        self.broken(self.inner.append_blob(log, blob, size, at, bytes)).await
    }

    async fn get_blobs(&self, log: LogId, blobs: &[BlobId]) -> Result<Vec<Bytes>, CallError> {
        let mut brought = self.broken(self.inner.get_blobs(log, blobs)).await?;
        let bytes = brought.iter().map(|bytes| bytes.len() as u64).sum();
        if bytes > self.cut_after.load(Ordering::Relaxed) {
            return Err(CallError::Interrupted("the line was cut".into()));
        }
        self.received.fetch_add(bytes, Ordering::Relaxed);
        if self.lies.load(Ordering::Relaxed) {
            brought = brought.iter().map(|bytes| bytes.iter().map(|byte| byte ^ 1).collect()).collect();
        }
        Ok(brought)
    }

    async fn open_blob(&self, log: LogId, blob: BlobId, range: ByteRange) -> Result<Box<dyn BlobSource>, CallError> {
        let source = self.broken(self.inner.open_blob(log, blob, range)).await?;
        Ok(Box::new(Cut {
            source,
            left: self.cut_after.load(Ordering::Relaxed),
            lies: self.lies.load(Ordering::Relaxed),
            received: Arc::clone(&self.received),
        }))
    }
}

struct Cut {
    source: Box<dyn BlobSource>,
    left: u64,
    lies: bool,
    received: Arc<AtomicU64>,
}

#[async_trait]
impl BlobSource for Cut {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let cut = || Err(BlobError::Unavailable("the line was cut".into()));
        if self.left == 0 {
            return cut();
        }
        let Some(mut bytes) = self.source.next().await? else { return Ok(None) };
        bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= bytes.len() as u64;
        self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if self.lies {
            bytes = bytes.iter().map(|byte| byte ^ 1).collect();
        }
        Ok(Some(bytes))
    }
}
