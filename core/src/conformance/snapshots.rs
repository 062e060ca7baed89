//! Snapshots as a store keeps them.

use std::sync::Arc;

use super::author::Author;
use super::support::{all_ops, bounds, log, push};
use crate::clock::VectorClock;
use crate::decide::{self, Reads, Scope};
use crate::oplog::{Gap, LoggedOp, OpKind, Payload, Snapshot};
use crate::seq::Seq;
use crate::store::{Store, StoreExt};

fn at(logged: &LoggedOp) -> Snapshot {
    Snapshot {
        seq: logged.seq,
        anchor: logged.anchor,
        clock: VectorClock::new(),
        schema_version: 3,
        payload: Payload::Sealed(format!("state at {}", logged.seq).into()),
    }
}

async fn keep(store: &dyn Store, snapshot: Snapshot) -> Option<Gap> {
    let reads = Reads { anchors: vec![snapshot.seq], ..Reads::default() };
    let rule = move |view: &decide::View| decide::keep_snapshot(log(1), &snapshot, view);
    store.decide(Scope::log(log(1), reads), rule).await.expect("the store works")
}

async fn filled(store: &dyn Store) -> Vec<LoggedOp> {
    let mut author = Author::new(1);
    let ops: Vec<_> = (0..6).map(|entity| author.op(OpKind::Create, "merge", entity, "a")).collect();
    push(store, log(1), &ops).await;
    all_ops(store, log(1)).await
}

/// A newer one replaces it, an older one does not.
pub async fn the_newest_snapshot_is_kept(store: Arc<dyn Store>) {
    let ops = filled(&*store).await;
    assert_eq!(store.snapshot(log(1), Seq::MAX).await.unwrap(), None);
    for (offered, kept) in [(2, 2), (4, 4), (1, 4), (5, 5)] {
        assert_eq!(keep(&*store, at(&ops[offered])).await, None);
        assert_eq!(store.snapshot(log(1), Seq::MAX).await.unwrap(), Some(at(&ops[kept])));
        assert_eq!(bounds(&*store, log(1)).await.snapshot, ops[kept].seq);
    }
}

/// Its place in the log is checked, whoever made it.
pub async fn a_snapshot_off_the_log_is_not_kept(store: Arc<dyn Store>) {
    let ops = filled(&*store).await;
    let diverged = Snapshot { anchor: ops[0].anchor, ..at(&ops[2]) };
    assert_eq!(keep(&*store, diverged).await, Some(Gap::Diverged));
    let ahead = Snapshot { seq: Seq::new(7).unwrap(), ..at(&ops[5]) };
    assert_eq!(keep(&*store, ahead).await, Some(Gap::ClientAhead));
    assert_eq!(store.snapshot(log(1), Seq::MAX).await.unwrap(), None);
}

/// A reader that goes back in time does not get the future.
pub async fn a_snapshot_newer_than_asked_is_not_given(store: Arc<dyn Store>) {
    let ops = filled(&*store).await;
    keep(&*store, at(&ops[3])).await;
    for (asked, given) in [(3, false), (4, true), (5, true)] {
        let snapshot = store.snapshot(log(1), Seq::new(asked).unwrap()).await.unwrap();
        assert_eq!(snapshot.is_some(), given, "at {asked}");
    }
}
