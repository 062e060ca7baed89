//! One account of one server over HTTP: bodies as the app sends them, answers as they came.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// An answer: status and JSON (`Null` when there was no body).
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of an answer that must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        self.body
    }

    /// The results of an upload: `None` for accepted, else the code.
    #[track_caller]
    pub(crate) fn codes(self) -> Vec<Option<String>> {
        let body = self.ok();
        let results = body["results"].as_array().unwrap_or_else(|| panic!("no results in {body}"));
        results.iter().map(|result| result["errorCode"].as_str().map(str::to_owned)).collect()
    }
}

/// One account at one server.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) token: String,
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

impl Api {
    pub(crate) fn new(base: &str, token: &str) -> Self {
        Self { http: reqwest::Client::new(), base: base.to_owned(), token: token.to_owned() }
    }

    /// The same account at another server.
    pub(crate) fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// A request with what the app sends along.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .header("Content-Type", "application/json")
    }

    pub(crate) async fn send(request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{text}");
        Answer { status: status.as_u16(), body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Self::send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Self::send(self.request(Method::DELETE, path)).await
    }

    /// Plain JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    /// Plain text that says it is JSON.
    pub(crate) async fn post_text(&self, path: &str, body: String) -> Answer {
        Self::send(self.request(Method::POST, path).body(body)).await
    }

    /// As the app uploads.
    pub(crate) async fn post_gzip(&self, path: &str, body: &Value) -> Answer {
        let bytes = gzip(body.to_string().as_bytes());
        Self::send(self.request(Method::POST, path).header("Content-Encoding", "gzip").body(bytes)).await
    }

    /// An upload of ops by one client that knows nothing yet.
    pub(crate) async fn upload(&self, client: &str, ops: &[Value]) -> Answer {
        self.post("/api/sync/ops", &json!({"ops": ops, "clientId": client})).await
    }

    /// A page.
    pub(crate) async fn page(&self, since: u64, limit: u64) -> Value {
        self.get(&format!("/api/sync/ops?sinceSeq={since}&limit={limit}")).await.ok()
    }

    /// A snapshot upload of one client.
    pub(crate) async fn snapshot(&self, client: &str, reason: &str, clock: &Value, state: &Value) -> Answer {
        let body =
            json!({"state": state, "clientId": client, "reason": reason, "vectorClock": clock, "schemaVersion": 1});
        self.post_gzip("/api/sync/snapshot", &body).await
    }

    pub(crate) async fn status(&self) -> Value {
        self.get("/api/sync/status").await.ok()
    }
}
