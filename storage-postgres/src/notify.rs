//! Signals between server processes over LISTEN and NOTIFY.
//!
//! What must hold: a subscriber of this process is told at once, whatever the bus does; one of another process is told
//! when Postgres relays the notification. A notification sent while the listening connection is down is lost: a wake
//! then only comes late, with the next one or when the reader asks by itself, and an ephemeral does not come at all.
//! Signals are sent after the commit on a statement of their own, never inside a push: a commit that notifies takes a
//! lock of the whole database.
//!
//! LISTEN needs a session, so this must not go through a pooler in transaction mode.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use bytes::Bytes;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgConnection};
use syncline::codec::{Reader, Writer};
use syncline::store::{Fanout, FanoutError, Interest, MemoryFanout, Signal, SignalSource, StoreError};
use syncline::{BucketId, LogId, LogKey, ReplicaId, Seq};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::PostgresOptions;
use crate::error::{Phase, classify};

/// Bytes of an ephemeral's payload. Postgres relays less than 8000 bytes of text, and ours carries names besides.
pub const EPHEMERAL_BYTES_MAX: usize = 5_800;

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
const WAKE: u8 = 1;
const EPHEMERAL: u8 = 2;

/// An ephemeral that the bus cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload has {0} bytes, at most {EPHEMERAL_BYTES_MAX} are relayed")]
pub struct SignalTooLarge(pub usize);

/// Fan-out between processes that share a database.
#[derive(Debug)]
pub struct PostgresFanout {
    local: MemoryFanout,
    connect: PgConnectOptions,
    channel: String,
    /// What we send comes back to us too; by this we know it.
    origin: [u8; 16],
    wait: Duration,
    prepared: bool,
    sender: Mutex<Option<PgConnection>>,
    listener: JoinHandle<()>,
}

impl PostgresFanout {
    /// Connects and listens. Stores that share a schema share signals.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`](crate::PostgresStore::connect).
    pub async fn connect(options: &PostgresOptions) -> Result<Self, StoreError> {
        let connect = options.connect_options()?;
        let told = |error| classify("listen", Phase::Work, error).into_error();
        let mut sender = connect.connect().await.map_err(told)?;
        // Names are cut at 63 bytes, and a schema's alone may have as many.
        let facts = sqlx::query_as("SELECT 'syncline_' || md5(current_schema()), uuid_send(gen_random_uuid())");
        let (channel, origin): (String, [u8; 16]) = facts.fetch_one(&mut sender).await.map_err(told)?;
        let local = MemoryFanout::new();
        let listener = listen(&connect, &channel).await.map_err(told)?;
        let relay = Relay { local: local.clone(), connect: connect.clone(), channel: channel.clone(), origin };
        let listener = tokio::spawn(relay.run(listener));
        let sender = Mutex::new(Some(sender));
        let (wait, prepared) = (options.wait, options.statement_cache);
        Ok(Self { local, connect, channel, origin, wait, prepared, sender, listener })
    }

    /// Sends a signal; a wake once more when the connection had died while it was idle. An ephemeral is not sent again:
    /// it may have arrived.
    async fn notify(&self, signal: &Signal, payload: &str) -> Result<(), sqlx::Error> {
        let mut sender = self.sender.lock().await;
        // Taken out while in use: a call that is given up leaves no half-used connection behind.
        if let Some(mut idle) = sender.take() {
            let sent = self.send(&mut idle, payload).await;
            if sent.is_ok() {
                *sender = Some(idle);
            }
            if sent.is_ok() || matches!(signal, Signal::Ephemeral { .. }) {
                return sent;
            }
        }
        let mut fresh = self.connect.connect().await?;
        self.send(&mut fresh, payload).await?;
        *sender = Some(fresh);
        Ok(())
    }

