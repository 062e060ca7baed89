//! Peers that take their time: with a head, with a body, with what they are sent.
//!
//! What must hold: each is let go by the time its limit says, with some time for a machine that is busy.

use std::net::SocketAddr;
use std::time::Duration;

use syncline::limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval};

use super::{Without, head, refused};
use crate::common::LOG;

/// Bytes come one by one, this far apart.
const APART: Duration = Duration::from_millis(500);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(30);

/// With what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Head,
    HeaderByHeader,
    Body,
    ChunkedBody,
    ChunkSize,
    Form,
    Nothing,
}

pub(super) const ALL: &[Way] =
    &[Way::Head, Way::HeaderByHeader, Way::Body, Way::ChunkedBody, Way::ChunkSize, Way::Form, Way::Nothing];

pub(super) async fn dawdle(way: Way, addr: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(addr).await.map_err(|error| format!("no connection: {error}"))?;
    let (mut from, mut to) = stream.into_split();
    let post = head("POST", &format!("/v1/logs/{LOG}/ops")) + "content-type: application/json\r\n";
    let form = "POST /p/x HTTP/1.1\r\nhost: test\r\ncontent-type: application/x-www-form-urlencoded\r\n".to_owned();
    let (at_once, drop) = match way {
        Way::Nothing => (String::new(), None),
        Way::Head => ("POST /v1/logs".to_owned(), Some("a")),
        Way::HeaderByHeader => ("GET /health/live HTTP/1.1\r\n".to_owned(), Some("x: y\r\n")),
        Way::Body => (post + "content-length: 100000\r\n\r\n", Some(" ")),
        Way::ChunkedBody => (post + "transfer-encoding: chunked\r\n\r\n", Some("1\r\n \r\n")),
        // A size of zeros without an end.
        Way::ChunkSize => (post + "transfer-encoding: chunked\r\n\r\n", Some("0000")),
        Way::Form => (form + "content-length: 1000\r\n\r\n", Some("p")),
    };
    let begun = Instant::now();
    to.write_all(at_once.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut said = Vec::new();
    let mut clock = interval(APART);
    let drip = async {
        loop {
            clock.tick().await;
            if let Some(drop) = drop
                && to.write_all(drop.as_bytes()).await.is_err()
            {
                return std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        _ = from.read_to_end(&mut said) => {}
        () = drip => {}
    }
    let allowed = Duration::from_secs(limits::HEADER_TIME_S.max(limits::BODY_RATE_WINDOW_S)) + SLACK;
    if begun.elapsed() > allowed {
        return Err(format!("was kept for {:?}", begun.elapsed()));
    }
    // A head that never ends is no request yet.
    let unread = matches!(way, Way::Head | Way::HeaderByHeader | Way::Nothing);
    refused(&said, if unread { Without::AWord } else { Without::Never })
}
