//! Records and notes, pruning, and clocks of foreign clients: what the edge builds on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use syncline::call::ErrorCode;
use syncline::conformance::author::{Author, entity_key};
use syncline::conformance::support::{all_ops, env, log, push};
use syncline::decide::{self, Scope, SlotKey, Upload, Uploaded};
use syncline::oplog::{
    ConflictPolicy, Counters, FullStateKind, LogState, Op, OpKind, Precondition, Rules, Schema, Verdict,
};
use syncline::server::{Expect, Record, RecordWrite, RecordWritten, Server};
use syncline::store::{MemoryFanout, MemoryStore, Store, StoreExt};
use syncline::{BucketId, ReplicaId, Seq, VectorClock, limits};

const BUCKET: BucketId = BucketId::from_bytes([1; 16]);

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

fn server() -> (Arc<MemoryStore>, Server) {
    let store = Arc::new(MemoryStore::new());
    let schema = Schema::new(Rules::of(ConflictPolicy::Causal));
    (Arc::clone(&store), Server::new(store, Arc::new(MemoryFanout::new()), schema))
}

fn slot(name: &'static str) -> SlotKey {
    SlotKey(Bytes::from_static(name.as_bytes()))
}

fn write(entity: u8, expect: Expect, state: Option<&'static str>) -> RecordWrite {
    RecordWrite {
        key: entity_key("sys.thing", entity),
        expect,
        state: state.map(|state| Bytes::from_static(state.as_bytes())),
        take: Vec::new(),
        release: Vec::new(),
    }
}

#[test]
fn a_record_changes_only_from_what_was_expected() {
    run(async {
        let (_, server) = server();
        let done = |written| match written {
            RecordWritten::Done(seq) => seq,
            other => panic!("{other:?}"),
        };
        let first = done(server.write_record(BUCKET, write(1, Expect::Absent, Some("a")), env(1)).await.unwrap());
        let there = Record { version: first, state: Bytes::from_static(b"a") };
        let again = server.write_record(BUCKET, write(1, Expect::Absent, Some("b")), env(2)).await.unwrap();
        assert_eq!(again, RecordWritten::Moved(Some(there.clone())));
        assert_eq!(server.record(BUCKET, &entity_key("sys.thing", 1)).await.unwrap(), Some(there));
        let second =
            done(server.write_record(BUCKET, write(1, Expect::Version(first), Some("c")), env(3)).await.unwrap());
        let stale = server.write_record(BUCKET, write(1, Expect::Version(first), Some("d")), env(4)).await.unwrap();
        assert!(matches!(stale, RecordWritten::Moved(Some(record)) if record.version == second));
        done(server.write_record(BUCKET, write(1, Expect::Any, None), env(5)).await.unwrap());
        assert_eq!(server.record(BUCKET, &entity_key("sys.thing", 1)).await.unwrap(), None);
        done(server.write_record(BUCKET, write(1, Expect::Absent, Some("e")), env(6)).await.unwrap());
    });
}

#[test]
fn a_unique_name_has_one_record_until_it_is_released() {
    run(async {
        let (_, server) = server();
        let take = |entity, name| RecordWrite { take: vec![slot(name)], ..write(entity, Expect::Any, Some("x")) };
        assert!(matches!(server.write_record(BUCKET, take(1, "mail"), env(1)).await, Ok(RecordWritten::Done(_))));
        assert!(matches!(server.write_record(BUCKET, take(1, "mail"), env(2)).await, Ok(RecordWritten::Done(_))));
        let taken = server.write_record(BUCKET, take(2, "mail"), env(3)).await.unwrap();
        assert_eq!(taken, RecordWritten::SlotTaken(slot("mail")));
        assert_eq!(server.record(BUCKET, &entity_key("sys.thing", 2)).await.unwrap(), None);
        let (key, _) = server.record_in_slot(BUCKET, slot("mail")).await.unwrap().unwrap();
        assert_eq!(key, entity_key("sys.thing", 1));
        let foreign = RecordWrite { release: vec![slot("mail")], ..write(2, Expect::Any, Some("y")) };
        server.write_record(BUCKET, foreign, env(4)).await.unwrap();
        let holder = server.record_in_slot(BUCKET, slot("mail")).await.unwrap();
        assert!(holder.is_some_and(|(key, _)| key == entity_key("sys.thing", 1)), "nobody gives up another's name");
        let gone = RecordWrite { release: vec![slot("mail")], ..write(1, Expect::Any, None) };
        server.write_record(BUCKET, gone, env(4)).await.unwrap();
        assert!(matches!(server.write_record(BUCKET, take(2, "mail"), env(5)).await, Ok(RecordWritten::Done(_))));
        let outside = RecordWrite { key: entity_key("thing", 1), ..write(1, Expect::Any, Some("x")) };
        let refused = server.write_record(BUCKET, outside, env(6)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Malformed);
    });
}

