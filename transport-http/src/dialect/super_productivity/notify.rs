//! `GET /api/sync/ws`: devices hear that there is something new, and pass presence to each other.
//!
//! What goes over the bus is a hint and may be lost: a device that hears nothing finds out by asking. Nothing of it is
//! stored. What must hold: a socket ends when its token does, when its device opens another, and when its peer no
//! longer answers; a device that opens one after the other at once keeps the first, or two windows of one browser would
//! replace each other for ever.
//!
//! Next: `sockets` counts who is there, `presence` is what devices tell each other.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use syncline::id::{LogKey, ReplicaId};
use syncline::seq::Seq;
use syncline::store::{Interest, Signal};
use tokio::time::{Instant, interval_at, sleep_until};

use super::SuperProductivity;
use super::accounts::{Account, AuthError};
use super::presence::Presence;
use super::sockets::{Entered, NoPlace, Sockets};
use super::{names, query, validate};
use crate::server::env;

/// Bytes of a frame a device may send: presence at its largest, every character of it escaped.
const FRAME_BYTES_MAX: usize = 64 << 10;
/// News wait for so long, so that a burst is one message.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// What a socket holds for reading, and before it writes; the defaults of 128 KiB are for peers that send much.
const BUFFER_BYTES: usize = 4_096;
const PING: Duration = Duration::from_secs(30);
/// First byte of what goes over the bus.
const NEWS: u8 = b'n';
const PRESENCE: u8 = b'p';
const REVOKED: u8 = b'r';

mod close {
    pub(super) const FAILED: (u16, &str) = (1011, "Internal error");
    pub(super) const BAD_PARAMETERS: (u16, &str) = (4001, "Invalid parameters");
    pub(super) const NOT_ALLOWED: (u16, &str) = (4003, "Authentication failed");
    pub(super) const TOO_MANY: (u16, &str) = (4008, "Too many connections");
    pub(super) const TOO_FAST: (u16, &str) = (4008, "Reconnecting too fast");
    pub(super) const REPLACED: (u16, &str) = (4009, "Replaced by a newer connection");
}

/// What this process tells devices, and which of them are here.
#[derive(Debug)]
pub(super) struct Notifier {
    fanout: Arc<dyn syncline::store::Fanout>,
    sockets: Arc<Sockets>,
}

impl Notifier {
    pub(super) fn new(fanout: Arc<dyn syncline::store::Fanout>) -> Self {
        Self { fanout, sockets: Arc::default() }
    }

    /// Says that a device wrote up to a seq. That it cannot be said is nobody's failure.
    pub(super) async fn written(&self, log: LogKey, seq: Seq, by: ReplicaId) {
        let mut payload = vec![NEWS];
        payload.extend_from_slice(seq.to_string().as_bytes());
        self.tell(log, by, payload.into()).await;
    }

    /// Says that tokens of an account were revoked: its sockets look at theirs now and not at the next ping.
    pub(super) async fn revoked(&self, log: LogKey) {
        self.tell(log, ReplicaId::SERVER, Bytes::from_static(&[REVOKED])).await;
    }

    async fn show(&self, log: LogKey, from: ReplicaId, presence: &Presence) {
        self.sockets.heard(log, from, presence);
        let mut payload = vec![PRESENCE];
        payload.extend(serde_json::to_vec(presence).unwrap_or_default());
        self.tell(log, from, payload.into()).await;
    }

    async fn tell(&self, log: LogKey, from: ReplicaId, payload: Bytes) {
        if let Err(error) = self.fanout.publish(Signal::Ephemeral { log, from, payload }).await {
            tracing::debug!(%error, "a hint is lost");
        }
    }
}

/// `GET /api/sync/ws`.
pub(super) async fn upgrade(
    State(sp): State<SuperProductivity>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let fields = query::fields(&query.unwrap_or_default());
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let (token, client) = (field("token"), field("clientId"));
    upgrade
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(syncline::limits::SOCKET_UNREAD_BYTES_MAX)
        .on_upgrade(move |socket| async move { serve(&sp, socket, &token, &client).await })
}

async fn serve(sp: &SuperProductivity, mut socket: WebSocket, token: &str, client: &str) {
    let (code, reason) = match admit(sp, token, client).await {
        Ok((account, entered)) => {
            let ended = talk(sp, &mut socket, &account, &entered, token, client).await;
            drop(entered);
            gone(sp, account.log, client).await;
            match ended {
                Some(close) => close,
                None => return,
            }
        }
        Err(close) => close,
    };
    // A peer that has left needs no goodbye.
    let _ = socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
}

