//! Wakes from the server's WebSocket.

use async_trait::async_trait;
use futures_util::StreamExt as _;
use serde::Deserialize;
use syncline::client::CallError;
use syncline::id::{LogId, LogKey};
use syncline::limits;
use syncline::seq::Seq;
use syncline::store::{Signal, SignalSource};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::answer::{self, Answer};
use super::ask::path;
use super::http::{HttpClient, bearer};
use crate::route::Route;

/// Wakes of one log, the newest of those that wait. Ends when the connection does; then connect again, and pull: what
/// was written in between is not told.
#[derive(Debug)]
pub struct Wakes {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    log: LogKey,
    patience: std::time::Duration,
}

#[derive(Deserialize)]
struct Frame {
    wake: Option<Wake>,
}

#[derive(Deserialize)]
struct Wake {
    log: LogId,
    seq: Seq,
}

impl HttpClient {
    /// Listens to a log. The first wake says where it ends now. The bucket of `log` is not sent, it is the token's; it
    /// is what the signals will say.
    ///
    /// # Errors
    /// As a call.
    pub async fn wakes(&self, log: LogKey) -> Result<Wakes, CallError> {
        let unreachable = |error: Error| CallError::Unreachable(error.into());
        let target = self.base.join(&path(Route::Wake, log.log));
        let target = target.map_err(|error| CallError::Protocol(error.to_string()))?;
        let target = target.as_str().replacen("http", "ws", 1);
        let mut request = target.into_client_request().map_err(unreachable)?;
        let bearer = bearer(&self.options.bearer).map_err(|error| CallError::Protocol(error.to_string()))?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let config = WebSocketConfig::default()
            .read_buffer_size(4_096)
            .max_frame_size(Some(limits::SOCKET_FRAME_BYTES_MAX))
            .max_message_size(Some(limits::SOCKET_FRAME_BYTES_MAX));
        let connect = connect_async_with_config(request, Some(config), true);
        match timeout(self.options.connect_timeout, connect).await {
            Err(elapsed) => Err(CallError::Unreachable(elapsed.into())),
            Ok(Ok((socket, _))) => Ok(Wakes { socket, log, patience: self.options.wake_timeout }),
            Ok(Err(Error::Http(response))) => Err(refused(*response)),
            Ok(Err(error)) => Err(unreachable(error)),
        }
    }
}

/// A handshake that was answered like a call.
fn refused(response: tokio_tungstenite::tungstenite::http::Response<Option<Vec<u8>>>) -> CallError {
    let (head, body) = response.into_parts();
    let media_type = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let answer = Answer {
        status: head.status.as_u16(),
        media_type: media_type.to_ascii_lowercase(),
        retry_after: answer::asked_wait(&head.headers),
        body: body.unwrap_or_default().into(),
    };
    match answer::read(Route::Wake, &answer) {
        Err(error) => error,
        Ok(_) => CallError::Protocol("the handshake was not answered with an upgrade".into()),
    }
}

#[async_trait]
impl SignalSource for Wakes {
    async fn next(&mut self) -> Option<Signal> {
        loop {
            // Pings count as a sign of life and are answered by the library.
            let message = timeout(self.patience, self.socket.next()).await.ok()??.ok()?;
            match message {
                Message::Text(text) => {
                    // A frame of a kind this build does not know is none of its business.
                    let frame: Frame = serde_json::from_str(text.as_str()).ok()?;
                    if let Some(Wake { seq, .. }) = frame.wake.filter(|wake| wake.log == self.log.log) {
                        return Some(Signal::Wake { log: self.log, seq });
                    }
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }
}
