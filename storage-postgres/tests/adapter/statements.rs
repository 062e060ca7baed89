//! Work is counted in statements, not in seconds: it must depend on the call and never on the log behind it.

use syncline::Seq;
use syncline::conformance::author::{Author, entity_key};
use syncline::conformance::support::{log, push, requested, upload, write};
use syncline::decide::Forget;
use syncline::store::{PageLimit, Store as _};
use syncline_storage_postgres::PostgresStore;

use crate::{fresh, ops};

/// Lock, read, write, commit.
const PUSH: u64 = 4;

async fn counted<T>(store: &PostgresStore, call: impl Future<Output = T>) -> (T, u64) {
    let before = store.statements();
    let answer = call.await;
    (answer, store.statements() - before)
}

#[tokio::test]
async fn a_push_takes_four_statements_whatever_its_size_and_the_length_of_the_log() {
    let (store, _) = fresh().await;
    let mut author = Author::new(1);
    push(&store, log(1), &ops(&mut author, 10)).await;
    for size in [1, 2, 100] {
        let batch = ops(&mut author, size);
        assert_eq!(counted(&store, push(&store, log(1), &batch)).await.1, PUSH, "{size} ops early");
    }
    while store.ops_after(log(1), Seq::new(20_000).unwrap(), PageLimit::default()).await.unwrap().ops.is_empty() {
        push(&store, log(1), &ops(&mut author, 1_000)).await;
    }
    for size in [1, 2, 100, 1_000] {
        let batch = ops(&mut author, size);
        assert_eq!(counted(&store, push(&store, log(1), &batch)).await.1, PUSH, "{size} ops late");
    }
    let batch = ops(&mut author, 3);
    let remembered = counted(&store, upload(&store, requested(log(1), 1, &batch))).await.1;
    assert_eq!(remembered, PUSH, "with a receipt");

    for after in [0, 10, 20_000] {
        for size in [1, 500, 1_000] {
            let page = store.ops_after(log(1), Seq::new(after).unwrap(), PageLimit::ops(size).unwrap());
            assert_eq!(counted(&store, page).await.1, 1, "a page of {size} after {after}");
        }
    }
}

#[tokio::test]
async fn a_log_is_made_with_one_statement_more() {
    let (store, _) = fresh().await;
    let batch = ops(&mut Author::new(1), 100);
    // Queue for making it, no read of what is not there, insert its row.
    assert_eq!(counted(&store, push(&store, log(1), &batch)).await.1, PUSH + 1);
}

#[tokio::test]
async fn forgetting_heads_takes_one_statement_more_whatever_their_number() {
    let (store, _) = fresh().await;
    push(&store, log(1), &ops(&mut Author::new(1), 300)).await;
    let plain = counted(&store, write(&store, log(1), |_, _| {})).await.1;
    for count in [1, 2, 250] {
        let gone: Vec<_> = (0..count).map(|entity| entity_key("merge", entity)).collect();
        let forget = write(&store, log(1), move |_, writes| writes.forget = Forget::Heads(gone.clone()));
        assert_eq!(counted(&store, forget).await.1, plain + 1, "{count} heads");
    }
    let all = write(&store, log(1), |_, writes| writes.forget = Forget::AllHeads);
    assert_eq!(counted(&store, all).await.1, plain + 1);
    let none = write(&store, log(1), |_, writes| writes.forget = Forget::Heads(Vec::new()));
    assert_eq!(counted(&store, none).await.1, plain);
}
