//! What HTTP promises, over real sockets: every call in every form, statuses, media types, encodings, limits to the
//! byte, problem documents, and a document that says all of it.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::*;
use syncline::access::Access;
use syncline::call::{Call, ErrorCode, Push, Pushed, Reply};
use syncline::client::{CallError, Transport as _};
use syncline::id::{LogId, RequestId};
use syncline::limits;
use syncline::oplog::{FullStateKind, OpKind, Sealing, Snapshot, Subject};
use syncline::seq::{Cursor, Seq};
use syncline::store::PageLimit;
use syncline::time::Timestamp;
use syncline_transport_http::client::{Compression, Form};
use syncline_transport_http::server::ServerOptions;
use tokio::io::AsyncWriteExt as _;

const JSON: (&str, &str) = ("content-type", "application/json");
const BINARY: &str = "application/vnd.syncline.v1";

fn push(ops: Vec<syncline::oplog::Op>) -> Call {
    Call::Push(Push { log: LOG, request: None, cursor: Some(Cursor::START), atomic: false, ops })
}

/// The code of a refusal.
fn code(answer: Result<Reply, CallError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(CallError::Refused(refusal)) => refusal.code.name(),
        Err(error) => panic!("{error}"),
    }
}

fn create(log: LogId) -> Call {
    Call::CreateLog { log, sealing: Sealing::Optional }
}

/// A push's answer says what time it is, which nobody can ask twice.
fn timeless(reply: Reply) -> Reply {
    match reply {
        Reply::Pushed(pushed) => {
            assert!(pushed.accepted_at > Timestamp::default());
            Reply::Pushed(Pushed { accepted_at: Timestamp::default(), ..pushed })
        }
        other => other,
    }
}

