//! Heads that are forgotten, as if they had never been.

use std::sync::Arc;

use super::author::{Author, entity_key};
use super::support::{accepted, all_ops, bounds, env, log, push, write};
use crate::clock::VectorClock;
use crate::decide::{Choice, Forget, LogWrites, Reads, Scope, SlotKey, View};
use crate::id::{LogKey, OpId, ReplicaId};
use crate::oplog::{Collection, EntityKey, Head, HeadState, LogBounds, OpKind, Precondition, Verdict};
use crate::seq::{Origin, Seq};
use crate::store::{Store, StoreErrorKind, StoreExt};

/// A head that tells from which test it is.
fn head(version: u64) -> Head {
    Head {
        version: Seq::new(version).expect("in range"),
        op: OpId::from_bytes([0; 16]),
        replica: ReplicaId::SERVER,
        clock: VectorClock::new(),
        state: HeadState::Live(Some("written".into())),
    }
}

/// Entities 1 to 4 of `merge`, one of `causal` and a note of the engine's own.
async fn filled(store: &dyn Store, log: LogKey) -> Vec<crate::oplog::Op> {
    let mut author = Author::new(1);
    let mut ops: Vec<_> = (1..5).map(|entity| author.op(OpKind::Create, "merge", entity, "a")).collect();
    ops.push(author.op(OpKind::Create, "causal", 1, "a"));
    push(store, log, &ops).await;
    write(store, log, |_, writes| writes.heads.push((note(), head(5)))).await;
    ops
}

fn note() -> EntityKey {
    EntityKey { collection: Collection::system("sys.note"), ..entity_key("merge", 1) }
}

async fn forget(store: &dyn Store, log: LogKey, gone: Forget) {
    write(store, log, move |_, writes| writes.forget = gone.clone()).await;
}

/// The entities of `merge`, `causal` and `sys.note`, by page and as a decision sees them; both must agree.
async fn standing(store: &dyn Store, log: LogKey) -> [Vec<u8>; 3] {
    let collections = [Collection::new("merge").unwrap(), Collection::new("causal").unwrap(), note().collection];
    let mut found = [Vec::new(), Vec::new(), Vec::new()];
    let mut paged = Vec::new();
    for (collection, found) in collections.iter().zip(&mut found) {
        let page = store.heads(log, collection, None, 10).await.unwrap();
        found.extend(page.heads.iter().map(|(key, _)| key.entity.as_bytes()[0]));
        paged.extend(page.heads);
    }
    let keys = |collection: &Collection| {
        (0..8)
            .map(|entity| EntityKey { collection: collection.clone(), ..entity_key("merge", entity) })
            .collect::<Vec<_>>()
    };
    let reads = Reads { heads: collections.iter().flat_map(keys).collect(), ..Reads::default() };
    let rule = move |view: &View| Choice::Done(view.log(log).heads.clone(), None);
    let seen = store.decide(Scope::log(log, reads), rule).await.unwrap();
    assert_eq!(seen, paged.into_iter().collect(), "a decision sees what a page shows");
    found
}

/// From pages and from decisions; the ops that made them stay, and so do their ids.
pub async fn forgotten_heads_are_gone_and_the_others_stay(store: Arc<dyn Store>) {
    let ops = filled(&*store, log(1)).await;
    filled(&*store, log(2)).await;
    let before = bounds(&*store, log(1)).await;
    let gone = [1, 3, 1].map(|entity| entity_key("merge", entity));
    forget(&*store, log(1), Forget::Heads(gone.into())).await;
    assert_eq!(standing(&*store, log(1)).await, [vec![2, 4], vec![1], vec![1]]);
    assert_eq!(standing(&*store, log(2)).await, [vec![1, 2, 3, 4], vec![1], vec![1]], "another log has its own");
    assert_eq!(store.head(log(1), &entity_key("merge", 1)).await.unwrap(), None);
    assert_eq!(bounds(&*store, log(1)).await, before);
    assert_eq!(all_ops(&*store, log(1)).await.len(), 5);
    assert!(matches!(push(&*store, log(1), &ops[..1]).await[..], [Verdict::Duplicate { .. }]));
}

