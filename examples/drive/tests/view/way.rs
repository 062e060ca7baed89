//! A way to the server that counts what is brought over it, waits, breaks or lies when it is told to.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use syncline::LogId;
use syncline::call::{Call, Reply};
use syncline::client::{BlobTransport, CallError, Transport};
use syncline::digest::BlobId;
use syncline::in_process::InProcess;
use syncline::store::{BlobError, BlobSource, ByteRange, PutOutcome};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Way {
    inner: InProcess,
    brought: Mutex<Vec<BlobId>>,
    open: watch::Sender<bool>,
    pub(crate) cut: AtomicBool,
    pub(crate) lies: AtomicBool,
    pub(crate) gone: AtomicBool,
}

impl Way {
    pub(crate) fn to(inner: InProcess) -> Self {
        let no = || AtomicBool::new(false);
        let (brought, open) = (Mutex::default(), watch::Sender::new(true));
        Self { inner, brought, open, cut: no(), lies: no(), gone: no() }
    }

    /// How many blobs were asked for.
    pub(crate) fn brought(&self) -> usize {
        self.brought.lock().unwrap().len()
    }

    /// Blobs that are asked for come once [`open`](Self::open) is said.
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    fn reached(&self) -> Result<(), CallError> {
        if self.gone.load(Ordering::Relaxed) {
            Err(CallError::Unreachable("there is no network".into()))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Transport for Way {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        self.reached()?;
        self.inner.call(call).await
    }
}

#[async_trait]
impl BlobTransport for Way {
    async fn put_blob(&self, log: LogId, blob: BlobId, bytes: Bytes) -> Result<PutOutcome, CallError> {
        self.reached()?;
        self.inner.put_blob(log, blob, bytes).await
    }

    async fn put_blobs(&self, log: LogId, blobs: Vec<(BlobId, Bytes)>) -> Result<Vec<PutOutcome>, CallError> {
        self.reached()?;
        self.inner.put_blobs(log, blobs).await
    }

    async fn upload_at(&self, log: LogId, blob: BlobId, size: u64) -> Result<u64, CallError> {
        self.reached()?;
        self.inner.upload_at(log, blob, size).await
    }

    async fn append_blob(
        &self,
        log: LogId,
        blob: BlobId,
        size: u64,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, CallError> {
        self.reached()?;
        self.inner.append_blob(log, blob, size, offset, bytes).await
    }

    async fn open_blob(&self, log: LogId, blob: BlobId, range: ByteRange) -> Result<Box<dyn BlobSource>, CallError> {
        self.reached()?;
        self.brought.lock().unwrap().push(blob);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        let inner = self.inner.open_blob(log, blob, range).await?;
        let (cut, lies) = (self.cut.load(Ordering::Relaxed), self.lies.load(Ordering::Relaxed));
        Ok(Box::new(Broken { inner, cut, lies }))
    }
}

/// The first bytes, and no more; or other ones.
struct Broken {
    inner: Box<dyn BlobSource>,
    cut: bool,
    lies: bool,
}

#[async_trait]
impl BlobSource for Broken {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let bytes = self.inner.next().await?;
        if self.cut {
            return Err(BlobError::Unavailable("the line was cut".into()));
        }
        Ok(bytes.map(|bytes| if self.lies { bytes.iter().map(|byte| byte ^ 1).collect() } else { bytes }))
    }
}
