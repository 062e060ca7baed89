//! `GET /api/sync/ws`: devices hear that there is something new, and pass presence to each other.
//!
//! What goes over the bus is a hint and may be lost: a device that hears nothing finds out by asking. Nothing of it is
//! stored. What must hold: a socket ends when its token does, when its device opens another, and when its peer no
//! longer answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use syncline::id::{LogKey, ReplicaId};
use syncline::seq::Seq;
use syncline::store::{Interest, Signal};
use tokio::sync::Notify as Bell;
use tokio::time::{Instant, interval_at, sleep_until};

use super::SuperProductivity;
use super::accounts::Account;
use super::{names, query, validate};
use crate::server::env;

/// Sockets of one account.
const SOCKETS_MAX: usize = 10;
/// Bytes of a frame a device may send.
const FRAME_BYTES_MAX: usize = 8 << 10;
/// News wait for so long, so that a burst is one message.
const DEBOUNCE: Duration = Duration::from_millis(100);
const PING: Duration = Duration::from_secs(30);
/// First byte of what goes over the bus.
const NEWS: u8 = b'n';
const PRESENCE: u8 = b'p';

mod close {
    pub(super) const BAD_PARAMETERS: (u16, &str) = (4001, "Invalid parameters");
    pub(super) const NOT_ALLOWED: (u16, &str) = (4003, "Authentication failed");
    pub(super) const TOO_MANY: (u16, &str) = (4008, "Too many connections");
    pub(super) const REPLACED: (u16, &str) = (4009, "Replaced by a newer connection");
}

/// The sockets of this process.
#[derive(Debug)]
pub(super) struct Notifier {
    fanout: Arc<dyn syncline::store::Fanout>,
    open: Mutex<HashMap<LogKey, Vec<Open>>>,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    client: String,
    replaced: Arc<Bell>,
}

impl Notifier {
    pub(super) fn new(fanout: Arc<dyn syncline::store::Fanout>) -> Self {
        Self { fanout, open: Mutex::default(), numbers: AtomicU64::new(0) }
    }

    /// Says that a device wrote up to a seq. That it cannot be said is nobody's failure.
    pub(super) async fn written(&self, log: LogKey, seq: Seq, by: ReplicaId) {
        let mut payload = vec![NEWS];
        payload.extend_from_slice(seq.to_string().as_bytes());
        self.tell(log, by, payload.into()).await;
    }

    async fn tell(&self, log: LogKey, from: ReplicaId, payload: Bytes) {
        if let Err(error) = self.fanout.publish(Signal::Ephemeral { log, from, payload }).await {
            tracing::debug!(%error, "a hint is lost");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LogKey, Vec<Open>>> {
        // The list is whole whatever happened to whoever held it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more socket; the device's last one is told to go.
    fn enter(self: &Arc<Self>, log: LogKey, client: &str) -> Option<Entered> {
        let mut all = self.lock();
        let open = all.entry(log).or_default();
        if let Some(at) = open.iter().position(|other| other.client == client) {
            open.swap_remove(at).replaced.notify_one();
        }
        if open.len() >= SOCKETS_MAX {
            return None;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let replaced = Arc::new(Bell::new());
        open.push(Open { number, client: client.to_owned(), replaced: Arc::clone(&replaced) });
        Some(Entered { notifier: Arc::clone(self), log, number, replaced })
    }
}

/// A socket's place. Dropping it gives it back.
#[derive(Debug)]
struct Entered {
    notifier: Arc<Notifier>,
    log: LogKey,
    number: u64,
    replaced: Arc<Bell>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut all = self.notifier.lock();
        if let Some(open) = all.get_mut(&self.log) {
            open.retain(|other| other.number != self.number);
            if open.is_empty() {
                all.remove(&self.log);
            }
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
        .on_upgrade(move |socket| async move { serve(&sp, socket, &token, &client).await })
}

async fn serve(sp: &SuperProductivity, mut socket: WebSocket, token: &str, client: &str) {
    let (code, reason) = match admit(sp, token, client).await {
        Ok((account, entered)) => match talk(sp, &mut socket, &account, &entered, token, client).await {
            Some(close) => close,
            None => return,
        },
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
    let account = sp.accounts().authenticate(token, env::now()).await.map_err(|_| close::NOT_ALLOWED)?;
    let entered = sp.notify().enter(account.log, client).ok_or(close::TOO_MANY)?;
    Ok((account, entered))
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
    let mut signals = sp.server().fanout().subscribe(Interest::Logs(vec![account.log])).await.ok()?;
    say(socket, &json!({ "type": "connected", "clientId": client, "timestamp": env::now().ms() })).await?;
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
                        let text = String::from_utf8(text.to_vec()).unwrap_or_default();
                        socket.send(Message::Text(text.into())).await.ok()?;
                    }
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
                if sp.accounts().authenticate(token, env::now()).await.is_err() {
                    return Some(close::NOT_ALLOWED);
                }
                answered = false;
                socket.send(Message::Ping(Bytes::new())).await.ok()?;
            }
            () = entered.replaced.notified() => return Some(close::REPLACED),
            received = socket.recv() => match received?.ok()? {
                Message::Text(text) => {
                    answered = true;
                    if is_presence(&text) {
                        let mut payload = vec![PRESENCE];
                        payload.extend_from_slice(text.as_bytes());
                        sp.notify().tell(account.log, me, payload.into()).await;
                    }
                }
                Message::Close(_) => return None,
                _ => answered = true,
            },
        }
    }
}

async fn say(socket: &mut WebSocket, message: &serde_json::Value) -> Option<()> {
    socket.send(Message::Text(message.to_string().into())).await.ok()
}

/// Presence is passed on unread; only its type is looked at.
fn is_presence(text: &str) -> bool {
    let fields: validate::Fields = serde_json::from_str(text).unwrap_or_default();
    let kind: Option<String> = validate::read(&fields, "type").ok().flatten();
    matches!(kind.as_deref(), Some("presence_state" | "presence_cmd"))
}
