//! Passkeys of the Super Productivity dialect over real sockets, on two servers over one store: every route, its shapes,
//! and how it refuses.

#![cfg(feature = "passkeys")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod passkey;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use passkey::Device;
use reqwest::StatusCode;
use serde_json::{Value, json};
use syncline::id::BucketId;
use syncline::oplog::{ConflictPolicy, Rules, Schema};
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore};
use syncline_transport_http::dialect::super_productivity::{
    Letter, MailError, Mailer, PasswordCost, Settings, SuperProductivity,
};
use syncline_transport_http::server::{App, ServerOptions, Tokens, serve_beside};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

const BUCKET: BucketId = BucketId::from_bytes([7; 16]);
const ORIGIN: &str = "https://sync.example.org";
const NAME: &str = "sync.example.org";
/// No wait in these tests is about time; this only ends one that would never end.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Post(mpsc::UnboundedSender<Letter>);

#[async_trait]
impl Mailer for Post {
    async fn send(&self, letter: Letter) -> Result<(), MailError> {
        self.0.send(letter).unwrap();
        Ok(())
    }
}

/// Two servers over one store; whoever asks one is answered to the other.
struct Rig {
    urls: [String; 2],
    client: reqwest::Client,
    mails: Mutex<mpsc::UnboundedReceiver<Letter>>,
}

impl Rig {
    async fn start(public_url: &str, counts: bool) -> Self {
        let (store, fanout) = (Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()));
        let (post, mails) = mpsc::unbounded_channel();
        let mailer = Arc::new(Post(post));
        let mut urls = Vec::new();
        for _ in 0..2 {
            let settings = Settings {
                token_secret: "0123456789abcdef0123456789abcdef".into(),
                password_cost: PasswordCost { memory_kib: 8, passes: 1 },
                public_url: public_url.into(),
                mailer: mailer.clone(),
                test_routes: !counts,
                ..Settings::default()
            };
            let dialect = SuperProductivity::new(store.clone(), fanout.clone(), BUCKET, settings).unwrap();
            let server = Server::new(store.clone(), fanout.clone(), Schema::new(Rules::of(ConflictPolicy::Causal)));
            let app = App::new(server.clone(), Tokens::new(server), ServerOptions::default());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            urls.push(format!("http://{}", listener.local_addr().unwrap()));
            tokio::spawn(serve_beside(listener, app, dialect.router(), std::future::pending()));
        }
        Self { urls: urls.try_into().unwrap(), client: reqwest::Client::new(), mails: Mutex::new(mails) }
    }

    async fn send(&self, server: usize, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}/api/{path}", self.urls[server])).bearer_auth(token);
        let response = request.json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Asks the first server.
    async fn ask(&self, path: &str, body: Value) -> Value {
        let (status, options) = self.send(0, path, "", &body).await;
        assert_eq!(status, 200, "{path}: {options}");
        options
    }

    /// Answers the second.
    async fn answer(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(1, path, "", &body).await
    }

    async fn mailed(&self) -> String {
        let letter = timeout(PATIENCE, async { self.mails.lock().await.recv().await }).await.expect("a mail").unwrap();
        let (_, rest) = letter.text.split_once("?token=").unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }

    async fn register(&self, email: &str) -> Device {
        let device = Device::new(ORIGIN, NAME);
        let offer = self.ask("register/passkey/options", json!({ "email": email, "termsAccepted": true })).await;
        let body = json!({ "email": email, "credential": device.make(&offer) });
        let said = json!({ "message": "Registration successful. Please check your email to verify your account." });
        assert_eq!(self.answer("register/passkey/verify", body).await, (201, said));
        device
    }

    async fn person(&self, email: &str) -> Device {
        let device = self.register(email).await;
        assert_eq!(self.answer("verify-email", json!({ "token": self.mailed().await })).await.0, 200);
        device
    }

    async fn login(&self, email: &str, device: &mut Device) -> (u16, Value) {
        let question = self.ask("login/passkey/options", json!({ "email": email })).await;
        let body = json!({ "email": email, "credential": device.sign(&question) });
        self.answer("login/passkey/verify", body).await
    }

    async fn status(&self, token: &str) -> StatusCode {
        let request = self.client.get(format!("{}/api/sync/status", self.urls[0])).bearer_auth(token);
        request.send().await.unwrap().status()
    }
}

fn error(text: &str) -> Value {
    json!({ "error": text })
}

