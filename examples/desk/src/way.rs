//! A server and a right to use it, as they are typed and as they are kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use syncline::BucketId;
use syncline::access::Bearer;
use syncline_transport_http::client::{ClientOptions, HttpClient};

use crate::Fault;

/// A server that does not answer within this is away, as far as somebody at a prompt is concerned.
const CONNECT: Duration = Duration::from_secs(3);

/// A server and a right to use it, as they are typed.
#[derive(Debug, Args)]
pub struct Server {
    /// Its address.
    #[arg(long, env = "SYNCLINE_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// The bearer token; other users of this machine can see arguments, so prefer the variable or a file.
    #[arg(long, env = "SYNCLINE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// A file that holds the token instead.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// The way to a server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Its address.
    pub url: String,
    /// The bearer token.
    pub token: String,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Server {
    /// What was typed, as a way: none without an address.
    ///
    /// # Errors
    /// When there is an address and no token, or a token file does not read.
    pub fn way(self) -> Result<Option<Way>, Fault> {
        let Some(url) = self.server else { return Ok(None) };
        let token = token(self.token.as_deref(), self.token_file.as_deref())?;
        Ok(Some(Way { url: url.trim_end_matches('/').to_owned(), token }))
    }

    /// What was typed, where a server is needed.
    ///
    /// # Errors
    /// As [`way`](Self::way), and when there is no address.
    pub fn needed(self) -> Result<Way, Fault> {
        self.way()?.ok_or_else(|| Fault::new("which server? give --server, or set SYNCLINE_SERVER"))
    }
}

/// The bearer token that was typed: the file's where one is named.
///
/// # Errors
/// When there is none, or its file does not read.
pub fn token(typed: Option<&str>, file: Option<&Path>) -> Result<String, Fault> {
    let token = match (typed, file) {
        (_, Some(path)) => {
            fs::read_to_string(path).map_err(|error| Fault::file("cannot read the token from", path, &error))?
        }
        (Some(token), None) => token.to_owned(),
        (None, None) => return Err(Fault::new("no token: set SYNCLINE_TOKEN, or give --token-file or --token")),
    };
    Ok(token.trim().to_owned())
}

impl Way {
    /// The bucket that the token names; an operator's own names none.
    #[must_use]
    pub fn bucket(&self) -> Option<BucketId> {
        self.token.parse().ok().map(|bearer: Bearer| bearer.bucket())
    }

    /// A client for somebody who waits for the answer.
    ///
    /// # Errors
    /// When the address cannot be one.
    pub fn client(&self) -> Result<Arc<HttpClient>, Fault> {
        let mut options = ClientOptions::new(&self.url, &self.token);
        options.connect_timeout = CONNECT;
        HttpClient::new(options).map(Arc::new).map_err(|error| Fault::new(error.to_string()))
    }
}
