//! Why: what a person waits for on a device must not grow with the log or with what waits to be sent, and many writes at
//! once must not wait for each other's commits. How: a replica on a file; statements are counted, which is the same number
//! on every machine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use async_trait::async_trait;
use support::*;
use syncline::access::Caller;
use syncline::call::{Call, Reply};
use syncline::client::{CallError, Map, Receipt, Replica, ReplicaOptions, Tier, Transport, Write};
use syncline::oplog::{OpKind, Payload, Precondition, Schema};
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore, Store};
use syncline::time::{Env, EnvSource, Timestamp};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};

/// A clock that goes on when somebody looks.
#[derive(Debug, Default)]
struct Clock(AtomicU64, u8);

impl EnvSource for Clock {
    fn env(&self) -> Env {
        let looked = self.0.fetch_add(1, Ordering::Relaxed);
        let mut entropy = [self.1; 32];
        entropy[..8].copy_from_slice(&looked.to_be_bytes());
        Env { now: Timestamp::from_ms(1_700_000_000_000 + looked).unwrap(), entropy }
    }
}

/// A server in this process, and the way to it.
#[derive(Debug)]
struct Here(Server, Clock);

#[async_trait]
impl Transport for Here {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        Ok(self.0.handle(&Caller::operator(log(1).bucket), call, self.1.env()).await?)
    }
}

fn here() -> Here {
    let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), Schema::default());
    Here(server, Clock(AtomicU64::new(0), 255))
}

fn open(store: Arc<dyn Store>, seed: u8) -> Replica {
    let clock = Arc::new(Clock(AtomicU64::new(0), seed));
    block_on(Replica::open(store, log(1), clock, ReplicaOptions::default())).unwrap()
}

fn map(replica: &Replica, name: &str) -> Map {
    replica.collection("tasks").unwrap().named(name)
}

fn set(replica: &Replica, name: &str, value: u64) -> Receipt {
    block_on(map(replica, name).set("n", &value)).unwrap()
}

fn read(replica: &Replica, name: &str) -> Option<u64> {
    block_on(map(replica, name).field("n")).unwrap()
}

/// So many entities into the log, by a device of their own.
fn fill(way: &Here, from: u64, count: u64) {
    let writer = open(Arc::new(MemoryStore::new()), u8::try_from(from / 1_000).unwrap() + 10);
    for batch in 0..count / 1_000 {
        let write = |index| Write {
            key: map(&writer, &format!("old {}", from + batch * 1_000 + index)).key().clone(),
            kind: OpKind::Update,
            precondition: Precondition::None,
            payload: Payload::Json(r#"{"n":1}"#.into()),
        };
        block_on(writer.write_batch((0..1_000).map(write).collect())).unwrap();
    }
    assert!(block_on(writer.sync_once(way)).unwrap().is_safe());
}

/// Statements of a write, of another on the same entity, of the first read of it, and of the next; of a read of what only
/// the log has, and of the next. Background work is none: nothing runs unless it is asked for.
fn costs(store: &SqliteStore, replica: &Replica, name: &str, old: &str) -> [u64; 6] {
    let counted = |call: &dyn Fn()| {
        let before = store.statements();
        call();
        store.statements() - before
    };
    [
        counted(&|| drop(set(replica, name, 1))),
        counted(&|| drop(set(replica, name, 2))),
        counted(&|| assert_eq!(read(replica, name), Some(2))),
        counted(&|| assert_eq!(read(replica, name), Some(2))),
        counted(&|| assert_eq!(read(replica, old), Some(1))),
        counted(&|| assert_eq!(read(replica, old), Some(1))),
    ]
}

#[test]
fn a_write_and_a_read_execute_as_many_statements_in_a_long_log_with_much_waiting_as_in_a_short_one() {
    let folder = tempfile::tempdir().unwrap();
    let way = here();
    fill(&way, 0, 1_000);
    let store = Arc::new(SqliteStore::open(SqliteOptions::device(folder.path().join("a.db"))).unwrap());
    let replica = open(store.clone(), 1);
    block_on(replica.sync_once(&way)).unwrap();
    let short = costs(&store, &replica, "a", "old 1");
    fill(&way, 1_000, 10_000);
    block_on(replica.sync_once(&way)).unwrap();
    for number in 0..2_000 {
        set(&replica, &format!("waiting {number}"), number);
    }
    let long = costs(&store, &replica, "b", "old 9000");
    assert_eq!(short, long, "two writes, four reads");
    let [write, _, first, again, old, old_again] = long;
    assert!(write <= 9, "a write takes {write} statements");
    assert!(first <= 3, "what waits is read in {first}");
    assert_eq!((again, old, old_again), (0, 1, 0), "what was shown lately is not read again");
}

#[test]
fn an_entity_with_a_thousand_writes_that_wait_is_read_in_a_few_statements() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let store = Arc::new(SqliteStore::open(SqliteOptions::device(&file)).unwrap());
    let replica = open(store.clone(), 1);
    for number in 0..1_000 {
        set(&replica, "other", number);
        set(&replica, "hot", number);
    }
    drop((replica, store));
    let store = Arc::new(SqliteStore::open(SqliteOptions::device(&file)).unwrap());
    let replica = open(store.clone(), 2);
    let before = store.statements();
    assert_eq!(read(&replica, "hot"), Some(999));
    let first = store.statements() - before;
    assert!(first <= 4, "{first} statements");
    set(&replica, "hot", 1_000);
    let before = store.statements();
    assert_eq!(read(&replica, "hot"), Some(1_000));
    assert_eq!(store.statements() - before, 1, "the new one alone");
}

