//! Dropping old history.

use std::sync::Arc;

use super::author::{Author, entity_key};
use super::support::{accepted, bounds, log, push, write};
use crate::decide::{Choice, LogWrites, Reads, Scope, View};
use crate::oplog::{Draft, Gap, LogBounds, LoggedOp, OpKind, Payload, RejectReason, Verdict};
use crate::seq::{Cursor, Seq};
use crate::store::{PageLimit, Store, StoreErrorKind, StoreExt};

async fn pruned(store: &dyn Store) -> Vec<crate::oplog::Op> {
    let mut author = Author::new(1);
    let ops: Vec<_> = (0..6).map(|entity| author.op(OpKind::Create, "merge", entity, "a")).collect();
    push(store, log(1), &ops).await;
    let page = store.ops_after(log(1), Seq::ZERO, PageLimit::default()).await.unwrap();
    let anchor = page.ops[3].anchor;
    let first = Seq::new(5).unwrap();
    write(store, log(1), move |bounds, writes| {
        bounds.first = first;
        bounds.base = anchor;
        writes.prune_before = Some(first);
    })
    .await;
    ops
}

/// A reader behind the horizon is told; one at it goes on.
pub async fn pruned_ops_are_gone_and_the_rest_stays(store: Arc<dyn Store>) {
    pruned(&*store).await;
    let bounds = bounds(&*store, log(1)).await;
    let start = store.ops_after(log(1), Seq::ZERO, PageLimit::default()).await.unwrap();
    assert_eq!(start.gap(Cursor::START), Some(Gap::Pruned));
    let horizon = Cursor { seq: Seq::new(4).unwrap(), anchor: Some(bounds.base) };
    let page = store.ops_after(log(1), horizon.seq, PageLimit::default()).await.unwrap();
    assert_eq!(page.gap(horizon), None);
    assert_eq!(page.ops.iter().map(|logged| logged.seq.get()).collect::<Vec<_>>(), [5, 6]);
}

/// S11: deduplication does not end with the op.
pub async fn a_pruned_op_id_still_has_its_one_effect(store: Arc<dyn Store>) {
    let ops = pruned(&*store).await;
    let verdicts = push(&*store, log(1), &[ops[0].clone(), ops[5].clone()]).await;
    let seqs: Vec<Option<u64>> = verdicts.iter().map(|verdict| verdict.seq().map(Seq::get)).collect();
    assert_eq!(seqs, [Some(1), Some(6)]);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Duplicate { .. })));
    let forged = Draft { payload: Payload::Plain("b".into()), ..ops[1].draft().clone() }.seal().unwrap();
    assert_eq!(push(&*store, log(1), &[forged]).await, [Verdict::Rejected { reason: RejectReason::OpIdReused }]);
    let mut next = Author::new(1);
    next.counter_is(6);
    let mut draft = next.op(OpKind::Create, "merge", 9, "b").draft().clone();
    draft.id = crate::OpId::from_bytes([7; 16]);
    assert_eq!(push(&*store, log(1), &[draft.seal().unwrap()]).await, [accepted(7)]);
}

/// A reader's copy, whose ops are judged elsewhere, keeps nothing of an op that it drops, nor of those dropped before.
pub async fn a_copy_forgets_the_ids_of_what_it_pruned(store: Arc<dyn Store>) {
    let ops = pruned(&*store).await;
    let page = store.ops_after(log(1), Seq::new(4).unwrap(), PageLimit::default()).await.unwrap();
    let anchor = page.ops[0].anchor;
    write(&*store, log(1), move |bounds, writes| {
        bounds.first = Seq::new(6).unwrap();
        bounds.base = anchor;
        writes.prune_before = Some(bounds.first);
        writes.forget_pruned = true;
    })
    .await;
    let reads = Reads { ops: ops.iter().map(crate::oplog::Op::id).collect(), ..Reads::default() };
    let rule = |view: &View| Choice::Done(view.log(log(1)).ops.values().map(|known| known.seq.get()).collect(), None);
    let known: Vec<u64> = store.decide(Scope::log(log(1), reads), rule).await.unwrap();
    assert_eq!(known, [6]);
    assert_eq!(all_ops_after(&*store, 5).await, [6]);
}

async fn all_ops_after(store: &dyn Store, seq: u64) -> Vec<u64> {
    let page = store.ops_after(log(1), Seq::new(seq).unwrap(), PageLimit::default()).await.unwrap();
    page.ops.iter().map(|logged| logged.seq.get()).collect()
}

/// A partial copy reads past ops that it does not keep: its horizon moves on, its heads stay.
pub async fn a_copy_goes_on_at_a_later_place_and_keeps_its_heads(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let ops: Vec<_> = (0..3).map(|entity| author.op(OpKind::Create, "merge", entity, "a")).collect();
    push(&*store, log(1), &ops).await;
    let at = bounds(&*store, log(1)).await;
    let later = ops[..2].iter().fold(at.tip, |anchor, op| anchor.extend(op.digest(), at.created_at));
    let skip = move |forget: bool| {
        move |view: &View| {
            let bounds = view.log(log(1)).bounds.clone().unwrap();
            let last = Seq::new(5).unwrap();
            let bounds = LogBounds { first: Seq::new(6).unwrap(), last, base: later, tip: later, bytes: 0, ..bounds };
            let writes = LogWrites { prune_before: Some(bounds.first), ..LogWrites::new(log(1), bounds) };
            Choice::Done((), Some(LogWrites { forget_pruned: forget, ..writes }.alone()))
        }
    };
    let scope = || Scope::log(log(1), Reads::default());
    let refused = store.decide(scope(), skip(false)).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Fault, "only a copy may leave ops out");
    store.decide(scope(), skip(true)).await.unwrap();
    let end = Cursor { seq: Seq::new(5).unwrap(), anchor: Some(later) };
    assert_eq!(bounds(&*store, log(1)).await.end(), end);
    let page = store.ops_after(log(1), end.seq, PageLimit::default()).await.unwrap();
    assert_eq!((page.gap(end), page.ops.len()), (None, 0));
    let start = store.ops_after(log(1), Seq::ZERO, PageLimit::default()).await.unwrap();
    assert_eq!((start.gap(Cursor::START), start.ops.len()), (Some(Gap::Pruned), 0));
    let heads = store.heads(log(1), &entity_key("merge", 0).collection, None, 10).await.unwrap().heads;
    assert_eq!(heads.len(), 3);
    write(&*store, log(1), move |bounds, writes| {
        let op = Author::new(2).op(OpKind::Create, "merge", 9, "b").raw().clone();
        let accepted_at = bounds.created_at;
        let anchor = bounds.tip.extend(op.digest(), accepted_at);
        (bounds.last, bounds.tip) = (Seq::new(6).unwrap(), anchor);
        writes.ops.push(LoggedOp { seq: bounds.last, anchor, accepted_at, batch_rest: 0, op });
    })
    .await;
    assert_eq!(all_ops_after(&*store, 5).await, [6]);
}
