//! Blobs as bodies: taken in while they come, given out while they are read, never held whole.
//!
//! Uploads go on where they were cut off as in tus 1.0 (tus.io): `HEAD` says `Upload-Offset`, `PATCH` sends what comes behind
//! it. What must hold: work that began on a body runs to its end even when its peer has left, so what came of a piece is kept.
//!
//! Next: `give` for what goes out.

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::RawPathParams;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::body::Body as _;
use serde::Deserialize;
use syncline::access::Caller;
use syncline::call::{ErrorCode, Refusal};
use syncline::digest::BlobId;
use syncline::id::LogId;
use syncline::limits;
use syncline::store::{BlobError, BlobSource, PutOutcome};
use syncline::time::Env;
use syncline::wire::json::{GetBlobsJson, StoredJson};
use syncline::wire::{BINARY_MEDIA_TYPE, binary};
use tracing::Instrument as _;

use super::answer::{json, with_type};
use super::ask::{param, query, refuse};
use super::body::{self, Pace};
use super::form::{Form, unsupported};
use super::give::Giving;
use super::limits::Place;
use super::problem::malformed;
use super::query::NoQuery;
use super::{App, env};
use crate::route::Route;
use crate::{UPLOAD_LENGTH_HEADER, UPLOAD_OFFSET_HEADER};

/// As many names as may be asked for, with room for how they are written.
const GET_BODY_BYTES_MAX: usize = limits::LIST_ITEMS_MAX * 96 + 1024;

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
        Route::GetBlobs => {
            let NoQuery {} = query(&parts)?;
            return at.give_many(&parts, body).await;
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

    async fn give_many(self, parts: &Parts, body: &mut Body) -> Result<Response, Refusal> {
        if Form::given(&parts.headers)? != Form::Json {
            return Err(unsupported());
        }
        let asked = body::read(body, &parts.headers, self.app.options(), GET_BODY_BYTES_MAX).await?;
        let GetBlobsJson { blobs } = serde_json::from_slice(&asked).map_err(|error| refuse(&error.into()))?;
        let blobs = self.app.server().get_blobs(&self.caller, self.log, blobs).await?;
        Ok(with_type(StatusCode::OK, binary::encode_blobs(&blobs), BINARY_MEDIA_TYPE))
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
        let giving = match Giving::asked(&parts.headers, blob, size, true) {
            Ok(giving) => giving,
            Err(response) => return Ok(*response),
        };
        let (_, source) = server.open_blob(&self.caller, self.log, blob, giving.range()).await?;
        Ok(giving.answer(source, parts.extensions.get::<Place>().cloned()))
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

fn upload(status: StatusCode, come: u64, size: u64) -> Response {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert(UPLOAD_OFFSET_HEADER, HeaderValue::from(come));
    headers.insert(UPLOAD_LENGTH_HEADER, HeaderValue::from(size));
    response
}
