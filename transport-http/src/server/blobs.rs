//! Blobs as bodies: taken in while they come, given out while they are read, never held whole.
//!
//! Ranges and validators are RFC 9110's: a blob's name is its strong entity tag, for its bytes never change. Uploads go on
//! where they were cut off as in tus 1.0 (tus.io): `HEAD` says `Upload-Offset`, `PATCH` sends what comes behind it.
//!
//! What must hold: work that began on a body runs to its end even when its peer has left, so what came of a piece is kept;
//! nothing is compressed, for ranges are ranges of these very bytes.

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::RawPathParams;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use hyper::body::Body as _;
use serde::Deserialize;
use syncline::access::Caller;
use syncline::call::{ErrorCode, Refusal};
use syncline::digest::BlobId;
use syncline::id::LogId;
use syncline::limits;
use syncline::store::{BlobError, BlobSource, ByteRange, PutOutcome};
use syncline::time::Env;
use syncline::wire::binary;
use syncline::wire::json::StoredJson;
use tracing::Instrument as _;

use super::answer::json;
use super::ask::{param, query, refuse};
use super::body::{self, Pace};
use super::form::{Form, unsupported};
use super::limits::Place;
use super::problem::malformed;
use super::query::NoQuery;
use super::{App, env};
use crate::route::Route;
use crate::{BLOB_MEDIA_TYPE, UPLOAD_LENGTH_HEADER, UPLOAD_OFFSET_HEADER};

/// Of which blob an upload is.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct SizeQuery {
    size: u64,
}

