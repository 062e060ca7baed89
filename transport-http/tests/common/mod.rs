//! A server over a memory store on a loopback socket, and ways to speak to it: well, and badly.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use syncline::access::Caller;
use syncline::call::{Call, Reply};
use syncline::clock::VectorClock;
use syncline::id::{BucketId, EntityId, LogId, LogKey, OpId, ReplicaId};
use syncline::oplog::{
    Collection, ConflictPolicy, Draft, EntityKey, Op, OpKind, Payload, Precondition, Rules, Schema, Subject,
};
use syncline::seq::Seq;
use syncline::server::Server;
use syncline::store::{MemoryBlobs, MemoryFanout, MemoryStore};
use syncline::time::{Env, Hlc, Timestamp};
use syncline_transport_http::client::{ClientOptions, Compression, Form, HttpClient};
use syncline_transport_http::server::{App, Beside, Hashing, PasswordCost, ServerOptions, Tokens, serve_beside};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const OPERATOR: &str = "the operator's token of these tests, long enough";
pub(crate) const BUCKET: BucketId = BucketId::from_bytes([7; 16]);
pub(crate) const LOG: LogId = LogId::from_bytes([9; 16]);
pub(crate) const KEY: LogKey = LogKey { bucket: BUCKET, log: LOG };
/// No wait in these tests is about time; this only ends one that would never end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    pub(crate) addr: SocketAddr,
    pub(crate) server: Server,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(ServerOptions::default()).await
    }

    pub(crate) async fn with(options: ServerOptions) -> Self {
        let server = server_over(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()));
        Self::beside(server, Beside::default(), options).await
    }

    /// A server with other routes beside the engine's own.
    pub(crate) async fn beside(server: Server, beside: Beside, options: ServerOptions) -> Self {
        let tokens = Tokens::new(server.clone()).with_operator(OPERATOR, BUCKET);
        let app = App::new(server.clone(), tokens, options);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let addr = listener.local_addr().expect("its address");
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve_beside(listener, app, beside, async move {
            let _ = stopped.await;
        }));
        Self { addr, server, stop: Some(stop), served }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn client(&self) -> HttpClient {
        self.client_of(OPERATOR, Form::Binary, Compression::Zstd)
    }

    pub(crate) fn client_of(&self, bearer: &str, form: Form, compression: Compression) -> HttpClient {
        let options = ClientOptions::new(self.url(), bearer).form(form).compression(compression);
        HttpClient::new(options).expect("a client")
    }

    /// Asks the engine itself, past the network.
    pub(crate) async fn ask(&self, call: Call) -> Reply {
        let env = Env { now: Timestamp::from_ms(1_800_000_000_000).expect("a time"), entropy: [3; 32] };
        self.server.handle(&Caller::operator(BUCKET), call, env).await.expect("an answer")
    }

    /// Where the log ends; 0 when there is none.
    pub(crate) async fn end(&self) -> Seq {
        let env = Env { now: Timestamp::default(), entropy: [3; 32] };
        match self.server.handle(&Caller::operator(BUCKET), Call::Status(LOG), env).await {
            Ok(Reply::Log { bounds, .. }) => bounds.last,
            _ => Seq::ZERO,
        }
    }

    /// Sends these bytes as they are and reads until the server closes.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.dial().await;
        // The server may refuse before it has read everything: then the rest cannot be written.
        let _ = stream.write_all(request).await;
        Answer::read(&mut stream).await
    }

    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.expect("a connection")
    }

    /// One request with a body and these headers; the connection is closed after it.
    pub(crate) async fn request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = head(method, target, headers, Some(body.len())).into_bytes();
        request.extend_from_slice(body);
        self.raw(&request).await
    }

    /// Asks for a WebSocket; what is answered to that, and nothing of what is said on it.
    pub(crate) async fn handshake(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut stream = self.dial().await;
        let request = head("GET", target, headers, None).replacen("connection: close", "connection: upgrade", 1);
        stream.write_all(request.as_bytes()).await.expect("sent");
        Answer::read_one(&mut stream).await
    }

    /// A push as JSON.
    pub(crate) async fn push_json(&self, body: &[u8]) -> Answer {
        self.request("POST", &ops_path(), &[("content-type", "application/json")], body).await
    }

    pub(crate) fn begin_stop(&mut self) {
        self.stop.take().expect("not stopped yet").send(()).expect("a server that serves");
    }

    pub(crate) async fn stopped(self) {
        let served = tokio::time::timeout(PATIENCE, self.served).await.expect("the server stops");
        served.expect("without a panic").expect("without an error");
    }
}

