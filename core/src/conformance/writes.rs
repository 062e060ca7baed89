//! The contract between a decision and its store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::author::{Author, entity_key};
use super::support::{accepted, all_ops, bounds, env, log, push, write};
use crate::decide::{Choice, LogWrites, Reads, Scope, SlotKey, Step, View, WriteSet};
use crate::id::{EntityId, OpId};
use crate::limits;
use crate::oplog::{LogBounds, OpKind};
use crate::seq::{Origin, Seq};
use crate::store::{Store, StoreErrorKind, StoreExt};

/// Not even the log.
pub async fn an_aborted_decision_leaves_nothing(store: Arc<dyn Store>) {
    let scope = Scope::log(log(1), Reads::default());
    assert!(!store.transact(scope, Arc::new(|_: &View| Step::Abort)).await.unwrap());
    assert_eq!(store.bounds(log(1)).await.unwrap(), None);
    assert!(store.logs(log(1).bucket, None, 10).await.unwrap().is_empty());
}

/// What was read before is still there in the next round, and absent things are no error.
pub async fn a_decision_may_read_in_rounds(store: Arc<dyn Store>) {
    let op = Author::new(1).op(OpKind::Create, "causal", 1, "a");
    push(&*store, log(1), std::slice::from_ref(&op)).await;
    let first = Reads { ops: vec![op.id(), OpId::from_bytes([9; 16])], ..Reads::default() };
    let id = op.id();
    let rule = move |view: &View| {
        let seen = view.log(log(1));
        if seen.asked.heads.is_empty() {
            let heads = vec![entity_key("causal", 1), entity_key("causal", 2)];
            return Choice::Read(vec![(log(1), Reads { heads, ..Reads::default() })]);
        }
        if seen.asked.anchors.is_empty() {
            let anchors = vec![Seq::ZERO, Seq::FIRST, Seq::MAX];
            return Choice::Read(vec![(log(1), Reads { anchors, ..Reads::default() })]);
        }
        let found = (seen.ops.len(), seen.ops.contains_key(&id), seen.heads.len(), seen.anchors.len());
        Choice::Done(found, None)
    };
    assert_eq!(store.decide(Scope::log(log(1), first), rule).await.unwrap(), (1, true, 1, 2));
}

/// A bug in a rule does not hold the store.
pub async fn a_decision_that_keeps_reading_is_stopped(store: Arc<dyn Store>) {
    let rounds = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&rounds);
    let decision = Arc::new(move |_: &View| {
        counted.fetch_add(1, Ordering::Relaxed);
        Step::Read(vec![(log(1), Reads { anchors: vec![Seq::FIRST], ..Reads::default() })])
    });
    let error = store.transact(Scope::log(log(1), Reads::default()), decision).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Runaway);
    assert_eq!(rounds.load(Ordering::Relaxed), limits::DECISION_ROUNDS_MAX);
    let op = Author::new(1).op(OpKind::Create, "causal", 1, "a");
    assert_eq!(push(&*store, log(1), &[op]).await, [accepted(1)], "the store goes on");
}

/// Assertions in pairs: core computes, the store checks.
pub async fn writes_that_contradict_the_view_are_refused(store: Arc<dyn Store>) {
    push(&*store, log(1), &[Author::new(1).op(OpKind::Create, "causal", 1, "a")]).await;
    let before = bounds(&*store, log(1)).await;
    type Change = fn(&mut LogBounds, &mut LogWrites);
    let faults: [Change; 3] = [
        |bounds, _| bounds.last = Seq::new(5).expect("in range"),
        |bounds, _| bounds.tip.origin = Origin([7; 16]),
        |_, writes| writes.log = log(2),
    ];
    for fault in faults {
        let rule = move |view: &View| {
            let mut bounds = view.log(log(1)).bounds.clone().expect("the log exists");
            let mut writes = LogWrites::new(log(1), bounds.clone());
            fault(&mut bounds, &mut writes);
            writes.bounds = Some(bounds);
            Choice::Done((), Some(writes.alone()))
        };
        let error = store.decide(Scope::log(log(1), Reads::default()), rule).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Fault);
        assert_eq!(bounds(&*store, log(1)).await, before);
    }
}

/// A log that is not locked cannot be looked at.
pub async fn a_read_outside_the_scope_is_refused(store: Arc<dyn Store>) {
    let reads = Reads { anchors: vec![Seq::FIRST], ..Reads::default() };
    let decision = Arc::new(move |_: &View| Step::Read(vec![(log(2), reads.clone())]));
    let error = store.transact(Scope::log(log(1), Reads::default()), decision).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Fault);
}

/// One transaction over two logs.
pub async fn two_logs_change_together_or_not_at_all(store: Arc<dyn Store>) {
    let scope = || Scope::logs(vec![(log(2), Reads::default()), (log(1), Reads::default())]).unwrap();
    let both = |faulty: bool| {
        move |_: &View| {
            let writes = [log(1), log(2)].map(|key| {
                let mut bounds = LogBounds::new(key, Origin([3; 16]), env(1).now);
                if faulty && key == log(2) {
                    bounds.last = Seq::FIRST;
                }
                LogWrites::new(key, bounds)
            });
            Choice::Done((), Some(Box::new(WriteSet { logs: writes.into() })))
        }
    };
    assert!(store.decide(scope(), both(true)).await.is_err());
    assert!(store.logs(log(1).bucket, None, 10).await.unwrap().is_empty());
    store.decide(scope(), both(false)).await.unwrap();
    assert_eq!(store.logs(log(1).bucket, None, 10).await.unwrap().len(), 2);
}

/// Taken, seen, passed on, given up.
pub async fn slots_have_one_holder(store: Arc<dyn Store>) {
    push(&*store, log(1), &[Author::new(1).op(OpKind::Create, "causal", 1, "a")]).await;
    let slot = SlotKey(bytes::Bytes::from_static(b"\x00parent/name\xff"));
    for holder in [Some(1), Some(2), None, Some(3)] {
        let (written, key) = (slot.clone(), holder.map(|entity| entity_key("causal", entity)));
        write(&*store, log(1), move |_, writes| writes.slots.push((written.clone(), key.clone()))).await;
        let asked = slot.clone();
        let reads =
            Reads { slots: vec![slot.clone(), SlotKey(bytes::Bytes::from_static(b"other"))], ..Reads::default() };
        let rule = move |view: &View| Choice::Done(view.log(log(1)).slots.get(&asked).cloned(), None);
        let found = store.decide(Scope::log(log(1), reads), rule).await.unwrap();
        assert_eq!(found.map(|key| key.entity), holder.map(|entity| EntityId::from_bytes([entity; 16])));
    }
}

/// A rule that panics takes its caller down at most, never the store or its neighbours.
pub async fn a_panicking_decision_harms_nobody(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    push(&*store, log(1), &[author.op(OpKind::Create, "merge", 1, "a")]).await;
    let inner = Arc::clone(&store);
    let panicking = async move {
        let decision = Arc::new(|view: &View| {
            assert!(view.log(log(1)).bounds.is_none(), "a bug in a rule");
            Step::Abort
        });
        inner.transact(Scope::log(log(1), Reads::default()), decision).await
    };
    let outcome = super::support::unwinding(panicking).await;
    assert!(!matches!(outcome, Some(Ok(_))), "the panic is not mistaken for an answer");
    assert_eq!(push(&*store, log(1), &[author.op(OpKind::Create, "merge", 2, "b")]).await, [accepted(2)]);
    assert_eq!(all_ops(&*store, log(1)).await.len(), 2);
}
