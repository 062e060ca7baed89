//! A server in the same process, and a wire that can be meddled with.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use syncline::access::Caller;
use syncline::call::{Call, Refusal, Reply};
use syncline::client::{CallError, Transport};
use syncline::oplog::{
    Collection, ConflictPolicy, Draft, EntityKey, Op, OpKind, Payload, Precondition, Rules, Schema, Subject,
};
use syncline::server::Server;
use syncline::store::{Interest, MemoryFanout, MemoryStore, SignalSource};
use syncline::{BucketId, EntityId, Hlc, LogId, LogKey, OpId, ReplicaId, Timestamp, VectorClock};
use syncline_desk::Fault;

use crate::cli::{Cli, Command};
use crate::commands::{self, Outcome};
use crate::ids;
use crate::session::{Patience, Session};

pub(crate) const BUCKET: BucketId = BucketId::from_bytes([7; 16]);

type Meddle = Box<dyn FnMut(&Call, Result<Reply, CallError>) -> Result<Reply, CallError> + Send>;

/// Function calls instead of HTTP.
pub(crate) struct Wire {
    server: Server,
    meddle: Mutex<Option<Meddle>>,
    pub(crate) calls: Mutex<Vec<Call>>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

#[async_trait]
impl Transport for Wire {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        self.calls.lock().unwrap().push(call.clone());
        let env = ids::env().map_err(|fault| CallError::Protocol(fault.to_string()))?;
        let caller = Caller::operator(BUCKET);
        let answer = self.server.handle(&caller, call.clone(), env).await.map_err(CallError::from);
        match &mut *self.meddle.lock().unwrap() {
            None => answer,
            Some(meddle) => meddle(&call, answer),
        }
    }

    async fn wakes(&self, log: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
        let source = self.server.fanout().subscribe(Interest::Logs(vec![log])).await;
        source.map(Some).map_err(|error| CallError::Unreachable(error.into()))
    }
}

/// A server, a session with it, and the wire between.
pub(crate) struct Rig {
    pub(crate) session: Session,
    pub(crate) wire: Arc<Wire>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(Rules::of(ConflictPolicy::Causal));
        let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), schema);
        let wire = Arc::new(Wire { server, meddle: Mutex::default(), calls: Mutex::default() });
        let patience = Patience { tries: 4, first_wait: Duration::ZERO };
        let session = Session { transport: wire.clone(), bucket: BUCKET, patience };
        Self { session, wire }
    }

    /// Lets `meddle` change every answer from now on.
    pub(crate) fn meddle(
        &self,
        meddle: impl FnMut(&Call, Result<Reply, CallError>) -> Result<Reply, CallError> + Send + 'static,
    ) {
        *self.wire.meddle.lock().unwrap() = Some(Box::new(meddle));
    }

    pub(crate) fn calls(&self) -> usize {
        self.wire.calls.lock().unwrap().len()
    }

    /// Whether the server knows this bearer token.
    pub(crate) async fn lets_in(&self, bearer: &str) -> bool {
        self.wire.server.authenticate(bearer, ids::env().unwrap().now).await.is_ok()
    }

    /// Runs a command line without its program's name, with this stdin.
    pub(crate) async fn run_with(&self, line: &[&str], input: &str) -> Ran {
        let command = parse(line);
        let mut out = Vec::new();
        let result = commands::run(&self.session, command, &mut input.as_bytes(), &mut out).await;
        Ran { result, out: String::from_utf8(out).unwrap() }
    }

    pub(crate) async fn run(&self, line: &[&str]) -> Ran {
        self.run_with(line, "").await
    }

    /// A new log, its id as text.
    pub(crate) async fn log(&self) -> String {
        self.run(&["log", "create"]).await.done().trim().to_owned()
    }

    /// Makes edits `from..=to` of one device, each to its own entity.
    pub(crate) async fn edits(&self, log: &str, device: &str, numbers: std::ops::RangeInclusive<u32>) {
        for number in numbers {
            let (name, json) = (format!("{device}-{number}"), format!("{{\"n\":{number}}}"));
            let edit = ["edit", log, "--device", device, "--collection", "notes", "--name", &name, "--json", &json];
            self.run(&edit).await.done();
        }
    }
}

/// How a command ended, and what it wrote to stdout.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) result: Result<Outcome, Fault>,
    pub(crate) out: String,
}

impl Ran {
    /// What it wrote, having done everything.
    pub(crate) fn done(self) -> String {
        assert_eq!(self.result.unwrap_or_else(|fault| panic!("stopped: {fault}")), Outcome::Done, "{}", self.out);
        self.out
    }

    /// The sentence it stopped with.
    pub(crate) fn fault(self) -> String {
        self.result.err().unwrap_or_else(|| panic!("did not stop: {}", self.out)).to_string()
    }

    /// Its lines as JSON.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub(crate) fn parse(line: &[&str]) -> Command {
    use clap::Parser as _;
    let line = std::iter::once("syncline-ctl").chain(line.iter().copied());
    Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).command
}

pub(crate) fn log_id(text: &str) -> LogId {
    text.parse().unwrap()
}

pub(crate) fn busy() -> CallError {
    CallError::Refused(Refusal::new(syncline::call::ErrorCode::Busy, "the server is busy"))
}

/// The `counter`th op of a replica named by a byte, to an entity of its own.
pub(crate) fn op_with(replica: u8, counter: u64, payload: &str) -> Op {
    op_on(replica, counter, &format!("{replica}-{counter}"), payload)
}

/// An op of a replica on an entity named `name`.
pub(crate) fn op_on(replica: u8, counter: u64, name: &str, payload: &str) -> Op {
    let mut clock = VectorClock::new();
    let replica = ReplicaId::from_bytes([replica; 16]);
    clock.set(replica, counter).unwrap();
    let key = EntityKey { collection: Collection::new("notes").unwrap(), entity: EntityId::named(name) };
    let id = ids::uuid8("test op", &[replica.as_bytes(), &counter.to_be_bytes(), name.as_bytes()]);
    Draft {
        id: OpId::from_bytes(id),
        replica,
        subject: Subject::Entity { key, also: Vec::<EntityId>::new() },
        kind: OpKind::Update,
        clock,
        hlc: Hlc { ms: Timestamp::from_ms(1_700_000_000_000).unwrap(), counter: 0 },
        schema_version: 1,
        precondition: Precondition::None,
        payload: Payload::Json(payload.to_owned().into()),
    }
    .seal()
    .unwrap()
}

/// Ops as the HTTP API writes them, one per line.
pub(crate) fn lines_of(ops: &[Op]) -> String {
    let line = |op: &Op| serde_json::to_string(&syncline::wire::json::OpJson::of(op).unwrap()).unwrap() + "\n";
    ops.iter().map(line).collect()
}
