//! Passkeys on real server processes: two that share a Postgres, and one that is killed between question and answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "../../transport-http/tests/passkey/mod.rs"]
mod passkey;

use passkey::Device;
use serde_json::{Value, json};
use syncline_tests::rig::postgres;
use syncline_tests::rig::server::Process;

const EMAIL: &str = "somebody@example.org";
/// Where browsers would reach the servers; that they listen elsewhere is the proxy's business.
const ORIGIN: &str = "https://sync.example.org";
const FLAGS: [&str; 5] =
    ["--test-routes", "--sp-token-secret", "a-token-secret-for-tests-0123456789abcdef", "--sp-public-url", ORIGIN];

async fn send(server: &Process, path: &str, token: &str, body: Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("{}/api/{path}", server.url)).bearer_auth(token);
    let response = request.json(&body).send().await.expect("a server that answers");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// Somebody with an account and a passkey, made at one server and finished at another.
async fn somebody(one: &Process, other: &Process) -> Device {
    let (status, user) =
        send(one, "test/create-user", "", json!({ "email": EMAIL, "password": "a long password" })).await;
    assert_eq!(status, 201, "{user}");
    let token = user["token"].as_str().expect("a token");
    let device = Device::new(ORIGIN, "sync.example.org");
    let (status, offer) = send(one, "account/passkey/options", token, json!({})).await;
    assert_eq!(status, 200, "{offer}");
    let made = json!({ "credential": device.make(&offer) });
    let (status, said) = send(other, "account/passkey/verify", token, made).await;
    assert_eq!(status, 201, "{said}");
    device
}

async fn question(server: &Process) -> Value {
    let (status, question) = send(server, "login/passkey/options", "", json!({ "email": EMAIL })).await;
    assert_eq!(status, 200, "{question}");
    question
}

async fn answer(server: &Process, credential: &Value) -> (u16, Value) {
    send(server, "login/passkey/verify", "", json!({ "email": EMAIL, "credential": credential })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_on_one_postgres_one_finishes_what_the_other_began_and_only_once() {
    let data = tempfile::tempdir().expect("a folder");
    let store = format!("postgres:{}", postgres::fresh_schema_url().await);
    let [one, two] = [(); 2].map(|()| Process::start_with(data.path(), Some(&store), &FLAGS));
    let mut device = somebody(&one, &two).await;
    for _ in 0..10 {
        let signed = device.sign(&question(&one).await);
        let (first, second) = tokio::join!(answer(&one, &signed), answer(&two, &signed));
        let mut statuses = [first.0, second.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401], "one challenge: {first:?} {second:?}");
    }
    for _ in 0..10 {
        let (asked, asked_again) = (question(&one).await, question(&two).await);
        let (signed, copied) = (device.sign(&asked), device.sign_again(&asked_again));
        let (first, second) = tokio::join!(answer(&two, &signed), answer(&one, &copied));
        let mut statuses = [first.0, second.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401], "one count of the key: {first:?} {second:?}");
    }
    let (status, who) = answer(&two, &device.sign(&question(&one).await)).await;
    assert_eq!(status, 200, "{who}");
    let url = format!("{}/api/sync/status", one.url);
    let request = reqwest::Client::new().get(url).bearer_auth(who["token"].as_str().expect("a token"));
    assert_eq!(request.send().await.expect("an answer").status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_begun_before_the_server_was_killed_is_finished_after() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Process::start_with(data.path(), None, &FLAGS);
    let mut device = somebody(&server, &server).await;
    let signed = device.sign(&question(&server).await);
    server.kill();
    server.run();
    assert_eq!(answer(&server, &signed).await.0, 200);
    server.kill();
    server.run();
    assert_eq!(answer(&server, &signed).await.0, 401, "used is used, whatever happened since");
}
