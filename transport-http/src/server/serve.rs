//! Listening and stopping.
//!
//! Stopping goes in steps: readiness goes off; after a notice no more connections are taken, idle ones and sockets
//! are closed and requests in flight are answered; what is not answered by the deadline is cut. What is cut was not
//! acknowledged.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use super::stall::Stall;
use super::{App, Beside, Phase, reached};

/// How long listening pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` resolves, then stops gracefully.
///
/// # Errors
/// None now: a connection that cannot be taken is logged and the next is awaited.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
    serve_beside(listener, app, Beside::default(), shutdown).await
}

/// As [`serve`], with other routes beside the engine's own: a dialect's, an application's. Their requests are named,
/// held to a place and a time, and stopped like the engine's, and carry a
/// [`ConnectInfo`] with the peer's address. The routes have no fallback of their own. What is refused around them is a
/// problem document unless they have a [`super::Wording`].
///
/// # Errors
/// As [`serve`].
pub async fn serve_beside(
    listener: TcpListener,
    app: App,
    beside: impl Into<Beside>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let router = app.router_beside(beside.into());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            taken = listener.accept() => take(taken, &app, &router).await,
            () = &mut shutdown => break,
        }
    }
    app.0.phase.send_replace(Phase::Draining);
    tracing::info!("stopping: not ready any more");
    let mut notice = pin!(sleep(app.options().stop_notice));
    loop {
        tokio::select! {
            taken = listener.accept() => take(taken, &app, &router).await,
            () = &mut notice => break,
        }
    }
    drop(listener);
    app.0.phase.send_replace(Phase::Closing);
    if timeout(app.options().stop_deadline, app.0.phase.closed()).await.is_err() {
        tracing::warn!("stopping: requests are still in flight and are cut");
        app.0.phase.send_replace(Phase::Cut);
        // Connections see the phase at once; this bounds how long one may take to notice.
        let _ = timeout(ACCEPT_PAUSE, app.0.phase.closed()).await;
    }
    tracing::info!("stopped");
    Ok(())
}

async fn take(taken: io::Result<(TcpStream, SocketAddr)>, app: &App, router: &Router) {
    match taken {
        Ok((stream, peer)) => {
            // Small answers go out at once; a system that cannot do it still works.
            let _ = stream.set_nodelay(true);
            // Subscribed here, not in the task: a stop that comes in between must wait for it.
            let phase = app.0.phase.subscribe();
            let connection = serve_one(stream, peer, app.clone(), router.clone(), phase);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%peer, %error, "connection ended");
                }
            });
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be taken");
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

async fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    app: App,
    router: Router,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), hyper::Error> {
    let options = app.options();
    let io = TokioIo::new(Stall::new(stream, options.write_stall));
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_time)
        // Twice the limit: a head that is a little too large gets a problem document, a huge one a bare 431.
        .max_header_size(options.header_bytes_max.saturating_mul(2))
        .serve_connection(io, answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        outcome = connection.as_mut() => return outcome,
        () = reached(&mut phase, Phase::Closing) => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        outcome = connection => outcome,
        () = reached(&mut phase, Phase::Cut) => Ok(()),
    }
}
