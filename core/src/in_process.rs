//! A server in the same process as its client: for tests, and for programs that are both.
//!
//! What must hold: a client cannot tell it from a server far away, except by the time it takes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::access::Caller;
use crate::call::{Call, Reply};
use crate::client::{BlobTransport, CallError, Transport};
use crate::digest::BlobId;
use crate::id::{LogId, LogKey};
use crate::server::Server;
use crate::store::{BlobSource, ByteRange, BytesSource, Interest, PutOutcome, SignalSource};
use crate::time::EnvSource;

/// The way to a [`Server`] by function calls, in the name of one caller.
///
/// ```
/// use std::sync::Arc;
/// use syncline::access::Caller;
/// use syncline::client::{Replica, ReplicaOptions};
/// use syncline::in_process::InProcess;
/// use syncline::oplog::Schema;
/// use syncline::server::Server;
/// use syncline::store::{MemoryFanout, MemoryStore};
/// # use syncline::{BucketId, Env, LogId, LogKey, Timestamp};
/// # #[derive(Debug)]
/// # struct Fixed;
/// # impl syncline::time::EnvSource for Fixed {
/// #     fn env(&self) -> Env { Env { now: Timestamp::from_ms(1).unwrap(), entropy: [7; 32] } }
/// # }
/// # let env: Arc<dyn syncline::time::EnvSource> = Arc::new(Fixed);
/// # let future = async {
/// let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), Schema::default());
/// let way = InProcess::new(server, Caller::operator(BucketId::DEFAULT), Arc::clone(&env));
/// let log = LogKey { bucket: BucketId::DEFAULT, log: LogId::named("tasks") };
/// let replica = Replica::open(Arc::new(MemoryStore::new()), log, env, ReplicaOptions::default()).await?;
/// replica.collection("tasks")?.named("first").set("title", "Buy milk").await?;
/// assert!(replica.sync_once(&way).await?.is_safe());
/// # Ok::<(), syncline::client::ReplicaError>(())
/// # };
/// # let mut future = std::pin::pin!(future);
/// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// # let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) else { panic!("nothing here waits") };
/// # done.unwrap();
/// # use std::future::Future;
/// ```
#[derive(Debug, Clone)]
pub struct InProcess {
    server: Server,
    caller: Caller,
    env: Arc<dyn EnvSource>,
}

impl InProcess {
    /// Calls of `caller`, at the times and with the randomness that `env` gives.
    #[must_use]
    pub fn new(server: Server, caller: Caller, env: Arc<dyn EnvSource>) -> Self {
        Self { server, caller, env }
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        Ok(self.server.handle(&self.caller, call, self.env.env()).await?)
    }

    async fn wakes(&self, log: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
        let source = self.server.fanout().subscribe(Interest::Logs(vec![log])).await;
        source.map(Some).map_err(|error| CallError::Unreachable(error.into()))
    }
}

#[async_trait]
impl BlobTransport for InProcess {
    async fn put_blob(&self, log: LogId, blob: BlobId, bytes: Bytes) -> Result<PutOutcome, CallError> {
        let named = (blob, bytes.len() as u64);
        Ok(self.server.put_blob(&self.caller, log, named, &mut BytesSource::new(bytes), self.env.env()).await?)
    }

    async fn put_blobs(&self, log: LogId, blobs: Vec<(BlobId, Bytes)>) -> Result<Vec<PutOutcome>, CallError> {
        Ok(self.server.put_blobs(&self.caller, log, blobs, self.env.env()).await?)
    }

    async fn get_blobs(&self, log: LogId, blobs: &[BlobId]) -> Result<Vec<Bytes>, CallError> {
        let given = self.server.get_blobs(&self.caller, log, blobs.to_vec()).await?;
        Ok(given.into_iter().map(|(_, bytes)| bytes).collect())
    }

    async fn upload_at(&self, log: LogId, blob: BlobId, size: u64) -> Result<u64, CallError> {
        Ok(self.server.upload_at(&self.caller, log, (blob, size), self.env.env()).await?)
    }

    async fn append_blob(
        &self,
        log: LogId,
        blob: BlobId,
        size: u64,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, CallError> {
        let (named, mut body) = ((blob, size), BytesSource::new(bytes));
        Ok(self.server.append_blob(&self.caller, log, named, offset, &mut body, self.env.env()).await?)
    }

    async fn open_blob(&self, log: LogId, blob: BlobId, range: ByteRange) -> Result<Box<dyn BlobSource>, CallError> {
        Ok(self.server.open_blob(&self.caller, log, blob, range).await?.1)
    }
}
