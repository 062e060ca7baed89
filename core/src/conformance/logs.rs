//! Logs as wholes.

use std::sync::Arc;

use super::author::{Author, entity_key};
use super::support::{accepted, all_ops, bounds, env, log, push, requested, upload, verdicts, write};
use crate::decide::{self, DeleteLog, Deleted, Reads, Rotated, Scope, Uploaded};
use crate::id::{BucketId, LogId, LogKey};
use crate::oplog::{OpKind, Sealing};
use crate::seq::{Cursor, Seq};
use crate::store::{Store, StoreExt};

async fn create(store: &dyn Store, log: LogKey, at: u64) -> (crate::oplog::LogBounds, bool) {
    create_as(store, log, Sealing::Optional, at).await
}

async fn create_as(store: &dyn Store, log: LogKey, sealing: Sealing, at: u64) -> (crate::oplog::LogBounds, bool) {
    let env = env(at);
    let scope = Scope::log(log, Reads::default());
    store.decide(scope, move |view| decide::create_log(log, sealing, &env, view)).await.expect("the store works")
}

async fn delete(store: &dyn Store, log: LogKey, seen: Cursor) -> Deleted {
    let delete = DeleteLog { log, seen };
    let scope = Scope::log(log, Reads::default());
    store.decide(scope, move |view| decide::delete_log(&delete, view)).await.expect("the store works")
}

/// The second maker gets the first one's log.
pub async fn making_a_log_twice_makes_it_once(store: Arc<dyn Store>) {
    let (first, made) = create(&*store, log(1), 1).await;
    assert!(made);
    let (second, made) = create(&*store, log(1), 2).await;
    assert!(!made);
    assert_eq!(first, second);
    assert_eq!(bounds(&*store, log(1)).await, first);
    assert_eq!((first.first, first.last), (Seq::FIRST, Seq::ZERO));
}

/// R13, R14: the policy is fixed when the log is made, the epoch rises by one and only from where it is.
pub async fn a_log_keeps_its_sealing_and_its_key_epoch(store: Arc<dyn Store>) {
    for (number, (sealing, ..)) in (1..).zip(Sealing::ALL) {
        assert!(create_as(&*store, log(number), sealing, 1).await.1);
        let (kept, made) = create_as(&*store, log(number), Sealing::Optional, 2).await;
        assert_eq!((kept.sealing, kept.key_epoch, made), (sealing, 0, false));
        assert_eq!(bounds(&*store, log(number)).await, kept);
        let rotate = async |from| {
            let (log, scope) = (log(number), Scope::log(log(number), Reads::default()));
            store.decide(scope, move |view| decide::rotate_keys(log, from, view)).await.unwrap()
        };
        if sealing == Sealing::Forbidden {
            assert_eq!(rotate(0).await, Rotated::Forbidden);
            continue;
        }
        assert_eq!(rotate(1).await, Rotated::Moved { current: 0 });
        for from in 0..3 {
            let Rotated::Done(rotated) = rotate(from).await else { unreachable!("rotated from {from}") };
            assert_eq!(rotated.key_epoch, from + 1);
            assert_eq!(bounds(&*store, log(number)).await, *rotated);
            assert_eq!(rotate(from).await, Rotated::Moved { current: from + 1 });
        }
    }
    let absent = log(9);
    let scope = Scope::log(absent, Reads::default());
    let nowhere = store.decide(scope, move |view| decide::rotate_keys(absent, 0, view)).await.unwrap();
    assert_eq!(nowhere, Rotated::NoLog);
}

/// In id order, after an id, up to a limit.
pub async fn logs_are_listed_in_id_order(store: Arc<dyn Store>) {
    for number in [9, 1, 255, 128, 4] {
        create(&*store, log(number), u64::from(number)).await;
    }
    let list = async |after: Option<u8>, limit| {
        let after = after.map(|number| LogId::from_bytes([number; 16]));
        let logs = store.logs(log(0).bucket, after, limit).await.unwrap();
        logs.iter().map(|summary| summary.log.as_bytes()[0]).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10).await, [1, 4, 9, 128, 255]);
    assert_eq!(list(Some(4), 2).await, [9, 128]);
    assert_eq!(list(Some(255), 2).await, [0; 0]);
    let summaries = store.logs(log(0).bucket, None, 1).await.unwrap();
    assert_eq!(summaries[0].bounds, bounds(&*store, log(1)).await);
}

