//! A device: it writes edits in batches, repeats what got no answer with the same ids, and reads pages that follow.
//!
//! What must hold: a page that does not follow, an op that is refused and a server that is never back fail the test.

#![allow(clippy::expect_used, clippy::panic, reason = "only tests have devices, and they fail by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use syncline::call::{Advice, Call, Page, Push, Pushed, Reply};
use syncline::client::{CallError, Transport};
use syncline::oplog::{Collection, Draft, EntityKey, Op, OpKind, Payload, Precondition, Subject, Verdict};
use syncline::store::PageLimit;
use syncline::{BucketId, Cursor, EntityId, Hlc, LogId, LogKey, OpId, ReplicaId, RequestId, Timestamp, VectorClock};

/// The bucket of the reference server's operator.
pub const BUCKET: BucketId = BucketId::from_bytes([0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]);

/// A device of one log, behind any number of servers.
#[derive(Debug)]
pub struct Device {
    servers: Vec<Arc<dyn Transport>>,
    turn: AtomicUsize,
    /// Its log.
    pub log: LogId,
    replica: ReplicaId,
    clock: VectorClock,
    counter: u64,
    /// How far it has read.
    pub cursor: Cursor,
}

impl Device {
    /// A device of this number, not 0, that has neither written nor read.
    #[must_use]
    pub fn new(number: u8, log: LogId, servers: Vec<Arc<dyn Transport>>) -> Self {
        let replica = ReplicaId::from_bytes([number; 16]);
        let turn = AtomicUsize::new(usize::from(number));
        Self { servers, turn, log, replica, clock: VectorClock::new(), counter: 0, cursor: Cursor::START }
    }

    /// One of the servers, as a careless load balancer picks them.
    fn server(&self) -> &dyn Transport {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mixed = turn.wrapping_mul(0x9e37_79b9) >> 7;
        &*self.servers[mixed % self.servers.len()]
    }

    /// The next op of this device.
    ///
    /// # Panics
    /// When there is no such op.
    pub fn write(&mut self, collection: &str, entity: [u8; 16], payload: Vec<u8>) -> Op {
        self.say(collection, entity, Payload::Json(payload.into()))
    }

    /// The next op of this device, with any payload.
    ///
    /// # Panics
    /// When there is no such op.
    pub fn say(&mut self, collection: &str, entity: [u8; 16], payload: Payload) -> Op {
        self.counter += 1;
        self.clock.set(self.replica, self.counter).expect("a small counter");
        let mut id = *self.replica.as_bytes();
        id[8..].copy_from_slice(&self.counter.to_be_bytes());
        let collection = Collection::new(collection).expect("a good name");
        Draft {
            id: OpId::from_bytes(id),
            replica: self.replica,
            subject: Subject::Entity {
                key: EntityKey { collection, entity: EntityId::from_bytes(entity) },
                also: Vec::new(),
            },
            kind: OpKind::Update,
            clock: self.clock.clone(),
            hlc: Hlc { ms: Timestamp::from_ms(1_700_000_000_000 + self.counter).expect("in range"), counter: 0 },
            schema_version: 1,
            precondition: Precondition::None,
            payload,
        }
        .seal()
        .expect("a good draft")
    }

    /// Pushes a batch until there is an answer, the same ids each time. Gives up after `patience` tries.
    ///
    /// # Panics
    /// When it gives up, or is refused.
    pub async fn push(&self, ops: Vec<Op>, patience: u32) -> Pushed {
        let mut request = *ops[0].id().as_bytes();
        request[0] ^= 0xff;
        let push =
            Push { log: self.log, request: Some(RequestId::from_bytes(request)), cursor: None, atomic: false, ops };
        match self.ask(Call::Push(push), patience).await {
            Reply::Pushed(pushed) => pushed,
            other => panic!("not an answer to a push: {other:?}"),
        }
    }

    /// Reads on and moves the cursor, after checking that the page follows it.
    ///
    /// # Panics
    /// When it does not, or as [`Device::push`].
    pub async fn pull(&mut self, patience: u32) -> Page {
        let limit = PageLimit::ops(1_000).expect("in range");
        let call = Call::Pull { log: self.log, cursor: self.cursor, limit };
        let Reply::Pulled(page) = self.ask(call, patience).await else { panic!("not a page") };
        page.follows(LogKey { bucket: BUCKET, log: self.log }, self.cursor).expect("the page follows the cursor");
        self.cursor = page.next;
        page
    }

    async fn ask(&self, call: Call, patience: u32) -> Reply {
        let mut last = String::new();
        for _ in 0..patience {
            match self.server().call(call.clone()).await {
                Ok(reply) => return reply,
                Err(CallError::Refused(refusal)) if refusal.code.advice() != Advice::Retry => {
                    panic!("refused: {refusal}")
                }
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no answer in {patience} tries: {last}");
    }
}

/// Every op is in the log, now or from an earlier try; how many they are.
///
/// # Panics
/// When one is not.
pub fn landed(verdicts: &[Verdict]) -> usize {
    assert!(verdicts.iter().all(|verdict| verdict.seq().is_some()), "{verdicts:?}");
    verdicts.len()
}
