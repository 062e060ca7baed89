//! Devices, bodies, tokens, routes, sockets.

use serde_json::{Value, json};

use crate::common::gzip;
use crate::rig::{Rig, codes, op};

#[tokio::test]
async fn devices_are_listed_by_when_they_uploaded() {
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    assert_eq!(user.get("/api/sync/devices").await, json!({"devices": []}));
    user.upload("devA", json!([op("1", "devA", "t1", json!({"devA": 1}))]), None).await;
    let devices = user.get("/api/sync/devices").await;
    assert_eq!(devices["devices"][0]["clientId"], "devA");
    assert!(devices["devices"][0]["lastSeenAt"].is_u64());
}

#[tokio::test]
async fn bodies_may_be_packed_and_bad_ones_are_refused_in_their_words() {
    use base64::Engine as _;
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let body = |id: &str| json!({"ops": [op(id, "devA", id, json!({"devA": 1}))], "clientId": "devA"}).to_string();
    let post = async |headers: &[(&str, &str)], body: &[u8]| user.ask("POST", "/api/sync/ops", headers, body).await;
    for (id, encoding) in [("1", "gzip"), ("2", "GZIP")] {
        let answer = post(&[("content-encoding", encoding)], &gzip(body(id).as_bytes())).await;
        assert_eq!(codes(&answer.json()), ["accepted"], "{answer:?}");
    }
    let text = base64::engine::general_purpose::STANDARD.encode(gzip(body("3").as_bytes()));
    let packed = [("content-encoding", "gzip"), ("content-transfer-encoding", "base64")];
    assert_eq!(codes(&post(&packed, text.as_bytes()).await.json()), ["accepted"]);
    let whole = gzip(body("4").as_bytes());
    for bad in [&b"not gzip"[..], &whole[..whole.len() / 2], &gzip(b"{not json")] {
        let answer = post(&[("content-encoding", "gzip")], bad).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("Failed to decompress gzip body")));
    }
    assert_eq!(post(&packed, b"!!!").await.status, 400);
    let bomb = gzip(&vec![b' '; (100 << 20) + 1]);
    let answer = post(&[("content-encoding", "gzip")], &bomb).await;
    assert_eq!((answer.status, &answer.json()["error"]), (413, &json!("Decompressed payload too large")));
    let answer = post(&[("content-encoding", "gzip")], &vec![0; (10 << 20) + 1]).await;
    assert_eq!((answer.status, &answer.json()["error"]), (413, &json!("Compressed payload too large")));
    assert_eq!(post(&[("content-type", "application/octet-stream")], b"{}").await.status, 415);
    assert_eq!(post(&[("content-type", "text/plain")], b"{}").await.status, 400);
    assert_eq!(post(&[], b"{nope").await.status, 400);
    for wrong in [
        json!({"clientId": "devA"}),
        json!({"ops": [], "clientId": "devA"}),
        json!({"ops": [{}], "clientId": "dev A"}),
        json!({"ops": [{}], "clientId": "devA", "lastKnownServerSeq": null}),
        json!({"ops": [{}], "clientId": "devA", "requestId": ""}),
        json!([]),
    ] {
        let answer = post(&[], wrong.to_string().as_bytes()).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("Validation failed")), "{wrong}");
    }
    let many = json!({"ops": vec![json!({}); 101], "clientId": "devA"});
    let answer = post(&[], many.to_string().as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["maxOpsPerBatch"]), (413, &json!(100)));
}

#[tokio::test]
async fn only_a_token_opens_the_routes_and_other_routes_are_not() {
    let rig = Rig::start().await;
    let none = rig.send("GET", "/api/sync/status", &[("authorization", "")], b"").await;
    assert_eq!((none.status, &none.json()["error"]), (401, &json!("Missing or invalid Authorization header")));
    let wrong = rig.send("GET", "/api/sync/status", &[("authorization", "Bearer x")], b"").await;
    assert_eq!((wrong.status, &wrong.json()["error"]), (401, &json!("Invalid token")));
    for (method, target) in [("GET", "/api/nope"), ("PUT", "/api/sync/ops")] {
        let answer = rig.send(method, target, &[], b"").await;
        let message = format!("Route {method}:{target} not found");
        let expected = json!({"message": message, "error": "Not Found", "statusCode": 404});
        assert_eq!((answer.status, answer.json()), (404, expected));
    }
    let health = rig.send("GET", "/health", &[], b"").await;
    assert_eq!((health.status, health.json()), (200, json!({"status": "ok", "db": "connected"})));
    assert_eq!(rig.send("GET", "/health/live", &[], b"").await.status, 200, "the engine's own routes stand beside");
}

#[tokio::test]
async fn devices_that_listen_hear_of_others_and_not_of_themselves() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;
    let rig = Rig::start().await;
    let user = rig.user("a").await;
    let dial = async |client: &str, token: &str| {
        let url = format!("ws://{}/api/sync/ws?token={token}&clientId={client}", rig.addr);
        tokio_tungstenite::connect_async(url).await.expect("a socket").0
    };
    let (mut a, mut b) = (dial("devA", &user.token).await, dial("devB", &user.token).await);
    for socket in [&mut a, &mut b] {
        let said = socket.next().await.expect("a message").expect("a message").into_text().expect("text");
        assert!(said.contains("\"connected\""), "{said}");
    }
    user.upload("devA", json!([op("1", "devA", "t1", json!({"devA": 1}))]), None).await;
    let said = b.next().await.expect("news").expect("news").into_text().expect("text");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["type"], &said["latestSeq"]), (&json!("new_ops"), &json!(1)));
    // What devA hears first is devB's presence: of its own upload it heard nothing.
    b.send(Message::Text(r#"{"type":"presence_state","payload":"x"}"#.into())).await.expect("sent");
    let said = a.next().await.expect("presence").expect("presence").into_text().expect("text");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["type"], &said["payload"]), (&json!("presence_state"), &json!("x")));
    let closed = async |mut socket: tokio_tungstenite::WebSocketStream<_>| {
        let close = async {
            loop {
                if let Message::Close(Some(frame)) = socket.next().await.expect("a close").expect("a close") {
                    break u16::from(frame.code);
                }
            }
        };
        tokio::time::timeout(crate::common::PATIENCE, close).await.expect("it is closed")
    };
    // A device that comes back so soon keeps the socket it has.
    assert_eq!(closed(dial("devB", &user.token).await).await, 4008);
    a.send(Message::Text(r#"{"type":"presence_cmd","payload":"y"}"#.into())).await.expect("sent");
    let said = b.next().await.expect("a command").expect("a command").into_text().expect("text");
    assert!(said.contains("presence_cmd"), "{said}");
    assert_eq!(closed(dial("devC", "nonsense").await).await, 4003);
    assert_eq!(closed(dial("", &user.token).await).await, 4001);
}