#[tokio::test]
async fn a_person_with_a_passkey_registers_proves_the_address_signs_in_and_syncs() {
    let rig = Rig::start(ORIGIN, true).await;
    let mut device = rig.register("a@b.de").await;
    assert_eq!(rig.login("A@b.de", &mut device).await, (401, error("Email not verified")));
    assert_eq!(rig.answer("verify-email", json!({ "token": rig.mailed().await })).await.0, 200);
    let (status, who) = rig.login("a@b.de", &mut device).await;
    assert_eq!((status, &who["user"]), (200, &json!({ "id": 1, "email": "a@b.de" })));
    assert_eq!(rig.status(who["token"].as_str().unwrap()).await, 200);
}

#[tokio::test]
async fn options_have_the_shape_that_the_reference_servers_page_reads() {
    let rig = Rig::start(&format!("{ORIGIN}/sp"), true).await;
    let offer = rig.ask("register/passkey/options", json!({ "email": "A@b.de", "termsAccepted": true })).await;
    assert_eq!(offer["rp"], json!({ "name": NAME, "id": NAME }));
    assert_eq!((&offer["user"]["name"], &offer["user"]["displayName"]), (&json!("a@b.de"), &json!("a@b.de")));
    assert_eq!((&offer["timeout"], &offer["attestation"]), (&json!(60_000), &json!("none")));
    let wanted = json!({ "residentKey": "required", "requireResidentKey": true, "userVerification": "preferred" });
    assert_eq!(offer["authenticatorSelection"], wanted);
    assert_eq!((&offer["excludeCredentials"], &offer["extensions"]), (&json!([]), &json!({ "credProps": true })));
    let algorithms = offer["pubKeyCredParams"].as_array().unwrap();
    assert!(algorithms.contains(&json!({ "type": "public-key", "alg": -7 })), "{algorithms:?}");
    assert!(algorithms.contains(&json!({ "type": "public-key", "alg": -257 })), "{algorithms:?}");
    assert_eq!(offer["challenge"].as_str().unwrap().len(), 43, "32 bytes as base64 for URLs");

    let question = rig.ask("login/passkey/options", json!({ "email": "a@b.de" })).await;
    let mut names: Vec<_> = question.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["challenge", "rpId", "timeout", "userVerification"]);
    assert_eq!((&question["rpId"], &question["userVerification"]), (&json!(NAME), &json!("preferred")));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_in_the_reference_servers_words() {
    let rig = Rig::start(ORIGIN, true).await;
    let bodies = [
        ("register/passkey/options", json!({ "email": "a@b.de", "termsAccepted": false })),
        ("register/passkey/options", json!({ "email": "nobody", "termsAccepted": true })),
        ("register/passkey/verify", json!({ "email": "a@b.de" })),
        ("login/passkey/options", json!({})),
        ("login/passkey/verify", json!({ "email": "a@b.de", "credential": "x" })),
        ("recover/passkey", json!({})),
        ("recover/passkey/options", json!({ "token": "" })),
        ("recover/passkey/complete", json!({ "token": "1.a" })),
    ];
    for (path, body) in bodies {
        let (status, said) = rig.answer(path, body).await;
        assert_eq!((status, &said["error"]), (400, &json!("Validation failed")), "{path}");
    }
    let question = rig.ask("login/passkey/options", json!({ "email": "a@b.de" })).await;
    let body = json!({ "email": "a@b.de", "credential": Device::new(ORIGIN, NAME).sign(&question) });
    assert_eq!(rig.answer("login/passkey/verify", body.clone()).await, (401, error("Authentication failed")));
    let used = error("Challenge expired or not found. Please try again.");
    assert_eq!(rig.answer("login/passkey/verify", body).await, (401, used.clone()));
    let junk = json!({ "email": "a@b.de", "credential": {} });
    let said = error("Passkey verification failed. Please try again.");
    assert_eq!(rig.answer("register/passkey/verify", junk.clone()).await, (400, said.clone()));
    assert_eq!(rig.answer("login/passkey/verify", junk).await, (401, error("Authentication failed")));
    let elsewhere = Device::new("https://evil.example.org", NAME);
    let offer = rig.ask("register/passkey/options", json!({ "email": "a@b.de", "termsAccepted": true })).await;
    let body = json!({ "email": "a@b.de", "credential": elsewhere.make(&offer) });
    assert_eq!(rig.answer("register/passkey/verify", body.clone()).await, (400, said));
    assert_eq!(rig.answer("register/passkey/verify", body).await, (400, used));
    let link = error("Invalid or expired recovery token");
    assert_eq!(rig.answer("recover/passkey/options", json!({ "token": "1.a" })).await, (400, link.clone()));
    let body = json!({ "token": "1.a", "credential": {} });
    assert_eq!(rig.answer("recover/passkey/complete", body).await, (400, link));
}

