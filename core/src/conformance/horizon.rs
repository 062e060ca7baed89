//! Logs that begin anew at a horizon: what a replica writes that starts from a snapshot.

use std::sync::Arc;

use super::author::{Author, entity_key};
use super::support::{accepted, all_ops, bounds, env, log, push, requested, upload, verdicts, write};
use crate::clock::VectorClock;
use crate::decide::{self, Choice, LogWrites, Reads, Scope, SlotKey, Uploaded, View};
use crate::id::LogKey;
use crate::oplog::{Gap, Head, LogBounds, LoggedOp, OpKind, Payload, Snapshot};
use crate::seq::{Anchor, Cursor, Origin, Seq};
use crate::store::{PageLimit, Store, StoreError, StoreErrorKind, StoreExt};

/// A log elsewhere, of which this store gets a part.
struct Source {
    ops: Vec<LoggedOp>,
    bounds: LogBounds,
    heads: Vec<(crate::oplog::EntityKey, Head)>,
    author: Author,
}

/// Ops 1 to 6 of the log with this key, from a store of its own.
async fn source(key: LogKey) -> Source {
    let store = crate::store::MemoryStore::new();
    let mut author = Author::new(1);
    let ops: Vec<_> = (0..6).map(|entity| author.op(OpKind::Create, "merge", entity, "theirs")).collect();
    push(&store, key, &ops).await;
    let heads = store.heads(key, &entity_key("merge", 0).collection, None, 10).await.unwrap().heads;
    Source { ops: all_ops(&store, key).await, bounds: bounds(&store, key).await, heads, author }
}

impl Source {
    fn snapshot(&self, seq: usize) -> Snapshot {
        let logged = &self.ops[seq - 1];
        Snapshot {
            seq: logged.seq,
            anchor: logged.anchor,
            clock: VectorClock::new(),
            schema_version: 3,
            payload: Payload::Plain(format!("state at {seq}").into()),
        }
    }

    /// The log from a snapshot on, with the ops after it up to `last`.
    fn since_snapshot(&self, key: LogKey, seq: usize, last: usize) -> LogWrites {
        let ops = self.ops[seq..last].to_vec();
        let bounds = LogBounds {
            first: self.ops[seq - 1].seq.next().expect("in range"),
            base: self.ops[seq - 1].anchor,
            last: self.ops[last - 1].seq,
            tip: self.ops[last - 1].anchor,
            snapshot: self.ops[seq - 1].seq,
            bytes: ops.iter().map(|logged| logged.op.bytes().len() as u64).sum(),
            ..self.bounds.clone()
        };
        let heads = self.heads[..seq].to_vec();
        LogWrites { ops, heads, snapshot: Some(self.snapshot(seq)), ..LogWrites::anew(key, bounds) }
    }
}

async fn try_put(store: &dyn Store, writes: LogWrites) -> Result<(), StoreError> {
    let scope = Scope::log(writes.log, Reads::default());
    store.decide(scope, move |_: &View| Choice::Done((), Some(writes.clone().alone()))).await
}

async fn put(store: &dyn Store, writes: LogWrites) {
    try_put(store, writes).await.expect("begun anew");
}

/// Behind it there is nothing, and that is said; at it a reader goes on.
pub async fn a_log_begun_at_a_horizon_reads_from_there(store: Arc<dyn Store>) {
    let source = source(log(1)).await;
    let writes = source.since_snapshot(log(1), 4, 4);
    put(&*store, writes.clone()).await;
    assert_eq!(Some(bounds(&*store, log(1)).await), writes.bounds);
    let at = |seq: usize| Cursor { seq: source.ops[seq - 1].seq, anchor: Some(source.ops[seq - 1].anchor) };
    for (cursor, gap) in [
        (Cursor::START, Some(Gap::Pruned)),
        (at(3), Some(Gap::Pruned)),
        (at(4), None),
        (Cursor { anchor: Some(source.ops[2].anchor), ..at(4) }, Some(Gap::Diverged)),
        (at(5), Some(Gap::ClientAhead)),
    ] {
        let page = store.ops_after(log(1), cursor.seq, PageLimit::default()).await.unwrap();
        assert_eq!((page.gap(cursor), page.ops.len()), (gap, 0), "at {}", cursor.seq);
    }
    let listed = store.logs(log(1).bucket, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|summary| summary.bounds.clone()).collect::<Vec<_>>(), [writes.bounds.unwrap()]);
}

