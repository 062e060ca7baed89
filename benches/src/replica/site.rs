//! A server on a socket of this process, and logs full of small entities.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use syncline::access::Caller;
use syncline::call::{Call, Push, Reply};
use syncline::oplog::{Collection, Draft, EntityKey, Op, OpKind, Payload, Precondition, Schema, Snapshot, Subject};
use syncline::server::Server;
use syncline::store::MemoryFanout;
use syncline::{Digest, EntityId, Hlc, LogKey, OpId, ReplicaId, Timestamp, VectorClock, limits};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_transport_http::client::{ClientOptions, HttpClient};
use syncline_transport_http::server::{App, ServerOptions, Tokens, serve};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::ops::{env, log};

const TOKEN: &str = "a token for the length of this bench and no longer";

/// A server that listens.
#[derive(Debug)]
pub struct Site {
    runtime: Runtime,
    engine: Server,
    url: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Site {
    /// Starts one on a durable SQLite file in `folder`.
    ///
    /// # Errors
    /// When there is no file or no socket.
    pub fn start(folder: &std::path::Path) -> anyhow::Result<Self> {
        let store = Arc::new(SqliteStore::open(SqliteOptions::new(folder.join("server.db")))?);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().thread_name("server").build()?;
        let engine = Server::new(store, Arc::new(MemoryFanout::new()), Schema::default());
        let tokens = Tokens::new(engine.clone()).with_operator(TOKEN, log(0).bucket);
        let options = ServerOptions { stop_notice: Duration::ZERO, ..ServerOptions::default() };
        let app = App::new(engine.clone(), tokens, options);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = runtime.spawn(serve(listener, app, async { drop(stopped.await) }));
        Ok(Self { runtime, engine, url, stop, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Puts so many small entities into a log, without sockets; the snapshot it then has, if it is long enough for one.
    ///
    /// # Errors
    /// The server's.
    pub fn fill(&self, place: LogKey, entities: u64) -> anyhow::Result<Option<Snapshot>> {
        let mut author = Author::new(1);
        let caller = Caller::operator(place.bucket);
        let mut left = entities;
        while left > 0 {
            let some = left.min(limits::BATCH_OPS_MAX as u64);
            let ops = author.batch(some)?;
            let push = Push { log: place.log, request: None, cursor: None, atomic: false, ops };
            let reply = self.runtime.block_on(self.engine.handle(&caller, Call::Push(push), env(1)?))?;
            let Reply::Pushed(pushed) = reply else { anyhow::bail!("not an answer to a push") };
            anyhow::ensure!(pushed.verdicts.iter().all(|verdict| verdict.seq().is_some()), "an op was not accepted");
            left -= some;
        }
        let asked = self.engine.handle(&caller, Call::GetSnapshot(place.log), env(2)?);
        let Reply::Snapshot(snapshot) = self.runtime.block_on(asked)? else { anyhow::bail!("not a snapshot") };
        Ok(snapshot.map(|snapshot| *snapshot))
    }

    /// Stops it.
    ///
    /// # Errors
    /// When it had stopped before.
    pub fn stop(self) -> anyhow::Result<()> {
        anyhow::ensure!(self.stop.send(()).is_ok(), "the server stopped before it was told to");
        Ok(self.runtime.block_on(self.serving)??)
    }
}

/// A way to the server at `url`.
///
/// # Errors
/// When it is no address.
pub fn way(url: &str) -> anyhow::Result<HttpClient> {
    Ok(HttpClient::new(ClientOptions::new(url, TOKEN))?)
}

/// Somebody who writes ops without a replica: a small entity each.
#[derive(Debug)]
pub struct Author {
    replica: ReplicaId,
    clock: VectorClock,
    written: u64,
}

impl Author {
    /// One of several, who write different entities.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self { replica: ReplicaId::from_bytes([number; 16]), clock: VectorClock::new(), written: 0 }
    }

    /// The next ops.
    ///
    /// # Errors
    /// Never: everything is within its limits.
    pub fn batch(&mut self, ops: u64) -> anyhow::Result<Vec<Op>> {
        (0..ops).map(|_| self.op()).collect()
    }

    fn op(&mut self) -> anyhow::Result<Op> {
        self.written += 1;
        self.clock.set(self.replica, self.written)?;
        let written = self.written;
        let random = Digest::of(&[self.replica.as_bytes(), &written.to_be_bytes()]);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&written.to_be_bytes());
        id[8..].copy_from_slice(&random.as_bytes()[..8]);
        let json = format!(r#"{{"title":"Call the plumber about number {written}","done":false}}"#);
        let draft = Draft {
            id: OpId::from_bytes(id),
            replica: self.replica,
            subject: Subject::Entity { key: key(&format!("{:?}/{written}", self.replica))?, also: Vec::new() },
            kind: OpKind::Update,
            clock: self.clock.clone(),
            hlc: Hlc { ms: Timestamp::from_ms(1_700_000_000_000).context("a time")?, counter: 0 },
            schema_version: 1,
            precondition: Precondition::None,
            payload: Payload::Json(json.into_bytes().into()),
        };
        Ok(draft.seal()?)
    }
}

/// The collection of everything here.
pub const COLLECTION: &str = "task";

/// The entity with this name.
///
/// # Errors
/// Never: the collection's name is one.
pub fn key(name: &str) -> anyhow::Result<EntityKey> {
    Ok(EntityKey { collection: Collection::new(COLLECTION)?, entity: EntityId::named(name) })
}
