//! A server with the dialect over a memory store, and somebody signed in who asks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use syncline::id::BucketId;
use syncline::oplog::{ConflictPolicy, Rules, Schema};
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore};
use syncline_transport_http::dialect::super_productivity::{Settings, SuperProductivity};
use syncline_transport_http::server::{App, Beside, ServerOptions, Tokens, serve_beside};
use tokio::net::TcpListener;

use crate::common::{self, Answer};

const BUCKET: BucketId = BucketId::from_bytes([5; 16]);

/// A server with the dialect beside the engine's own routes.
pub(crate) struct Rig {
    pub(crate) addr: SocketAddr,
    pub(crate) dialect: SuperProductivity,
}

/// Somebody signed in.
pub(crate) struct User<'r> {
    rig: &'r Rig,
    pub(crate) token: String,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    /// As tests run: nobody is counted, accounts are free.
    pub(crate) async fn with(settings: Settings) -> Self {
        Self::of(Settings { test_routes: true, ..settings }, ServerOptions::default()).await
    }

    /// As it runs for people: requests are counted, accounts are the operator's to make.
    pub(crate) async fn counting(settings: Settings) -> Self {
        Self::of(settings, ServerOptions::default()).await
    }

    pub(crate) async fn of(settings: Settings, options: ServerOptions) -> Self {
        let (store, fanout) = (Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()));
        let schema = Schema::new(Rules::of(ConflictPolicy::Causal));
        let server = Server::new(store.clone(), fanout.clone(), schema);
        let settings = Settings { token_secret: "s".repeat(32), ..settings };
        let dialect = SuperProductivity::new(store, fanout, BUCKET, settings).expect("settings that can be");
        let tokens = || Tokens::new(server.clone()).with_operator(common::OPERATOR, BUCKET);
        let routes = dialect.router().merge(dialect.operator_router(Arc::new(tokens())));
        let app = App::new(server.clone(), tokens(), options);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let addr = listener.local_addr().expect("its address");
        let beside = Beside::new(routes).worded_by(dialect.clone());
        tokio::spawn(serve_beside(listener, app, beside, std::future::pending()));
        Self { addr, dialect }
    }

    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        use tokio::io::AsyncWriteExt as _;
        let mut stream = tokio::net::TcpStream::connect(self.addr).await.expect("a connection");
        let mut request = common::head(method, target, headers, Some(body.len())).into_bytes();
        request.extend_from_slice(body);
        // The server may refuse before it has read everything.
        let _ = stream.write_all(&request).await;
        Answer::read(&mut stream).await
    }

    pub(crate) async fn user(&self, name: &str) -> User<'_> {
        let body = json!({ "email": format!("{name}@example.org"), "password": "long enough" }).to_string();
        let headers = [("content-type", "application/json")];
        let answer = self.send("POST", "/api/test/create-user", &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        User { rig: self, token: answer.json()["token"].as_str().expect("a token").to_owned() }
    }

    /// An account that the operator made.
    pub(crate) async fn made(&self, name: &str) -> User<'_> {
        let body = json!({ "email": format!("{name}@example.org") }).to_string();
        let path = "/v1/admin/super-productivity/accounts";
        let answer = self.send("POST", path, &[("content-type", "application/json")], body.as_bytes()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        User { rig: self, token: answer.json()["token"].as_str().expect("a token").to_owned() }
    }
}

impl User<'_> {
    pub(crate) async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        all.retain(|(name, _)| !headers.iter().any(|(given, _)| given == name));
        all.extend_from_slice(headers);
        self.rig.send(method, target, &all, body).await
    }

    pub(crate) async fn get(&self, target: &str) -> Value {
        let answer = self.ask("GET", target, &[], b"").await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
        answer.json()
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> Value {
        let answer = self.ask("POST", target, &[], body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        answer.json()
    }

    pub(crate) async fn upload(&self, client: &str, ops: Value, known: Option<u64>) -> Value {
        let mut body = json!({ "ops": ops, "clientId": client });
        if let Some(known) = known {
            body["lastKnownServerSeq"] = known.into();
        }
        self.post("/api/sync/ops", body).await
    }

    pub(crate) async fn import(&self, client: &str, reason: &str, state: Value) -> Answer {
        let body = json!({ "state": state, "clientId": client, "reason": reason, "vectorClock": {client: 9} });
        self.ask("POST", "/api/sync/snapshot", &[], body.to_string().as_bytes()).await
    }
}

pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("not so late")
}

pub(crate) fn op(id: &str, client: &str, entity: &str, clock: Value) -> Value {
    json!({
        "id": id, "clientId": client, "actionType": "[Task] Update", "opType": "UPD", "entityType": "TASK",
        "entityId": entity, "payload": {"title": id}, "vectorClock": clock, "timestamp": now(), "schemaVersion": 1,
    })
}

pub(crate) fn with(mut op: Value, field: &str, value: Value) -> Value {
    op[field] = value;
    op
}

pub(crate) fn codes(answer: &Value) -> Vec<&str> {
    let results = answer["results"].as_array().expect("results");
    results.iter().map(|result| result["errorCode"].as_str().unwrap_or("accepted")).collect()
}