#[tokio::test]
async fn a_lost_passkey_is_replaced_by_mail() {
    let rig = Rig::start(ORIGIN, true).await;
    let mut lost = rig.person("a@b.de").await;
    let old = rig.login("a@b.de", &mut lost).await.1;
    let said = json!({ "message": "If an account with that email exists, a recovery link has been sent." });
    assert_eq!(rig.answer("recover/passkey", json!({ "email": "x@b.de" })).await, (200, said.clone()));
    assert_eq!(rig.answer("recover/passkey", json!({ "email": "a@b.de" })).await, (200, said));
    let token = rig.mailed().await;
    let offer = rig.ask("recover/passkey/options", json!({ "token": token })).await;
    assert_eq!(offer["email"], "a@b.de");
    let mut new = Device::new(ORIGIN, NAME);
    let body = json!({ "token": token, "credential": new.make(&offer["options"]) });
    let said = "Passkey has been reset successfully. You can now log in with your new passkey.";
    assert_eq!(rig.answer("recover/passkey/complete", body).await, (200, json!({ "message": said })));
    assert_eq!(rig.login("a@b.de", &mut lost).await.0, 401);
    assert_eq!(rig.login("a@b.de", &mut new).await.0, 200);
    assert_eq!(rig.status(old["token"].as_str().unwrap()).await, 401, "tokens of before are dead");
}

#[tokio::test]
async fn whoever_is_signed_in_adds_a_passkey_of_another_device() {
    let rig = Rig::start(ORIGIN, true).await;
    let mut first = rig.person("a@b.de").await;
    let who = rig.login("a@b.de", &mut first).await.1;
    let token = who["token"].as_str().unwrap();
    assert_eq!(rig.send(0, "account/passkey/options", "nonsense", &json!({})).await.0, 401);
    let (status, offer) = rig.send(0, "account/passkey/options", token, &json!({})).await;
    assert_eq!((status, offer["excludeCredentials"].as_array().unwrap().len()), (200, 1));
    let mut second = Device::new(ORIGIN, NAME);
    let body = json!({ "credential": second.make(&offer) });
    let added = rig.send(1, "account/passkey/verify", token, &body).await;
    assert_eq!(added, (201, json!({ "message": "Passkey added" })));
    for device in [&mut first, &mut second] {
        assert_eq!(rig.login("a@b.de", device).await.1["user"]["id"], 1);
    }
}

#[tokio::test]
async fn a_server_without_a_public_name_says_what_to_set() {
    let rig = Rig::start("http://127.0.0.1:7110", true).await;
    for path in ["register/passkey/options", "login/passkey/options", "recover/passkey"] {
        let (status, said) = rig.answer(path, json!({ "email": "a@b.de", "termsAccepted": true })).await;
        assert_eq!(status, 400, "{path}");
        assert!(said["error"].as_str().unwrap().contains("--sp-public-url"), "{said}");
    }
}

#[tokio::test]
async fn passkey_routes_are_limited_as_on_the_reference_server() {
    let rig = Rig::start(ORIGIN, true).await;
    let routes = [
        ("register/passkey/options", 10),
        ("register/passkey/verify", 10),
        ("login/passkey/options", 20),
        ("login/passkey/verify", 20),
        ("recover/passkey", 5),
        ("recover/passkey/options", 10),
        ("recover/passkey/complete", 10),
    ];
    for (path, most) in routes {
        for _ in 0..most {
            assert_ne!(rig.answer(path, json!({})).await.0, 429, "{path}");
        }
        assert_eq!(rig.answer(path, json!({})).await.0, 429, "{path}");
    }
}

#[tokio::test]
async fn fifty_people_at_two_servers_all_get_in() {
    let rig = Arc::new(Rig::start(ORIGIN, false).await);
    let mut devices = Vec::new();
    for number in 0..50 {
        devices.push(rig.person(&format!("p{number}@b.de")).await);
    }
    let entering = devices.into_iter().enumerate().map(|(number, mut device)| {
        let rig = rig.clone();
        tokio::spawn(async move { rig.login(&format!("p{number}@b.de"), &mut device).await })
    });
    for (number, entered) in entering.collect::<Vec<_>>().into_iter().enumerate() {
        let (status, who) = entered.await.unwrap();
        assert_eq!((status, &who["user"]["email"]), (200, &json!(format!("p{number}@b.de"))), "{who}");
    }
}
