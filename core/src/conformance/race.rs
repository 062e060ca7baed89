//! Many at once.

use std::sync::Arc;

use super::author::Author;
use super::support::{all_ops, env, log, plain, push, requested, side_by_side, try_upload, upload, verdicts};
use crate::decide::{self, Reads, Scope};
use crate::oplog::{Op, OpKind, Precondition, Sealing, Verdict};
use crate::seq::Seq;
use crate::store::{Store, StoreExt};

/// Eight writers, twenty rounds, every op once, no seq twice and none missing.
pub async fn racing_writers_get_dense_seqs(store: Arc<dyn Store>) {
    let mut authors: Vec<Author> = (1..=8).map(Author::new).collect();
    let mut given = Vec::new();
    for round in 0..20 {
        let ops: Vec<Op> = authors.iter_mut().map(|author| author.op(OpKind::Create, "append", round, "a")).collect();
        let ops: Vec<Op> = ops.into_iter().enumerate().map(|(index, op)| distinct(&op, index)).collect();
        let pushes = ops.iter().map(|op| -> std::pin::Pin<Box<dyn Future<Output = Vec<Verdict>> + Send>> {
            Box::pin(push(&*store, log(1), std::slice::from_ref(op)))
        });
        let verdicts = side_by_side(pushes.collect()).await;
        given.extend(verdicts.iter().flatten().map(|verdict| verdict.seq().expect("accepted").get()));
    }
    given.sort_unstable();
    assert_eq!(given, (1..=160).collect::<Vec<_>>());
    assert_eq!(all_ops(&*store, log(1)).await.len(), 160);
}

/// The same entity number of each author's round, made its own.
fn distinct(op: &Op, index: usize) -> Op {
    let mut draft = op.draft().clone();
    if let crate::oplog::Subject::Entity { key, .. } = &mut draft.subject {
        let mut entity = *key.entity.as_bytes();
        entity[15] = u8::try_from(index).expect("few authors");
        key.entity = crate::EntityId::from_bytes(entity);
    }
    draft.seal().expect("a good draft")
}

/// S3: one wins, the other is told the same.
pub async fn the_same_batch_pushed_twice_at_once_lands_once(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    for round in 0..10 {
        let ops: Vec<Op> = (0..3).map(|n| author.op(OpKind::Create, "merge", round * 3 + n, "a")).collect();
        let both = (0..2).map(|_| -> std::pin::Pin<Box<dyn Future<Output = decide::Uploaded> + Send>> {
            Box::pin(upload(&*store, requested(log(1), round, &ops)))
        });
        let answers: Vec<Vec<Verdict>> = side_by_side(both.collect()).await.into_iter().map(verdicts).collect();
        assert_eq!(answers[0], answers[1]);
    }
    assert_eq!(all_ops(&*store, log(1)).await.len(), 30);
}

/// Two servers that see no log make one.
pub async fn a_log_made_by_many_at_once_has_one_origin(store: Arc<dyn Store>) {
    let makers = (0..8_u64).map(|at| -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> {
        let (env, store) = (env(at), Arc::clone(&store));
        Box::pin(async move {
            let scope = Scope::log(log(1), Reads::default());
            store
                .decide(scope, move |view| decide::create_log(log(1), Sealing::Optional, &env, view))
                .await
                .expect("the store works")
        })
    });
    let made = side_by_side(makers.collect()).await;
    assert_eq!(made.iter().filter(|(_, created)| *created).count(), 1);
    assert!(made.iter().all(|(bounds, _)| bounds.tip == made[0].0.tip));
}

/// One of eight edits of the same version lands.
pub async fn racing_preconditions_have_one_winner(store: Arc<dyn Store>) {
    let first = Author::new(9).op_if(OpKind::Create, "precondition", 1, "a", Precondition::Absent);
    push(&*store, log(1), &[first]).await;
    let edits = (1..=8).map(|number| -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> {
        let version = Precondition::Version(Seq::FIRST);
        let op = Author::new(number).op_if(OpKind::Update, "precondition", 1, "b", version);
        let store = Arc::clone(&store);
        Box::pin(async move { try_upload(&*store, plain(log(1), &[op]), env(7)).await.expect("the store works") })
    });
    let won = side_by_side(edits.collect()).await.into_iter().flat_map(verdicts);
    assert_eq!(won.filter(|verdict| verdict.seq().is_some()).count(), 1);
    assert_eq!(all_ops(&*store, log(1)).await.len(), 2);
}