/// What is appended follows the horizon; the ops of the other store come under their own seqs and anchors.
pub async fn a_log_begun_at_a_horizon_goes_on_from_there(store: Arc<dyn Store>) {
    let mut source = source(log(1)).await;
    put(&*store, source.since_snapshot(log(1), 4, 4)).await;
    let next = source.ops[4].clone();
    write(&*store, log(1), move |bounds, writes| {
        (bounds.last, bounds.tip) = (next.seq, next.anchor);
        writes.ops.push(next.clone());
    })
    .await;
    let reads = Reads { ops: vec![source.ops[3].op.id(), source.ops[4].op.id()], ..Reads::default() };
    let rule = |view: &View| Choice::Done(view.log(log(1)).ops.values().map(|known| known.seq.get()).sum(), None);
    let known: u64 = store.decide(Scope::log(log(1), reads), rule).await.unwrap();
    assert_eq!(known, 5, "the id of op 5 and of nothing behind the horizon");
    assert_eq!(push(&*store, log(1), &[source.author.op(OpKind::Create, "merge", 9, "ours")]).await, [accepted(6)]);
    let page = store.ops_after(log(1), source.ops[3].seq, PageLimit::default()).await.unwrap();
    assert_eq!(page.gap(source.snapshot(4).cursor()), None);
    assert_eq!(page.ops[0], source.ops[4]);
    assert_eq!(page.ops[1].anchor, source.ops[4].anchor.extend(page.ops[1].op.digest(), page.ops[1].accepted_at));
    assert_eq!(page.ops.len(), 2);
}

/// The ops after the horizon may come along in the same transaction, and so may a later snapshot.
pub async fn a_log_begins_at_a_horizon_with_the_ops_after_it(store: Arc<dyn Store>) {
    let source = source(log(1)).await;
    for (snapshot, kept) in [(Some(2), 2), (Some(5), 5), (None, 0)] {
        let mut writes = source.since_snapshot(log(1), 2, 6);
        writes.snapshot = snapshot.map(|seq| source.snapshot(seq));
        let bounds = writes.bounds.as_mut().unwrap();
        bounds.snapshot = Seq::new(kept).unwrap();
        put(&*store, writes).await;
        let page = store.ops_after(log(1), source.ops[1].seq, PageLimit::default()).await.unwrap();
        assert_eq!(page.gap(source.snapshot(2).cursor()), None);
        assert_eq!(page.ops, source.ops[2..]);
        let found = store.snapshot(log(1), Seq::MAX).await.unwrap();
        assert_eq!(found, snapshot.map(|seq| source.snapshot(seq)));
    }
}

/// With the heads of its state.
pub async fn a_log_begun_at_a_horizon_serves_its_snapshot(store: Arc<dyn Store>) {
    let source = source(log(1)).await;
    put(&*store, source.since_snapshot(log(1), 4, 6)).await;
    assert_eq!(store.snapshot(log(1), Seq::MAX).await.unwrap(), Some(source.snapshot(4)));
    assert_eq!(store.snapshot(log(1), source.ops[2].seq).await.unwrap(), None);
    let page = store.heads(log(1), &entity_key("merge", 0).collection, None, 10).await.unwrap();
    assert_eq!(page.heads, source.heads[..4]);
    let newer = source.snapshot(6);
    let reads = Reads { anchors: vec![newer.seq], ..Reads::default() };
    let offered = newer.clone();
    let rule = move |view: &View| decide::keep_snapshot(log(1), &offered, view);
    assert_eq!(store.decide(Scope::log(log(1), reads), rule).await.unwrap(), None);
    assert_eq!(store.snapshot(log(1), Seq::MAX).await.unwrap(), Some(newer));
}

/// Ops, ids, pruned ids, heads, slots, receipts and the snapshot: nothing of it answers in the new log, and no other
/// log notices.
pub async fn a_log_begun_anew_forgets_everything_of_the_old(store: Arc<dyn Store>) {
    let source = source(log(1)).await;
    let mut author = Author::new(2);
    let ours: Vec<_> = (10..16).map(|entity| author.op(OpKind::Create, "causal", entity, "ours")).collect();
    let slot = SlotKey(bytes::Bytes::from_static(b"name"));
    let held = slot.clone();
    for key in [log(1), log(2)] {
        upload(&*store, requested(key, 1, &ours)).await;
        let old = all_ops(&*store, key).await;
        let held = held.clone();
        write(&*store, key, move |bounds, writes| {
            (bounds.first, bounds.base, bounds.snapshot) = (old[2].seq, old[1].anchor, old[5].seq);
            writes.prune_before = Some(bounds.first);
            writes.slots.push((held.clone(), Some(entity_key("causal", 10))));
            let (seq, anchor) = (old[5].seq, old[5].anchor);
            writes.snapshot = Some(Snapshot { seq, anchor, ..old_snapshot() });
        })
        .await;
    }
    let neighbour = bounds(&*store, log(2)).await;
    let anew = source.since_snapshot(log(1), 4, 4);
    let bare = LogBounds { snapshot: Seq::ZERO, ..anew.bounds.clone().unwrap() };
    put(&*store, LogWrites::anew(log(1), bare.clone())).await;
    assert_eq!(bounds(&*store, log(1)).await, bare);
    assert_eq!(left(&*store, log(1), &ours, &slot).await, [0; 6]);
    assert_eq!(left(&*store, log(2), &ours, &slot).await, [4, 6, 6, 1, 1, 1]);
    assert_eq!(bounds(&*store, log(2)).await, neighbour);
    // And the same request is a new one, judged by what the new log holds.
    let again = upload(&*store, requested(log(1), 1, &ours[..1])).await;
    assert!(matches!(&again, Uploaded::Done { replayed: false, .. }), "{again:?}");
    assert_eq!(verdicts(again), [accepted(5)]);
}

