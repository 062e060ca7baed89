//! Order and history: seqs, bytes, anchors.

use std::sync::Arc;

use super::author::{Author, entity_subject};
use super::support::{accepted, all_ops, bounds, env, log, plain, push, try_upload, upload};
use crate::decide::{self, DeleteLog, Reads, Scope, Upload, Uploaded};
use crate::oplog::{Gap, OpKind, Payload};
use crate::seq::{Anchor, Cursor, Origin, Seq};
use crate::store::{Store, StoreExt};

/// From 1, without holes, conflicts or not.
pub async fn seqs_are_dense_from_one(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    for entity in 1..=20 {
        let batch = [one.op(OpKind::Create, "causal", entity, "a"), two.op(OpKind::Create, "causal", entity, "b")];
        push(&*store, log(1), &batch[..1]).await;
        push(&*store, log(1), &batch[1..]).await;
    }
    let seqs: Vec<u64> = all_ops(&*store, log(1)).await.iter().map(|logged| logged.seq.get()).collect();
    assert_eq!(seqs, (1..=20).collect::<Vec<_>>());
}

/// Whatever the bytes: client-authored content is not touched.
pub async fn ops_come_back_byte_for_byte(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let hostile: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let payloads = [
        Payload::Plain(Vec::new().into()),
        Payload::Plain(vec![0].into()),
        Payload::Plain(hostile.clone().into()),
        Payload::Sealed(hostile.into()),
        Payload::Json(r#"{"b" : 1e2, "a":"\u0000", "n":-0, "big":123456789012345678901234567890 }"#.into()),
    ];
    let ops: Vec<_> = payloads
        .into_iter()
        .zip(1..)
        .map(|(payload, entity)| author.draft(OpKind::Create, entity_subject("merge", entity), payload).seal().unwrap())
        .collect();
    assert_eq!(push(&*store, log(1), &ops).await, (1..=5).map(accepted).collect::<Vec<_>>());
    let stored = all_ops(&*store, log(1)).await;
    for (logged, op) in stored.iter().zip(&ops) {
        assert_eq!(logged.op.bytes(), op.bytes());
        assert_eq!(logged.op.read().unwrap(), *op);
        assert_eq!((logged.op.id(), logged.accepted_at), (op.id(), env(7).now));
    }
}

/// Each op extends the running hash of the one before.
pub async fn anchors_chain_from_genesis(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let ops: Vec<_> = (1..=5).map(|entity| author.op(OpKind::Create, "merge", entity, "a")).collect();
    push(&*store, log(1), &ops[..2]).await;
    push(&*store, log(1), &ops[2..]).await;
    let bounds = bounds(&*store, log(1)).await;
    let mut anchor = Anchor::genesis(log(1), bounds.tip.origin);
    assert_eq!(bounds.base, anchor);
    for logged in all_ops(&*store, log(1)).await {
        anchor = anchor.extend(logged.op.digest(), logged.accepted_at);
        assert_eq!(logged.anchor, anchor);
    }
    assert_eq!(bounds.tip, anchor);
}

/// Rolled back, forked, foreign, empty: found out before anything is written.
pub async fn a_cursor_that_does_not_fit_writes_nothing(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    for entity in 1..=3 {
        push(&*store, log(1), &[author.op(OpKind::Create, "merge", entity, "a")]).await;
    }
    let ops = all_ops(&*store, log(1)).await;
    let end = bounds(&*store, log(1)).await.end();
    let foreign = Anchor { origin: Origin([9; 16]), ..ops[1].anchor };
    let rows = [
        (Cursor { seq: ops[1].seq, anchor: Some(ops[0].anchor) }, Gap::Diverged),
        (Cursor { seq: ops[1].seq, anchor: Some(foreign) }, Gap::ForeignLog),
        (Cursor { seq: Seq::new(4).unwrap(), anchor: end.anchor }, Gap::ClientAhead),
        (Cursor { seq: Seq::MAX, anchor: None }, Gap::ClientAhead),
    ];
    let op = author.op(OpKind::Create, "merge", 9, "late");
    for (cursor, gap) in rows {
        let input = Upload { cursor: Some(cursor), ..plain(log(1), std::slice::from_ref(&op)) };
        let uploaded = upload(&*store, input).await;
        assert!(matches!(uploaded, Uploaded::Gap(found, Some(_)) if found == gap), "{uploaded:?} is not {gap:?}");
        assert_eq!(bounds(&*store, log(1)).await.end(), end);
    }
    let empty = Upload { cursor: Some(end), ..plain(log(2), std::slice::from_ref(&op)) };
    assert_eq!(upload(&*store, empty).await, Uploaded::Gap(Gap::ServerEmpty, None));
    let middle = Upload { cursor: Some(ops[1].cursor()), ..plain(log(1), &[op]) };
    assert!(matches!(upload(&*store, middle).await, Uploaded::Done { .. }));
}

/// R9: an account reset does not reuse its history's name.
pub async fn a_log_made_again_has_another_origin(store: Arc<dyn Store>) {
    let op = Author::new(1).op(OpKind::Create, "merge", 1, "a");
    push(&*store, log(1), std::slice::from_ref(&op)).await;
    let before = bounds(&*store, log(1)).await.end();
    let delete = DeleteLog { log: log(1), seen: before };
    let scope = Scope::log(log(1), Reads::default());
    store.decide(scope, move |view| decide::delete_log(&delete, view)).await.unwrap();
    try_upload(&*store, plain(log(1), &[op]), env(8)).await.unwrap();
    let after = bounds(&*store, log(1)).await;
    assert_eq!(after.last, before.seq);
    assert_eq!(Gap::check(before, Some(&after), None), Some(Gap::ForeignLog));
}
