//! Remembered answers.

use std::sync::Arc;

use super::author::Author;
use super::support::{accepted, all_ops, env, log, requested, try_upload, upload, verdicts, write};
use crate::decide::{Upload, Uploaded};
use crate::oplog::{OpKind, RejectReason, Verdict};
use crate::store::Store;

/// W4: an answer lost on the way is given again, even when the log has moved on.
pub async fn a_repeated_request_gets_the_first_answer(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    let input = requested(log(1), 1, &[one.op(OpKind::Create, "causal", 1, "a")]);
    let first = upload(&*store, input.clone()).await;
    upload(&*store, requested(log(1), 2, &[two.op(OpKind::Create, "causal", 2, "b")])).await;
    let Uploaded::Done { verdicts, after, replayed: true, .. } = upload(&*store, input).await else {
        unreachable!("not replayed")
    };
    assert_eq!(verdicts, [accepted(1)]);
    assert!(matches!(first, Uploaded::Done { after: first, replayed: false, .. } if first == after));
    assert_eq!(all_ops(&*store, log(1)).await.len(), 2);
}

/// The id is bound to what was asked.
pub async fn a_request_id_stands_for_one_request(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    upload(&*store, requested(log(1), 1, &[author.op(OpKind::Create, "merge", 1, "a")])).await;
    let other = requested(log(1), 1, &[author.op(OpKind::Create, "merge", 2, "b")]);
    assert_eq!(upload(&*store, other.clone()).await, Uploaded::RequestReused);
    // Another log is another circle of requests.
    let elsewhere =
        Upload { log: log(2), ..requested(log(2), 1, &[Author::new(1).op(OpKind::Create, "merge", 1, "")]) };
    assert_eq!(verdicts(upload(&*store, elsewhere).await), [accepted(1)]);
}

/// A final answer is a final answer.
pub async fn an_aborted_atomic_batch_is_remembered_too(store: Arc<dyn Store>) {
    let op = Author::new(1).op(OpKind::Update, "append", 1, "a");
    let input = Upload { atomic: true, ..requested(log(1), 1, &[op]) };
    for replay in [false, true] {
        let Uploaded::Done { verdicts, replayed, .. } = upload(&*store, input.clone()).await else {
            unreachable!("not judged")
        };
        assert_eq!((verdicts, replayed), (vec![Verdict::Rejected { reason: RejectReason::AppendOnly }], replay));
    }
}

/// Kept at least as long as promised, then gone; the op ids still answer.
pub async fn receipts_go_by_age(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let old = requested(log(1), 1, &[author.op(OpKind::Create, "merge", 1, "a")]);
    let new = requested(log(1), 2, &[author.op(OpKind::Create, "merge", 2, "b")]);
    try_upload(&*store, old.clone(), env(10)).await.unwrap();
    try_upload(&*store, new.clone(), env(20)).await.unwrap();
    write(&*store, log(1), |_, writes| writes.receipts_before = Some(env(20).now)).await;
    let again = upload(&*store, old).await;
    assert!(matches!(&again, Uploaded::Done { replayed: false, .. }), "{again:?}");
    assert!(matches!(verdicts(again)[0], Verdict::Duplicate { .. }));
    assert!(matches!(upload(&*store, new).await, Uploaded::Done { replayed: true, .. }));
}

/// Answers that nobody can ask for any more do not pile up; those of the last day stay.
pub async fn old_receipts_are_swept_as_the_log_grows(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let kept = crate::limits::RECEIPT_KEPT_MS;
    let old = requested(log(1), 1, &[author.op(OpKind::Create, "merge", 1, "a")]);
    let young = requested(log(1), 2, &[author.op(OpKind::Create, "merge", 2, "b")]);
    try_upload(&*store, old.clone(), env(0)).await.unwrap();
    try_upload(&*store, young.clone(), env(kept)).await.unwrap();
    let many: Vec<_> = (0..300).map(|_| author.op(OpKind::Update, "merge", 3, "c")).collect();
    try_upload(&*store, requested(log(1), 3, &many), env(kept + 1)).await.unwrap();
    assert!(matches!(upload(&*store, old).await, Uploaded::Done { replayed: false, .. }));
    assert!(matches!(upload(&*store, young).await, Uploaded::Done { replayed: true, .. }));
}
