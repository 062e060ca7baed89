//! Blobs over HTTP: bytes as they are, in requests that are small enough to be sent again.

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, RANGE};
use reqwest::{Method, RequestBuilder, Response};
use syncline::call::Call;
use syncline::client::{BlobTransport, CallError};
use syncline::digest::{BlobId, Digest};
use syncline::id::LogId;
use syncline::store::{BlobError, BlobSource, ByteRange, PutOutcome, Verified};
use syncline::wire::json::{GetBlobsJson, StoredJson};
use syncline::wire::{BINARY_MEDIA_TYPE, JSON_MEDIA_TYPE, binary};

use super::HttpClient;
use super::answer;
use super::ask::path;
use super::http::{lost, receive};
use crate::route::Route;
use crate::{BLOB_MEDIA_TYPE, UPLOAD_OFFSET_HEADER};

impl HttpClient {
    /// A request on a route about a blob of a log.
    fn about(&self, method: Method, route: Route, log: LogId, blob: BlobId, size: Option<u64>) -> RequestBuilder {
        let path = path(route, log).replace("{blob}", &blob.to_string());
        let query = size.map(|size| format!("?size={size}")).unwrap_or_default();
        // Ids and digests need no escaping, so joining them cannot fail.
        let url = self.base.join(&format!("{path}{query}")).unwrap_or_else(|_| self.base.clone());
        self.http.request(method, url)
    }
}

#[async_trait]
impl BlobTransport for HttpClient {
    async fn put_blob(&self, log: LogId, blob: BlobId, bytes: Bytes) -> Result<PutOutcome, CallError> {
        let request = self.about(Method::PUT, Route::PutBlob, log, blob, None);
        let response = good(request.header(CONTENT_TYPE, BLOB_MEDIA_TYPE).body(bytes)).await?;
        Ok(if response.status().as_u16() == 201 { PutOutcome::Stored } else { PutOutcome::Present })
    }

    async fn put_blobs(&self, log: LogId, blobs: Vec<(BlobId, Bytes)>) -> Result<Vec<PutOutcome>, CallError> {
        let broken = |error: String| CallError::Protocol(error);
        let url = self.base.join(&path(Route::PutBlobs, log)).map_err(|error| broken(error.to_string()))?;
        let body = binary::encode_blobs(&blobs);
        let request = self.http.post(url).header(CONTENT_TYPE, BINARY_MEDIA_TYPE).body(body);
        let answer = receive(good(request).await?).await?;
        let stored: StoredJson = serde_json::from_slice(&answer.body).map_err(|error| broken(error.to_string()))?;
        if stored.stored.len() != blobs.len() {
            return Err(broken("the answer is not about the blobs that were sent".into()));
        }
        Ok(stored.read())
    }

    async fn get_blobs(&self, log: LogId, blobs: &[BlobId]) -> Result<Vec<Bytes>, CallError> {
        let broken = |error: String| CallError::Protocol(error);
        let url = self.base.join(&path(Route::GetBlobs, log)).map_err(|error| broken(error.to_string()))?;
        let body = serde_json::to_vec(&GetBlobsJson { blobs: blobs.to_vec() });
        let body = body.map_err(|error| broken(error.to_string()))?;
        let answer = receive(good(self.http.post(url).header(CONTENT_TYPE, JSON_MEDIA_TYPE).body(body)).await?).await?;
        let given = binary::decode_blobs(answer.body).map_err(|error| broken(error.to_string()))?;
        let asked = given.iter().map(|(blob, _)| blob).eq(blobs);
        if !asked || given.iter().any(|(blob, bytes)| Digest::of(&[bytes]) != *blob) {
            return Err(broken("these are not the blobs that were asked for".into()));
        }
        Ok(given.into_iter().map(|(_, bytes)| bytes).collect())
    }

    async fn upload_at(&self, log: LogId, blob: BlobId, size: u64) -> Result<u64, CallError> {
        let sent = self.about(Method::HEAD, Route::UploadAt, log, blob, Some(size)).send().await.map_err(lost)?;
        if sent.status().is_success() {
            return offset(&sent);
        }
        // An answer to HEAD has no body that would say why: asking for the blob does, unless that goes again.
        let answer = receive(sent).await?;
        self.call_needs(log, blob, size).await?;
        Err(answer::refused(&answer))
    }

    async fn append_blob(&self, log: LogId, blob: BlobId, size: u64, at: u64, bytes: Bytes) -> Result<u64, CallError> {
        let request = self.about(Method::PATCH, Route::AppendBlob, log, blob, Some(size));
        let request = request.header(CONTENT_TYPE, BLOB_MEDIA_TYPE).header(UPLOAD_OFFSET_HEADER, at).body(bytes);
        offset(&good(request).await?)
    }

    async fn open_blob(&self, log: LogId, blob: BlobId, range: ByteRange) -> Result<Box<dyn BlobSource>, CallError> {
        let whole = range == ByteRange::default();
        if range.end.is_some_and(|end| end <= range.start) {
            return Ok(Box::new(syncline::store::BytesSource::new(Bytes::new())));
        }
        let mut request = self.about(Method::GET, Route::GetBlob, log, blob, None);
        if !whole {
            let end = range.end.map(|end| (end - 1).to_string()).unwrap_or_default();
            request = request.header(RANGE, format!("bytes={}-{end}", range.start));
        }
        let sent = request.send().await.map_err(lost)?;
        // Behind the end of a blob there is nothing, which is no error here.
        if sent.status().as_u16() == 416 {
            return Ok(Box::new(syncline::store::BytesSource::new(Bytes::new())));
        }
        let response = accepted(sent).await?;
        if !whole && response.status().as_u16() != 206 {
            return Err(CallError::Protocol("the whole blob came where a part was asked for".into()));
        }
        let len = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let len = len.ok_or_else(|| CallError::Protocol("the length of a blob is not said".into()))?;
        let body = Body(response);
        Ok(if whole { Box::new(Verified::whole(body, blob, len)) } else { Box::new(Verified::part(body, blob, len)) })
    }
}

impl HttpClient {
    async fn call_needs(&self, log: LogId, blob: BlobId, size: u64) -> Result<(), CallError> {
        use syncline::client::Transport as _;
        self.call(Call::Reserve { log, blobs: vec![(blob, size)] }).await.map(drop)
    }
}

/// A response on its way in.
struct Body(Response);

#[async_trait]
impl BlobSource for Body {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        self.0.chunk().await.map_err(|error| BlobError::Unavailable(error.into()))
    }
}

async fn good(request: RequestBuilder) -> Result<Response, CallError> {
    accepted(request.send().await.map_err(lost)?).await
}

async fn accepted(response: Response) -> Result<Response, CallError> {
    if response.status().is_success() { Ok(response) } else { Err(answer::refused(&receive(response).await?)) }
}

fn offset(response: &Response) -> Result<u64, CallError> {
    let value = response.headers().get(UPLOAD_OFFSET_HEADER).and_then(|value| value.to_str().ok());
    let number = value.and_then(|value| value.parse().ok());
    number.ok_or_else(|| CallError::Protocol(format!("the answer does not say where the upload goes on: {value:?}")))
}