/// One request about a blob's bytes.
pub(super) async fn answer(
    app: &App,
    route: Route,
    caller: Caller,
    params: &RawPathParams,
    parts: Parts,
    body: &mut Body,
) -> Result<Response, Refusal> {
    let log: LogId = param(params, "log")?;
    let at = At { app: app.clone(), caller, log, env: env::env()? };
    let work = match route {
        Route::PutBlobs => {
            let NoQuery {} = query(&parts)?;
            return at.take_many(&parts, body).await;
        }
        Route::PutBlob => {
            let NoQuery {} = query(&parts)?;
            let (blob, size) = (param(params, "blob")?, announced(&parts, body, limits::BLOB_PUT_BYTES_MAX)?);
            tokio::spawn(at.take((blob, size), Incoming::new(app, body)).in_current_span())
        }
        Route::AppendBlob => {
            let SizeQuery { size } = query(&parts)?;
            announced(&parts, body, limits::BLOB_PIECE_BYTES_MAX)?;
            let (blob, offset) = (param(params, "blob")?, offset(&parts.headers)?);
            tokio::spawn(at.append((blob, size), offset, Incoming::new(app, body)).in_current_span())
        }
        _ if !body.is_end_stream() => return Err(malformed("this call takes no body")),
        Route::UploadAt => {
            let SizeQuery { size } = query(&parts)?;
            let named = (param(params, "blob")?, size);
            let come = app.server().upload_at(&at.caller, log, named, at.env).await?;
            return Ok(upload(StatusCode::OK, come, size));
        }
        Route::DropUpload => {
            let NoQuery {} = query(&parts)?;
            app.server().drop_upload(&at.caller, log, param(params, "blob")?).await?;
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        Route::GetBlob => {
            let NoQuery {} = query(&parts)?;
            return at.give(param(params, "blob")?, &parts).await;
        }
        _ => return Err(super::problem::no_such_route()),
    };
    let bug = |_| Err(Refusal::new(ErrorCode::Internal, "the server met a bug; its log names this request's id"));
    work.await.unwrap_or_else(bug)
}

/// Who asks, about which log.
struct At {
    app: App,
    caller: Caller,
    log: LogId,
    env: Env,
}

impl At {
    async fn take_many(self, parts: &Parts, body: &mut Body) -> Result<Response, Refusal> {
        if Form::given(&parts.headers)? != Form::Binary {
            return Err(unsupported());
        }
        let bytes = body::read(body, &parts.headers, self.app.options(), usize::MAX).await?;
        let blobs = binary::decode_blobs(bytes).map_err(|error| refuse(&error))?;
        let work = async move { self.app.server().put_blobs(&self.caller, self.log, blobs, self.env).await };
        let stored = tokio::spawn(work.in_current_span()).await;
        let bug = |_| Err(Refusal::new(ErrorCode::Internal, "the server met a bug; its log names this request's id"));
        let stored = StoredJson::of(&stored.unwrap_or_else(bug)?);
        json(StatusCode::OK, &stored).map_err(|error| refuse(&error))
    }

    async fn take(self, named: (BlobId, u64), mut body: Incoming) -> Result<Response, Refusal> {
        let put = self.app.server().put_blob(&self.caller, self.log, named, &mut body, self.env).await;
        Ok(match body.judged(put).await? {
            PutOutcome::Stored => StatusCode::CREATED.into_response(),
            _ => StatusCode::NO_CONTENT.into_response(),
        })
    }

    async fn append(self, named: (BlobId, u64), offset: u64, mut body: Incoming) -> Result<Response, Refusal> {
        let server = self.app.server();
        let come = server.append_blob(&self.caller, self.log, named, offset, &mut body, self.env).await;
        Ok(upload(StatusCode::NO_CONTENT, body.judged(come).await?, named.1))
    }

    async fn give(self, blob: BlobId, parts: &Parts) -> Result<Response, Refusal> {
        let server = self.app.server();
        let size = server.blob_size(&self.caller, self.log, blob).await?;
        let tag = format!("\"{blob}\"");
        if names(&parts.headers, header::IF_NONE_MATCH, &tag) {
            return Ok(about(StatusCode::NOT_MODIFIED, &tag, Body::empty()));
        }
        let range = match parts.headers.get(header::RANGE).and_then(|value| value.to_str().ok()) {
            Some(_)
                if parts.headers.contains_key(header::IF_RANGE) && !names(&parts.headers, header::IF_RANGE, &tag) =>
            {
                Asked::Whole
            }
            Some(value) => Asked::of(value, size),
            None => Asked::Whole,
        };
        let (status, part) = match range {
            Asked::Whole => (StatusCode::OK, 0..size),
            Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Asked::Nothing => {
                let mut response = about(StatusCode::RANGE_NOT_SATISFIABLE, &tag, Body::empty());
                set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
                return Ok(response);
            }
        };
        // A whole read is verified; one that names its end would not be known for one.
        let range = if status == StatusCode::OK {
            ByteRange::default()
        } else {
            ByteRange { start: part.start, end: Some(part.end) }
        };
        let (_, source) = server.open_blob(&self.caller, self.log, blob, range).await?;
        let place = parts.extensions.get::<Place>().cloned();
        let mut response = about(status, &tag, outgoing(source, place));
        set(&mut response, header::CONTENT_LENGTH, &(part.end - part.start).to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            set(&mut response, header::CONTENT_RANGE, &format!("bytes {}-{}/{size}", part.start, part.end - 1));
        }
        Ok(response)
    }
}

/// What of a blob is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(std::ops::Range<u64>),
    Nothing,
}

impl Asked {
    /// By the value of a `Range` header. What is no single range of bytes is not understood, and so not there.
    fn of(value: &str, size: u64) -> Self {
        let Some(range) = value.trim().strip_prefix("bytes=") else { return Self::Whole };
        let Some((from, to)) = range.split_once('-') else { return Self::Whole };
        let number = |text: &str| {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
        };
        let part = match (from.trim(), number(from), to.trim(), number(to)) {
            ("", _, _, Some(last)) => size.saturating_sub(last)..size,
            (_, Some(from), "", _) => from..size,
            (_, Some(from), _, Some(to)) if from <= to => from..to.saturating_add(1).min(size),
            _ => return Self::Whole,
        };
        if part.start < part.end { Self::Part(part) } else { Self::Nothing }
    }
}

/// A request's body as a source of bytes: no more slowly than allowed.
struct Incoming {
    body: Body,
    pace: Pace,
    most: usize,
    refusal: Option<Refusal>,
}