#[test]
fn writes_made_at_once_from_many_threads_while_syncing_are_all_kept_in_each_threads_order() {
    const THREADS: u8 = 8;
    const EACH: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let way = here();
    let store = Arc::new(SqliteStore::open(SqliteOptions::device(folder.path().join("a.db"))).unwrap());
    let replica = open(store, 1);
    let receipts: Vec<Receipt> = std::thread::scope(|scope| {
        let write = |thread: u8| {
            let replica = &replica;
            move || {
                (0..EACH)
                    .map(|number| {
                        let receipt = set(replica, &thread.to_string(), number);
                        assert_eq!(read(replica, &thread.to_string()), Some(number), "one reads what one wrote");
                        set(replica, "shared", number);
                        receipt
                    })
                    .collect::<Vec<_>>()
            }
        };
        let writers: Vec<_> = (0..THREADS).map(|thread| scope.spawn(write(thread))).collect();
        for _ in 0..20 {
            block_on(replica.sync_once(&way)).unwrap();
        }
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    assert!(block_on(replica.sync_once(&way)).unwrap().is_safe());
    let mut numbers: Vec<_> = receipts.iter().map(Receipt::no).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), usize::from(THREADS) * usize::try_from(EACH).unwrap());
    for receipt in &receipts {
        assert!(block_on(receipt.reached(Tier::Server)).unwrap().is_some());
    }
    let other = open(Arc::new(MemoryStore::new()), 9);
    block_on(other.sync_once(&way)).unwrap();
    for thread in 0..THREADS {
        assert_eq!(read(&other, &thread.to_string()), Some(EACH - 1));
    }
    assert_eq!(read(&other, "shared"), read(&replica, "shared"));
}

/// An application gives up waiting, as with a timeout.
#[test]
fn a_write_that_nobody_waits_for_is_kept_or_not_and_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let way = here();
    let file = folder.path().join("a.db");
    let store = Arc::new(SqliteStore::open(SqliteOptions::device(&file)).unwrap());
    let replica = open(store.clone(), 1);
    for round in 0..50 {
        let name = format!("left {round}");
        let left = map(&replica, &name);
        {
            let mut writing = pin!(left.set("n", &round));
            let _ = writing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        set(&replica, &format!("kept {round}"), round);
        let shown = read(&replica, &name);
        assert!(shown.is_none_or(|shown| shown == round));
        assert_eq!(read(&replica, &name), shown, "and it stays so");
    }
    let unsynced = replica.status().unsynced;
    drop((replica, store));
    let replica = open(Arc::new(SqliteStore::open(SqliteOptions::device(&file)).unwrap()), 2);
    assert_eq!(replica.status().unsynced, unsynced, "what is remembered is what is on the disk");
    assert!(block_on(replica.sync_once(&way)).unwrap().is_safe());
    for round in 0..50 {
        assert_eq!(read(&replica, &format!("kept {round}")), Some(round));
    }
}
