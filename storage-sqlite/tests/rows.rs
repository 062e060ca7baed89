//! What goes in comes out: pages, heads, receipts, snapshots, pruning, erasing, and the order of answers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::thread;

use support::*;
use syncline::clock::VectorClock;
use syncline::decide::{Choice, LogWrites, Reads, Scope, SlotKey, Step, Uploaded};
use syncline::id::RequestId;
use syncline::limits;
use syncline::oplog::{EntityKey, LogBounds, Payload, Snapshot, Verdict};
use syncline::seq::Cursor;
use syncline::store::{PageLimit, Store, StoreErrorKind, StoreExt};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};

fn fresh() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("a.db"))).unwrap();
    (folder, store)
}

#[test]
fn ops_come_back_byte_for_byte_after_reopening() {
    let (folder, store) = fresh();
    let ops: Vec<_> = (1..=1_000).map(op).collect();
    push(&store, log(1), ops.clone()).unwrap();
    drop(store);
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("a.db"))).unwrap();
    let found = pull_all(&store, log(1));
    assert_eq!(
        found.iter().map(|logged| logged.op.clone()).collect::<Vec<_>>(),
        ops.iter().map(|op| op.raw().clone()).collect::<Vec<_>>()
    );
    assert_eq!(store.contradictions(), []);
}

#[test]
fn a_page_ends_at_its_ops_and_at_its_bytes() {
    let (_folder, store) = fresh();
    push(&store, log(1), (1..=20).map(|number| op_sized(number, 1_000)).collect()).unwrap();
    let page = block_on(store.ops_after(log(1), seq(3), PageLimit::ops(5).unwrap())).unwrap();
    assert_eq!(page.ops.iter().map(|logged| logged.seq.get()).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
    let size = page.ops[0].op.bytes().len();
    let page = block_on(store.ops_after(log(1), seq(3), PageLimit::default().bytes(size * 2 + 1))).unwrap();
    assert_eq!(page.ops.len(), 2);
    let page = block_on(store.ops_after(log(1), seq(3), PageLimit::default().bytes(1))).unwrap();
    assert_eq!(page.ops.len(), 1, "one op is always served");
}

#[test]
fn a_repeated_request_is_answered_from_its_receipt() {
    let (_folder, store) = fresh();
    let request = Some(RequestId::from_bytes(id16(6, 1)));
    let first = push_with(&store, log(1), vec![op(1)], None, request).unwrap();
    let again = push_with(&store, log(1), vec![op(1)], None, request).unwrap();
    let Uploaded::Done { verdicts, replayed: false, .. } = first else { panic!("{first:?}") };
    let Uploaded::Done { verdicts: same, replayed: true, .. } = again else { panic!("{again:?}") };
    assert_eq!(verdicts, same);
    assert_eq!(push_with(&store, log(1), vec![op(2)], None, request).unwrap(), Uploaded::RequestReused);
}

#[test]
fn racing_writers_leave_a_log_without_holes() {
    let (_folder, store) = fresh();
    let store: Arc<dyn Store> = Arc::new(store);
    thread::scope(|scope| {
        for writer in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..25 {
                    push(store.as_ref(), log(1), vec![op(writer * 1_000 + number)]).unwrap();
                }
            });
        }
    });
    let seqs: Vec<u64> = pull_all(store.as_ref(), log(1)).iter().map(|logged| logged.seq.get()).collect();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
}

#[test]
fn a_pruned_op_keeps_its_one_effect() {
    let (_folder, store) = fresh();
    push(&store, log(1), (1..=10).map(op).collect()).unwrap();
    let wrote =
        block_on(store.decide(Scope::log(log(1), Reads { anchors: vec![seq(5)], ..Reads::default() }), |view| {
            let seen = view.log(log(1));
            let bounds = LogBounds { first: seq(6), base: seen.anchors[&seq(5)], ..seen.bounds.clone().unwrap() };
            let writes = LogWrites { prune_before: Some(seq(6)), ..LogWrites::new(log(1), bounds) };
            Choice::Done(true, Some(writes.alone()))
        }));
    assert!(wrote.unwrap());
    let page = block_on(store.ops_after(log(1), seq(5), PageLimit::default())).unwrap();
    assert_eq!(page.gap(Cursor { seq: seq(5), anchor: page.anchor }), None);
    assert_eq!(page.ops.len(), 5);
    let again = push_with(&store, log(1), vec![op(3), op(7), op(11)], None, None).unwrap();
    let Uploaded::Done { verdicts, .. } = again else { panic!("{again:?}") };
    assert_eq!(
        verdicts,
        [Verdict::Duplicate { seq: seq(3) }, Verdict::Duplicate { seq: seq(7) }, Verdict::Accepted { seq: seq(11) }]
    );
}

