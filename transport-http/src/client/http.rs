//! One exchange over HTTP.

use std::io::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, Url};
use syncline::call::{Call, Reply};
use syncline::client::{CallError, Transport};
use syncline::id::LogKey;
use syncline::limits;
use syncline::store::SignalSource;
use syncline::wire::{BINARY_MEDIA_TYPE, JSON_MEDIA_TYPE, PROTOCOL_VERSIONS};

use super::answer::{self, Answer};
use super::ask::{Ask, ask};
use super::{ClientError, ClientOptions, Compression, Form};
use crate::route::Verb;
use crate::{COMPRESS_BYTES_MIN, PROTOCOL_HEADER};

/// Bytes of an answer, decompressed, before it is taken for hostile: JSON around the largest page or snapshot fits.
const ANSWER_BYTES_MAX: usize = 2 * limits::BODY_DECODED_BYTES_MAX;
/// An idle connection is given up before the server may.
const IDLE: Duration = Duration::from_secs(limits::HEADER_TIME_S / 2);

/// The way to a server over HTTP. Clones share connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    pub(super) http: reqwest::Client,
    pub(super) base: Url,
    pub(super) options: ClientOptions,
}

impl HttpClient {
    /// A client; nothing is connected yet. Proxies of the environment are not used, redirects are not followed: the
    /// token goes nowhere but to the address given.
    ///
    /// # Errors
    /// When the address is not `http://host:port`, or the token fits no header.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let address = || ClientError::Address(options.url.clone());
        let base: Url = options.url.parse().map_err(|_| address())?;
        if base.scheme() != "http" || base.host_str().is_none() || base.path() != "/" || base.query().is_some() {
            return Err(address());
        }
        let mut bearer = bearer(&options.bearer)?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(PROTOCOL_HEADER, HeaderValue::from(*PROTOCOL_VERSIONS.end()));
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(options.connect_timeout)
            .timeout(options.request_timeout)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ClientError::Http(error.into()))?;
        Ok(Self { http, base, options })
    }

    async fn exchange(&self, ask: Ask) -> Result<Answer, CallError> {
        let method = match ask.route.verb() {
            Verb::Get => Method::GET,
            Verb::Put => Method::PUT,
            Verb::Post => Method::POST,
            Verb::Delete => Method::DELETE,
            Verb::Head => Method::HEAD,
            Verb::Patch => Method::PATCH,
        };
        let url = self.base.join(&ask.target).map_err(|error| CallError::Protocol(error.to_string()))?;
        let accept = match self.options.form {
            Form::Binary if ask.route.speaks_binary() => BINARY_MEDIA_TYPE,
            _ => JSON_MEDIA_TYPE,
        };
        let mut request = self.http.request(method, url).header(ACCEPT, accept);
        if let Some((form, body)) = ask.body {
            let media_type = match form {
                Form::Binary => BINARY_MEDIA_TYPE,
                Form::Json => JSON_MEDIA_TYPE,
            };
            let (encoding, body) = compress(self.options.compression, body)?;
            request = request.header(CONTENT_TYPE, media_type).body(body);
            if let Some(encoding) = encoding {
                request = request.header(CONTENT_ENCODING, encoding);
            }
        }
        receive(request.send().await.map_err(lost)?).await
    }
}

#[async_trait]
impl Transport for HttpClient {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        let unknown = || CallError::Protocol("this build cannot ask that over HTTP".into());
        let ask = ask(call, self.options.form).map_err(|error| CallError::Protocol(error.to_string()))?;
        let ask = ask.ok_or_else(unknown)?;
        let route = ask.route;
        answer::read(route, &self.exchange(ask).await?)
    }

    async fn wakes(&self, log: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
        let wakes: Box<dyn SignalSource> = Box::new(Self::wakes(self, log).await?);
        Ok(Some(wakes))
    }
}

/// The value of the `Authorization` header.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ClientError::Bearer)
}

pub(super) async fn receive(mut response: Response) -> Result<Answer, CallError> {
    let status = response.status().as_u16();
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let retry_after = answer::asked_wait(response.headers());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| CallError::Interrupted(error.into()))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(CallError::Protocol(format!("the answer has more than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, media_type, retry_after, body: body.freeze() })
}

/// Only a connection that was never made is sure not to have carried the call.
pub(super) fn lost(error: reqwest::Error) -> CallError {
    if error.is_connect() || error.is_builder() {
        CallError::Unreachable(error.into())
    } else {
        CallError::Interrupted(error.into())
    }
}

fn compress(how: Compression, body: Bytes) -> Result<(Option<&'static str>, Bytes), CallError> {
    let failed = |error: std::io::Error| CallError::Protocol(format!("the body does not compress: {error}"));
    let small = u64::try_from(body.len()).is_ok_and(|size| size < COMPRESS_BYTES_MIN);
    Ok(match how {
        _ if small => (None, body),
        Compression::Off => (None, body),
        Compression::Zstd => (Some("zstd"), zstd::bulk::compress(&body, 0).map_err(failed)?.into()),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&body).map_err(failed)?;
            (Some("gzip"), encoder.finish().map_err(failed)?.into())
        }
    })
}
