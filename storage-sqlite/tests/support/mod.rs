//! What the tests of this crate share: an executor of nothing, ops to write, and a client that keeps a cursor.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and these are parts of tests")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use syncline::clock::VectorClock;
use syncline::decide::{Choice, Scope, Upload, Uploaded, upload};
use syncline::id::{BucketId, EntityId, LogId, LogKey, OpId, ReplicaId, RequestId};
use syncline::oplog::{
    Collection, ConflictPolicy, Counters, Draft, EntityKey, Gap, LoggedOp, Op, OpKind, Payload, Precondition, Rules,
    Schema, Subject, Verdict,
};
use syncline::seq::{Cursor, Seq};
use syncline::store::{PageLimit, Store, StoreError, StoreExt};
use syncline::time::{Env, Hlc, Timestamp};

pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A number spread over 16 bytes, so that ids of different kinds and numbers do not collide.
pub fn id16(kind: u8, number: u64) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

pub fn log(number: u64) -> LogKey {
    LogKey { bucket: BucketId::from_bytes(id16(1, 1)), log: LogId::from_bytes(id16(2, number)) }
}

pub fn tasks() -> Collection {
    Collection::new("tasks").unwrap()
}

pub fn entity(number: u64) -> EntityKey {
    EntityKey { collection: tasks(), entity: EntityId::from_bytes(id16(4, number)) }
}

pub fn env(ms: u64) -> Env {
    let mut entropy = [9; 32];
    entropy[..8].copy_from_slice(&ms.to_be_bytes());
    Env { now: Timestamp::from_ms(1_700_000_000_000 + ms).unwrap(), entropy }
}

/// Op `number` on an entity of its own, with `size` bytes of payload.
pub fn op_sized(number: u64, size: usize) -> Op {
    op_on(number, number, size)
}

/// Op `number` on entity `about`.
pub fn op_on(number: u64, about: u64, size: usize) -> Op {
    Draft {
        id: OpId::from_bytes(id16(3, number)),
        replica: ReplicaId::from_bytes(id16(5, 1)),
        subject: Subject::Entity { key: entity(about), also: Vec::new() },
        kind: OpKind::Update,
        clock: VectorClock::new(),
        hlc: Hlc { ms: env(number).now, counter: 0 },
        schema_version: 1,
        precondition: Precondition::None,
        payload: Payload::Plain(vec![number.to_le_bytes()[0]; size].into()),
    }
    .seal()
    .unwrap()
}

pub fn op(number: u64) -> Op {
    op_sized(number, 200)
}

/// Every op is accepted: these tests are about rows, not about rules.
pub fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(Rules::of(ConflictPolicy::Merge)).counters_held(Counters::Open))
}

pub fn push_with(
    store: &dyn Store,
    log: LogKey,
    ops: Vec<Op>,
    cursor: Option<Cursor>,
    request: Option<RequestId>,
) -> Result<Uploaded, StoreError> {
    let ops: Arc<[Op]> = ops.into();
    let request = request.map(|request| (request, Upload::fingerprint(false, &ops)));
    let upload_it = Upload { log, request, cursor, atomic: false, ops };
    let scope = Scope::log(log, upload_it.reads());
    let schema = schema();
    block_on(store.decide(scope, move |view| upload(&upload_it, &schema, &env(7), view)))
}

/// Pushes and gives the end of the log afterwards.
pub fn push(store: &dyn Store, log: LogKey, ops: Vec<Op>) -> Result<Cursor, StoreError> {
    match push_with(store, log, ops, None, None)? {
        Uploaded::Done { after, verdicts, .. } => {
            assert!(
                verdicts.iter().all(|verdict| matches!(verdict, Verdict::Accepted { .. } | Verdict::Duplicate { .. })),
                "{verdicts:?}"
            );
            Ok(after)
        }
        other => panic!("the push was answered {other:?}"),
    }
}

/// A decision that reads nothing and writes nothing.
pub fn nothing(store: &dyn Store, log: LogKey) -> Result<(), StoreError> {
    block_on(store.decide(Scope::log(log, syncline::decide::Reads::default()), |_| Choice::Done((), None)))
}

/// Reads on from a cursor to the end, checking each page as a client does.
pub fn pull(store: &dyn Store, log: LogKey, from: Cursor) -> Result<Result<Vec<LoggedOp>, Gap>, StoreError> {
    let (mut cursor, mut ops) = (from, Vec::new());
    loop {
        let page = block_on(store.ops_after(log, cursor.seq, PageLimit::default()))?;
        if let Some(gap) = page.gap(cursor) {
            return Ok(Err(gap));
        }
        cursor = page.next(cursor);
        let more = page.has_more();
        ops.extend(page.ops);
        if !more {
            return Ok(Ok(ops));
        }
    }
}

pub fn pull_all(store: &dyn Store, log: LogKey) -> Vec<LoggedOp> {
    pull(store, log, Cursor::START).unwrap().unwrap()
}

pub fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}
