//! Wakes over a WebSocket: `{"wake":{"log":"…","seq":n}}` when the log has grown, the first one at once.
//!
//! A peer that does not read, does not answer pings, sends data, or whose token has ended (4401) or no longer reads the log
//! (4403) is let go; what happens to tokens is heard as wakes of the system log. Nothing is lost by it: a wake is a hint, and the log is still there to be asked.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts as _, RawPathParams};
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::SinkExt as _;
use serde::Serialize;
use syncline::access::{Access, Caller};
use syncline::call::{Call, ErrorCode, Refusal, Reply};
use syncline::id::{LogId, LogKey};
use syncline::limits;
use syncline::seq::Seq;
use syncline::store::{Interest, Signal, SignalSource};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, interval_at, timeout};

use super::ask::{param, query};
use super::env;
use super::problem::malformed;
use super::query::NoQuery;
use super::{App, Phase, reached};

/// Wakes written before one flush.
const FRAMES_PER_FLUSH_MAX: usize = 64;
/// What a connection holds for reading, and before it writes; the defaults of 128 KiB are for peers that send much.
const BUFFER_BYTES: usize = 4_096;

#[derive(Serialize)]
struct WakeFrame {
    wake: WakeJson,
}

#[derive(Serialize)]
struct WakeJson {
    log: LogId,
    seq: Seq,
}

/// Closes the socket of a token that has ended; 401 over HTTP.
const TOKEN_ENDED: u16 = 4401;
/// Closes the socket of a token that no longer reads the log; 403 over HTTP.
const NOT_ALLOWED: u16 = 4403;

/// Everything one connection is about.
struct Listener {
    app: App,
    bearer: Arc<str>,
    log: LogKey,
    source: Box<dyn SignalSource>,
    start: Seq,
    phase: watch::Receiver<Phase>,
    _place: OwnedSemaphorePermit,
}