fn old_snapshot() -> Snapshot {
    let nowhere = Anchor::genesis(log(1), Origin([0; 16]));
    let payload = Payload::Sealed("old".into());
    Snapshot { seq: Seq::ZERO, anchor: nowhere, clock: VectorClock::new(), schema_version: 1, payload }
}

/// How many ops, known ids, heads, slots, receipts and snapshots there are of those that the old log had.
async fn left(store: &dyn Store, key: LogKey, ops: &[crate::oplog::Op], slot: &SlotKey) -> [usize; 6] {
    let reads = Reads {
        ops: ops.iter().map(crate::oplog::Op::id).collect(),
        heads: (10..16).map(|entity| entity_key("causal", entity)).collect(),
        slots: vec![slot.clone()],
        receipts: vec![crate::id::RequestId::from_bytes([1; 16])],
        anchors: Vec::new(),
        tree: Vec::new(),
        revisions: Vec::new(),
    };
    let rule = move |view: &View| {
        let seen = view.log(key);
        Choice::Done((seen.ops.len(), seen.heads.len(), seen.slots.len(), seen.receipts.len()), None)
    };
    let (ids, heads, slots, receipts) = store.decide(Scope::log(key, reads), rule).await.unwrap();
    let paged = store.heads(key, &entity_key("causal", 0).collection, None, 10).await.unwrap();
    assert_eq!(paged.heads.len(), heads);
    let kept = store.ops_after(key, Seq::ZERO, PageLimit::default()).await.unwrap().ops.len();
    let snapshots = store.snapshot(key, Seq::MAX).await.unwrap().iter().count();
    [kept, ids, heads, slots, receipts, snapshots]
}

/// A faulty rule is an error, and neither an absent log nor one that is there changes for it.
pub async fn contradictory_horizons_are_refused(store: Arc<dyn Store>) {
    let source = source(log(1)).await;
    type Change = fn(&mut LogBounds, &mut LogWrites, &Source);
    let faults: [(&str, Change); 13] = [
        ("first behind the end", |bounds, _, source| bounds.first = source.ops[5].seq),
        ("first before the first", |bounds, _, _| bounds.first = Seq::ZERO),
        ("first too low", |bounds, _, source| bounds.first = source.ops[3].seq),
        ("another base", |bounds, _, source| bounds.base = source.ops[2].anchor),
        ("another tip", |bounds, _, source| bounds.tip = source.ops[2].anchor),
        ("an end without ops", |bounds, _, source| bounds.last = source.ops[5].seq),
        ("another origin", |bounds, _, _| bounds.base.origin = Origin([7; 16])),
        ("an op too many", |_, writes, source| writes.ops.push(source.ops[4].clone())),
        ("an op that does not follow", |bounds, writes, source| {
            (bounds.last, bounds.tip) = (source.ops[5].seq, source.ops[5].anchor);
            writes.ops.push(source.ops[5].clone());
        }),
        ("a snapshot elsewhere", |bounds, writes, source| {
            writes.snapshot = Some(source.snapshot(3));
            bounds.snapshot = source.ops[2].seq;
        }),
        ("a snapshot of another history", |_, writes, source| {
            writes.snapshot = Some(Snapshot { anchor: source.ops[2].anchor, ..source.snapshot(4) });
        }),
        ("a snapshot that is named and not written", |_, writes, _| writes.snapshot = None),
        ("no erasing", |_, writes, _| writes.erase = false),
    ];
    for there in [false, true] {
        if there {
            push(&*store, log(1), &[Author::new(2).op(OpKind::Create, "causal", 1, "ours")]).await;
        }
        let before = store.bounds(log(1)).await.unwrap();
        assert_eq!(before.is_some(), there);
        for (what, fault) in faults {
            let mut writes = source.since_snapshot(log(1), 4, 4);
            let mut changed = writes.bounds.clone().unwrap();
            fault(&mut changed, &mut writes, &source);
            writes.bounds = Some(changed);
            let error = try_put(&*store, writes).await.expect_err(what);
            assert_eq!(error.kind(), StoreErrorKind::Fault, "{what}");
            assert_eq!(store.bounds(log(1)).await.unwrap(), before, "{what}");
            assert_eq!(all_ops(&*store, log(1)).await.len(), usize::from(there), "{what}");
            assert_eq!(store.snapshot(log(1), Seq::MAX).await.unwrap(), None, "{what}");
        }
    }
    // At the start of a log there is one base: its genesis.
    let mut bounds = LogBounds::new(log(1), Origin([3; 16]), env(1).now);
    put(&*store, LogWrites::anew(log(1), bounds.clone())).await;
    (bounds.base, bounds.tip) = (source.ops[0].anchor, source.ops[0].anchor);
    let error = try_put(&*store, LogWrites::anew(log(1), bounds)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Fault);
}
