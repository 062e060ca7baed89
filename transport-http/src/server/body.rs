//! Reading a request's body: never more than allowed, never slower than allowed, and never part of one.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use syncline::call::{ErrorCode, Refusal};
use tokio::time::{Instant, timeout, timeout_at};

use super::decode::{Decoder, Encoding};
use super::options::ServerOptions;
use super::problem::malformed;

/// How long a refused body is still read: a peer that is still writing would otherwise see its connection reset
/// before it sees the refusal.
const LINGER: Duration = Duration::from_secs(2);

/// The whole body, decompressed: at most `most` bytes before and after, and what every body may have. What is packed is
/// unpacked once all of it is there: a peer that takes its time must not have more of our memory than it has sent.
pub(super) async fn read(
    body: &mut Body,
    headers: &HeaderMap,
    options: &ServerOptions,
    most: usize,
) -> Result<Bytes, Refusal> {
    let encoding = Encoding::of(headers)?;
    let max = options.body_bytes_max.min(most);
    if body.size_hint().lower() > u64::try_from(max).unwrap_or(u64::MAX) {
        return Err(too_large(max));
    }
    let mut decoder = Decoder::new(encoding, options.body_decoded_bytes_max.min(most))?;
    let mut pace = Pace::new(options);
    let (mut seen, mut packed) = (0, Vec::new());
    while let Some(chunk) = chunk(body, &mut pace).await? {
        seen += chunk.len();
        if seen > max {
            return Err(too_large(max));
        }
        match encoding {
            Encoding::Identity => decoder.feed(&chunk)?,
            Encoding::Gzip | Encoding::Zstd => packed.extend_from_slice(&chunk),
        }
    }
    decoder.feed(&packed)?;
    decoder.finish()
}

/// What comes next of a body; `None` at its end.
pub(super) async fn chunk(body: &mut Body, pace: &mut Pace) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = match timeout_at(pace.ends, body.frame()).await {
            Err(_) => {
                pace.roll()?;
                continue;
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(malformed("the body ends early")),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(chunk) = frame.into_data() {
            pace.took(chunk.len())?;
            return Ok(Some(chunk));
        }
    }
}

/// Reads on for a while from a body that nobody wants any more: at most twice what a body may have.
pub(crate) async fn linger(body: &mut Body, most: usize) {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if body.is_end_stream() || declared > most.saturating_mul(2) {
        return;
    }
    let drain = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > most.saturating_mul(2) {
                return;
            }
        }
    };
    // Whether it ended in time does not matter: the refusal is sent either way.
    let _ = timeout(LINGER, drain).await;
}

/// Bytes that arrived in the window now running.
pub(super) struct Pace {
    window: Duration,
    least: u64,
    ends: Instant,
    arrived: u64,
}

impl Pace {
    pub(super) fn new(options: &ServerOptions) -> Self {
        let window = options.body_rate_window;
        let least = u128::from(options.body_rate_bytes_per_s_min) * window.as_millis() / 1_000;
        Self { window, least: u64::try_from(least).unwrap_or(u64::MAX), ends: Instant::now() + window, arrived: 0 }
    }

    fn took(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.arrived = self.arrived.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if Instant::now() >= self.ends { self.roll() } else { Ok(()) }
    }

    /// The window is over.
    fn roll(&mut self) -> Result<(), Refusal> {
        if self.arrived < self.least {
            let detail = format!("a body brings at least {} bytes in {:?}", self.least, self.window);
            return Err(Refusal::new(ErrorCode::BodyTooSlow, detail));
        }
        self.arrived = 0;
        self.ends = Instant::now() + self.window;
        Ok(())
    }
}

fn too_large(max: usize) -> Refusal {
    Refusal::new(ErrorCode::BodyTooLarge, format!("a body has at most {max} bytes as received"))
}
