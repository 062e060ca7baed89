//! The way to a server over HTTP. The one file that knows it is HTTP.

use std::sync::Arc;

use syncline::access::Bearer;
use syncline_desk::{Fault, token};
use syncline_transport_http::client::{ClientOptions, HttpClient};

use crate::cli::Way;
use crate::session::{Patience, Session};

/// Makes a session; nothing is connected yet.
///
/// # Errors
/// When there is no token, or the address cannot be one.
pub(crate) fn connect(way: &Way) -> Result<Session, Fault> {
    let token = token(way.token.as_deref(), way.token_file.as_deref())?;
    // The running hash of every log begins with its bucket. A bearer token names it, an operator's own does not.
    let bucket = token.parse().map_or(way.bucket, |bearer: Bearer| bearer.bucket());
    let client = HttpClient::new(ClientOptions::new(way.server.trim_end_matches('/'), &token));
    let client = Arc::new(client.map_err(|error| Fault::new(error.to_string()))?);
    Ok(Session { transport: client, bucket, patience: Patience::default() })
}
