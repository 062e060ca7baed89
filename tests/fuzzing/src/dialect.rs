//! Bodies that a client of Super Productivity sends, of any origin.
//!
//! What must hold: no body is answered by a failure of the server; an answer is JSON; an upload has one result for each of
//! its operations, and what was accepted is what a download brings, once, also after the same body came again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use syncline::BucketId;
use syncline::store::{MemoryFanout, MemoryStore};
use syncline_transport_http::dialect::super_productivity::{PasswordCost, Settings, SuperProductivity};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

use crate::given::how;
use crate::hostile_text::mutate;
use crate::random::Random;

struct World {
    runtime: Runtime,
    router: Router,
}

thread_local! {
    static WORLD: World = World::new();
}

impl World {
    fn new() -> Self {
        let settings = Settings {
            token_secret: "s".repeat(32),
            password_cost: PasswordCost { memory_kib: 8, passes: 1 },
            test_routes: true,
            ..Settings::default()
        };
        let (store, fanout) = (Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()));
        let dialect = SuperProductivity::new(store, fanout, BucketId::from_bytes([1; 16]), settings);
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, router: dialect.expect("settings that can be").router() }
    }

    fn ask(&self, method: Method, target: &str, token: &str, body: Vec<u8>) -> (u16, Value) {
        self.runtime.block_on(async {
            let request = Request::builder().method(method).uri(target);
            let request = request.header("content-type", "application/json");
            let request = request.header("authorization", format!("Bearer {token}"));
            let mut request = request.body(Body::from(body)).expect("a request");
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 5))));
            let response = self.router.clone().oneshot(request).await.expect("an answer");
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.expect("a whole body").to_bytes();
            let body = serde_json::from_slice(&body).expect("an answer is JSON");
            assert!(status < 500, "{target}: {status} {body}");
            (status, body)
        })
    }

    /// The account's token; what it had is gone.
    fn account(&self) -> String {
        let body = json!({ "email": "a@example.org", "password": "long enough" }).to_string();
        let (status, body) = self.ask(Method::POST, "/api/test/create-user", "", body.into_bytes());
        assert_eq!(status, 201, "{body}");
        body["token"].as_str().expect("a token").to_owned()
    }
}

/// An operation as the app writes it.
fn usual(number: usize) -> Value {
    json!({
        "id": format!("op-{number}"), "clientId": "B_aaaa", "actionType": "[Task] Update", "opType": "UPD",
        "entityType": "TASK", "entityId": format!("t{}", number % 2), "payload": {"title": number},
        "vectorClock": {"B_aaaa": number + 1}, "timestamp": 1_700_000_000_000_u64, "schemaVersion": 1,
    })
}

/// An upload with one of its values, or its name, exchanged.
fn exchanged(random: &mut Random) -> Vec<u8> {
    const EDGES: [&str; 14] = [
        "null",
        "true",
        "-1",
        "0",
        "0.5",
        "65536",
        "9007199254740992",
        "18446744073709551615",
        "1e308",
        "\"\"",
        "\"\\u0000\"",
        "[]",
        "{}",
        "{\"\":{\"a\":[1]}}",
    ];
    const KINDS: [&str; 9] = ["CRT", "DEL", "MOV", "BATCH", "SYNC_IMPORT", "BACKUP_IMPORT", "REPAIR", "UPD", ""];
    let mut ops = Vec::new();
    for number in 0..=random.below(4) {
        let mut op = usual(number);
        let names: Vec<String> = op.as_object().expect("an object").keys().cloned().collect();
        for _ in 0..random.below(3) {
            let name = &names[random.below(names.len())];
            op[name] = match random.below(4) {
                0 => json!(KINDS[random.below(KINDS.len())]),
                1 => json!({ "B_aaaa": random.read(8) >> 11, "B_bbbb": random.below(5) }),
                _ => serde_json::from_str(EDGES[random.below(EDGES.len())]).expect("an edge is JSON"),
            };
        }
        ops.push(op);
    }
    let mut body = json!({ "ops": ops, "clientId": "B_aaaa" });
    match random.below(4) {
        0 => body["lastKnownServerSeq"] = serde_json::from_str(EDGES[random.below(EDGES.len())]).expect("JSON"),
        1 => body["requestId"] = json!("request"),
        _ => {}
    }
    let mut body = body.to_string().into_bytes();
    if random.below(4) == 0 {
        mutate(&mut body, random);
    }
    body
}

fn accepted(answer: &Value) -> usize {
    let results = answer["results"].as_array().expect("results");
    results.iter().filter(|result| result["accepted"] == json!(true)).count()
}

const FULL: [&str; 3] = ["SYNC_IMPORT", "BACKUP_IMPORT", "REPAIR"];

fn uploads(world: &World, body: &[u8]) {
    let token = world.account();
    let (status, answer) = world.ask(Method::POST, "/api/sync/ops", &token, body.to_vec());
    if status != 200 {
        return;
    }
    // Numbers that no double holds are for an operation's own result to refuse.
    let asked: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).expect("what was taken is JSON");
    let ops: Vec<Box<RawValue>> = serde_json::from_str(asked["ops"].get()).expect("what was taken has operations");
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(ops.len()), "one result each");
    world.ask(Method::POST, "/api/sync/ops", &token, body.to_vec());
    let (status, page) = world.ask(Method::GET, "/api/sync/ops?sinceSeq=0&limit=500", &token, Vec::new());
    assert_eq!(status, 200, "{page}");
    let kept = page["ops"].as_array().expect("operations");
    // An import hides what was before it, and so does what the second copy of the body brought.
    let full = |op: &RawValue| {
        serde_json::from_str::<Value>(op.get()).is_ok_and(|op| FULL.iter().any(|full| op["opType"] == *full))
    };
    if !ops.iter().any(|op| full(op)) {
        assert_eq!(kept.len(), accepted(&answer), "what was accepted is there once: {answer} {page}");
    }
}

pub(crate) fn dialect_json(data: &[u8]) {
    let (how, data) = how(data);
    WORLD.with(|world| match how % 4 {
        0 => uploads(world, data),
        1 => drop(world.ask(Method::POST, "/api/sync/snapshot", &world.account(), data.to_vec())),
        _ => uploads(world, &exchanged(&mut Random::over(data))),
    });
}