#[test]
fn a_listing_of_records_reads_on_past_deleted_ones() {
    run(async {
        let (_, server) = server();
        for entity in 1..=6 {
            server.write_record(BUCKET, write(entity, Expect::Any, Some("x")), env(1)).await.unwrap();
        }
        for entity in 1..=4 {
            server.write_record(BUCKET, write(entity, Expect::Any, None), env(2)).await.unwrap();
        }
        let key = entity_key("sys.thing", 0);
        let listed = server.records(BUCKET, &key.collection, None, 2).await.unwrap();
        let keys: Vec<_> = listed.into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [entity_key("sys.thing", 5), entity_key("sys.thing", 6)]);
    });
}

#[test]
fn an_edge_can_ask_what_became_of_an_op_and_a_request() {
    run(async {
        let (store, server) = server();
        let op = Author::new(1).op(OpKind::Create, "causal", 1, "a");
        let request = syncline::RequestId::from_bytes([4; 16]);
        assert_eq!(server.known_op(log(1), op.id()).await.unwrap(), None);
        assert!(!server.remembers(log(1), request).await.unwrap());
        let input = syncline::conformance::support::requested(log(1), 4, std::slice::from_ref(&op));
        syncline::conformance::support::upload(&*store, input).await;
        let known = server.known_op(log(1), op.id()).await.unwrap().unwrap();
        assert_eq!((known.seq, known.digest), (Seq::FIRST, op.digest()));
        assert!(server.remembers(log(1), request).await.unwrap());
    });
}

#[test]
fn a_note_is_no_op_and_needs_its_log() {
    run(async {
        let (store, server) = server();
        let note = |entity| server.note(log(1), entity_key("sys.seen", entity), Bytes::from_static(b"now"));
        assert!(!note(1).await.unwrap());
        push(&*store, log(1), &[Author::new(1).op(OpKind::Create, "causal", 1, "a")]).await;
        assert!(note(2).await.unwrap() && note(1).await.unwrap() && note(1).await.unwrap());
        let notes = server.notes(log(1), &entity_key("sys.seen", 1).collection, None, 10).await.unwrap();
        assert_eq!(notes.len(), 2);
        assert_eq!(all_ops(&*store, log(1)).await.len(), 1);
    });
}

#[test]
fn a_forgotten_note_is_gone_and_a_record_is_no_note() {
    run(async {
        let (store, server) = server();
        let system = syncline::LogKey { bucket: BUCKET, log: syncline::LogId::SYSTEM };
        assert_eq!(server.forget_notes(system, vec![entity_key("sys.thing", 1)]).await.unwrap(), 0, "no log yet");
        server.write_record(BUCKET, write(1, Expect::Any, Some("a record")), env(1)).await.unwrap();
        for entity in [2, 3] {
            assert!(server.note(system, entity_key("sys.thing", entity), Bytes::from_static(b"now")).await.unwrap());
        }
        let keys = [1, 2, 2, 9].map(|entity| entity_key("sys.thing", entity));
        assert_eq!(server.forget_notes(system, keys.to_vec()).await.unwrap(), 1, "one of them was a note");
        let left = server.notes(system, &keys[0].collection, None, 10).await.unwrap();
        assert_eq!(left.iter().map(|(key, _)| key.entity.as_bytes()[0]).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(server.record(BUCKET, &keys[0]).await.unwrap().unwrap().version, Seq::FIRST);
        assert_eq!(all_ops(&*store, system).await.len(), 1);
        let refused = server.forget_notes(system, vec![entity_key("causal", 1)]).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Malformed);
    });
}

