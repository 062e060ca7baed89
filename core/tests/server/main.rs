//! `Server::handle` over the memory store: what every call answers, and every code it can refuse with.
//!
//! How: a `World` is a server with its store and its bus, and time that goes on by one with each call. Tests say what
//! was asked and what came back; nothing is mocked.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each proof uses its part")]
mod common;

mod access;
mod blobs;
mod cases;
mod devices;
mod faults;
mod groups;
mod links;
mod manifests;
mod piggyback;
mod push;
mod reader;
mod restore;
mod retain;
mod scans;
mod sealing;
mod share;
mod snapshot;
mod store;
mod together;
mod tree;

use std::cell::Cell;
use std::sync::Arc;

use common::poll_to_end;
use syncline::access::Caller;
use syncline::call::{Call, ErrorCode, Push, Pushed, Refusal, Reply};
use syncline::conformance::author::Author;
use syncline::conformance::support::{self, env, log, schema};
use syncline::decide::LogWrites;
use syncline::oplog::{LogBounds, Op, OpKind, Payload, RejectReason, Sealing, Snapshot, Verdict};
use syncline::server::Server;
use syncline::store::{Interest, MemoryFanout, MemoryStore, PageLimit, Signal, SignalSource, Store};
use syncline::{Cursor, Env, LogId, LogKey, RequestId, Seq};

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: MemoryFanout,
    pub(crate) server: Server,
    now: Cell<u64>,
}

pub(crate) const LOG: LogKey = log(1);

impl World {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()))
    }

    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        let bus = MemoryFanout::new();
        let server = Server::new(Arc::clone(&store), Arc::new(bus.clone()), schema());
        Self { store, bus, server, now: Cell::new(1) }
    }

    pub(crate) fn env(&self) -> Env {
        self.now.set(self.now.get() + 1);
        env(self.now.get())
    }

    pub(crate) fn ask(&self, caller: &Caller, call: Call) -> Result<Reply, Refusal> {
        poll_to_end(self.server.handle(caller, call, self.env()))
    }

    /// As the operator of the first bucket.
    pub(crate) fn call(&self, call: Call) -> Reply {
        self.ask(&operator(), call).expect("answered")
    }

    pub(crate) fn refused(&self, call: Call) -> Refusal {
        self.ask(&operator(), call).expect_err("refused")
    }

    pub(crate) fn code(&self, call: Call) -> ErrorCode {
        self.refused(call).code
    }

    pub(crate) fn pushes(&self, push: Push) -> Pushed {
        match self.call(Call::Push(push)) {
            Reply::Pushed(pushed) => pushed,
            other => panic!("not an answer to a push: {other:?}"),
        }
    }

    pub(crate) fn verdicts(&self, ops: &[Op]) -> Vec<Verdict> {
        self.pushes(push(ops)).verdicts
    }

    pub(crate) fn bounds(&self) -> LogBounds {
        match self.call(Call::Status(LOG.log)) {
            Reply::Log { bounds, .. } => *bounds,
            other => panic!("not a status: {other:?}"),
        }
    }

    pub(crate) fn end(&self) -> Cursor {
        self.bounds().end()
    }

    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        match self.call(Call::GetSnapshot(LOG.log)) {
            Reply::Snapshot(snapshot) => snapshot.map(|snapshot| *snapshot),
            other => panic!("not a snapshot: {other:?}"),
        }
    }

    /// Writes past the server, as damage or maintenance would.
    pub(crate) fn meddle(&self, change: impl Fn(&mut LogBounds, &mut LogWrites) + Send + Sync + 'static) {
        poll_to_end(support::write(&*self.store, LOG, change));
    }

    /// Takes ops away and leaves the bounds as they were.
    pub(crate) fn lose_ops_before(&self, seq: Seq) {
        self.meddle(move |_, writes| writes.prune_before = Some(seq));
    }

    /// Prunes as retention does.
    pub(crate) fn prune_before(&self, seq: Seq) {
        let ops = poll_to_end(support::all_ops(&*self.store, LOG));
        let base = ops[usize::try_from(seq.get() - 2).expect("few")].anchor;
        self.meddle(move |bounds, writes| {
            (bounds.first, bounds.base) = (seq, base);
            writes.prune_before = Some(seq);
        });
    }

    pub(crate) fn listen(&self) -> Box<dyn SignalSource> {
        self.bus.listen(Interest::Everything)
    }
}

/// The signal waiting, if any.
pub(crate) fn heard(source: &mut dyn SignalSource) -> Option<Signal> {
    use std::task::{Context, Poll, Waker};
    let mut next = source.next();
    match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(signal) => signal,
        Poll::Pending => None,
    }
}

pub(crate) fn operator() -> Caller {
    Caller::operator(LOG.bucket)
}

pub(crate) const fn create(log: LogId) -> Call {
    Call::CreateLog { log, sealing: Sealing::Optional }
}

pub(crate) fn push(ops: &[Op]) -> Push {
    Push { log: LOG.log, request: None, cursor: None, atomic: false, ops: ops.to_vec() }
}

pub(crate) fn request(number: u8) -> RequestId {
    RequestId::from_bytes([number; 16])
}

pub(crate) fn pull(log: LogId, cursor: Cursor) -> Call {
    Call::Pull { log, cursor, limit: PageLimit::default() }
}

pub(crate) fn rejected(reason: RejectReason) -> Verdict {
    Verdict::Rejected { reason }
}

/// A new JSON field of one causal entity.
pub(crate) fn edit(author: &mut Author, entity: u8, text: &str) -> Op {
    let subject = syncline::conformance::author::entity_subject("causal", entity);
    let draft = author.draft(OpKind::Update, subject, Payload::Json(text.to_owned().into()));
    draft.seal().expect("a good draft")
}

/// `count` edits of one entity, one after the other.
pub(crate) fn edits(author: &mut Author, count: usize) -> Vec<Op> {
    (0..count).map(|number| edit(author, 1, &format!("{{\"n\":{number}}}"))).collect()
}
