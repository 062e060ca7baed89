//! Accounts of the Super Productivity dialect over real sockets: every route, how it refuses, and what stands around it.

#![cfg(all(feature = "client", feature = "super-productivity"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use syncline::id::BucketId;
use syncline::oplog::{ConflictPolicy, Rules, Schema};
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore};
use syncline_transport_http::dialect::super_productivity::{
    Letter, MailError, Mailer, PasswordCost, Settings, SmtpMailer, SuperProductivity,
};
use syncline_transport_http::server::{App, ServerOptions, Tokens, serve_beside};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

const OPERATOR: &str = "the operator's token of these tests, long enough";
const BUCKET: BucketId = BucketId::from_bytes([7; 16]);
const PASSWORD: &str = "correct horse battery";
const ACCOUNTS: &str = "/v1/admin/super-productivity/accounts";
/// No wait in these tests is about time; this only ends one that would never end.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Postbox {
    letters: Mutex<Vec<Letter>>,
    came: Notify,
}

#[derive(Debug, Clone, Default)]
struct ToPostbox(Arc<Postbox>);

#[async_trait]
impl Mailer for ToPostbox {
    async fn send(&self, letter: Letter) -> Result<(), MailError> {
        self.0.letters.lock().unwrap().push(letter);
        self.0.came.notify_one();
        Ok(())
    }
}

impl ToPostbox {
    /// The next mail's token.
    async fn token(&self) -> String {
        let letter = loop {
            if let Some(letter) = self.0.letters.lock().unwrap().pop() {
                break letter;
            }
            timeout(PATIENCE, self.0.came.notified()).await.expect("a mail");
        };
        let (_, rest) = letter.text.split_once("?token=").unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }
}

struct Rig {
    addr: SocketAddr,
    client: reqwest::Client,
    mails: ToPostbox,
}