    async fn send(&self, connection: &mut PgConnection, payload: &str) -> Result<(), sqlx::Error> {
        let statement = sqlx::query("SELECT pg_notify($1, $2)").bind(&self.channel).bind(payload);
        statement.persistent(self.prepared).execute(connection).await.map(|_| ())
    }
}

impl Drop for PostgresFanout {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

#[async_trait]
impl Fanout for PostgresFanout {
    async fn publish(&self, signal: Signal) -> Result<(), FanoutError> {
        let payload = encode(self.origin, &signal)?;
        self.local.send(&signal);
        match timeout(self.wait, self.notify(&signal, &payload)).await {
            Ok(sent) => sent.map_err(|error| FanoutError(error.into())),
            Err(elapsed) => Err(FanoutError(elapsed.into())),
        }
    }

    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn SignalSource>, FanoutError> {
        self.local.subscribe(interest).await
    }
}

/// The listening side: it lives as long as the fan-out and never gives up.
struct Relay {
    local: MemoryFanout,
    connect: PgConnectOptions,
    channel: String,
    origin: [u8; 16],
}

impl Relay {
    async fn run(self, first: PgListener) {
        let mut listener = Some(first);
        let mut pause = RETRY_FIRST;
        loop {
            if let Some(listening) = &mut listener
                && let Ok(Some(notification)) = listening.try_recv().await
            {
                pause = RETRY_FIRST;
                self.relay(notification.payload());
                continue;
            }
            listener = listen(&self.connect, &self.channel).await.ok();
            if listener.is_none() {
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
    }

    /// Text that is not ours says nothing to us: anyone may notify on a channel.
    fn relay(&self, payload: &str) {
        if let Some((origin, signal)) = decode(payload)
            && origin != self.origin
        {
            self.local.send(&signal);
        }
    }
}

/// A connection of its own that listens. It is not eager: reconnecting is ours, with pauses.
async fn listen(connect: &PgConnectOptions, channel: &str) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let mut listener = PgListener::connect_with(&pool.connect_with(connect.clone()).await?).await?;
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    Ok(listener)
}

/// Base64 of: sender 16, bucket 16, log 16, then 1 and the seq, or 2, the replica 16 and the payload.
fn encode(origin: [u8; 16], signal: &Signal) -> Result<String, FanoutError> {
    let mut out = Writer::default();
    out.fixed(&origin);
    out.fixed(signal.log().bucket.as_bytes());
    out.fixed(signal.log().log.as_bytes());
    match signal {
        Signal::Wake { seq, .. } => {
            out.u8(WAKE);
            out.u64(seq.get());
        }
        Signal::Ephemeral { from, payload, .. } if payload.len() <= EPHEMERAL_BYTES_MAX => {
            out.u8(EPHEMERAL);
            out.fixed(from.as_bytes());
            out.bytes(payload);
        }
        Signal::Ephemeral { payload, .. } => return Err(FanoutError(SignalTooLarge(payload.len()).into())),
        _ => return Err(FanoutError("a signal this bus does not know".into())),
    }
    Ok(BASE64.encode(out.finish()))
}

fn decode(payload: &str) -> Option<([u8; 16], Signal)> {
    const WHAT: &str = "a signal";
    let mut input = Reader::new(Bytes::from(BASE64.decode(payload).ok()?));
    let origin = input.fixed(WHAT).ok()?;
    let bucket = BucketId::from_bytes(input.fixed(WHAT).ok()?);
    let log = LogKey { bucket, log: LogId::from_bytes(input.fixed(WHAT).ok()?) };
    let signal = match input.u8(WHAT).ok()? {
        WAKE => Signal::Wake { log, seq: Seq::new(input.u64(WHAT).ok()?)? },
        EPHEMERAL => {
            let from = ReplicaId::from_bytes(input.fixed(WHAT).ok()?);
            Signal::Ephemeral { log, from, payload: input.bytes(WHAT).ok()? }
        }
        _ => return None,
    };
    input.finish().ok()?;
    Some((origin, signal))
}