/// The same log id in two buckets is two logs.
pub async fn buckets_are_apart(store: Arc<dyn Store>) {
    let mine = log(1);
    let theirs = LogKey { bucket: BucketId::from_bytes([2; 16]), ..mine };
    let op = Author::new(1).op(OpKind::Create, "merge", 1, "a");
    assert_eq!(push(&*store, mine, std::slice::from_ref(&op)).await, [accepted(1)]);
    assert_eq!(push(&*store, theirs, &[op]).await, [accepted(1)]);
    assert_eq!(store.logs(theirs.bucket, None, 10).await.unwrap().len(), 1);
    delete(&*store, mine, bounds(&*store, mine).await.end()).await;
    assert_eq!(all_ops(&*store, theirs).await.len(), 1);
    assert!(store.head(theirs, &entity_key("merge", 1)).await.unwrap().is_some());
}

/// Look, then say what was seen: a log that moved is not deleted.
pub async fn deleting_takes_what_was_seen(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    push(&*store, log(1), &[author.op(OpKind::Create, "merge", 1, "a")]).await;
    let seen = bounds(&*store, log(1)).await.end();
    push(&*store, log(1), &[author.op(OpKind::Create, "merge", 2, "b")]).await;
    assert!(matches!(delete(&*store, log(1), seen).await, Deleted::Moved(_)));
    assert_eq!(all_ops(&*store, log(1)).await.len(), 2);
    assert_eq!(delete(&*store, log(1), bounds(&*store, log(1)).await.end()).await, Deleted::Done);
    assert_eq!(delete(&*store, log(1), seen).await, Deleted::Done, "deleting what is gone is no error");
}

/// Ops, ids, heads, receipts: nothing of the old log answers in the new one.
pub async fn a_deleted_log_is_gone_with_everything(store: Arc<dyn Store>) {
    let input = requested(log(1), 1, &[Author::new(1).op(OpKind::Create, "append", 1, "a")]);
    upload(&*store, input.clone()).await;
    delete(&*store, log(1), bounds(&*store, log(1)).await.end()).await;
    assert_eq!(store.bounds(log(1)).await.unwrap(), None);
    assert_eq!(store.head(log(1), &entity_key("append", 1)).await.unwrap(), None);
    assert!(store.logs(log(1).bucket, None, 10).await.unwrap().is_empty());
    let again = upload(&*store, input).await;
    assert!(matches!(&again, Uploaded::Done { replayed: false, .. }));
    assert_eq!(verdicts(again), [accepted(1)]);
}

/// S15: it is read, it is not written, and its neighbours do not notice.
pub async fn a_damaged_log_takes_no_writes(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    push(&*store, log(1), &[author.op(OpKind::Create, "merge", 1, "a")]).await;
    let scope = Scope::log(log(1), Reads::default());
    let origin = bounds(&*store, log(1)).await.tip.origin;
    let elsewhere = crate::seq::Origin([9; 16]);
    store.decide(scope.clone(), move |view| decide::mark_damaged(log(1), elsewhere, view)).await.unwrap();
    assert!(!bounds(&*store, log(1)).await.damaged, "a log made again is not stopped for the one before");
    store.decide(scope, move |view| decide::mark_damaged(log(1), origin, view)).await.unwrap();
    let late = [author.op(OpKind::Create, "merge", 2, "b")];
    assert_eq!(upload(&*store, super::support::plain(log(1), &late)).await, Uploaded::Damaged);
    assert_eq!(all_ops(&*store, log(1)).await.len(), 1);
    let other = [Author::new(1).op(OpKind::Create, "merge", 1, "a")];
    assert_eq!(push(&*store, log(2), &other).await, [accepted(1)]);
    write(&*store, log(1), |bounds, _| bounds.damaged = false).await;
    assert_eq!(push(&*store, log(1), &late).await, [accepted(2)]);
}
