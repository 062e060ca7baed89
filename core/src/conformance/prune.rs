//! Dropping old history.

use std::sync::Arc;

use super::author::Author;
use super::support::{accepted, bounds, log, push, write};
use crate::oplog::{Draft, Gap, OpKind, Payload, RejectReason, Verdict};
use crate::seq::{Cursor, Seq};
use crate::store::{PageLimit, Store};

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
