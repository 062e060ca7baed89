//! A way to a server that does what tests want of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use syncline::call::{Call, ErrorCode, Refusal, Reply};
use syncline::client::{BlobTransport, CallError, Transport};
use syncline::digest::BlobId;
use syncline::store::{BlobSource, ByteRange, PutOutcome, SignalSource};
use syncline::{LogId, LogKey};

#[derive(Debug)]
pub(crate) struct Meddler {
    way: Arc<dyn BlobTransport>,
    /// No wake ever comes.
    pub(crate) silent: AtomicBool,
    /// One bit of what is sent is another one.
    pub(crate) flips: AtomicBool,
    /// The next upload is said to begin at its beginning.
    pub(crate) forgets: AtomicBool,
    /// Commits are done, and their answers do not arrive.
    pub(crate) deafens: AtomicBool,
    /// The server gives no file's bytes.
    pub(crate) refuses: AtomicBool,
    /// How often a file was asked for alone.
    pub(crate) asked: AtomicU64,
    /// How often an upload was told to go on elsewhere.
    pub(crate) elsewhere: AtomicU64,
    /// Bytes that were sent to be added to an upload.
    pub(crate) appended: AtomicU64,
}

impl Meddler {
    pub(crate) fn on(way: Arc<dyn BlobTransport>) -> Arc<Self> {
        let [silent, flips, forgets, refuses, deafens] = [(); 5].map(|()| AtomicBool::new(false));
        let [asked, elsewhere, appended] = [(); 3].map(|()| AtomicU64::new(0));
        Arc::new(Self { way, silent, flips, forgets, deafens, refuses, asked, elsewhere, appended })
    }

    fn through(&self, bytes: Bytes) -> Bytes {
        if !self.flips.load(Ordering::Relaxed) {
            return bytes;
        }
        let mut bytes = bytes.to_vec();
        bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        bytes.into()
    }
}

#[async_trait]
impl Transport for Meddler {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        let is_lost = matches!(call, Call::Commit(_)) && self.deafens.load(Ordering::Relaxed);
        let reply = self.way.call(call).await?;
        if is_lost { Err(CallError::Interrupted("the line was cut".into())) } else { Ok(reply) }
    }

    async fn wakes(&self, log: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
        if self.silent.load(Ordering::Relaxed) { Ok(None) } else { self.way.wakes(log).await }
    }
}

#[async_trait]
impl BlobTransport for Meddler {
    async fn put_blob(&self, log: LogId, blob: BlobId, bytes: Bytes) -> Result<PutOutcome, CallError> {
        self.way.put_blob(log, blob, self.through(bytes)).await
    }

    async fn put_blobs(&self, log: LogId, blobs: Vec<(BlobId, Bytes)>) -> Result<Vec<PutOutcome>, CallError> {
        let blobs = blobs.into_iter().map(|(blob, bytes)| (blob, self.through(bytes))).collect();
        self.way.put_blobs(log, blobs).await
    }

    async fn upload_at(&self, log: LogId, blob: BlobId, size: u64) -> Result<u64, CallError> {
        let at = self.way.upload_at(log, blob, size).await?;
        Ok(if self.forgets.swap(false, Ordering::Relaxed) { 0 } else { at })
    }

    async fn append_blob(&self, log: LogId, blob: BlobId, size: u64, at: u64, bytes: Bytes) -> Result<u64, CallError> {
        self.appended.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let appended = self.way.append_blob(log, blob, size, at, self.through(bytes)).await;
        if matches!(&appended, Err(CallError::Refused(refusal)) if refusal.code == ErrorCode::UploadOffset) {
            self.elsewhere.fetch_add(1, Ordering::Relaxed);
        }
        appended
    }

    async fn get_blobs(&self, log: LogId, blobs: &[BlobId]) -> Result<Vec<Bytes>, CallError> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(refused());
        }
        self.way.get_blobs(log, blobs).await
    }

    async fn open_blob(&self, log: LogId, blob: BlobId, range: ByteRange) -> Result<Box<dyn BlobSource>, CallError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.refuses.load(Ordering::Relaxed) {
            return Err(refused());
        }
        self.way.open_blob(log, blob, range).await
    }
}

fn refused() -> CallError {
    CallError::Refused(Refusal::new(ErrorCode::Quarantined, "there is something in it"))
}
