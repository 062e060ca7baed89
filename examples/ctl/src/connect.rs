//! The way to a server over HTTP. The one file that knows it is HTTP.

use std::sync::Arc;

use syncline::access::Bearer;
use syncline_transport_http::client::{ClientOptions, HttpClient};

use crate::cli::Way;
use crate::fault::Fault;
use crate::session::{Patience, Session};

/// Makes a session; nothing is connected yet.
///
/// # Errors
/// When there is no token, or the address cannot be one.
pub(crate) fn connect(way: &Way) -> Result<Session, Fault> {
    let token = token(way)?;
    // The running hash of every log begins with its bucket. A bearer token names it, an operator's own does not.
    let bucket = token.parse().map_or(way.bucket, |bearer: Bearer| bearer.bucket());
    let client = HttpClient::new(ClientOptions::new(way.server.trim_end_matches('/'), &token));
    let client = Arc::new(client.map_err(|error| Fault::new(error.to_string()))?);
    Ok(Session { transport: client, bucket, patience: Patience::default() })
}

/// The bearer token.
///
/// # Errors
/// When there is none.
pub(crate) fn token(way: &Way) -> Result<String, Fault> {
    let token = match (&way.token, &way.token_file) {
        (_, Some(path)) => {
            std::fs::read_to_string(path).map_err(|error| Fault::file("cannot read the token from", path, &error))?
        }
        (Some(token), None) => token.clone(),
        (None, None) => return Err(Fault::new("no token: set SYNCLINE_TOKEN, or give --token-file or --token")),
    };
    Ok(token.trim().to_owned())
}
