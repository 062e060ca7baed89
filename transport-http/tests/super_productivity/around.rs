//! What the server refuses around the routes: busy, too slow, a head too large. Clients of the dialect read none of
//! the engine's problem documents, and what they could not upload they must keep.

use std::time::Duration;

use serde_json::{Value, json};
use syncline_transport_http::dialect::super_productivity::Settings;
use syncline_transport_http::server::ServerOptions;
use tokio::io::AsyncWriteExt as _;

use crate::common::{self, Answer};
use crate::rig::{Rig, op};

const SITE: &str = "https://app.super-productivity.com";

/// In the dialect's form, readable to a browser of its site.
#[track_caller]
fn is_theirs(answer: &Answer, status: u16, body: &Value) {
    assert_eq!((answer.status, &answer.json()), (status, body), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(answer.header("access-control-allow-origin"), Some(SITE));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(answer.header("content-security-policy").is_some() && answer.header("x-request-id").is_some());
}

async fn rig(options: ServerOptions) -> Rig {
    Rig::of(Settings { test_routes: true, ..Settings::default() }, options).await
}

#[tokio::test]
async fn a_busy_server_tells_each_kind_of_client_in_its_own_words() {
    let rig = rig(ServerOptions { requests_at_once_max: 0, ..ServerOptions::default() }).await;
    let busy = json!({"error": "Server busy, please retry"});
    for (method, target) in [("POST", "/api/sync/ops"), ("POST", "/api/sync/snapshot"), ("POST", "/api/login")] {
        let answer = rig.send(method, target, &[("origin", SITE)], b"{}").await;
        is_theirs(&answer, 503, &busy);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let stranger = rig.send("GET", "/api/sync/status", &[("origin", "https://evil.example.org")], b"").await;
    assert_eq!((stranger.status, stranger.header("access-control-allow-origin")), (503, None));
    assert_eq!(rig.send("GET", "/v1/logs", &[], b"").await.code(), "BUSY", "the engine's own");
    for target in ["/health", "/health/live"] {
        assert_eq!(rig.send("GET", target, &[], b"").await.status, 200, "{target} is always answered");
    }
}

#[tokio::test]
async fn fault_an_upload_that_takes_too_long_is_one_to_repeat() {
    let rig = rig(ServerOptions { request_timeout: Duration::from_secs(1), ..ServerOptions::default() }).await;
    let user = rig.made("a").await;
    let bearer = format!("Bearer {}", user.token);
    for target in ["/api/sync/ops", "/api/sync/snapshot"] {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("origin", SITE)];
        let mut stream = tokio::net::TcpStream::connect(rig.addr).await.expect("a connection");
        // A body that never comes.
        stream.write_all(common::head("POST", target, &headers, Some(9)).as_bytes()).await.expect("sent");
        let answer = Answer::read(&mut stream).await;
        // The app keeps a state whose refusal says timeout, retry or a status from 500 on; any other it drops.
        is_theirs(&answer, 503, &json!({"error": "Request timeout, please retry"}));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let after = user.upload("devA", json!([op("1", "devA", "t1", json!({"devA": 1}))]), None).await;
    assert_eq!(after["latestSeq"], 1);
}

#[tokio::test]
async fn a_head_too_large_and_a_version_nobody_speaks_are_refused_in_their_form() {
    let rig = rig(ServerOptions::default()).await;
    let long = "x".repeat(20 << 10);
    let answer = rig.send("GET", "/api/sync/status", &[("origin", SITE), ("x-long", &long)], b"").await;
    let body = json!({
        "statusCode": 431, "code": "HPE_HEADER_OVERFLOW", "error": "Request Header Fields Too Large",
        "message": "Exceeded maximum allowed HTTP header size",
    });
    is_theirs(&answer, 431, &body);
    let answer = rig.send("GET", "/api/sync/status", &[("origin", SITE), ("syncline-protocol", "99")], b"").await;
    assert_eq!((answer.status, answer.json()["error"].is_string()), (426, true), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
}