impl Incoming {
    /// Takes the body over; what asked for it must run to its end.
    fn new(app: &App, body: &mut Body) -> Self {
        let options = app.options();
        Self { body: std::mem::take(body), pace: Pace::new(options), most: options.body_bytes_max, refusal: None }
    }

    /// What went wrong with the body comes before what that did to the work. A body that is refused is read on for a while,
    /// so that the refusal arrives.
    async fn judged<T>(mut self, outcome: Result<T, Refusal>) -> Result<T, Refusal> {
        let slow = self.refusal.as_ref().is_some_and(|refusal| refusal.code == ErrorCode::BodyTooSlow);
        if outcome.is_err() && !slow {
            body::linger(&mut self.body, self.most).await;
        }
        match (outcome, self.refusal) {
            (Err(_), Some(refusal)) => Err(refusal),
            (outcome, _) => outcome,
        }
    }
}

#[async_trait]
impl BlobSource for Incoming {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        match body::chunk(&mut self.body, &mut self.pace).await {
            Ok(chunk) => Ok(chunk),
            Err(refusal) => {
                let error = BlobError::Unavailable(Box::new(refusal.clone()));
                self.refusal = Some(refusal);
                Err(error)
            }
        }
    }
}

/// A body of what a source gives; a source that fails cuts it off, and its reader sees that bytes are missing.
fn outgoing(source: Box<dyn BlobSource>, place: Option<Place>) -> Body {
    Body::from_stream(stream::unfold(Some((source, place)), async |state| {
        let (mut source, place) = state?;
        match source.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some((source, place)))),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "a blob cannot be read");
                Some((Err(error), None))
            }
        }
    }))
}

/// How many bytes come, which must be said before they do.
fn announced(parts: &Parts, body: &Body, most: u64) -> Result<u64, Refusal> {
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Refusal::new(ErrorCode::UnsupportedMediaType, "a blob is sent as it is, without an encoding"));
    }
    let size = body.size_hint().exact().ok_or_else(|| malformed("the body's length must be said"))?;
    if size > most {
        let detail = format!("at most {most} bytes are sent at once, not {size}; upload a blob piece by piece");
        return Err(Refusal::new(ErrorCode::BodyTooLarge, detail));
    }
    Ok(size)
}

fn offset(headers: &HeaderMap) -> Result<u64, Refusal> {
    let value = headers.get(UPLOAD_OFFSET_HEADER).and_then(|value| value.to_str().ok());
    let number = value.and_then(|value| value.trim().parse().ok());
    number.ok_or_else(|| malformed(format!("{UPLOAD_OFFSET_HEADER} says where the bytes belong")))
}

/// Whether a header names this entity tag, or any.
fn names(headers: &HeaderMap, name: header::HeaderName, tag: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim() == tag || value.trim() == "*")
}

fn about(status: StatusCode, tag: &str, body: Body) -> Response {
    let mut response = (status, body).into_response();
    set(&mut response, header::CONTENT_TYPE, BLOB_MEDIA_TYPE);
    set(&mut response, header::ETAG, tag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    response
}

fn upload(status: StatusCode, come: u64, size: u64) -> Response {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert(UPLOAD_OFFSET_HEADER, HeaderValue::from(come));
    headers.insert(UPLOAD_LENGTH_HEADER, HeaderValue::from(size));
    response
}

/// Sets a header to what is visible ASCII.
fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        let part = |range: std::ops::Range<u64>| Asked::Part(range);
        let rows = [
            ("bytes=0-0", part(0..1)),
            ("bytes=2-4", part(2..5)),
            ("bytes=8-", part(8..10)),
            ("bytes=-3", part(7..10)),
            ("bytes=-99", part(0..10)),
            ("bytes=5-99", part(5..10)),
            ("bytes=0-18446744073709551615", part(0..10)),
            ("bytes=0-99999999999999999999", part(0..10)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=10-12", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=4-2", Asked::Whole),
            ("bytes=0-1,4-5", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("items=0-1", Asked::Whole),
            ("", Asked::Whole),
        ];
        for (value, asked) in rows {
            assert_eq!(Asked::of(value, 10), asked, "{value}");
        }
        assert_eq!(Asked::of("bytes=0-0", 0), Asked::Nothing);
    }
}
