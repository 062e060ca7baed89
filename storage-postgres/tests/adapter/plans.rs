//! The plans that the server makes: right for any values, and made while a table was small still right when it is large.
//!
//! How: the connection plans without looking at values, and keeps what it planned over empty tables. The server's own
//! statistics say how many rows were come by in reading a table whole.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, Row as _};
use syncline::conformance::author::Author;
use syncline::conformance::support::{log, push, requested, upload};
use syncline::oplog::{EntityKey, Op, OpKind, Payload, Subject};
use syncline::store::{PageLimit, Store as _};
use syncline::{EntityId, Seq};
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_tests::rig::postgres::fresh_schema_url;

const OPS: u64 = 20_000;

/// An op about an entity of its own.
fn op(author: &mut Author, number: u64) -> Op {
    let mut entity = [7; 16];
    entity[8..].copy_from_slice(&number.to_be_bytes());
    let key = EntityKey { collection: "merge".parse().unwrap(), entity: EntityId::from_bytes(entity) };
    let subject = Subject::Entity { key, also: Vec::new() };
    author.draft(OpKind::Update, subject, Payload::Json("{}".into())).seal().unwrap()
}

/// What a server is asked, about the log's start, middle and end.
async fn calls(store: &PostgresStore, author: &mut Author, from: u64) {
    let batch: Vec<Op> = (from..from + 10).map(|number| op(author, number)).collect();
    push(store, log(1), &batch).await;
    push(store, log(1), &batch).await;
    let once: Vec<Op> = vec![op(author, from + 10)];
    for _ in 0..2 {
        upload(store, requested(log(1), u8::try_from(from % 251).unwrap(), &once)).await;
    }
    for after in [0, from / 2, from] {
        let page = store.ops_after(log(1), Seq::new(after).unwrap(), PageLimit::ops(100).unwrap()).await.unwrap();
        let first = batch[0].subject().keys().next();
        let heads = store.heads(log(1), &"merge".parse().unwrap(), first.as_ref(), 10).await.unwrap();
        assert!(page.bounds.is_some() && !heads.heads.is_empty());
    }
    store.snapshot(log(1), Seq::new(from).unwrap()).await.unwrap();
}

#[tokio::test]
async fn fault_s22_no_plan_reads_a_large_table_whole() {
    let url = fresh_schema_url().await;
    let name = &url[url.len() - 16..];
    let generic = format!("{url}&options=-cplan_cache_mode%3Dforce_generic_plan&application_name={name}");
    let mut mode = PgConnection::connect(&generic).await.unwrap();
    let set: String = sqlx::query("SHOW plan_cache_mode").fetch_one(&mut mode).await.unwrap().get(0);
    assert_eq!(set, "force_generic_plan");
    mode.close().await.unwrap();
    let mut options = PostgresOptions::new(generic);
    // One connection, so that what was planned over nothing is what is used over much.
    options.connections = 1;
    let store = PostgresStore::connect(&options).await.unwrap();
    let mut author = Author::new(1);
    calls(&store, &mut author, 1).await;
    for thousand in 1..=OPS / 1_000 {
        let batch: Vec<Op> = (0..1_000).map(|number| op(&mut author, thousand * 1_000 + number)).collect();
        push(&store, log(1), &batch).await;
    }
    calls(&store, &mut author, OPS + 1_000).await;
    let mut beside = PgConnection::connect(&url).await.unwrap();
    // And with plans made by what is known of it now.
    sqlx::query("ANALYZE").execute(&mut beside).await.unwrap();
    calls(&store, &mut author, OPS + 2_000).await;
    drop(store);
    gone(&mut beside, name).await;
    for table in ["op", "head"] {
        let read = sqlx::query(READ).bind(table).fetch_one(&mut beside).await.unwrap();
        let (whole, by_index): (i64, i64) = (read.get(0), read.get(1));
        assert!(by_index >= 20, "{table}: {by_index} reads by an index: the test tests nothing");
        assert!(whole < 1_000, "{table}: {whole} rows were come by in reading it whole");
    }
}

/// How many rows were read in scans of a whole table, and how many reads went by an index.
const READ: &str = "SELECT coalesce(seq_tup_read, 0), coalesce(idx_scan, 0) FROM pg_stat_user_tables \
                    WHERE schemaname = current_schema() AND relname = $1";

/// Waits until the connections of this name are closed: then all that they read is counted.
async fn gone(connection: &mut PgConnection, name: &str) {
    const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    for _ in 0..200 {
        let open: i64 = sqlx::query(OPEN).bind(name).fetch_one(&mut *connection).await.unwrap().get(0);
        if open == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the store's connection stays open")
}