/// Whoever demands that there be nothing finds nothing.
pub async fn a_forgotten_head_judges_nobody(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    push(&*store, log(1), &[one.op(OpKind::Create, "precondition", 1, "a")]).await;
    forget(&*store, log(1), Forget::Heads(vec![entity_key("precondition", 1)])).await;
    let again = two.op_if(OpKind::Create, "precondition", 1, "b", Precondition::Absent);
    assert_eq!(push(&*store, log(1), &[again]).await, [accepted(2)]);
    let head = store.head(log(1), &entity_key("precondition", 1)).await.unwrap();
    assert_eq!(head.map(|head| head.replica), Some(two.replica()));
}

/// First everything goes, then the new heads come, in one transaction.
pub async fn forgetting_all_heads_keeps_those_written_along(store: Arc<dyn Store>) {
    filled(&*store, log(1)).await;
    filled(&*store, log(2)).await;
    write(&*store, log(1), |_, writes| {
        writes.forget = Forget::AllHeads;
        writes.heads = [2, 7].map(|entity| (entity_key("merge", entity), head(5))).into();
    })
    .await;
    assert_eq!(standing(&*store, log(1)).await, [vec![2, 7], vec![], vec![]]);
    assert_eq!(store.head(log(1), &entity_key("merge", 2)).await.unwrap(), Some(head(5)));
    assert_eq!(standing(&*store, log(2)).await, [vec![1, 2, 3, 4], vec![1], vec![1]], "another log has its own");
}

/// Named or with all the others.
pub async fn heads_of_system_collections_are_forgotten_like_others(store: Arc<dyn Store>) {
    for gone in [Forget::Heads(vec![note()]), Forget::AllHeads] {
        filled(&*store, log(1)).await;
        forget(&*store, log(1), gone).await;
        assert_eq!(standing(&*store, log(1)).await[2], [0; 0]);
    }
}

/// Neither the head nor the log need be there.
pub async fn forgetting_what_is_absent_is_no_error(store: Arc<dyn Store>) {
    filled(&*store, log(1)).await;
    forget(&*store, log(1), Forget::Heads(vec![entity_key("merge", 7), entity_key("append", 1)])).await;
    forget(&*store, log(1), Forget::Heads(Vec::new())).await;
    assert_eq!(standing(&*store, log(1)).await, [vec![1, 2, 3, 4], vec![1], vec![1]]);
    for (number, gone) in [(2, Forget::Heads(vec![entity_key("merge", 1)])), (3, Forget::AllHeads)] {
        let rule = move |_: &View| {
            let bounds = LogBounds::new(log(number), Origin([3; 16]), env(1).now);
            let writes = LogWrites { forget: gone.clone(), ..LogWrites::new(log(number), bounds) };
            Choice::Done((), Some(writes.alone()))
        };
        store.decide(Scope::log(log(number), Reads::default()), rule).await.unwrap();
        forget(&*store, log(number), Forget::AllHeads).await;
        assert_eq!(standing(&*store, log(number)).await, [[0; 0]; 3].map(Vec::from));
    }
}

/// A slot is no head.
pub async fn a_forgotten_head_leaves_its_slot(store: Arc<dyn Store>) {
    filled(&*store, log(1)).await;
    let slot = SlotKey(bytes::Bytes::from_static(b"name"));
    let held = slot.clone();
    write(&*store, log(1), move |_, writes| writes.slots.push((held.clone(), Some(entity_key("merge", 1))))).await;
    forget(&*store, log(1), Forget::AllHeads).await;
    let reads = Reads { slots: vec![slot.clone()], ..Reads::default() };
    let rule = move |view: &View| Choice::Done(view.log(log(1)).slots.get(&slot).cloned(), None);
    let holder = store.decide(Scope::log(log(1), reads), rule).await.unwrap();
    assert_eq!(holder, Some(entity_key("merge", 1)));
}

/// Nobody can say which of the two was meant.
pub async fn a_head_is_not_forgotten_and_written_at_once(store: Arc<dyn Store>) {
    filled(&*store, log(1)).await;
    let rule = |view: &View| {
        let bounds = view.log(log(1)).bounds.clone().expect("the log exists");
        let writes = LogWrites {
            forget: Forget::Heads(vec![entity_key("merge", 2), entity_key("merge", 3)]),
            heads: vec![(entity_key("merge", 3), head(5))],
            ..LogWrites::new(log(1), bounds)
        };
        Choice::Done((), Some(writes.alone()))
    };
    let error = store.decide(Scope::log(log(1), Reads::default()), rule).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Fault);
    assert_eq!(standing(&*store, log(1)).await, [vec![1, 2, 3, 4], vec![1], vec![1]]);
}
