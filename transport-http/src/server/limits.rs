//! Around every request: its name in the log, its head's size, its protocol version, a place among the requests
//! served at once, and an end to its time.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use syncline::call::{ErrorCode, Refusal};
use syncline::wire::PROTOCOL_VERSIONS;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::problem::{problem, upgrade_required};
use super::{App, Asked, Wording, body, env};
use crate::route::LINKS;
use crate::{PROTOCOL_HEADER, REQUEST_ID_HEADER};

/// Characters of a request id that is taken over from the client.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// A place among the requests served at once; held until the work is done, even when nobody waits for it any more.
#[derive(Debug, Clone)]
pub(crate) struct Place(#[allow(dead_code, reason = "held, not read")] Option<Arc<OwnedSemaphorePermit>>);

type Guarded = (App, Option<Arc<dyn Wording>>);

pub(super) async fn guard(State((app, wording)): State<Guarded>, mut request: Request, next: Next) -> Response {
    let worded = wording.map(|wording| (wording, Asked::of(&request)));
    let refuse = move |refusal: &Refusal| {
        let own = worded.and_then(|(wording, asked)| wording.refuse(&asked, refusal));
        own.unwrap_or_else(|| problem(refusal))
    };
    let id = request_id(&request);
    let span = tracing::info_span!("request", %id, method = %request.method(), path = shown(request.uri().path()));
    let limit = app.options().slow_request;
    async move {
        let started = Instant::now();
        // Work that began goes on: what was asked to be read was not, what was asked to be written may be.
        let late = if request.method().is_safe() { ErrorCode::Timeout } else { ErrorCode::OutcomeUnknown };
        let mut response = match admit(&app, &request) {
            Ok(place) => {
                request.extensions_mut().insert(place);
                let answer = timeout(app.options().request_timeout, next.run(request)).await;
                answer.unwrap_or_else(|_| refuse(&Refusal::new(late, "the request took too long")))
            }
            Err(refusal) => {
                body::linger(request.body_mut(), app.options().body_bytes_max).await;
                refuse(&refusal)
            }
        };
        let (took, status) = (started.elapsed(), response.status().as_u16());
        if took > limit {
            tracing::warn!(status, ms = took.as_millis(), "slow request");
        } else {
            tracing::debug!(status, us = took.as_micros(), "answered");
        }
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID_HEADER, id);
        }
        headers.insert(PROTOCOL_HEADER, HeaderValue::from(*PROTOCOL_VERSIONS.end()));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
    .instrument(span)
    .await
}

/// A path as the log may show it: the address of a link is its key.
fn shown(path: &str) -> &str {
    if path.starts_with(LINKS) { LINKS } else { path }
}

/// Everything that can be said without knowing who asks.
fn admit(app: &App, request: &Request) -> Result<Place, Refusal> {
    let (size, most) = (head_size(request), app.options().header_bytes_max);
    if size > most {
        return Err(Refusal::new(ErrorCode::HeadTooLarge, format!("the head has {size} bytes, at most {most}")));
    }
    for version in request.headers().get_all(PROTOCOL_HEADER) {
        let version = version.to_str().unwrap_or("something unreadable");
        if !version.parse().is_ok_and(|version: u32| PROTOCOL_VERSIONS.contains(&version)) {
            return Err(upgrade_required(version));
        }
    }
    // The whole word is a neighbour's, for the same askers.
    let path = request.uri().path();
    if path == "/health" || path.starts_with("/health/") {
        return Ok(Place(None));
    }
    match Arc::clone(&app.0.places).try_acquire_owned() {
        Ok(permit) => Ok(Place(Some(Arc::new(permit)))),
        Err(_) => Err(Refusal::new(ErrorCode::Busy, "the server serves as many requests as it can")),
    }
}

/// The head as a peer writes it by habit: `NAME: VALUE` lines. Up to the parser's own bound, which is twice as much.
fn head_size(request: &Request) -> usize {
    let uri = request.uri();
    let target = uri.path_and_query().map_or(1, |target| target.as_str().len());
    let line = request.method().as_str().len() + 1 + target + " HTTP/1.1\r\n".len();
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    line + headers + 2
}

/// The client's own name for the request when it is a plain one, else a fresh one.
fn request_id(request: &Request) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let given = request.headers().get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if (1..=REQUEST_ID_CHARS_MAX).contains(&given.len()) && given.bytes().all(plain) {
        return given.to_owned();
    }
    let random = env::random::<16>().unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(random))
}
