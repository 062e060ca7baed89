//! The HTTP client under the S3 client: hyper, with rustls over ring where the address wants TLS.
//!
//! The S3 client's own would be reqwest with TLS. Its features are united over a whole program: TLS without a provider
//! makes every other client that names none panic, and with its default provider a crypto library in C comes along. This
//! one names its provider, and asks nothing of anybody.
//!
//! What must hold: no request waits for ever, neither for its answer nor inside of it; an error says whether the service
//! may have seen the request, for that decides whether it is sent again.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector as S3Connector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use tokio::time::{Instant, Sleep};

/// Connections that nobody used for this long are closed before the service does it.
const IDLE: Duration = Duration::from_secs(20);

/// Makes the client.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) timeout: Duration,
}

impl S3Connector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(self.timeout));
        tcp.set_nodelay(true);
        let plain = options.get_config_value(&object_store::ClientConfigKey::AllowHttp);
        if plain.is_some_and(|allowed| allowed == "true") {
            return Ok(HttpClient::new(Service { client: client(tcp), timeout: self.timeout }));
        }
        tcp.enforce_http(false);
        let provider = rustls::crypto::ring::default_provider();
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        let tls = tls.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(HttpClient::new(Service { client: client(tls), timeout: self.timeout }))
    }
}

fn client<C: Connect + Clone>(connector: C) -> Client<C, HttpRequestBody> {
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector)
}

#[derive(Debug)]
struct Service<C> {
    client: Client<C, HttpRequestBody>,
    timeout: Duration,
}

#[async_trait]
impl<C> HttpService for Service<C>
where
    C: Connect + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = tokio::time::timeout(self.timeout, self.client.request(request));
        let answer = answer.await.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?;
        let (head, body) = answer.map_err(|error| HttpError::new(kind(&error), error))?.into_parts();
        let body = Patient { body, timeout: self.timeout, late: Box::pin(tokio::time::sleep(self.timeout)) };
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body)))
    }
}

/// Whether the service may have seen the request.
fn kind(error: &hyper_util::client::legacy::Error) -> HttpErrorKind {
    if error.is_connect() {
        return HttpErrorKind::Connect;
    }
    // A connection that ended: it may have, so only what may be repeated is.
    let mut source: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = source {
        if error.is::<hyper::Error>() || error.is::<std::io::Error>() {
            return HttpErrorKind::Interrupted;
        }
        source = error.source();
    }
    HttpErrorKind::Unknown
}

/// A body whose pieces come in time or not at all.
#[derive(Debug)]
struct Patient {
    body: Incoming,
    timeout: Duration,
    late: Pin<Box<Sleep>>,
}

impl Body for Patient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                let next = Instant::now() + self.timeout;
                self.late.as_mut().reset(next);
                Poll::Ready(frame.map(|frame| frame.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))))
            }
            Poll::Pending => {
                let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                self.late.as_mut().poll(context).map(|()| Some(Err(HttpError::new(HttpErrorKind::Timeout, late))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
