//! Rows that somebody else changed are found out.

use sqlx::{Connection as _, PgConnection};
use syncline::Seq;
use syncline::conformance::author::Author;
use syncline::conformance::support::{all_ops, bounds, env, log, plain, push, try_upload};
use syncline::decide::{Choice, LogWrites, Reads, Scope};
use syncline::oplog::LogBounds;
use syncline::store::{PageLimit, Store as _, StoreErrorKind, StoreExt as _};

use crate::{fresh, ops};

pub(crate) async fn change(url: &str, sql: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    assert!(sqlx::query(sql).execute(&mut connection).await.unwrap().rows_affected() > 0);
}

#[tokio::test]
async fn bytes_that_do_not_fit_their_digest_are_corrupt() {
    let (store, url) = fresh().await;
    push(&store, log(1), &ops(&mut Author::new(1), 3)).await;
    change(&url, "UPDATE op SET bytes = set_byte(bytes, 40, 255 - get_byte(bytes, 40)) WHERE seq = 2").await;
    let read = store.ops_after(log(1), Seq::ZERO, PageLimit::default()).await.unwrap_err();
    assert_eq!(read.kind(), StoreErrorKind::Corrupt);
    assert!(read.to_string().contains("seq 2"), "{read}");
}

#[tokio::test]
async fn bounds_and_heads_that_do_not_read_are_corrupt() {
    let (store, url) = fresh().await;
    let mut author = Author::new(1);
    push(&store, log(1), &ops(&mut author, 1)).await;
    change(&url, "UPDATE head SET head = '\\x00'").await;
    let next = ops(&mut author, 256);
    let written = try_upload(&store, plain(log(1), &next), env(1)).await.unwrap_err();
    assert_eq!(written.kind(), StoreErrorKind::Corrupt);
    change(&url, "UPDATE log SET bounds = '\\x00'").await;
    let read = store.ops_after(log(1), Seq::ZERO, PageLimit::default()).await.unwrap_err();
    assert_eq!(read.kind(), StoreErrorKind::Corrupt);
}

/// S15: a log that lost its end must not grow a second one. Other logs go on.
#[tokio::test]
async fn fault_s15_nothing_is_put_after_a_last_op_that_is_missing_or_another() {
    for harm in
        ["DELETE FROM op WHERE seq = 3", "UPDATE op SET anchor = set_byte(anchor, 20, 255 - get_byte(anchor, 20))"]
    {
        let (store, url) = fresh().await;
        let mut author = Author::new(1);
        push(&store, log(1), &ops(&mut author, 3)).await;
        change(&url, harm).await;
        let written = try_upload(&store, plain(log(1), &ops(&mut author, 1)), env(1)).await.unwrap_err();
        assert_eq!(written.kind(), StoreErrorKind::Corrupt, "{harm}");
        push(&store, log(2), &ops(&mut Author::new(2), 1)).await;
    }
}

/// What is forgotten need not be sound: a replica whose copy was damaged takes a new one.
#[tokio::test]
async fn a_log_that_lost_its_end_can_be_begun_anew() {
    let (store, url) = fresh().await;
    push(&store, log(1), &ops(&mut Author::new(1), 3)).await;
    let (kept, whole) = (all_ops(&store, log(1)).await, bounds(&store, log(1)).await);
    change(&url, "DELETE FROM op WHERE seq >= 2").await;
    let anew = LogBounds { first: kept[2].seq, base: kept[1].anchor, ..whole };
    let writes = LogWrites { ops: kept[2..].to_vec(), ..LogWrites::anew(log(1), anew) };
    let rule = move |_: &_| Choice::Done((), Some(writes.clone().alone()));
    store.decide(Scope::log(log(1), Reads::default()), rule).await.unwrap();
    let page = store.ops_after(log(1), kept[1].seq, PageLimit::default()).await.unwrap();
    assert_eq!((page.gap(kept[1].cursor()), page.ops), (None, kept[2..].to_vec()));
}

#[tokio::test]
async fn a_page_holds_large_ops_one_by_one() {
    let (store, _) = fresh().await;
    let mut author = Author::new(1);
    let large = "x".repeat(3 << 20);
    let large: Vec<_> =
        (0..3).map(|entity| author.op(syncline::oplog::OpKind::Update, "merge", entity, &large)).collect();
    push(&store, log(1), &large).await;
    let mut after = Seq::ZERO;
    for op in &large {
        let page = store.ops_after(log(1), after, PageLimit::default()).await.unwrap();
        assert_eq!(page.ops.len(), 1);
        assert_eq!(page.ops[0].op.bytes(), op.bytes());
        after = page.ops[0].seq;
    }
}