#[test]
fn nothing_is_pruned_that_no_full_state_stands_in_for() {
    run(async {
        let (store, server) = server();
        let mut author = Author::new(1);
        for entity in 1..=3 {
            push(&*store, log(1), &[author.op(OpKind::Create, "causal", entity, "a")]).await;
        }
        let seq = |value| Seq::new(value).unwrap();
        let refused = server.prune(log(1), seq(3)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::LogMoved);
        let import = author.full_state(FullStateKind::Recovery, LogState::default().to_bytes(), Precondition::None);
        push(&*store, log(1), &[import]).await;
        push(&*store, log(1), &[author.op(OpKind::Create, "causal", 9, "b")]).await;
        let before = store.bounds(log(1)).await.unwrap().unwrap();
        // Not the full state itself either: that lost the whole content for newcomers. Found by the simulator.
        for before in [5, 6, 7] {
            assert_eq!(server.prune(log(1), seq(before)).await.unwrap_err().code, ErrorCode::LogMoved);
        }
        let pruned = server.prune(log(1), seq(4)).await.unwrap();
        let after = store.bounds(log(1)).await.unwrap().unwrap();
        assert_eq!((pruned.ops, before.bytes - after.bytes), (3, pruned.bytes));
        assert_eq!((after.first, after.end()), (seq(4), before.end()));
        let left: u64 = store
            .ops_after(log(1), seq(3), Default::default())
            .await
            .unwrap()
            .ops
            .iter()
            .map(|logged| logged.op.bytes().len() as u64)
            .sum();
        assert_eq!(left, after.bytes);
        assert_eq!(server.prune(log(1), seq(4)).await.unwrap().ops, 0, "pruning twice is no error");
    });
}

async fn upload_open(store: &dyn Store, ops: &[Op]) -> Vec<Verdict> {
    let schema = Schema::new(Rules::of(ConflictPolicy::Causal)).counters_held(Counters::Open);
    let upload = Upload { log: log(1), request: None, cursor: None, atomic: false, ops: Arc::from(ops) };
    let scope = Scope::log(log(1), upload.reads());
    match store.decide(scope, move |view| decide::upload(&upload, &schema, &env(7), view)).await.unwrap() {
        Uploaded::Done { verdicts, .. } => verdicts,
        other => panic!("{other:?}"),
    }
}

/// Reinstalled apps take a new name each time; a hundred later they must still be able to sync.
#[test]
fn open_counters_outlive_a_hundred_names() {
    run(async {
        let store = MemoryStore::new();
        let mut count = 0;
        let mut author = |replica: u8| {
            count += 1;
            let mut op = Author::new(replica).op(OpKind::Create, "causal", replica, "a").draft().clone();
            op.id = syncline::OpId::from_bytes([count; 16]);
            op.seal().unwrap()
        };
        let most = u8::try_from(limits::CLOCK_ENTRIES_MAX).unwrap();
        for replica in 1..=most + 1 {
            let verdicts = upload_open(&store, &[author(replica)]).await;
            assert!(verdicts[0].seq().is_some(), "name {replica}: {verdicts:?}");
        }
        let bounds = store.bounds(log(1)).await.unwrap().unwrap();
        assert_eq!(bounds.clock.len(), limits::CLOCK_ENTRIES_MAX);
        let import =
            Author::new(200).full_state(FullStateKind::Recovery, LogState::default().to_bytes(), Precondition::None);
        assert!(upload_open(&store, &[import]).await[0].seq().is_some());
        let bounds = store.bounds(log(1)).await.unwrap().unwrap();
        let mut fresh = VectorClock::new();
        fresh.set(ReplicaId::from_bytes([200; 16]), 1).unwrap();
        assert_eq!(bounds.clock, fresh, "a full state starts the clock afresh");
    });
}
