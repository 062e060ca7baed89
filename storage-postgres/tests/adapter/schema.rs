use sqlx::{Connection as _, PgConnection, Row as _};
use syncline::store::StoreErrorKind;
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_tests::rig::postgres::{Cluster, Durability, fresh_schema_url};

/// Each connects on its own; the tables must be made once and found by the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_servers_may_start_at_once_on_an_empty_schema() {
    let url = fresh_schema_url().await;
    let starting: Vec<_> = (0..8)
        .map(|_| {
            let options = PostgresOptions::new(&*url);
            tokio::spawn(async move { PostgresStore::connect(&options).await.map(|_| ()) })
        })
        .collect();
    for start in starting {
        start.await.unwrap().unwrap();
    }
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let steps = sqlx::query("SELECT count(*) FROM syncline_schema").fetch_one(&mut connection).await.unwrap();
    assert_eq!(steps.get::<i64, _>(0), 2);
}

#[tokio::test]
async fn a_schema_made_by_a_newer_version_is_refused() {
    let (_, url) = crate::fresh().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("INSERT INTO syncline_schema VALUES (1000, 'later')").execute(&mut connection).await.unwrap();
    let refused = PostgresStore::connect(&PostgresOptions::new(&*url)).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
    assert!(refused.to_string().contains("newer"), "{refused}");
}

#[tokio::test]
async fn a_schema_made_by_other_steps_is_refused() {
    let (_, url) = crate::fresh().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE syncline_schema SET digest = 'other' WHERE step = 1").execute(&mut connection).await.unwrap();
    let refused = PostgresStore::connect(&PostgresOptions::new(&*url)).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
}

/// P12: an order that depends on a locale would change when its library does.
#[tokio::test]
async fn fault_p12_no_column_is_ordered_by_a_locale() {
    let (_, url) = crate::fresh().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let found = sqlx::query_scalar::<_, String>(
        "SELECT table_name || '.' || column_name FROM information_schema.columns \
         WHERE table_schema = current_schema() AND collation_name IS DISTINCT FROM 'C' \
         AND data_type IN ('text', 'character varying', 'character')",
    );
    assert_eq!(found.fetch_all(&mut connection).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_address_that_does_not_parse_is_unsupported_and_a_server_that_is_not_there_unavailable() {
    let refused = PostgresStore::connect(&PostgresOptions::new("nonsense")).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
    let nobody = PostgresOptions::new("postgres:///postgres?host=/nonexistent&user=test");
    assert_eq!(PostgresStore::connect(&nobody).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

/// P10: what a replica does not have yet, a reader would take for the end of the log.
#[tokio::test]
async fn fault_p10_a_read_replica_is_refused() {
    let cluster = Cluster::start(Durability::Full).unwrap();
    let options = PostgresOptions::new(cluster.url());
    let store = PostgresStore::connect(&options).await.unwrap();
    let log = syncline::conformance::support::log(1);
    let op = crate::ops(&mut syncline::conformance::author::Author::new(1), 1);
    syncline::conformance::support::push(&store, log, &op).await;
    cluster.become_replica().unwrap();

    let refused = PostgresStore::connect(&options).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
    // Neither does a store that was connected before, to what was the primary then.
    use syncline::store::{PageLimit, Store as _};
    let read = store.ops_after(log, syncline::Seq::ZERO, PageLimit::default()).await.unwrap_err();
    assert_eq!(read.kind(), StoreErrorKind::Unsupported);
    let input = syncline::conformance::support::plain(log, &op);
    let written =
        syncline::conformance::support::try_upload(&store, input, syncline::conformance::support::env(1)).await;
    assert_eq!(written.unwrap_err().kind(), StoreErrorKind::Unsupported);
}
