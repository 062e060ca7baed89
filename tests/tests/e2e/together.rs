//! Two servers on one Postgres behave as one: what one says, the other knows.

use std::sync::Arc;

use syncline::call::{Call, ErrorCode, Push, Reply};
use syncline::client::{CallError, Transport};
use syncline::store::SignalSource as _;
use syncline::{LogId, LogKey, RequestId};
use syncline_tests::rig::postgres;
use syncline_transport_http::client::{ClientOptions, HttpClient};

use super::device::{BUCKET, Device, landed};
use syncline_tests::rig::server::{Process, TOKEN};

struct Two {
    _data: tempfile::TempDir,
    _servers: Vec<Process>,
    clients: Vec<Arc<HttpClient>>,
}

async fn two_servers() -> Two {
    let data = tempfile::tempdir().expect("a folder");
    let store = format!("postgres:{}", postgres::fresh_schema_url().await);
    let servers: Vec<Process> = (0..2).map(|_| Process::start(data.path(), Some(&store))).collect();
    let clients = servers
        .iter()
        .map(|server| Arc::new(HttpClient::new(ClientOptions::new(&server.url, TOKEN)).expect("a client")))
        .collect();
    Two { _data: data, _servers: servers, clients }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

/// W17, R11: the receipt of one server is the answer of the other.
#[test]
fn a_request_repeated_at_the_other_server_gets_the_first_answer() {
    block_on(async {
        let two = two_servers().await;
        let log = LogId::from_bytes([1; 16]);
        let mut device = Device::new(1, log, Vec::new());
        let ops = vec![device.write("tasks", [1; 16], b"{}".to_vec())];
        let request = Some(RequestId::from_bytes([5; 16]));
        let push = |ops| Call::Push(Push { log, request, cursor: None, atomic: false, ops });
        let mut answers = Vec::new();
        for client in &two.clients {
            let Reply::Pushed(pushed) = client.call(push(ops.clone())).await.expect("an answer") else {
                panic!("not an answer to a push")
            };
            answers.push(pushed);
        }
        assert_eq!(answers[0].verdicts, answers[1].verdicts);
        assert_eq!((answers[0].replayed, answers[1].replayed), (false, true));
        let other = vec![device.write("tasks", [2; 16], b"{}".to_vec())];
        let reused = two.clients[1].call(push(other)).await;
        assert!(matches!(reused, Err(CallError::Refused(refusal)) if refusal.code == ErrorCode::RequestIdReused));
    });
}

/// A push at one wakes a reader at the other.
#[test]
fn a_push_at_one_server_wakes_a_reader_at_the_other() {
    block_on(async {
        let two = two_servers().await;
        let log = LogId::from_bytes([2; 16]);
        let mut wakes = two.clients[1].wakes(LogKey { bucket: BUCKET, log }).await.expect("a subscription");
        let clients: Vec<Arc<dyn Transport>> = vec![two.clients[0].clone()];
        let mut device = Device::new(1, log, clients);
        let op = device.write("tasks", [1; 16], b"{}".to_vec());
        let pushed = device.push(vec![op], 1).await;
        assert_eq!(landed(&pushed.verdicts), 1);
        let woken = async {
            loop {
                match wakes.next().await {
                    Some(syncline::store::Signal::Wake { seq, .. }) if seq.get() >= 1 => return true,
                    Some(_) => {}
                    None => return false,
                }
            }
        };
        assert!(tokio::time::timeout(std::time::Duration::from_secs(20), woken).await.expect("woken in time"));
    });
}

/// A token made at one lets in at the other, and not after it was revoked.
#[test]
fn a_token_minted_at_one_server_works_at_the_other_until_it_is_revoked() {
    block_on(async {
        let two = two_servers().await;
        let log = LogId::from_bytes([3; 16]);
        let mint = Call::MintToken {
            name: "phone".into(),
            access: syncline::access::Access::Write,
            logs: Some(vec![log]),
            replica: None,
            expires_at: None,
        };
        let Reply::Token { id, bearer } = two.clients[0].call(mint).await.expect("a token") else {
            panic!("not a token")
        };
        let phone =
            HttpClient::new(ClientOptions::new(two._servers[1].url.as_str(), bearer.to_string())).expect("a client");
        let mut device = Device::new(1, log, Vec::new());
        let ops = vec![device.write("tasks", [1; 16], b"{}".to_vec())];
        let push = Call::Push(Push { log, request: None, cursor: None, atomic: false, ops });
        assert!(phone.call(push.clone()).await.is_ok());
        let elsewhere = phone.call(Call::Status(LogId::from_bytes([4; 16]))).await;
        assert!(matches!(elsewhere, Err(CallError::Refused(refusal)) if refusal.code == ErrorCode::LogNotFound));
        two.clients[1].call(Call::RevokeToken(id)).await.expect("revoked");
        let late = phone.call(push).await;
        assert!(matches!(late, Err(CallError::Refused(refusal)) if refusal.code == ErrorCode::Unauthenticated));
    });
}