struct Answer {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Rig {
    async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let mails = ToPostbox::default();
        let mut settings = Settings {
            token_secret: "0123456789abcdef0123456789abcdef".into(),
            password_cost: PasswordCost { memory_kib: 8, passes: 1 },
            mailer: Arc::new(mails.clone()),
            ..Settings::default()
        };
        change(&mut settings);
        let (store, fanout) = (Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()));
        let dialect = SuperProductivity::new(store.clone(), fanout.clone(), BUCKET, settings).unwrap();
        let server = Server::new(store, fanout, Schema::new(Rules::of(ConflictPolicy::Causal)));
        let tokens = || Tokens::new(server.clone()).with_operator(OPERATOR, BUCKET);
        let routes: Router = dialect.router().merge(dialect.operator_router(Arc::new(tokens())));
        let app = App::new(server.clone(), tokens(), ServerOptions::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(serve_beside(listener, app, routes, std::future::pending()));
        Self { addr, client: reqwest::Client::new(), mails }
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Answer {
        let mut request = self.client.request(method, format!("http://{}{path}", self.addr));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.ask(Method::POST, path, "", Some(body)).await;
        (answer.status.as_u16(), answer.body)
    }

    async fn verified(&self, email: &str) {
        let (status, _) = self.post("/api/register", json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(status, 201);
        let token = self.mails.token().await;
        let (status, body) = self.post("/api/verify-email", json!({ "token": token })).await;
        assert_eq!((status, body), (200, json!({ "message": "Email verified successfully" })));
    }

    async fn signed_in(&self, email: &str) -> String {
        let (status, body) = self.post("/api/login", json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().unwrap().to_owned()
    }
}

fn error(text: &str) -> Value {
    json!({ "error": text })
}

#[tokio::test]
async fn a_person_registers_verifies_signs_in_replaces_the_token_and_leaves() {
    let rig = Rig::start(|_| {}).await;
    let body = json!({ "email": " A@B.de ", "password": PASSWORD, "termsAccepted": true, "more": 1 });
    let said = json!({ "message": "Registration successful. Please check your email to verify your account." });
    assert_eq!(rig.post("/api/register", body.clone()).await, (201, said.clone()));
    assert_eq!(rig.post("/api/login", body.clone()).await, (401, error("Email not verified")));
    let token = rig.mails.token().await;
    assert_eq!(rig.post("/api/verify-email", json!({ "token": token })).await.0, 200);
    let again = rig.post("/api/verify-email", json!({ "token": token })).await;
    assert_eq!(again, (400, error("Invalid verification token")));
    assert_eq!(rig.post("/api/register", body.clone()).await, (201, said), "the same for a taken address");

    let (status, signed_in) = rig.post("/api/login", body).await;
    assert_eq!((status, &signed_in["user"]), (200, &json!({ "id": 1, "email": "a@b.de" })));
    let old = signed_in["token"].as_str().unwrap();
    let replaced = rig.ask(Method::POST, "/api/replace-token", old, None).await;
    assert_eq!((replaced.status, &replaced.body["user"]), (StatusCode::OK, &signed_in["user"]));
    let dead = rig.ask(Method::POST, "/api/replace-token", old, None).await;
    assert_eq!((dead.status, dead.body), (StatusCode::UNAUTHORIZED, error("Invalid token")));

    let new = replaced.body["token"].as_str().unwrap();
    let gone = rig.ask(Method::DELETE, "/api/account", new, None).await;
    assert_eq!((gone.status, gone.body), (StatusCode::OK, json!({ "success": true })));
    let dead = rig.ask(Method::DELETE, "/api/account", new, None).await;
    assert_eq!((dead.status, dead.body), (StatusCode::UNAUTHORIZED, error("Invalid token")));
}

#[tokio::test]
async fn a_person_who_forgot_the_password_gets_in_by_mail() {
    let rig = Rig::start(|_| {}).await;
    rig.verified("a@b.de").await;
    let known = rig.post("/api/forgot-password", json!({ "email": "a@b.de" })).await;
    let unknown = rig.post("/api/forgot-password", json!({ "email": "x@b.de" })).await;
    assert_eq!(known, unknown);
    assert_eq!(known.0, 200);
    let token = rig.mails.token().await;
    let set = json!({ "token": token, "password": "another password" });
    let wrong = rig.post("/api/reset-password", json!({ "token": "1.x", "password": "another password" })).await;
    assert_eq!(wrong, (400, error("Invalid reset token")));
    assert_eq!(rig.post("/api/reset-password", set).await.0, 200);
    let old = rig.post("/api/login", json!({ "email": "a@b.de", "password": PASSWORD })).await;
    assert_eq!(old, (401, error("Invalid credentials")));

    let known = rig.post("/api/login/magic-link", json!({ "email": "a@b.de" })).await;
    assert_eq!(known, rig.post("/api/login/magic-link", json!({ "email": "x@b.de" })).await);
    let token = rig.mails.token().await;
    let (status, body) = rig.post("/api/login/magic-link/verify", json!({ "token": token })).await;
    assert_eq!((status, &body["user"]["id"]), (200, &json!(1)));
    let again = rig.post("/api/login/magic-link/verify", json!({ "token": token })).await;
    assert_eq!(again, (401, error("Invalid or expired login link")));
}

#[tokio::test]
async fn a_body_that_does_not_fit_is_a_400_that_says_what() {
    let rig = Rig::start(|settings| settings.test_routes = true).await;
    let email = "a@b.de";
    let bad = [
        ("/api/register", json!({}), vec!["email", "password"]),
        ("/api/register", json!({ "email": email, "password": "x".repeat(11) }), vec!["password"]),
        ("/api/register", json!({ "email": email, "password": "x".repeat(1_025) }), vec!["password"]),
        (
            "/api/register",
            json!({ "email": email, "password": PASSWORD, "termsAccepted": false }),
            vec!["termsAccepted"],
        ),
        ("/api/login", json!({ "email": email, "password": "" }), vec!["password"]),
        ("/api/login", json!({ "email": 7, "password": null }), vec!["email", "password"]),
        ("/api/verify-email", json!({}), vec!["token"]),
        ("/api/verify-email", json!({ "token": "x".repeat(257) }), vec!["token"]),
        ("/api/forgot-password", json!({ "email": "a b@c.de" }), vec!["email"]),
        ("/api/reset-password", json!({ "token": "1.a", "password": "short" }), vec!["password"]),
        ("/api/login/magic-link", json!({ "email": "a@localhost" }), vec!["email"]),
        ("/api/login/magic-link/verify", json!({ "token": "" }), vec!["token"]),
        ("/api/test/create-user", json!({ "email": email, "password": "1234567" }), vec!["password"]),
    ];
    for (path, body, fields) in bad {
        let (status, answer) = rig.post(path, body.clone()).await;
        assert_eq!((status, &answer["error"]), (400, &json!("Validation failed")), "{path} {body}");
        let details = answer["details"].as_array().unwrap();
        let named: Vec<_> = details.iter().map(|detail| detail["path"][0].as_str().unwrap()).collect();
        assert_eq!(named, fields, "{path} {body}");
    }
    for text in ["{", "[]", "\"a\"", "null", "\u{0}"] {
        let url = format!("http://{}/api/login", rig.addr);
        let request = rig.client.post(url).header("content-type", "application/json").body(text);
        assert_eq!(request.send().await.unwrap().status(), 400, "{text:?}");
    }
    let url = format!("http://{}/api/login", rig.addr);
    let huge = rig.client.post(url).header("content-type", "application/json").body("x".repeat(100 << 10));
    assert_eq!(huge.send().await.unwrap().status(), 413);
}

#[tokio::test]
async fn without_a_token_that_holds_nothing_is_done() {
    let rig = Rig::start(|_| {}).await;
    let missing = error("Missing or invalid Authorization header");
    for (method, path) in [(Method::POST, "/api/replace-token"), (Method::DELETE, "/api/account")] {
        let none = rig.ask(method.clone(), path, "", None).await;
        assert_eq!((none.status, none.body), (StatusCode::UNAUTHORIZED, missing.clone()));
        let url = format!("http://{}{path}", rig.addr);
        let basic = rig.client.request(method.clone(), url).header("authorization", "Basic YTpi").send().await.unwrap();
        assert_eq!(basic.json::<Value>().await.unwrap(), missing);
        let wrong = rig.ask(method, path, "nonsense", None).await;
        assert_eq!((wrong.status, wrong.body), (StatusCode::UNAUTHORIZED, error("Invalid token")));
    }
}

#[tokio::test]
async fn a_route_is_refused_from_the_request_after_its_last_and_says_when_it_opens() {
    let rig = Rig::start(|_| {}).await;
    let body = json!({ "email": "a@b.de", "password": "wrong" });
    for left in (0..10).rev() {
        let answer = rig.ask(Method::POST, "/api/login", "", Some(body.clone())).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers["x-ratelimit-limit"], "10");
        assert_eq!(answer.headers["x-ratelimit-remaining"], left.to_string().as_str());
        assert!(answer.headers.contains_key("x-ratelimit-reset"));
        assert!(!answer.headers.contains_key("retry-after"));
    }
    let refused = rig.ask(Method::POST, "/api/login", "", Some(body)).await;
    let said = "Rate limit exceeded, retry in 15 minutes";
    let body = json!({ "statusCode": 429, "error": "Too Many Requests", "message": said });
    assert_eq!((refused.status, refused.body), (StatusCode::TOO_MANY_REQUESTS, body));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    let other = rig.post("/api/verify-email", json!({ "token": "1.a" })).await;
    assert_eq!(other.0, 400, "another route has its own count");
}

#[tokio::test]
async fn only_sites_on_the_list_may_ask_from_a_browser() {
    let rig = Rig::start(|settings| settings.cors_origins = vec!["https://app.example.org".into()]).await;
    let url = format!("http://{}/api/login", rig.addr);
    let preflight = |origin: &'static str| {
        let request = rig.client.request(Method::OPTIONS, &url).header("origin", origin);
        request.header("access-control-request-method", "POST").send()
    };
    let known = preflight("https://app.example.org").await.unwrap();
    assert_eq!(known.status(), 204);
    let headers = known.headers();
    assert_eq!(headers["access-control-allow-origin"], "https://app.example.org");
    assert_eq!(headers["access-control-allow-credentials"], "true");
    assert_eq!(headers["access-control-max-age"], "86400");
    assert_eq!(headers["access-control-allow-methods"], "GET, HEAD, PUT, POST, DELETE, OPTIONS");
    assert!(headers["access-control-allow-headers"].to_str().unwrap().contains("Content-Encoding"));
    for stranger in ["https://evil.example.org", "https://app.example.org.evil.org", "null"] {
        let answer = preflight(stranger).await.unwrap();
        assert!(!answer.headers().contains_key("access-control-allow-origin"), "{stranger}");
    }
    let asked = rig.client.post(&url).header("origin", "https://app.example.org").send().await.unwrap();
    assert_eq!(asked.headers()["access-control-allow-origin"], "https://app.example.org");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_a_request_id() {
    let rig = Rig::start(|_| {}).await;
    for (method, path) in [(Method::GET, "/account"), (Method::DELETE, "/api/account"), (Method::POST, "/api/login")] {
        let answer = rig.ask(method, path, "", None).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert!(answer.headers.contains_key("strict-transport-security"));
        assert!(answer.headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn opening_a_link_of_a_mail_changes_nothing() {
    let rig = Rig::start(|_| {}).await;
    rig.post("/api/register", json!({ "email": "a@b.de", "password": PASSWORD })).await;
    let token = rig.mails.token().await;
    let opened = rig.ask(Method::GET, &format!("/verify-email?token={token}"), "", None).await;
    assert_eq!(opened.status, StatusCode::OK);
    assert_eq!(rig.post("/api/verify-email", json!({ "token": token })).await.0, 200);
}

#[tokio::test]
async fn test_routes_are_there_only_when_asked_for() {
    let closed = Rig::start(|_| {}).await;
    let body = json!({ "email": "a@b.de", "password": "12345678" });
    assert_eq!(closed.post("/api/test/create-user", body.clone()).await.0, 404);

    let rig = Rig::start(|settings| settings.test_routes = true).await;
    let (status, made) = rig.post("/api/test/create-user", body.clone()).await;
    assert_eq!((status, &made["userId"], &made["email"]), (201, &json!(1), &json!("a@b.de")));
    let token = made["token"].as_str().unwrap();
    assert_eq!(rig.post("/api/test/create-user", body.clone()).await.1["userId"], 1, "the same account again");
    assert_eq!(rig.ask(Method::POST, "/api/replace-token", token, None).await.status, StatusCode::OK);
    assert_eq!(rig.ask(Method::DELETE, "/api/test/user/1", "", None).await.status, StatusCode::OK);
    assert_eq!(rig.ask(Method::DELETE, "/api/test/user/1", "", None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(rig.ask(Method::DELETE, "/api/test/user/x", "", None).await.status, StatusCode::BAD_REQUEST);
    let second = rig.post("/api/test/create-user", body).await.1;
    assert_eq!(rig.post("/api/test/cleanup", json!({})).await, (200, json!({ "cleaned": true })));
    let dead = rig.ask(Method::POST, "/api/replace-token", second["token"].as_str().unwrap(), None).await;
    assert_eq!(dead.status, StatusCode::UNAUTHORIZED);
    for _ in 0..30 {
        let (status, _) = rig.post("/api/login", json!({ "email": "x@b.de", "password": "wrong" })).await;
        assert_eq!(status, 401, "nothing is counted where tests run");
    }
}

#[tokio::test]
async fn test_routes_do_not_answer_a_peer_that_is_not_known_to_be_on_this_machine() {
    let settings = Settings { token_secret: "x".repeat(32), test_routes: true, ..Settings::default() };
    let store = Arc::new(MemoryStore::new());
    let dialect = SuperProductivity::new(store, Arc::new(MemoryFanout::new()), BUCKET, settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    // Served without the peer's address, as an embedder may.
    tokio::spawn(async move { axum::serve(listener, dialect.router()).await });
    let answer = reqwest::Client::new().post(format!("http://{addr}/api/test/cleanup")).send().await.unwrap();
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn an_operator_makes_lists_and_deletes_accounts_and_nobody_else_does() {
    let rig = Rig::start(|_| {}).await;
    rig.verified("a@b.de").await;
    let person = rig.signed_in("a@b.de").await;
    for token in ["", "nonsense", &person] {
        let refused = rig.ask(Method::GET, ACCOUNTS, token, None).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{token}");
        assert_eq!(refused.body["code"], "UNAUTHENTICATED");
    }
    let made = rig.ask(Method::POST, ACCOUNTS, OPERATOR, Some(json!({ "email": "c@d.de", "quota_bytes": 9 }))).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!((&made.body["account"]["id"], &made.body["account"]["quota_bytes"]), (&json!(2), &json!(9)));
    let taken = rig.ask(Method::POST, ACCOUNTS, OPERATOR, Some(json!({ "email": "C@D.de" }))).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    let short = rig.ask(Method::POST, ACCOUNTS, OPERATOR, Some(json!({ "email": "e@d.de", "password": "x" }))).await;
    assert_eq!(short.status, StatusCode::BAD_REQUEST);

    let listed = rig.ask(Method::GET, &format!("{ACCOUNTS}?limit=1&after=1"), OPERATOR, None).await;
    assert_eq!(listed.body["accounts"][0]["email"], "c@d.de");
    assert_eq!(listed.body["accounts"].as_array().unwrap().len(), 1);
    let too_many = rig.ask(Method::GET, &format!("{ACCOUNTS}?limit=0"), OPERATOR, None).await;
    assert_eq!(too_many.body["code"], "LIMIT_OUT_OF_RANGE");

    let minted = rig.ask(Method::POST, &format!("{ACCOUNTS}/c@d.de/token"), OPERATOR, None).await;
    let token = minted.body["token"].as_str().unwrap();
    let devices = rig.ask(Method::GET, &format!("{ACCOUNTS}/2/devices"), OPERATOR, None).await;
    assert_eq!(devices.body, json!({ "devices": [] }));
    assert_eq!(rig.ask(Method::DELETE, &format!("{ACCOUNTS}/2/data"), OPERATOR, None).await.status, 204);
    assert_eq!(rig.ask(Method::DELETE, &format!("{ACCOUNTS}/2"), OPERATOR, None).await.status, 204);
    let gone = rig.ask(Method::DELETE, &format!("{ACCOUNTS}/2"), OPERATOR, None).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(rig.ask(Method::DELETE, "/api/account", token, None).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn mails_go_out_through_smtp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.split();
        let mut lines = BufReader::new(read).lines();
        let (mut said, mut in_mail) = (Vec::new(), false);
        write.write_all(b"220 test\r\n").await.unwrap();
        while let Some(line) = lines.next_line().await.unwrap() {
            let answer: &[u8] = match (in_mail, line.as_str()) {
                (true, ".") => b"250 taken\r\n",
                (true, _) => b"",
                (false, "DATA") => b"354 go on\r\n",
                (false, "QUIT") => b"221 bye\r\n",
                (false, _) => b"250 test\r\n",
            };
            in_mail = if in_mail { line != "." } else { line == "DATA" };
            let over = !in_mail && line == ".";
            said.push(line);
            write.write_all(answer).await.unwrap();
            if over {
                break;
            }
        }
        said
    });
    let mailer = SmtpMailer::new(&url, "Sync <sync@example.org>").unwrap();
    let letter = Letter { to: "a@b.de".into(), subject: "Confirm".into(), text: "open https://x/?token=1.a\n".into() };
    timeout(PATIENCE, mailer.send(letter)).await.unwrap().unwrap();
    let said = served.await.unwrap();
    assert!(said.iter().any(|line| line.starts_with("MAIL FROM:<sync@example.org>")), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("RCPT TO:<a@b.de>")), "{said:?}");
    assert!(said.iter().any(|line| line == "Subject: Confirm"), "{said:?}");
    assert!(SmtpMailer::new("nonsense", "a@b.de").is_err());
    assert!(SmtpMailer::new(&url, "nobody").is_err());
}
