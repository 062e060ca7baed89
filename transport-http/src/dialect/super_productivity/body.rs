//! Request bodies of the two upload routes: plain JSON, gzip, or gzip in base64, each held to its limit as it arrives.
//!
//! What must hold: no more than the limit is ever held, decompressed bytes are counted while they come out, and a
//! body that does not read is a 400, never a 500.

use std::io::Read as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use flate2::read::GzDecoder;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::answer::Refused;
use crate::server::body::linger;

/// How long a body may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);

/// Bytes that are inflated at once.
const AT_ONCE_BYTES_MAX: usize = 256 << 10;

/// How much one route takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of a plain body.
    pub(super) raw: usize,
    /// Bytes of a gzip stream, before decompression.
    pub(super) packed: usize,
    /// Bytes after decompression.
    pub(super) unpacked: usize,
}

impl Limits {
    /// Of `POST /api/sync/ops`.
    pub(super) const OPS: Self = Self { raw: 20 << 20, packed: 10 << 20, unpacked: 100 << 20 };
    /// Of `POST /api/sync/snapshot`.
    pub(super) const SNAPSHOT: Self = Self { raw: 30 << 20, packed: 30 << 20, unpacked: 100 << 20 };
}

/// The JSON text of a request.
pub(super) async fn read(headers: &HeaderMap, body: &mut Body, limits: Limits) -> Result<Bytes, Refused> {
    let read = timeout(ARRIVES_WITHIN, read_all(headers, body, limits)).await;
    let read = read.unwrap_or_else(|_| Err(Refused::timeout()));
    if read.is_err() {
        linger(body, limits.raw).await;
    }
    read
}

async fn read_all(headers: &HeaderMap, body: &mut Body, limits: Limits) -> Result<Bytes, Refused> {
    media_type(headers)?;
    let gzip = says(headers, header::CONTENT_ENCODING.as_str(), "gzip");
    let base64 = gzip && says(headers, "content-transfer-encoding", "base64");
    // Base64 makes four bytes of three; line ends come on top.
    let packed = if base64 { limits.packed / 3 * 4 + 1_024 } else { limits.packed };
    let received = collect(body, if gzip { limits.raw.max(packed) } else { limits.raw }).await?;
    if !gzip {
        return Ok(received);
    }
    if received.len() > packed {
        return Err(Refused::error(StatusCode::PAYLOAD_TOO_LARGE, "Compressed payload too large"));
    }
    // What is small is inflated faster than another thread is woken; 100 MiB would be in the way of others.
    if received.len() <= AT_ONCE_BYTES_MAX
        && let Ok(text) = unpack(&received, base64, limits.unpacked.min(AT_ONCE_BYTES_MAX))
    {
        return Ok(text);
    }
    let unpacked = tokio::task::spawn_blocking(move || unpack(&received, base64, limits.unpacked)).await;
    unpacked.unwrap_or_else(|_| Err(unreadable()))
}

/// Their library reads JSON only; text is read as a string, which fits no schema.
fn media_type(headers: &HeaderMap) -> Result<(), Refused> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    if essence.eq_ignore_ascii_case("text/plain") {
        return Err(Refused::invalid("", "Expected object, received string"));
    }
    let message = format!("Unsupported Media Type: {given}");
    Err(Refused::library(StatusCode::UNSUPPORTED_MEDIA_TYPE, "FST_ERR_CTP_INVALID_MEDIA_TYPE", &message))
}

fn says(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers.get(name).is_some_and(|given| given.as_bytes().trim_ascii().eq_ignore_ascii_case(value.as_bytes()))
}

async fn collect(body: &mut Body, max: usize) -> Result<Bytes, Refused> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refused::error(StatusCode::BAD_REQUEST, "Request body ends early"))?;
        let Some(chunk) = frame.data_ref() else { continue };
        if whole.len() + chunk.len() > max {
            let message = "Request body is too large";
            return Err(Refused::library(StatusCode::PAYLOAD_TOO_LARGE, "FST_ERR_CTP_BODY_TOO_LARGE", message));
        }
        whole.extend_from_slice(chunk);
    }
    Ok(whole.freeze())
}

fn unpack(received: &[u8], base64: bool, max: usize) -> Result<Bytes, Refused> {
    let decoded;
    let stream = if base64 {
        let text: Vec<u8> = received.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        decoded = STANDARD.decode(text).map_err(|_| unreadable())?;
        &decoded[..]
    } else {
        received
    };
    let mut unpacked = Vec::new();
    let most = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    GzDecoder::new(stream).take(most).read_to_end(&mut unpacked).map_err(|_| unreadable())?;
    if unpacked.len() > max {
        return Err(Refused::error(StatusCode::PAYLOAD_TOO_LARGE, "Decompressed payload too large"));
    }
    Ok(unpacked.into())
}

/// What every failure of a packed body is called, JSON that does not read included.
pub(super) fn unreadable() -> Refused {
    Refused::error(StatusCode::BAD_REQUEST, "Failed to decompress gzip body")
}

/// What JSON that does not read is called.
pub(super) fn malformed(headers: &HeaderMap) -> Refused {
    if says(headers, header::CONTENT_ENCODING.as_str(), "gzip") {
        unreadable()
    } else {
        Refused::error(StatusCode::BAD_REQUEST, "Invalid JSON")
    }
}