/// Why a connection ends.
struct Farewell(u16, &'static str);

/// Answers the handshake.
pub(super) async fn upgrade(
    app: &App,
    (bearer, caller): (Arc<str>, Caller),
    params: &RawPathParams,
    mut parts: Parts,
) -> Result<Response, Refusal> {
    let NoQuery {} = query(&parts)?;
    let log = LogKey { bucket: caller.bucket, log: param(params, "log")? };
    let handshake = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let handshake = handshake.map_err(|error| malformed(error.body_text()))?;
    let place = Arc::clone(&app.0.sockets).try_acquire_owned();
    let place = place.map_err(|_| Refusal::new(ErrorCode::Busy, "the server has as many sockets open as it can"))?;
    // Listening begins before the end is read, so that nothing falls between the two.
    let system = LogKey { log: LogId::SYSTEM, ..log };
    let source = app.server().fanout().subscribe(Interest::Logs(vec![log, system])).await;
    let source = source.map_err(|_| Refusal::new(ErrorCode::Unavailable, "wakes are not to be had now"))?;
    let start = end_of(app, &caller, log.log).await?;
    let listener =
        Listener { app: app.clone(), bearer, log, source, start, phase: app.0.phase.subscribe(), _place: place };
    Ok(handshake
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(limits::SOCKET_UNREAD_BYTES_MAX)
        .max_frame_size(limits::SOCKET_FRAME_BYTES_MAX)
        .max_message_size(limits::SOCKET_FRAME_BYTES_MAX)
        .on_upgrade(|socket| listener.run(socket)))
}

/// Where the log ends; 0 for one that nobody has written to yet, because a reader may come before the first writer.
async fn end_of(app: &App, caller: &Caller, log: LogId) -> Result<Seq, Refusal> {
    match app.server().handle(caller, Call::Status(log), env::env()?).await {
        Ok(Reply::Log { bounds, .. }) => Ok(bounds.last),
        Ok(_) => Err(Refusal::new(ErrorCode::Internal, "a status without bounds")),
        Err(refusal) if refusal.code == ErrorCode::LogNotFound && caller.may(Access::Read, log) => Ok(Seq::ZERO),
        Err(refusal) => Err(refusal),
    }
}

impl Listener {
    async fn run(mut self, mut socket: WebSocket) {
        let Farewell(code, reason) = self.talk(&mut socket).await;
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let goodbye = async {
            // To a peer that said goodbye nothing more is sent but the answer to it, which waits already (RFC 6455, 5.5.1).
            if socket.send(close).await.is_err() {
                let _ = socket.flush().await;
            }
        };
        // The peer may be gone already, which is as good.
        let _ = timeout(self.app.options().write_stall, goodbye).await;
        tracing::debug!(log = %self.log, reason, "wake socket closed");
    }

    async fn talk(&mut self, socket: &mut WebSocket) -> Farewell {
        const GONE: Farewell = Farewell(close_code::AWAY, "the peer is gone");
        let options = self.app.options().clone();
        let first = Signal::Wake { log: self.log, seq: self.start };
        let mut pings = interval_at(Instant::now() + options.ping_interval, options.ping_interval);
        let mut answered = true;
        let (mut waiting, mut asks) = (Some(first), false);
        loop {
            if std::mem::take(&mut asks)
                && let Some(farewell) = ended(&self.app, &self.bearer, self.log).await
            {
                return farewell;
            }
            if let Some(signal) = waiting.take() {
                match timeout(options.write_stall, self.write(socket, signal)).await {
                    Ok(Ok(of_tokens)) => asks |= of_tokens,
                    Ok(Err(_)) => return GONE,
                    Err(_) => return Farewell(close_code::POLICY, "the peer does not read"),
                }
            }
            tokio::select! {
                signal = self.source.next() => match signal {
                    Some(signal) if is_of_tokens(&signal) => asks = true,
                    Some(signal) => waiting = Some(signal),
                    None => return Farewell(close_code::AGAIN, "wakes are not to be had now"),
                },
                frame = socket.recv() => match frame {
                    Some(Ok(Message::Pong(_))) => answered = true,
                    Some(Ok(Message::Ping(_))) => {}
                    Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                        return Farewell(close_code::UNSUPPORTED, "this socket only speaks; nothing is expected on it");
                    }
                    Some(Ok(Message::Close(_))) | None => return GONE,
                    Some(Err(_)) => return Farewell(close_code::PROTOCOL, "not a WebSocket frame, or one too large"),
                },
                _ = pings.tick() => {
                    if !answered {
                        return Farewell(close_code::POLICY, "no answer to a ping");
                    }
                    answered = false;
                    asks = true;
                    match timeout(options.write_stall, socket.send(Message::Ping(bytes::Bytes::new()))).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return GONE,
                        Err(_) => return Farewell(close_code::POLICY, "the peer does not read"),
                    }
                }
                () = reached(&mut self.phase, Phase::Closing) => {
                    return Farewell(close_code::RESTART, "the server is stopping");
                }
            }
        }
    }

    /// Writes this signal and every other that waits already, then flushes once; whether some were about tokens.
    async fn write(&mut self, socket: &mut WebSocket, first: Signal) -> Result<bool, axum::Error> {
        let (mut next, mut of_tokens) = (Some(first), false);
        for _ in 0..FRAMES_PER_FLUSH_MAX {
            let Some(signal) = next.take() else { break };
            if is_of_tokens(&signal) {
                of_tokens = true;
            } else if let Signal::Wake { log, seq } = signal {
                let frame = WakeFrame { wake: WakeJson { log: log.log, seq } };
                let text = serde_json::to_string(&frame).map_err(axum::Error::new)?;
                socket.feed(Message::Text(text.into())).await?;
            }
            next = self.at_hand().await;
        }
        socket.flush().await.map(|()| of_tokens)
    }

    /// The next signal if there is one without waiting.
    async fn at_hand(&mut self) -> Option<Signal> {
        let mut next = self.source.next();
        poll_fn(|context| match next.as_mut().poll(context) {
            Poll::Ready(signal) => Poll::Ready(signal),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

/// Whether a signal is about who may do what, and nothing that a listener hears of.
fn is_of_tokens(signal: &Signal) -> bool {
    matches!(signal, Signal::Wake { log, .. } if log.log == LogId::SYSTEM)
}

/// Why the token that opened the socket no longer would. When that cannot be said now, it is asked again.
async fn ended(app: &App, bearer: &str, log: LogKey) -> Option<Farewell> {
    match app.0.authenticator.authenticate(bearer, env::now()).await {
        Ok(caller) if caller.may(Access::Read, log.log) => None,
        Ok(_) => Some(Farewell(NOT_ALLOWED, "the token no longer reads this log")),
        Err(refusal) if refusal.code == ErrorCode::Unauthenticated => {
            Some(Farewell(TOKEN_ENDED, "the token has ended"))
        }
        Err(_) => None,
    }
}