type Close = (u16, &'static str);

async fn admit(sp: &SuperProductivity, token: &str, client: &str) -> Result<(Account, Entered), Close> {
    if token.is_empty() || !validate::is_client_id(client) {
        return Err(close::BAD_PARAMETERS);
    }
    let account = sp.accounts().authenticate(token, env::now()).await.map_err(|error| match error {
        AuthError::Failed(_) => close::FAILED,
        AuthError::Invalid | AuthError::Missing => close::NOT_ALLOWED,
    })?;
    match sp.notify().sockets.enter(account.log, client, Instant::now()) {
        Ok(entered) => Ok((account, entered)),
        Err(NoPlace::TooMany) => Err(close::TOO_MANY),
        Err(NoPlace::TooFast) => Err(close::TOO_FAST),
    }
}

/// The others learn that what a device said about itself may no longer be so.
async fn gone(sp: &SuperProductivity, log: LogKey, client: &str) {
    let (notify, me) = (sp.notify(), names::replica(client));
    if notify.sockets.is_here(log, client) {
        return;
    }
    let mine = notify.sockets.presence(log).filter(|(from, _)| *from == me);
    if let Some(presence) = mine.and_then(|(_, presence)| presence.with_producer(false)) {
        notify.show(log, me, &presence).await;
    }
}

/// Greets a device: what others are doing now, or that it is back itself.
async fn greet(sp: &SuperProductivity, socket: &mut WebSocket, log: LogKey, client: &str) -> Option<()> {
    say(socket, &json!({ "type": "connected", "clientId": client, "timestamp": env::now().ms() })).await?;
    let me = names::replica(client);
    let Some((from, presence)) = sp.notify().sockets.presence(log) else { return Some(()) };
    if from != me {
        return say(socket, &presence).await;
    }
    if let Some(back) = presence.with_producer(true) {
        sp.notify().show(log, me, &back).await;
    }
    Some(())
}

/// Until the socket ends; how to close it, when it is still there.
async fn talk(
    sp: &SuperProductivity,
    socket: &mut WebSocket,
    account: &Account,
    entered: &Entered,
    token: &str,
    client: &str,
) -> Option<Close> {
    let me = names::replica(client);
    let sockets = &sp.notify().sockets;
    let mut signals = sp.server().fanout().subscribe(Interest::Logs(vec![account.log])).await.ok()?;
    greet(sp, socket, account.log, client).await?;
    let mut pings = interval_at(Instant::now() + PING, PING);
    let mut news: Option<(u64, Instant)> = None;
    let mut answered = true;
    loop {
        let due = news.map_or_else(|| Instant::now() + PING, |(_, due)| due);
        tokio::select! {
            signal = signals.next() => match signal? {
                Signal::Ephemeral { from, payload, .. } if from != me => match payload.split_first() {
                    Some((&NEWS, seq)) => {
                        let seq = std::str::from_utf8(seq).ok().and_then(|seq| seq.parse().ok()).unwrap_or(0);
                        let (newest, due) = news.unwrap_or((0, Instant::now() + DEBOUNCE));
                        news = Some((newest.max(seq), due));
                    }
                    Some((&PRESENCE, text)) => {
                        if let Ok(presence) = serde_json::from_slice::<Presence>(text) {
                            sockets.heard(account.log, from, &presence);
                            say(socket, &presence).await?;
                        }
                    }
                    Some((&REVOKED, _)) if is_revoked(sp, token).await => return Some(close::NOT_ALLOWED),
                    _ => {}
                },
                _ => {}
            },
            () = sleep_until(due), if news.is_some() => {
                let latest = news.take().map_or(0, |(latest, _)| latest);
                say(socket, &json!({ "type": "new_ops", "latestSeq": latest, "timestamp": env::now().ms() })).await?;
            }
            _ = pings.tick() => {
                // A peer that left the last ping unanswered is gone; a token that was revoked ends its sockets.
                if !answered {
                    return None;
                }
                if is_revoked(sp, token).await {
                    return Some(close::NOT_ALLOWED);
                }
                answered = false;
                // A page in a browser does not see pings of the protocol, and hangs up when it sees nothing for 45 s.
                say(socket, &json!({ "type": "ping", "timestamp": env::now().ms() })).await?;
                socket.send(Message::Ping(Bytes::new())).await.ok()?;
            }
            () = entered.replaced.notified() => return Some(close::REPLACED),
            received = socket.recv() => match received?.ok()? {
                Message::Text(text) => {
                    answered = true;
                    let last = sockets.presence(account.log).map(|(_, presence)| presence);
                    if let Some(presence) = Presence::of(&text, last.as_ref(), env::now()) {
                        sp.notify().show(account.log, me, &presence).await;
                    }
                }
                Message::Close(_) => {
                    // The answer goes out with the next look; without it the device takes its goodbye for a broken line.
                    let _ = socket.recv().await;
                    return None;
                }
                _ => answered = true,
            },
        }
    }
}

/// Whether a token holds no more. That nobody can say is no reason to end a socket for good.
async fn is_revoked(sp: &SuperProductivity, token: &str) -> bool {
    matches!(sp.accounts().authenticate(token, env::now()).await, Err(AuthError::Invalid | AuthError::Missing))
}

async fn say(socket: &mut WebSocket, message: &impl serde::Serialize) -> Option<()> {
    let text = serde_json::to_string(message).ok()?;
    socket.send(Message::Text(text.into())).await.ok()
}
