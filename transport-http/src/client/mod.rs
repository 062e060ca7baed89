//! The client's side: calls become requests, responses become replies, a WebSocket becomes wakes.
//!
//! ```no_run
//! # async fn run(log: syncline::LogKey) -> Result<(), Box<dyn std::error::Error>> {
//! use syncline::{call::Call, client::Transport as _, store::SignalSource as _};
//! use syncline_transport_http::client::{ClientOptions, HttpClient};
//!
//! let client = HttpClient::new(ClientOptions::new("http://127.0.0.1:7110", "the token"))?;
//! client.call(Call::CreateLog { log: log.log, sealing: syncline::oplog::Sealing::Optional }).await?;
//! let mut wakes = client.wakes(log).await?;
//! let wake = wakes.next().await;
//! # Ok(()) }
//! ```
//!
//! What must hold: a call that may have been done is never reported as one that did not arrive; and nothing is tried
//! again here, because whoever retries must decide on the same ids.
//!
//! Next: `http` (one exchange), `ask` and `answer` (translation), `ws` (wakes).

mod answer;
mod ask;
mod background;
mod blobs;
mod env;
mod http;
mod ws;

use std::time::Duration;

use syncline::limits;

pub use background::Background;
pub use env::{NoRandomness, SystemEnv};
pub use http::HttpClient;
pub use ws::Wakes;

/// What the heavy bodies are written in: pushes, pages, snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Form {
    /// Compact; the server does not parse payloads either way.
    #[default]
    Binary,
    /// For people and proxies that read along.
    Json,
}

/// How request bodies of some size are compressed. Replies come as the server likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compression {
    /// The smaller and quicker one.
    #[default]
    Zstd,
    /// For proxies that know nothing else.
    Gzip,
    /// As they are.
    Off,
}

/// Where the server is and how to talk to it.
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// `http://host:port`, without a path.
    pub url: String,
    /// The bearer token.
    pub bearer: String,
    /// Form of the heavy bodies.
    pub form: Form,
    /// Compression of request bodies.
    pub compression: Compression,
    /// Time for a connection.
    pub connect_timeout: Duration,
    /// Time for one call, its answer included.
    pub request_timeout: Duration,
    /// A wake socket that says nothing for so long, not even a ping, is taken for dead.
    pub wake_timeout: Duration,
}

impl ClientOptions {
    /// Binary, zstd and core's time limits.
    #[must_use]
    pub fn new(url: impl Into<String>, bearer: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            bearer: bearer.into(),
            form: Form::default(),
            compression: Compression::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(limits::CLIENT_REQUEST_TIMEOUT_S),
            wake_timeout: Duration::from_secs(60),
        }
    }

    /// Sets the form of the heavy bodies.
    #[must_use]
    pub const fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Sets the compression of request bodies.
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the time for one call.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }
}

impl std::fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientOptions").field("url", &self.url).field("form", &self.form).finish_non_exhaustive()
    }
}

/// The options do not make a client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is not `http://host:port`.
    #[error("the server's address is http://host:port, not {0:?}")]
    Address(String),
    /// The token has characters that no header takes.
    #[error("the token has characters that no header takes")]
    Bearer,
    /// No HTTP client can be made.
    #[error("no HTTP client can be made: {0}")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
}
