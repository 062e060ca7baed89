//! Wakes over a WebSocket, and stopping without losing what was promised.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::*;
use syncline::access::Access;
use syncline::call::{Call, Push, Reply};
use syncline::client::{CallError, Transport as _};
use syncline::store::{Signal, SignalSource};
use syncline_transport_http::client::{Compression, Form};
use syncline_transport_http::server::ServerOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn push(counter: u32) -> Call {
    let ops = vec![op(1, counter, json_payload("1"))];
    Call::Push(Push { log: LOG, request: None, cursor: None, atomic: false, ops })
}

async fn next(wakes: &mut impl SignalSource) -> Option<u64> {
    match tokio::time::timeout(PATIENCE, wakes.next()).await.expect("a wake or an end") {
        Some(Signal::Wake { log, seq }) => {
            assert_eq!(log, KEY);
            Some(seq.get())
        }
        _ => None,
    }
}

/// A WebSocket by hand, after its handshake.
async fn socket(rig: &Rig) -> TcpStream {
    socket_of(rig, OPERATOR).await
}

async fn socket_of(rig: &Rig, bearer: &str) -> TcpStream {
    let mut stream = rig.dial().await;
    let request = format!(
        "GET /v1/logs/{LOG}/wake HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {bearer}\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Reads frames until the server closes; the close code, or 0.
async fn close_code(stream: &mut TcpStream) -> u16 {
    let read = async {
        let mut code = 0;
        loop {
            let Ok(first) = stream.read_u8().await else { return code };
            let Ok(length) = stream.read_u8().await else { return code };
            let mut body = vec![0; length.into()];
            if stream.read_exact(&mut body).await.is_err() {
                return code;
            }
            if first & 0x0f == 8 {
                code = u16::from_be_bytes([body[0], body[1]]);
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the server closes")
}

/// A frame as a client sends it, with a mask of zeros.
fn frame(opcode: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode, 0x80 | 127];
    frame.extend_from_slice(&u64::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(body);
    frame
}

#[tokio::test]
async fn a_listener_hears_where_the_log_ends_and_every_growth_after() {
    let rig = Rig::start().await;
    let client = rig.client();
    let mut early = client.wakes(KEY).await.unwrap();
    assert_eq!(next(&mut early).await, Some(0), "before anybody has written");
    client.call(push(1)).await.unwrap();
    assert_eq!(next(&mut early).await, Some(1));
    let mut late = client.wakes(KEY).await.unwrap();
    assert_eq!(next(&mut late).await, Some(1));
    for counter in 2..=100 {
        client.call(push(counter)).await.unwrap();
    }
    // Wakes may merge; the last one says it all.
    for wakes in [&mut early, &mut late] {
        let mut heard = 1;
        while heard < 100 {
            let seq = next(wakes).await.expect("more wakes");
            assert!(seq > heard, "{seq} after {heard}");
            heard = seq;
        }
    }
}

#[tokio::test]
async fn a_listener_whose_token_ends_is_let_go() {
    let options = ServerOptions { ping_interval: Duration::from_millis(50), ..ServerOptions::default() };
    let rig = Rig::with(options).await;
    let mint = Call::MintToken { name: "t".into(), access: Access::Read, logs: None, replica: None, expires_at: None };
    let Ok(Reply::Token { id, bearer }) = rig.client().call(mint).await else { panic!("a token") };
    let reader = rig.client_of(&bearer.to_string(), Form::Binary, Compression::Zstd);
    let mut wakes = reader.wakes(KEY).await.unwrap();
    assert_eq!(next(&mut wakes).await, Some(0));
    rig.client().call(Call::RevokeToken(id)).await.unwrap();
    assert_eq!(next(&mut wakes).await, None);
    assert!(matches!(reader.wakes(KEY).await, Err(CallError::Refused(_))));
}

#[tokio::test]
async fn e39_the_socket_of_who_may_not_listen_any_more_is_closed_at_once_with_what_is_wrong() {
    // Long before anybody is pinged.
    let rig = Rig::start().await;
    let client = rig.client();
    client.call(push(1)).await.unwrap();
    let mut devices = Vec::new();
    for name in ["revoked", "taken out", "stays"] {
        let (logs, access) = (Some(Vec::new()), Access::Read);
        let call = Call::MintToken { name: name.into(), access, logs, replica: None, expires_at: None };
        let Reply::Token { id, bearer } = client.call(call).await.unwrap() else { panic!("no token") };
        devices.push((id, bearer.to_string()));
    }
    let Reply::GroupMade(group) = client.call(Call::CreateGroup { name: "readers".into() }).await.unwrap() else {
        panic!("no group")
    };
    client.call(Call::SetGrant { group, log: LOG, access: Some(Access::Write) }).await.unwrap();
    for (token, _) in &devices {
        client.call(Call::SetMember { group, token: *token, member: true }).await.unwrap();
    }
    let mut sockets = Vec::new();
    for (_, bearer) in &devices {
        sockets.push(socket_of(&rig, bearer).await);
    }
    let stays = rig.client_of(&devices[2].1, Form::Binary, Compression::Zstd);
    let mut wakes = stays.wakes(KEY).await.unwrap();
    assert_eq!(next(&mut wakes).await, Some(1));
    client.call(Call::RevokeToken(devices[0].0)).await.unwrap();
    assert_eq!(close_code(&mut sockets[0]).await, 4401);
    client.call(Call::SetMember { group, token: devices[1].0, member: false }).await.unwrap();
    assert_eq!(close_code(&mut sockets[1]).await, 4403);
    client.call(push(2)).await.unwrap();
    assert_eq!(next(&mut wakes).await, Some(2), "others hear on, and nothing of the others' tokens");
    client.call(Call::DeleteGroup(group)).await.unwrap();
    assert_eq!(close_code(&mut sockets[2]).await, 4403);
    assert_eq!(next(&mut wakes).await, None);
}

#[tokio::test]
async fn fault_w15_a_peer_that_talks_floods_or_stays_silent_is_let_go() {
    let options = ServerOptions { ping_interval: Duration::from_millis(100), ..ServerOptions::default() };
    let rig = Rig::with(options).await;
    for (opcode, name) in [(1, "text"), (2, "binary")] {
        let mut stream = socket(&rig).await;
        stream.write_all(&frame(opcode, b"hello")).await.unwrap();
        assert_eq!(close_code(&mut stream).await, 1003, "{name}");
    }
    let mut stream = socket(&rig).await;
    // The header alone says that the frame is larger than allowed; what is left unread would cut off the answer.
    let huge = frame(2, &vec![0; (64 << 10) + 1]);
    stream.write_all(&huge[..14]).await.unwrap();
    assert_eq!(close_code(&mut stream).await, 1002, "an oversized frame");
    let mut stream = socket(&rig).await;
    stream.write_all(b"this is not a frame at all").await.unwrap();
    assert_eq!(close_code(&mut stream).await, 1002, "no frame");
    let mut silent = socket(&rig).await;
    assert_eq!(close_code(&mut silent).await, 1008, "pings are not answered");
    let mut wakes = rig.client().wakes(KEY).await.unwrap();
    assert_eq!(next(&mut wakes).await, Some(0), "others are not affected");
}

/// Answers to pings wait for a peer that does not read them: not more than so many bytes of them.
#[tokio::test]
async fn fault_w15_what_a_peer_does_not_read_takes_no_room() {
    const SENT: usize = 48 << 20;
    let rig = Rig::with(ServerOptions::default()).await;
    let mut deaf = socket(&rig).await;
    let pings = frame(9, &[b'x'; 125]).repeat(8_000);
    let before = peak_bytes();
    for _ in 0..SENT / pings.len() {
        deaf.write_all(&pings).await.unwrap();
    }
    let grown = peak_bytes().saturating_sub(before);
    assert!(grown < SENT / 4, "{grown} bytes for {SENT} of pings");
}

/// It neither reads what it is sent nor leaves, and keeps the server busy with pings as long as it can write.
#[tokio::test]
async fn fault_w15_a_peer_that_sends_and_never_reads_frees_its_place() {
    let brief = Duration::from_millis(200);
    let rig = Rig::with(ServerOptions {
        ping_interval: brief,
        write_stall: brief,
        sockets_at_once_max: 1,
        ..ServerOptions::default()
    })
    .await;
    let mut deaf = socket(&rig).await;
    assert!(rig.client().wakes(KEY).await.is_err(), "its place is taken");
    let pings = frame(9, &[b'x'; 125]).repeat(1_000);
    let flood = async {
        while deaf.write_all(&pings).await.is_ok() {}
        // Cut off, it does not go away either.
        std::future::pending::<()>().await;
    };
    let again = async { while rig.client().wakes(KEY).await.is_err() {} };
    let freed = async {
        tokio::select! { () = flood => {}, () = again => {} }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("its place is free again");
}

#[tokio::test]
async fn more_sockets_than_allowed_are_refused_with_busy() {
    let rig = Rig::with(ServerOptions { sockets_at_once_max: 1, ..ServerOptions::default() }).await;
    let first = rig.client().wakes(KEY).await.unwrap();
    let Err(CallError::Refused(refusal)) = rig.client().wakes(KEY).await else { panic!("a refusal") };
    assert_eq!(refusal.code.name(), "BUSY");
    drop(first);
    let again = async { while rig.client().wakes(KEY).await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.expect("the place is free again");
}

#[tokio::test]
async fn stopping_answers_what_is_in_flight_closes_sockets_and_loses_nothing_acknowledged() {
    let mut rig = Rig::start().await;
    let client = rig.client();
    let mut wakes = client.wakes(KEY).await.unwrap();
    assert_eq!(next(&mut wakes).await, Some(0));
    let mut by_hand = socket(&rig).await;
    // A push whose body is half there when the stop comes.
    let body = push_one(1, 1, r#"{"json":1}"#);
    let mut half = rig.dial().await;
    half.write_all(head("POST", &ops_path(), &[("content-type", "application/json")], Some(body.len())).as_bytes())
        .await
        .unwrap();
    half.write_all(&body[..10]).await.unwrap();
    // An idle connection, and one on which the server has certainly begun to read the half push.
    let mut idle = rig.dial().await;
    idle.write_all(b"GET /health/ready HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut ready = [0; 12];
    idle.read_exact(&mut ready).await.unwrap();
    assert_eq!(&ready, b"HTTP/1.1 200");
    rig.begin_stop();
    assert_eq!(next(&mut wakes).await, None, "sockets are closed");
    assert_eq!(close_code(&mut by_hand).await, 1012);
    Answer::read(&mut idle).await;
    half.write_all(&body[10..]).await.unwrap();
    let answer = Answer::read(&mut half).await;
    assert_eq!((answer.status, &answer.json()["verdicts"][0]["verdict"]), (200, &"accepted".into()));
    assert_eq!(rig.end().await.get(), 1, "what was acknowledged is there");
    assert!(TcpStream::connect(rig.addr).await.is_err(), "nothing new is taken");
    rig.stopped().await;
}

#[tokio::test]
async fn readiness_goes_off_first_and_the_deadline_is_kept() {
    let options =
        ServerOptions { stop_notice: PATIENCE, stop_deadline: Duration::from_millis(100), ..ServerOptions::default() };
    let mut rig = Rig::with(options).await;
    assert_eq!(rig.request("GET", "/health/ready", &[], b"").await.status, 200);
    rig.begin_stop();
    let off = async {
        loop {
            let answer = rig.request("GET", "/health/ready", &[], b"").await;
            if answer.status != 200 {
                return answer;
            }
        }
    };
    let off = tokio::time::timeout(PATIENCE, off).await.expect("readiness goes off");
    assert_eq!(off.code(), "SHUTTING_DOWN");
    assert_eq!(rig.request("GET", "/health/live", &[], b"").await.status, 200);
    assert_eq!(rig.push_json(&push_one(1, 1, r#"{"json":1}"#)).await.status, 200, "work is still taken");

    let options = ServerOptions { stop_deadline: Duration::from_millis(100), ..ServerOptions::default() };
    let mut rig = Rig::with(options).await;
    let mut stuck = rig.dial().await;
    stuck
        .write_all(head("POST", &ops_path(), &[("content-type", "application/json")], Some(9)).as_bytes())
        .await
        .unwrap();
    assert_eq!(rig.request("GET", "/health/live", &[], b"").await.status, 200);
    rig.begin_stop();
    rig.stopped().await;
}
