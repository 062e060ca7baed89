//! News over the WebSocket, as a page in a browser gets them: from whichever server a device wrote to.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::api::Api;
use crate::ops;
use crate::world::{World, on_both};

/// How long anything may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// A device that listens.
struct Listener(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What it hears.
#[derive(Debug, PartialEq)]
enum Heard {
    Said(Value),
    Closed(u16),
}

impl Listener {
    async fn connect(api: &Api, client: &str) -> Self {
        let base = api.base.replacen("http", "ws", 1);
        let url = format!("{base}/api/sync/ws?token={}&clientId={client}", api.token);
        Self(connect_async(url).await.expect("an upgrade").0)
    }

    /// Connected, and greeted.
    async fn greeted(api: &Api, client: &str) -> Self {
        let mut listener = Self::connect(api, client).await;
        assert_eq!(listener.said().await["type"], "connected");
        listener
    }

    async fn next(&mut self) -> Heard {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("something to hear");
            match message.expect("an end with a goodbye").expect("a whole frame") {
                Message::Text(text) => return Heard::Said(serde_json::from_str(&text).expect("JSON")),
                Message::Close(frame) => return Heard::Closed(frame.map_or(1005, |frame| frame.code.into())),
                _ => {}
            }
        }
    }

    async fn said(&mut self) -> Value {
        match self.next().await {
            Heard::Said(value) => value,
            closed @ Heard::Closed(_) => panic!("{closed:?}"),
        }
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.expect("sent");
    }
}

async fn devices_hear_of_each_others_edits_and_doings(world: &World) {
    let here = world.account("news").await;
    let there = world.elsewhere(&here);
    let mut one = Listener::greeted(&here, "devA").await;
    let mut two = Listener::greeted(&there, "devB").await;
    here.upload("devA", &[ops::update("a1", "devA", "t1", &json!({"devA": 1}))]).await.ok();
    let news = two.said().await;
    assert_eq!((&news["type"], &news["latestSeq"]), (&json!("new_ops"), &json!(1)));
    there.upload("devB", &[ops::update("b1", "devB", "t2", &json!({"devB": 1}))]).await.ok();
    let news = one.said().await;
    assert_eq!((&news["type"], &news["latestSeq"]), (&json!("new_ops"), &json!(2)), "and nothing about its own edit");
    let mut seen: Vec<_> = there.get("/api/sync/devices").await.ok()["devices"].as_array().unwrap().clone();
    seen.sort_by_key(|device| device["clientId"].to_string());
    assert_eq!(seen.iter().map(|device| &device["clientId"]).collect::<Vec<_>>(), ["devA", "devB"]);

    two.say(json!({"type": "presence_state", "payload": "sealed"})).await;
    let state = one.said().await;
    assert_eq!((&state["payload"], &state["producerConnected"]), (&json!("sealed"), &json!(true)));
    two.say(json!({"type": "presence_state", "payload": "sealed again"})).await;
    assert!(one.said().await["ordinal"].as_u64() > state["ordinal"].as_u64());
    let mut late = Listener::greeted(&there, "devC").await;
    assert_eq!(late.said().await["payload"], "sealed again", "who comes later sees it too");
    one.say(json!({"type": "presence_cmd", "payload": "stop"})).await;
    assert_eq!(two.said().await["type"], "presence_cmd");
    two.0.close(None).await.expect("sent");
    assert!(matches!(two.next().await, Heard::Closed(_)), "a goodbye is answered");
    assert_eq!(one.said().await["producerConnected"], false, "its doings may have changed since");
}

on_both!(
    devices_hear_of_each_others_edits_and_doings,
    devices_hear_of_each_others_edits_and_doings_on_sqlite,
    devices_hear_of_each_others_edits_and_doings_on_two_servers
);

async fn a_socket_ends_with_its_token(world: &World) {
    let here = world.account("revoked").await;
    let mut stranger = Listener::connect(&Api::new(&here.base, "not-a-token"), "devX").await;
    assert_eq!(stranger.next().await, Heard::Closed(4003));
    let mut nameless = Listener::connect(&here, "no%20name").await;
    assert_eq!(nameless.next().await, Heard::Closed(4001));
    let mut one = Listener::greeted(&here, "devA").await;
    let mut two = Listener::greeted(&world.elsewhere(&here), "devB").await;
    let mut again = Listener::connect(&here, "devA").await;
    assert_eq!(
        again.next().await,
        Heard::Closed(4008),
        "the first stays: two windows would replace each other for ever"
    );
    let token = here.post("/api/replace-token", &json!({})).await.ok()["token"].as_str().unwrap().to_owned();
    assert_eq!((one.next().await, two.next().await), (Heard::Closed(4003), Heard::Closed(4003)));
    Listener::greeted(&Api::new(&here.base, &token), "devA").await;
}

on_both!(
    a_socket_ends_with_its_token,
    a_socket_ends_with_its_token_on_sqlite,
    a_socket_ends_with_its_token_on_two_servers
);
