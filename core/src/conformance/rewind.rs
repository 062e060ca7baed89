//! Logs that are cut back: what a replica does whose server lost the last ops.

use std::sync::Arc;

use super::author::{Author, entity_key};
use super::support::{accepted, all_ops, bounds, log, push, write};
use crate::clock::VectorClock;
use crate::decide::{Choice, LogWrites, Reads, Scope, View};
use crate::oplog::{LogBounds, LoggedOp, Op, OpKind, Payload, Snapshot};
use crate::seq::{Anchor, Origin, Seq};
use crate::store::{Store, StoreErrorKind, StoreExt};

/// Six ops, and a snapshot of the place after one of them.
async fn filled(store: &dyn Store, snapshot_at: usize) -> (Vec<Op>, Vec<LoggedOp>) {
    let mut author = Author::new(1);
    let ops: Vec<_> = (0..6).map(|entity| author.op(OpKind::Create, "merge", entity, "a")).collect();
    push(store, log(1), &ops).await;
    push(store, log(2), &ops).await;
    let logged = all_ops(store, log(1)).await;
    let (seq, anchor) = (logged[snapshot_at - 1].seq, logged[snapshot_at - 1].anchor);
    write(store, log(1), move |bounds, writes| {
        bounds.snapshot = seq;
        let (clock, payload) = (VectorClock::new(), Payload::Plain("state".into()));
        writes.snapshot = Some(Snapshot { seq, anchor, clock, schema_version: 1, payload });
    })
    .await;
    (ops, logged)
}

/// The write set that leaves the ops up to `to`.
async fn cut(store: &dyn Store, logged: &[LoggedOp], to: usize) -> LogWrites {
    let before = bounds(store, log(1)).await;
    let (last, tip) = (logged[to - 1].seq, logged[to - 1].anchor);
    let snapshot = if before.snapshot <= last { before.snapshot } else { Seq::ZERO };
    let after = LogBounds { last, tip, snapshot, ..before };
    LogWrites { rewind: Some(last), ..LogWrites::new(log(1), after) }
}

async fn put(store: &dyn Store, writes: LogWrites, anchors: Vec<Seq>) -> Result<(), StoreErrorKind> {
    let scope = Scope::log(log(1), Reads { anchors, ..Reads::default() });
    let done = store.decide(scope, move |_: &View| Choice::Done((), Some(writes.clone().alone()))).await;
    done.map_err(|error| error.kind())
}

/// What came after is gone with its ids, so the same ops can come again; what came before and other logs stay.
pub async fn a_log_that_is_cut_back_is_the_log_it_was(store: Arc<dyn Store>) {
    let (ops, logged) = filled(&*store, 2).await;
    let writes = cut(&*store, &logged, 3).await;
    let after = writes.bounds.clone();
    put(&*store, writes, vec![logged[2].seq]).await.expect("cut back");
    assert_eq!(Some(bounds(&*store, log(1)).await), after);
    assert_eq!(all_ops(&*store, log(1)).await, logged[..3]);
    assert_eq!(all_ops(&*store, log(2)).await.len(), 6);
    let kept = store.snapshot(log(1), Seq::MAX).await.unwrap().map(|snapshot| snapshot.seq);
    assert_eq!(kept, Some(logged[1].seq), "of a place that is still there");
    let reads = Reads { ops: ops.iter().map(Op::id).collect(), ..Reads::default() };
    let rule = |view: &View| Choice::Done(view.log(log(1)).ops.len(), None);
    assert_eq!(store.decide(Scope::log(log(1), reads), rule).await.unwrap(), 3);
    let mut other = Author::new(2);
    assert_eq!(push(&*store, log(1), &[other.op(OpKind::Create, "merge", 9, "b")]).await, [accepted(4)]);
}

/// A snapshot of what is cut off is of nothing any more.
pub async fn cutting_back_takes_a_later_snapshot_along(store: Arc<dyn Store>) {
    let (_, logged) = filled(&*store, 5).await;
    put(&*store, cut(&*store, &logged, 4).await, vec![logged[3].seq]).await.expect("cut back");
    assert_eq!(store.snapshot(log(1), Seq::MAX).await.unwrap(), None);
}

/// Cut and went on, in one transaction: what follows is another history.
pub async fn a_log_is_cut_back_and_goes_on_at_once(store: Arc<dyn Store>) {
    let (_, logged) = filled(&*store, 1).await;
    let mut writes = cut(&*store, &logged, 2).await;
    let op = Author::new(3).op(OpKind::Create, "merge", 7, "another").raw().clone();
    let anchor = logged[1].anchor.extend(op.digest(), logged[2].accepted_at);
    let next = LoggedOp { seq: logged[2].seq, anchor, op, ..logged[2].clone() };
    let mut after = writes.bounds.clone().unwrap();
    (after.last, after.tip) = (next.seq, next.anchor);
    (writes.bounds, writes.ops) = (Some(after), vec![next.clone()]);
    put(&*store, writes, vec![logged[1].seq]).await.expect("cut back");
    assert_eq!(all_ops(&*store, log(1)).await, [logged[0].clone(), logged[1].clone(), next]);
}

/// A faulty rule is an error, and the log stays as it is.
pub async fn contradictory_cuts_are_refused(store: Arc<dyn Store>) {
    let (_, logged) = filled(&*store, 5).await;
    let before = bounds(&*store, log(1)).await;
    type Change = fn(&mut LogBounds, &mut LogWrites, &[LoggedOp]);
    let faults: [(&str, Change); 7] = [
        ("an end elsewhere", |bounds, _, logged| bounds.last = logged[4].seq),
        ("another tip", |bounds, _, logged| bounds.tip = logged[1].anchor),
        ("another horizon", |bounds, _, logged| bounds.first = logged[1].seq),
        ("behind the end", |_, writes, _| writes.rewind = Seq::new(7)),
        ("a snapshot that is cut off", |bounds, _, logged| bounds.snapshot = logged[4].seq),
        ("erased as well", |_, writes, _| writes.erase = true),
        ("another origin", |bounds, _, _| bounds.tip = Anchor::genesis(log(1), Origin([7; 16]))),
    ];
    for (what, fault) in faults {
        let mut writes = cut(&*store, &logged, 3).await;
        let mut changed = writes.bounds.clone().unwrap();
        fault(&mut changed, &mut writes, &logged);
        writes.bounds = Some(changed);
        assert_eq!(put(&*store, writes, vec![logged[2].seq]).await, Err(StoreErrorKind::Fault), "{what}");
        assert_eq!(bounds(&*store, log(1)).await, before, "{what}");
        assert_eq!(all_ops(&*store, log(1)).await, logged, "{what}");
    }
    let unread = put(&*store, cut(&*store, &logged, 3).await, Vec::new()).await;
    assert_eq!(unread, Err(StoreErrorKind::Fault), "the anchor there was not read");
    let absent = LogWrites { rewind: Some(Seq::ZERO), ..LogWrites::new(log(9), LogBounds { ..before }) };
    let scope = Scope::log(log(9), Reads::default());
    let done = store.decide(scope, move |_: &View| Choice::Done((), Some(absent.clone().alone()))).await;
    assert_eq!(done.map_err(|error| error.kind()), Err(StoreErrorKind::Fault), "no such log");
    assert!(store.bounds(log(9)).await.unwrap().is_none());
    let head = store.heads(log(1), &entity_key("merge", 0).collection, None, 10).await.unwrap();
    assert_eq!(head.heads.len(), 6);
}