#[test]
fn an_erased_log_is_gone_with_everything_in_it() {
    let (_folder, store) = fresh();
    push(&store, log(1), (1..=10).map(op).collect()).unwrap();
    push(&store, log(2), vec![op(1)]).unwrap();
    block_on(
        store.decide(Scope::log(log(1), Reads::default()), |_| {
            Choice::Done((), Some(LogWrites::forget(log(1)).alone()))
        }),
    )
    .unwrap();
    assert_eq!(pull_all(&store, log(1)), []);
    assert_eq!(block_on(store.heads(log(1), &tasks(), None, 10)).unwrap().heads, []);
    assert_eq!(block_on(store.logs(log(1).bucket, None, 10)).unwrap().len(), 1);
    assert_eq!(push(&store, log(1), vec![op(1)]).unwrap().seq, seq(1));
    assert_eq!(pull_all(&store, log(2)).len(), 1);
}

#[test]
fn heads_are_listed_in_key_order_behind_any_key() {
    let (_folder, store) = fresh();
    push(&store, log(1), (1..=5).map(op).collect()).unwrap();
    let keys = |after: Option<&EntityKey>, limit| {
        let page = block_on(store.heads(log(1), &tasks(), after, limit)).unwrap();
        (page.heads.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(keys(None, 3), (vec![entity(1), entity(2), entity(3)], true));
    assert_eq!(keys(Some(&entity(3)), 3), (vec![entity(4), entity(5)], false));
    let other = |name| EntityKey { collection: syncline::oplog::Collection::new(name).unwrap(), ..entity(9) };
    assert_eq!(keys(Some(&other("aaa")), 9).0.len(), 5);
    assert_eq!(keys(Some(&other("zzz")), 9), (Vec::new(), false));
    assert_eq!(keys(None, 0), (Vec::new(), true));
}

#[test]
fn a_snapshot_and_slots_come_back() {
    let (_folder, store) = fresh();
    push(&store, log(1), (1..=5).map(op).collect()).unwrap();
    let mut clock = VectorClock::new();
    clock.set(op(1).replica(), 5).unwrap();
    let slot = SlotKey(b"parent/name".as_slice().into());
    let reads = Reads { anchors: vec![seq(4)], slots: vec![slot.clone()], ..Reads::default() };
    let (taken, key) = (clock.clone(), slot.clone());
    let snapshot = block_on(store.decide(Scope::log(log(1), reads.clone()), move |view| {
        let seen = view.log(log(1));
        let snapshot = Snapshot {
            seq: seq(4),
            anchor: seen.anchors[&seq(4)],
            clock: taken.clone(),
            schema_version: 7,
            payload: Payload::Sealed(b"state".as_slice().into()),
        };
        let writes = LogWrites {
            snapshot: Some(snapshot.clone()),
            slots: vec![(key.clone(), Some(entity(1)))],
            ..LogWrites::new(log(1), LogBounds { snapshot: seq(4), ..seen.bounds.clone().unwrap() })
        };
        Choice::Done(snapshot, Some(writes.alone()))
    }))
    .unwrap();
    assert_eq!(block_on(store.snapshot(log(1), seq(4))).unwrap(), Some(snapshot));
    assert_eq!(block_on(store.snapshot(log(1), seq(3))).unwrap(), None);
    let holder =
        block_on(store.decide(Scope::log(log(1), reads), move |view| {
            Choice::Done(view.log(log(1)).slots.get(&slot).cloned(), None)
        }));
    assert_eq!(holder.unwrap(), Some(entity(1)));
}

#[test]
fn a_bad_decision_fails_alone() {
    let (_folder, store) = fresh();
    let kind = |outcome: Result<bool, syncline::store::StoreError>| outcome.unwrap_err().kind();
    let scope = || Scope::log(log(1), Reads::default());
    assert_eq!(kind(block_on(store.transact(scope(), Arc::new(|_| panic!("a bug in a rule"))))), StoreErrorKind::Fault);
    let elsewhere = Arc::new(|_: &_| Step::Read(vec![(log(2), Reads::default())]));
    assert_eq!(kind(block_on(store.transact(scope(), elsewhere))), StoreErrorKind::Fault);
    let endless = Arc::new(|_: &_| Step::Read(vec![(log(1), Reads::default())]));
    assert_eq!(kind(block_on(store.transact(scope(), endless))), StoreErrorKind::Runaway);
    let greedy = Arc::new(|_: &_| {
        let anchors = vec![seq(1); limits::DECISION_READS_MAX + 1];
        Step::Read(vec![(log(1), Reads { anchors, ..Reads::default() })])
    });
    assert_eq!(kind(block_on(store.transact(scope(), greedy))), StoreErrorKind::Runaway);
    assert_eq!(push(&store, log(1), vec![op(1)]).unwrap().seq, seq(1), "the writer thread goes on");
}

#[test]
fn a_dropped_store_answers_what_waits_and_frees_the_file() {
    let (folder, store) = fresh();
    push(&store, log(1), vec![op(1)]).unwrap();
    drop(store);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the file and its lock are left, not a write-ahead log: {left:?}");
    SqliteStore::open(SqliteOptions::new(folder.path().join("a.db"))).unwrap();
}