#[tokio::test]
async fn every_call_is_answered_the_same_over_http_as_by_the_engine_itself() {
    for (form, compression) in [
        (Form::Binary, Compression::Zstd),
        (Form::Binary, Compression::Off),
        (Form::Json, Compression::Gzip),
        (Form::Json, Compression::Zstd),
    ] {
        let rig = Rig::start().await;
        let client = rig.client_of(OPERATOR, form, compression);
        let same = async |call: Call| {
            let over_http = client.call(call.clone()).await.unwrap_or_else(|error| panic!("{call:?}: {error}"));
            let asked = timeless(rig.ask(call).await);
            assert_eq!(format!("{:?}", timeless(over_http.clone())), format!("{asked:?}"));
            over_http
        };
        let made = client.call(create(LOG)).await.unwrap();
        assert!(matches!(made, Reply::Log { created: true, .. }));
        same(create(LOG)).await;
        // Large enough to be compressed both ways.
        let ops = (1..=50).map(|counter| op(1, counter, json_payload(r#"{"title":"a task like many others"}"#)));
        let Reply::Pushed(pushed) = client.call(push(ops.collect())).await.unwrap() else { panic!("a push's answer") };
        assert_eq!((pushed.verdicts.len(), pushed.newer.unwrap().ops.len()), (50, 50));
        let state = syncline::oplog::Draft {
            subject: Subject::Log,
            kind: OpKind::FullState(FullStateKind::Initial),
            ..draft(1, 51, json_payload("{}"))
        };
        client.call(push(vec![state.seal().unwrap()])).await.unwrap();
        same(Call::Status(LOG)).await;
        same(Call::Logs { after: None, limit: 10 }).await;
        same(Call::Logs { after: Some(LOG), limit: 10 }).await;
        let limit = PageLimit::ops(20).unwrap();
        let Reply::Pulled(page) = same(Call::Pull { log: LOG, cursor: Cursor::START, limit }).await else { panic!() };
        assert_eq!((page.ops.len(), page.more, page.follows(KEY, Cursor::START)), (20, true, Ok(())));
        same(Call::Pull { log: LOG, cursor: page.next, limit: limit.bytes(100) }).await;
        let part = |call| Call::Partly { part: "notes,tasks:0a".parse().unwrap(), call: Box::new(call) };
        let whole = Call::Pull { log: LOG, cursor: Cursor::START, limit };
        let Reply::Pulled(page) = same(part(whole)).await else { panic!("a page") };
        assert_eq!((page.ops.len() + page.left_out.len(), page.follows_partly(KEY, Cursor::START)), (20, Ok(())));
        assert!(!page.left_out.is_empty());
        same(part(Call::GetSnapshot(LOG))).await;
        let Reply::Snapshot(Some(snapshot)) = same(Call::GetSnapshot(LOG)).await else { panic!("a snapshot") };
        same(Call::RestorePoints { log: LOG, limit: 5 }).await;
        let sealed = Snapshot { payload: syncline::oplog::Payload::Sealed("secret".into()), ..*snapshot };
        same(Call::PutSnapshot { log: LOG, snapshot: Box::new(sealed) }).await;
        let Reply::Log { bounds, .. } = same(Call::Status(LOG)).await else { panic!("bounds") };
        let held = Call::Acknowledge { log: LOG, replica: replica(1), cursor: bounds.end() };
        assert!(matches!(same(held).await, Reply::Acknowledged { stable, devices: 1 } if stable == bounds.last));
        let Reply::Devices(holders) = same(Call::Devices(LOG)).await else { panic!("who holds it") };
        assert_eq!(
            holders.iter().map(|(who, holder)| (who, holder.seq)).collect::<Vec<_>>(),
            [(replica(1), bounds.last)]
        );
        let token = Call::MintToken {
            name: "a phone".into(),
            access: Access::Write,
            logs: Some(vec![LOG]),
            replica: Some(replica(1)),
            expires_at: None,
        };
        let Reply::Token { id, bearer } = client.call(token).await.unwrap() else { panic!("a token") };
        let phone = rig.client_of(&bearer.to_string(), form, compression);
        assert!(matches!(phone.call(Call::Status(LOG)).await, Ok(Reply::Log { .. })));
        same(Call::RevokeToken(id)).await;
        let refused = phone.call(Call::Status(LOG)).await;
        assert!(matches!(refused, Err(CallError::Refused(refusal)) if refusal.code == ErrorCode::Unauthenticated));
        assert_eq!(code(client.call(Call::RotateKeys { log: LOG, from: 7 }).await), "KEY_EPOCH_MOVED");
        let rotated = client.call(Call::RotateKeys { log: LOG, from: 0 }).await;
        assert!(matches!(rotated, Ok(Reply::Log { bounds, created: false, .. }) if bounds.key_epoch == 1));
        for (number, (sealing, ..)) in (20..).zip(Sealing::ALL) {
            let log = LogId::from_bytes([number; 16]);
            let made = client.call(Call::CreateLog { log, sealing }).await;
            assert!(matches!(made, Ok(Reply::Log { bounds, created: true, .. }) if bounds.sealing == sealing));
            same(Call::CreateLog { log, sealing }).await;
        }
        assert_eq!(code(client.call(create(LogId::from_bytes([21; 16]))).await), "SEALING_POLICY");
        let moved = client.call(Call::DeleteLog { log: LOG, seen: Cursor::START }).await;
        let Err(CallError::Refused(moved)) = moved else { panic!("the log is not where it was") };
        assert_eq!((moved.code, moved.end), (ErrorCode::LogMoved, Some(bounds.end())));
        client.call(Call::DeleteLog { log: LOG, seen: bounds.end() }).await.unwrap();
    }
}

#[tokio::test]
async fn a_restore_and_its_undo_go_over_http_and_a_retry_gets_the_same_answer() {
    let rig = Rig::start().await;
    let client = rig.client();
    client.call(push((1..=3).map(|n| op(1, n, json_payload(r#"{"n":1}"#))).collect())).await.unwrap();
    let Reply::Log { bounds, .. } = rig.ask(Call::Status(LOG)).await else { panic!() };
    let request = RequestId::from_bytes([5; 16]);
    let restore = Call::Restore { log: LOG, to: Seq::new(2).unwrap(), seen: bounds.end(), request };
    let Ok(Reply::Restored { seq, end }) = client.call(restore.clone()).await else { panic!("restored") };
    assert_eq!(seq.get(), 4);
    let Ok(Reply::Restored { seq: again, .. }) = client.call(restore).await else { panic!("the same answer") };
    assert_eq!(again, seq);
    let undo = Call::UndoRestore { log: LOG, seen: end, request: RequestId::from_bytes([6; 16]) };
    let Ok(Reply::Restored { seq, .. }) = client.call(undo).await else { panic!("undone") };
    assert_eq!(seq.get(), 5);
}

#[tokio::test]
async fn statuses_and_media_types_are_as_documented() {
    let rig = Rig::start().await;
    let log = format!("/v1/logs/{LOG}");
    let one = push_one(1, 1, r#"{"json":1}"#);
    let status = async |method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]| {
        let answer = rig.request(method, target, headers, body).await;
        (answer.status, answer.header("content-type").map(str::to_owned))
    };
    let json = || Some("application/json".to_owned());
    assert_eq!(status("PUT", &log, &[], b"").await, (201, json()));
    assert_eq!(status("PUT", &log, &[], b"").await, (200, json()));
    assert_eq!(status("GET", &log, &[], b"").await, (200, json()));
    assert_eq!(status("GET", &format!("{log}/snapshot"), &[], b"").await, (204, None));
    assert_eq!(status("POST", &ops_path(), &[JSON], &one).await, (200, json()));
    let charset = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(status("POST", &ops_path(), &charset, &one).await, (200, json()));
    for accept in [BINARY, "text/html, application/vnd.syncline.v1;q=0.5"] {
        let accept = ("accept", accept);
        assert_eq!(status("GET", &ops_path(), &[accept], b"").await, (200, Some(BINARY.to_owned())));
        assert_eq!(status("POST", &ops_path(), &[JSON, accept], &one).await, (200, Some(BINARY.to_owned())));
        assert_eq!(status("GET", &log, &[accept], b"").await, (200, json()), "only heavy bodies are binary");
    }
    for accept in ["*/*", "application/json", "text/html"] {
        assert_eq!(status("GET", &ops_path(), &[("accept", accept)], b"").await, (200, json()));
    }
    let end = rig.end().await;
    let Reply::Log { bounds, .. } = rig.ask(Call::Status(LOG)).await else { panic!() };
    let target = format!("{log}?seq={end}&anchor={}", bounds.tip);
    assert_eq!(status("DELETE", &target, &[], b"").await, (204, None));
    assert_eq!(status("GET", "/health/live", &[], b"").await.0, 200);
    assert_eq!(status("GET", "/health/ready", &[], b"").await.0, 200);
}

#[tokio::test]
async fn every_refusal_is_a_problem_document_with_a_stable_code() {
    let rig = Rig::start().await;
    let log = format!("/v1/logs/{LOG}");
    let snapshot = format!("{log}/snapshot");
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], &'a str);
    let table: &[Row<'_>] = &[
        ("GET", "/", &[], b"", "NO_SUCH_ROUTE"),
        ("GET", "/v1/logs/", &[], b"", "NO_SUCH_ROUTE"),
        ("GET", "/v2/logs", &[], b"", "NO_SUCH_ROUTE"),
        ("POST", "/v1/logs", &[JSON], b"{}", "METHOD_NOT_ALLOWED"),
        ("PATCH", &log, &[], b"", "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/logs/not-an-id", &[], b"", "MALFORMED"),
        ("GET", "/v1/logs/%ff", &[], b"", "MALFORMED"),
        ("GET", "/v1/logs/{09090909-0909-0909-0909-090909090909}", &[], b"", "MALFORMED"),
        ("GET", &log, &[], b"", "LOG_NOT_FOUND"),
        (
            "GET",
            "/v1/logs/00000000-0000-0000-0000-000000000000/ops",
            &[("authorization", "Bearer x")],
            b"",
            "UNAUTHENTICATED",
        ),
        ("PUT", &log, &[JSON], b"{}", "MALFORMED"),
        ("POST", &ops_path(), &[], b"{}", "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", &ops_path(), &[("content-type", "text/plain")], b"{}", "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "/v1/tokens", &[("content-type", BINARY)], b"{}", "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", &ops_path(), &[JSON], b"", "MALFORMED"),
        ("POST", &ops_path(), &[JSON], b"{}", "MALFORMED"),
        ("POST", &ops_path(), &[JSON], br#"{"ops":[]}"#, "BATCH_SIZE"),
        ("PUT", &snapshot, &[JSON], b"{}", "MALFORMED"),
        ("PUT", &snapshot, &[("content-type", BINARY)], b"", "MALFORMED"),
        ("DELETE", &log, &[], b"", "MALFORMED"),
        ("DELETE", "/v1/tokens/x", &[], b"", "MALFORMED"),
        ("POST", "/v1/tokens", &[JSON], br#"{"name":"","access":"read"}"#, "MALFORMED"),
        ("POST", "/v1/tokens", &[JSON], br#"{"name":"a","access":"owner"}"#, "MALFORMED"),
        ("GET", &log, &[("authorization", "")], b"", "UNAUTHENTICATED"),
        ("GET", &log, &[("authorization", "Basic YTpi")], b"", "UNAUTHENTICATED"),
        ("GET", &log, &[("authorization", "Bearer nobody")], b"", "UNAUTHENTICATED"),
        ("GET", &format!("{log}/wake"), &[], b"", "MALFORMED"),
    ];
    for (method, target, headers, body, code) in table {
        let answer = rig.request(method, target, headers, body).await;
        assert_eq!(answer.code(), *code, "{method} {target}");
        assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 32), "{}", answer.head);
        assert_eq!(answer.header("www-authenticate").is_some(), *code == "UNAUTHENTICATED");
    }
    let named = rig.request("GET", "/", &[("x-request-id", "a-name.of_mine")], b"").await;
    assert_eq!(named.header("x-request-id"), Some("a-name.of_mine"));
    let two = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    assert_eq!(rig.request("GET", &log, &two, b"").await.code(), "UNAUTHENTICATED");
    // Of a batch, the first op that breaks a rule is named and none is stored.
    let bad = op_json(1, 2, r#"{"json":1}"#).replace(r#""schema_version":1"#, r#""schema_version":0"#);
    let answer = rig.push_json(&push_of(&[op_json(1, 1, r#"{"json":1}"#), bad])).await;
    assert_eq!((answer.code().as_str(), &answer.json()["index"]), ("OP_INVALID", &serde_json::json!(1)));
    assert_eq!(rig.end().await, Seq::ZERO);
}

#[tokio::test]
async fn callers_reach_only_what_their_token_is_for() {
    let rig = Rig::start().await;
    rig.client().call(push(vec![op(1, 1, json_payload("1"))])).await.unwrap();
    let other = LogId::from_bytes([10; 16]);
    rig.client().call(create(other)).await.unwrap();
    let mint = async |access, logs: Option<Vec<LogId>>| {
        let call = Call::MintToken { name: "t".into(), access, logs, replica: None, expires_at: None };
        let Ok(Reply::Token { bearer, .. }) = rig.client().call(call).await else { panic!("a token") };
        rig.client_of(&bearer.to_string(), Form::Binary, Compression::Zstd)
    };
    let reader = mint(Access::Read, Some(vec![LOG])).await;
    assert_eq!(code(reader.call(Call::Status(LOG)).await), "ok");
    assert_eq!(code(reader.call(push(vec![op(2, 1, json_payload("1"))])).await), "FORBIDDEN");
    assert_eq!(code(reader.call(Call::Status(other)).await), "LOG_NOT_FOUND");
    let writer = mint(Access::Write, None).await;
    assert_eq!(code(writer.call(push(vec![op(2, 1, json_payload("1"))])).await), "ok");
    assert_eq!(code(writer.call(create(LogId::from_bytes([11; 16]))).await), "FORBIDDEN");
    assert_eq!(code(writer.call(Call::Status(LogId::SYSTEM)).await), "LOG_NOT_FOUND");
    let Ok(Reply::Logs(logs)) = reader.call(Call::Logs { after: None, limit: 10 }).await else { panic!("a list") };
    assert_eq!(logs.iter().map(|log| log.log).collect::<Vec<_>>(), [LOG]);
    assert!(matches!(reader.wakes(syncline::LogKey { log: other, ..KEY }).await, Err(CallError::Refused(_))));
}

#[tokio::test]
async fn bodies_are_compressed_both_ways_with_gzip_and_zstd() {
    let rig = Rig::start().await;
    let ops: Vec<String> = (1..=200).map(|n| op_json(1, n, r#"{"json":{"title":"milk and more milk"}}"#)).collect();
    let body = push_of(&ops);
    let zipped = gzip(&body);
    assert!(zipped.len() * 5 < body.len());
    let answer = rig.request("POST", &ops_path(), &[JSON, ("content-encoding", "gzip")], &zipped).await;
    assert_eq!(answer.status, 200);
    let answer = rig.request("POST", &ops_path(), &[JSON, ("content-encoding", "zstd")], &zstd(&body)).await;
    assert_eq!(answer.json()["verdicts"][0]["verdict"], "duplicate");
    for accept in ["application/json", BINARY] {
        let plain = rig.request("GET", &ops_path(), &[("accept", accept)], b"").await;
        assert_eq!(plain.header("content-encoding"), None);
        let gzipped = rig.request("GET", &ops_path(), &[("accept", accept), ("accept-encoding", "gzip")], b"").await;
        assert_eq!(gzipped.header("content-encoding"), Some("gzip"));
        let mut unzipped = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(gzipped.body.as_slice()), &mut unzipped).unwrap();
        assert_eq!(unzipped, plain.body);
        let zstd = rig.request("GET", &ops_path(), &[("accept", accept), ("accept-encoding", "zstd")], b"").await;
        assert_eq!(zstd.header("content-encoding"), Some("zstd"));
        assert_eq!(zstd::stream::decode_all(zstd.body.as_slice()).unwrap(), plain.body);
    }
    let small = rig.request("GET", &format!("/v1/logs/{LOG}"), &[("accept-encoding", "zstd")], b"").await;
    assert_eq!(small.header("content-encoding"), None, "a small body is not worth it");
}

/// A valid push, padded to this many bytes.
fn padded(counter: u32, size: usize) -> Vec<u8> {
    let mut body = push_one(1, counter, r#"{"json":1}"#);
    body.resize(size, b' ');
    body
}

#[tokio::test]
async fn a_body_may_have_as_many_bytes_as_the_limit_and_not_one_more() {
    let rig = Rig::start().await;
    let max = limits::BODY_BYTES_MAX;
    for (counter, size) in [(1, max - 1), (2, max)] {
        assert_eq!(rig.push_json(&padded(counter, size)).await.status, 200, "{size}");
    }
    assert_eq!(rig.push_json(&padded(3, max + 1)).await.code(), "BODY_TOO_LARGE");
    // The same without a length: the bytes themselves are counted.
    for (size, status) in [(max, 200), (max + 1, 413)] {
        let mut request = head("POST", &ops_path(), &[JSON, ("transfer-encoding", "chunked")], None).into_bytes();
        request.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        request.extend_from_slice(&padded(3, size));
        request.extend_from_slice(b"\r\n0\r\n\r\n");
        assert_eq!(rig.raw(&request).await.status, status, "{size}");
    }
    let decoded = limits::BODY_DECODED_BYTES_MAX;
    for (counter, size, status) in [(4, decoded - 1, 200), (5, decoded, 200), (6, decoded + 1, 413)] {
        for (encoding, body) in [("gzip", gzip(&padded(counter, size))), ("zstd", zstd(&padded(counter, size)))] {
            let headers = [JSON, ("content-encoding", encoding)];
            assert_eq!(rig.request("POST", &ops_path(), &headers, &body).await.status, status, "{encoding} {size}");
        }
    }
    assert_eq!(rig.end().await.get(), 5);
}

#[tokio::test]
async fn a_head_may_have_as_many_bytes_as_the_limit_and_not_one_more() {
    let rig = Rig::start().await;
    let max = limits::HEADER_BYTES_MAX;
    for (size, status) in [(max - 1, 200), (max, 200), (max + 1, 431), (4 * max, 431)] {
        let bare = head("GET", "/v1/logs", &[("x-pad", "")], None);
        let request = head("GET", "/v1/logs", &[("x-pad", &"p".repeat(size - bare.len()))], None);
        assert_eq!(request.len(), size);
        let answer = rig.raw(request.as_bytes()).await;
        assert_eq!(answer.status, status, "{size}");
        if size == max + 1 {
            assert_eq!(answer.code(), "HEAD_TOO_LARGE");
        }
    }
}

#[tokio::test]
async fn pages_listings_and_batches_have_their_limits_to_the_item() {
    let rig = Rig::start().await;
    let ops =
        |count: u32| -> Vec<u8> { push_of(&(1..=count).map(|n| op_json(1, n, r#"{"json":1}"#)).collect::<Vec<_>>()) };
    assert_eq!(rig.push_json(&ops(0)).await.code(), "BATCH_SIZE");
    assert_eq!(rig.push_json(&ops(1_001)).await.code(), "BATCH_SIZE");
    for count in [999, 1_000] {
        assert_eq!(rig.push_json(&ops(count)).await.status, 200);
    }
    assert_eq!(rig.end().await.get(), 1_000);
    let log = format!("/v1/logs/{LOG}");
    let page = limits::PAGE_BYTES_MAX;
    let rows = [
        (format!("{}?limit=0", ops_path()), false),
        (format!("{}?limit=1", ops_path()), true),
        (format!("{}?limit=999", ops_path()), true),
        (format!("{}?limit=1000", ops_path()), true),
        (format!("{}?limit=1001", ops_path()), false),
        (format!("{}?bytes=0", ops_path()), false),
        (format!("{}?bytes=1", ops_path()), true),
        (format!("{}?bytes={page}", ops_path()), true),
        (format!("{}?bytes={}", ops_path(), page + 1), false),
        ("/v1/logs?limit=0".to_owned(), false),
        ("/v1/logs?limit=1".to_owned(), true),
        ("/v1/logs?limit=1000".to_owned(), true),
        ("/v1/logs?limit=1001".to_owned(), false),
        (format!("{log}/restore-points?limit=0"), false),
        (format!("{log}/restore-points?limit=1000"), true),
        (format!("{log}/restore-points?limit=1001"), false),
    ];
    for (target, fits) in rows {
        let answer = rig.request("GET", &target, &[], b"").await;
        match fits {
            true => assert_eq!(answer.status, 200, "{target}"),
            false => assert_eq!(answer.code(), "LIMIT_OUT_OF_RANGE", "{target}"),
        }
    }
    let page = rig.request("GET", &format!("{}?limit=999", ops_path()), &[], b"").await.json();
    assert_eq!((page["ops"].as_array().unwrap().len(), &page["more"]), (999, &serde_json::json!(true)));
    let page = rig.request("GET", &format!("{}?bytes=1", ops_path()), &[], b"").await.json();
    assert_eq!(page["ops"].as_array().unwrap().len(), 1, "one op is always served");
}

#[tokio::test]
async fn a_server_that_is_full_says_busy_and_still_says_it_lives() {
    let rig = Rig::with(ServerOptions { requests_at_once_max: 1, ..ServerOptions::default() }).await;
    let mut holder = rig.dial().await;
    holder.write_all(head("POST", &ops_path(), &[JSON], Some(1_000)).as_bytes()).await.unwrap();
    let busy = async {
        loop {
            let answer = rig.request("GET", "/v1/logs", &[], b"").await;
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let busy = tokio::time::timeout(PATIENCE, busy).await.expect("the only place is taken");
    assert_eq!((busy.code().as_str(), busy.header("retry-after")), ("BUSY", Some("1")));
    assert_eq!(rig.request("GET", "/health/live", &[], b"").await.status, 200);
    assert_eq!(rig.request("GET", "/health/ready", &[], b"").await.status, 200);
    drop(holder);
    let free = async { while rig.request("GET", "/v1/logs", &[], b"").await.status != 200 {} };
    tokio::time::timeout(PATIENCE, free).await.expect("the place is free again");
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_said_to_be_in_doubt() {
    let options = ServerOptions { request_timeout: Duration::from_millis(100), ..ServerOptions::default() };
    let rig = Rig::with(options).await;
    let mut stream = rig.dial().await;
    stream.write_all(head("POST", &ops_path(), &[JSON], Some(1_000)).as_bytes()).await.unwrap();
    // Work that began goes on, so nobody can say that nothing was written; repeating it with its ids finds out.
    assert_eq!(Answer::read(&mut stream).await.code(), "OUTCOME_UNKNOWN");
}

#[tokio::test]
async fn a_call_that_did_not_arrive_is_told_from_one_that_may_have() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = |addr| syncline_transport_http::client::ClientOptions::new(format!("http://{addr}"), "t");
    let client = |addr| syncline_transport_http::client::HttpClient::new(options(addr)).unwrap();
    let addr = listener.local_addr().unwrap();
    // Takes the request, then hangs up: it may have been done.
    let hang_up = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut byte).await.unwrap();
    });
    let answer = client(addr).call(push(vec![op(1, 1, json_payload("1"))])).await;
    assert!(matches!(answer, Err(CallError::Interrupted(_))), "{answer:?}");
    hang_up.await.unwrap();
    let answer = client(addr).call(Call::Status(LOG)).await;
    assert!(matches!(answer, Err(CallError::Unreachable(_))), "{answer:?}");
    assert!(matches!(client(addr).wakes(KEY).await, Err(CallError::Unreachable(_))));
    for url in ["ftp://a", "http://", "a", "http://a/b", "https://a", "http://a?b"] {
        let options = syncline_transport_http::client::ClientOptions::new(url, "t");
        assert!(syncline_transport_http::client::HttpClient::new(options).is_err(), "{url}");
    }
}
