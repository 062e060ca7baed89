//! The server's side: requests become calls, replies become responses, wakes become WebSocket frames.
//!
//! ```no_run
//! # async fn run(server: syncline::server::Server) -> std::io::Result<()> {
//! use syncline_transport_http::server::{App, ServerOptions, Tokens, serve};
//!
//! let app = App::new(server.clone(), Tokens::new(server), ServerOptions::default());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:7110").await?;
//! serve(listener, app, async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await
//! # }
//! ```
//!
//! What must hold: no rule of the engine lives here; a request is judged in the order head, version, capacity, who
//! asks, path, query, body; and a call that has begun runs to its end even when its peer has left, so that what it
//! commits also wakes its readers.
//!
//! Next: `limits` (around every request), `ask` and `answer` (translation), `body` and `decode` (reading), `ws`
//! (wakes), `serve` (listening and stopping).

mod answer;
mod ask;
mod auth;
mod beside;
mod blobs;
pub(crate) mod body;
mod decode;
pub(crate) mod env;
mod form;
mod give;
mod groups;
pub(crate) mod limits;
mod links;
mod openapi;
mod options;
pub(crate) mod problem;
mod query;
mod serve;
mod stall;
mod tree;
mod ws;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use syncline::access::Caller;
use syncline::call::{ErrorCode, Refusal};
use syncline::server::Server;
use tokio::sync::{Semaphore, watch};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tracing::Instrument as _;

pub use crate::password::{Hashing, PasswordCost};
pub(crate) use auth::bearer;
pub use auth::{Authenticator, Tokens};
pub use beside::{Asked, Beside, Wording};
pub use options::ServerOptions;
pub use serve::{serve, serve_beside};

use crate::route::{Route, Verb};
use crate::{BLOB_MEDIA_TYPE, COMPRESS_BYTES_MIN};
use form::Form;
use problem::{malformed, problem};

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Not stopping.
    Serving,
    /// Not ready any more, still serving.
    Draining,
    /// Requests in flight are finished; nothing new is taken.
    Closing,
    /// Out of time.
    Cut,
}

/// Waits until stopping has come this far.
async fn reached(phase: &mut watch::Receiver<Phase>, far: Phase) {
    // The sender lives in the app, which whoever waits here holds.
    let _ = phase.wait_for(|phase| *phase >= far).await;
}

/// A server with everything around it that HTTP needs. Clones are the same one.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server,
    authenticator: Box<dyn Authenticator>,
    options: ServerOptions,
    places: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
    /// Every connection and socket holds a receiver: when none is left, everything has stopped.
    phase: watch::Sender<Phase>,
}

impl App {
    /// Serves this server to those whom the authenticator knows.
    #[must_use]
    pub fn new(server: Server, authenticator: impl Authenticator, options: ServerOptions) -> Self {
        let permits = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner {
            server,
            authenticator: Box::new(authenticator),
            places: permits(options.requests_at_once_max),
            sockets: permits(options.sockets_at_once_max),
            options,
            phase: watch::Sender::new(Phase::Serving),
        }))
    }

    /// Its routes, for whoever serves them alongside others. [`serve`] adds what a listener must: a time for heads,
    /// an end for peers that do not read, and stopping.
    pub fn router(&self) -> Router {
        self.router_beside(Beside::default())
    }

    /// The same beside other routes, which get all that stands around the engine's own.
    fn router_beside(&self, beside: Beside) -> Router {
        let (routes, wording) = beside.into_parts();
        let mut router: Router<Self> = Router::new();
        for route in Route::ALL.iter().copied() {
            let handler =
                move |State(app): State<Self>, params: Params, request: Request| dispatch(app, route, params, request);
            router = router.route(route.path(), on(filter(route.verb()), handler));
        }
        router
            .fallback(async || problem(&problem::no_such_route()))
            .method_not_allowed_fallback(async || problem(&problem::method_not_allowed()))
            .with_state(self.clone())
            .merge(routes)
            .layer(axum::middleware::from_fn_with_state((self.clone(), wording), limits::guard))
            .layer(CompressionLayer::new().compress_when(worth_packing()))
    }

    fn server(&self) -> &Server {
        &self.0.server
    }

    fn options(&self) -> &ServerOptions {
        &self.0.options
    }

    async fn authenticate(&self, parts: &Parts) -> Result<(Arc<str>, Caller), Refusal> {
        let bearer = bearer(&parts.headers)?;
        let caller = self.0.authenticator.authenticate(&bearer, env::now()).await?;
        Ok((bearer, caller))
    }
}

/// What is small is not worth it, and a blob is what its name says: its ranges are ranges of these very bytes.
fn worth_packing() -> impl Predicate {
    SizeAbove::new(COMPRESS_BYTES_MIN).and(NotForContentType::const_new(BLOB_MEDIA_TYPE))
}

type Params = Result<RawPathParams, RawPathParamsRejection>;

const fn filter(verb: Verb) -> MethodFilter {
    match verb {
        Verb::Get => MethodFilter::GET,
        Verb::Put => MethodFilter::PUT,
        Verb::Post => MethodFilter::POST,
        Verb::Delete => MethodFilter::DELETE,
        Verb::Head => MethodFilter::HEAD,
        Verb::Patch => MethodFilter::PATCH,
    }
}

/// One request. A refused body is read on for a while, so that the refusal arrives.
async fn dispatch(app: App, route: Route, params: Params, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    let answered = match params {
        Ok(params) => answer(&app, route, &params, parts, &mut body).await,
        Err(error) => Err(malformed(error.body_text())),
    };
    match answered {
        Ok(response) => response,
        Err(refusal) => {
            if refusal.code != ErrorCode::BodyTooSlow {
                body::linger(&mut body, app.options().body_bytes_max).await;
            }
            problem(&refusal)
        }
    }
}

async fn answer(
    app: &App,
    route: Route,
    params: &RawPathParams,
    parts: Parts,
    body: &mut Body,
) -> Result<Response, Refusal> {
    match route {
        Route::OpenApi => {
            let query::NoQuery {} = ask::query(&parts)?;
            return Ok(openapi::response());
        }
        Route::OpenLink | Route::OpenLinkByForm => return links::open(app, params, parts, body).await,
        Route::Live => return Ok((StatusCode::OK, "live\n").into_response()),
        Route::Ready => return ready(app).await,
        _ => {}
    }
    let known = app.authenticate(&parts).await?;
    if route == Route::Wake {
        return ws::upgrade(app, known, params, parts).await;
    }
    if route.streams() {
        return blobs::answer(app, route, known.1, params, parts, body).await;
    }
    let form = if route.speaks_binary() { Form::wanted(&parts.headers) } else { Form::Json };
    let call = ask::read(route, params, &parts, body, app.options()).await?;
    let (app, (_, caller), env) = (app.clone(), known, env::env()?);
    let place = parts.extensions.get::<limits::Place>().cloned();
    let work = async move {
        let outcome = app.server().handle(&caller, call, env).await;
        drop(place);
        outcome.map(|reply| answer::write(&reply, form))
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(answered) => answered,
        Err(_) => Err(Refusal::new(ErrorCode::Internal, "the server met a bug; its log names this request's id")),
    }
}

async fn ready(app: &App) -> Result<Response, Refusal> {
    if *app.0.phase.borrow() > Phase::Serving {
        return Err(Refusal::new(ErrorCode::ShuttingDown, "the server is stopping"));
    }
    app.server().ready().await?;
    Ok((StatusCode::OK, "ready\n").into_response())
}