/// A server over these, with everything that it can keep.
pub(crate) fn server_over(store: Arc<MemoryStore>, fanout: Arc<MemoryFanout>) -> Server {
    Server::new(store, fanout, Schema::new(Rules::of(ConflictPolicy::Causal)))
        .with_blobs(Arc::new(MemoryBlobs::new()))
        .with_passwords(Arc::new(Hashing::new(PasswordCost { memory_kib: 8, passes: 1 }).expect("a cost")))
}

pub(crate) fn ops_path() -> String {
    format!("/v1/logs/{LOG}/ops")
}

/// A request's head, as the operator; the connection is closed after it.
pub(crate) fn head(method: &str, target: &str, headers: &[(&str, &str)], length: Option<usize>) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        head.push_str(&format!("authorization: Bearer {OPERATOR}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length.filter(|length| *length > 0) {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    head + "\r\n"
}

/// What a server said on a connection until it closed it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Everything, for tests that look for a second answer.
    pub(crate) all: Vec<u8>,
}

impl Answer {
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let mut all = Vec::new();
        // A reset after the answer is as good as an end.
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await;
        let _ = read.expect("the server closes");
        Self::of(all)
    }

    /// One answer whose length is said, on a connection that stays.
    pub(crate) async fn read_one(stream: &mut TcpStream) -> Self {
        let mut all = Vec::new();
        loop {
            let answer = Self::of(all.clone());
            let whole = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if answer.head.len() + 4 <= all.len() && answer.body.len() >= whole {
                return answer;
            }
            let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut all)).await.expect("the server answers");
            if read.unwrap_or(0) == 0 {
                return Self::of(all);
            }
        }
    }

    fn of(all: Vec<u8>) -> Self {
        let split = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(all.len());
        let head = String::from_utf8_lossy(&all[..split]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = all.get(split + 4..).unwrap_or_default().to_vec();
        let body = if head.contains("transfer-encoding: chunked") { unchunk(&body) } else { body };
        Self { status, head, body, all }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.map(str::trim)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The code of a refusal, which must be a whole problem document.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.head);
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        let code = problem["code"].as_str().expect("a code").to_owned();
        let known = syncline::call::ErrorCode::from_name(&code).expect("a known code");
        assert_eq!(known.status(), self.status, "{problem}");
        assert_eq!(problem["advice"], known.advice().name(), "{problem}");
        assert_eq!(problem["type"], format!("urn:syncline:problem:{}", code.to_lowercase().replace('_', "-")));
        let retries = known.advice() == syncline::call::Advice::Retry;
        assert_eq!(self.header("retry-after").is_some(), retries, "{}", self.head);
        code
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).expect("digits"), 16).expect("a size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
    }
}

pub(crate) fn replica(number: u8) -> ReplicaId {
    ReplicaId::from_bytes([number; 16])
}

/// The author's op number `counter`, about an entity of its own.
pub(crate) fn op(author: u8, counter: u32, payload: Payload) -> Op {
    draft(author, counter, payload).seal().expect("an op")
}

pub(crate) fn draft(author: u8, counter: u32, payload: Payload) -> Draft {
    let mut id = [author; 16];
    id[..4].copy_from_slice(&counter.to_be_bytes());
    let clock: VectorClock =
        serde_json::from_value(serde_json::json!({ replica(author).to_string(): counter })).expect("a clock");
    Draft {
        id: OpId::from_bytes(id),
        replica: replica(author),
        subject: Subject::Entity {
            key: EntityKey { collection: Collection::new("tasks").expect("a name"), entity: EntityId::from_bytes(id) },
            also: Vec::new(),
        },
        kind: OpKind::Create,
        clock,
        hlc: Hlc { ms: Timestamp::from_ms(1_700_000_000_000).expect("a time"), counter: 0 },
        schema_version: 1,
        precondition: Precondition::None,
        payload,
    }
}

pub(crate) fn json_payload(text: &str) -> Payload {
    Payload::Json(bytes::Bytes::from(text.to_owned()))
}

/// The JSON text of one op with this payload text put in as it is.
pub(crate) fn op_json(author: u8, counter: u32, payload: &str) -> String {
    let mut id = [author; 16];
    id[..4].copy_from_slice(&counter.to_be_bytes());
    let (id, replica) = (OpId::from_bytes(id), replica(author));
    format!(
        r#"{{"id":"{id}","replica":"{replica}","kind":"create","collection":"tasks","entity":"{id}","clock":{{"{replica}":{counter}}},"hlc":{{"ms":1700000000000}},"schema_version":1,"payload":{payload}}}"#
    )
}

pub(crate) fn push_of(ops: &[String]) -> Vec<u8> {
    format!(r#"{{"ops":[{}]}}"#, ops.join(",")).into_bytes()
}

/// A push of one op.
pub(crate) fn push_one(author: u8, counter: u32, payload: &str) -> Vec<u8> {
    push_of(&[op_json(author, counter, payload)])
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).expect("memory")
}

/// Peak memory of this process.
pub(crate) fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system says it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of it");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}
