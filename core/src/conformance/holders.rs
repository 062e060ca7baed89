//! What replicas say they hold, kept as one note beside the log.

use std::pin::Pin;
use std::sync::Arc;

use super::author::Author;
use super::support::{bounds, env, log, push, side_by_side};
use crate::decide::{Acknowledge, Acknowledged, LogWrites, Scope, acknowledge, holders_key, holders_of};
use crate::id::{LogKey, ReplicaId};
use crate::limits;
use crate::oplog::{Holders, OpKind};
use crate::seq::{Cursor, Seq};
use crate::store::{PageLimit, Store, StoreExt};
use crate::time::Timestamp;

async fn filled(store: &dyn Store, log: LogKey, ops: u8) {
    let mut author = Author::new(1);
    let ops: Vec<_> = (0..ops).map(|entity| author.op(OpKind::Create, "merge", entity, "a")).collect();
    push(store, log, &ops).await;
}

async fn place(store: &dyn Store, log: LogKey, at: u64) -> Cursor {
    let seq = Seq::new(at).expect("in range");
    Cursor { seq, anchor: store.ops_after(log, seq, PageLimit::default()).await.expect("a page").anchor }
}

async fn say(store: &dyn Store, log: LogKey, replica: u8, cursor: Cursor, now: Timestamp) -> Acknowledged {
    let said = Acknowledge { log, replica: ReplicaId::from_bytes([replica; 16]), cursor };
    let rule = move |view: &crate::decide::View| acknowledge(&said, now, view);
    store.decide(Scope::log(log, said.reads()), rule).await.expect("decided")
}

async fn kept(store: &dyn Store, log: LogKey) -> Holders {
    let note = store.head(log, &holders_key()).await.expect("a head");
    holders_of(note.as_ref()).expect("reads")
}

/// None of them is lost to another, and the log is as it was.
pub async fn acknowledgements_of_many_at_once_are_all_kept(store: Arc<dyn Store>) {
    filled(&*store, log(1), 8).await;
    let before = bounds(&*store, log(1)).await;
    let mut places = Vec::new();
    for at in 1..=8 {
        places.push(place(&*store, log(1), at).await);
    }
    for round in 0..5 {
        let now = env(0).now.plus_ms(round * limits::ACKNOWLEDGE_MS_MIN);
        let all = (1..=8_u8).map(|replica| -> Pin<Box<dyn Future<Output = Acknowledged> + Send>> {
            let ahead = usize::try_from(round).expect("few rounds");
            let cursor = places[(usize::from(replica) - 1 + ahead).min(7)];
            let store = Arc::clone(&store);
            Box::pin(async move { say(&*store, log(1), replica, cursor, now).await })
        });
        side_by_side(all.collect()).await;
        let holders = kept(&*store, log(1)).await;
        let held: Vec<u64> = holders.iter().map(|(_, holder)| holder.seq.get()).collect();
        assert_eq!(held, (1..=8).map(|replica| (replica + round).min(8)).collect::<Vec<_>>());
    }
    assert!(kept(&*store, log(1)).await.stable() >= Seq::new(5).expect("in range"));
    assert_eq!(bounds(&*store, log(1)).await, before);
}

/// One note per log, whatever was said; it goes with the log, and a place of the old log is no place of the new one.
pub async fn acknowledgements_are_of_their_log_and_go_with_it(store: Arc<dyn Store>) {
    filled(&*store, log(1), 3).await;
    filled(&*store, log(2), 3).await;
    let old = place(&*store, log(1), 3).await;
    for round in 1..=3 {
        let now = env(0).now.plus_ms(round * limits::ACKNOWLEDGE_MS_MIN);
        say(&*store, log(1), 1, place(&*store, log(1), round).await, now).await;
    }
    let notes = store.heads(log(1), &holders_key().collection, None, 10).await.expect("heads");
    assert_eq!(notes.heads.len(), 1);
    assert_eq!(kept(&*store, log(1)).await.stable(), old.seq);
    assert_eq!(kept(&*store, log(2)).await, Holders::default());

    let erase = |_: &crate::decide::View| crate::decide::Choice::Done((), Some(LogWrites::forget(log(1)).alone()));
    store.decide(Scope::log(log(1), crate::decide::Reads::default()), erase).await.expect("erased");
    filled(&*store, log(1), 2).await;
    assert_eq!(kept(&*store, log(1)).await, Holders::default());
    let refused = say(&*store, log(1), 1, old, env(9).now).await;
    assert!(matches!(refused, Acknowledged::Gap(..)), "{refused:?}");
    assert_eq!(kept(&*store, log(1)).await, Holders::default());
}
