//! Work is counted in statements of the store, the same number on every machine: an account with 100,000 ops costs per
//! request what one with 100 costs. The routes run in this process, over a store whose statements can be read.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use syncline::BucketId;
use syncline::store::{Fanout, MemoryFanout, Store};
use syncline_storage_postgres::{PostgresFanout, PostgresOptions, PostgresStore};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_tests::rig::postgres;
use syncline_transport_http::dialect::super_productivity::{Settings, SuperProductivity};

use super::api::Api;
use super::ops::{run, update};

const SHORT: u64 = 100;
const LONG: u64 = 100_000;

/// The routes over a store, on a socket of this process.
async fn serve(store: Arc<dyn Store>, fanout: Arc<dyn Fanout>) -> String {
    let settings = Settings { token_secret: "s".repeat(32), test_routes: true, ..Settings::default() };
    let bucket = BucketId::from_bytes([7; 16]);
    let dialect = SuperProductivity::new(store, fanout, bucket, settings).expect("good settings");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let service = dialect.router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    url
}

async fn account(url: &str, name: &str) -> Api {
    let body = json!({"email": format!("{name}@example.org"), "password": "a long password"});
    let user = Api::new(url, "").post("/api/test/create-user", &body).await.ok();
    Api::new(url, user["token"].as_str().expect("a token"))
}

/// Fills an account up to `total` ops, with a full state at 50.
async fn fill(account: &Api, from: u64, total: u64) {
    let mut number = from;
    while number < total {
        if number == 50 {
            account.snapshot("d1", "recovery", &json!({"d1": 50}), &json!({})).await.ok();
            number += 1;
            continue;
        }
        let end = if number < 50 { 50 } else { total };
        let count = (end - number).min(100);
        let codes = account.upload("d1", &run("d1", number + 1, count)).await.codes();
        assert!(codes.iter().all(Option::is_none), "{codes:?}");
        number += count;
    }
}

/// What each request costs an account as it stands: an upload of one op, the last page, a late device that the skip
/// serves, status, and an upload that the quota gate lets through with a cursor.
async fn costs(account: &Api, end: u64, statements: &dyn Fn() -> u64) -> Vec<(&'static str, u64)> {
    let op = |number: u64| {
        let name = format!("d2-{end}-{number}");
        update(&name, "d2", &name, &json!({"d1": 51, "d2": end + number}))
    };
    let with_cursor = json!({"ops": [op(2)], "clientId": "d2", "lastKnownServerSeq": end});
    let mut costs = Vec::new();
    let mut before = statements();
    let mut note = |name| {
        let now = statements();
        costs.push((name, now - before));
        before = now;
    };
    assert_eq!(account.upload("d2", &[op(1)]).await.codes(), [None]);
    note("upload of one op");
    account.post("/api/sync/ops", &with_cursor).await.ok();
    note("upload of one op with piggyback");
    let last = account.page(end - 10, 500).await;
    assert_eq!(last["ops"].as_array().map(Vec::len), Some(12));
    note("last page");
    let late = account.page(1, 20).await;
    assert_eq!((&late["ops"][0]["serverSeq"], late["ops"].as_array().map(Vec::len)), (&json!(51), Some(20)));
    assert!(late["snapshotVectorClock"].is_object());
    note("late device with snapshot skip");
    let status = account.status().await;
    assert_eq!(status["latestSeq"], end + 2);
    note("status");
    costs
}

async fn as_many_early_as_late(url: &str, statements: &dyn Fn() -> u64) {
    let account = account(url, "counted").await;
    fill(&account, 0, SHORT).await;
    // The first of each kind may learn what is then remembered.
    costs(&account, SHORT, statements).await;
    let early = costs(&account, SHORT + 2, statements).await;
    fill(&account, SHORT + 4, LONG).await;
    // A device is noted again after a while, and this took one.
    costs(&account, LONG, statements).await;
    let late = costs(&account, LONG + 2, statements).await;
    println!("statements at {SHORT} ops {early:?}, at {LONG} ops {late:?}");
    assert_eq!(early, late);
    for (name, count) in late {
        assert!(count <= 30, "{name}: {count}");
    }
}

/// 11 of the reference's weaknesses.
#[tokio::test(flavor = "multi_thread")]
async fn weakness_11_and_13_work_does_not_grow_with_history_on_sqlite() {
    let data = tempfile::tempdir().expect("a folder");
    let store = Arc::new(SqliteStore::open(SqliteOptions::new(data.path().join("a.db"))).expect("opened"));
    let url = serve(store.clone(), Arc::new(MemoryFanout::new())).await;
    as_many_early_as_late(&url, &|| store.statements()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weakness_11_and_13_work_does_not_grow_with_history_on_postgres() {
    let options = PostgresOptions::new(postgres::fresh_schema_url().await);
    let store = Arc::new(PostgresStore::connect(&options).await.expect("connected"));
    let fanout = PostgresFanout::connect(&options).await.expect("connected");
    let url = serve(store.clone(), Arc::new(fanout)).await;
    as_many_early_as_late(&url, &|| store.statements()).await;
}

/// 11: what is stored is known after every upload, to the byte that an op takes away again with its account's data.
#[tokio::test(flavor = "multi_thread")]
async fn weakness_11_usage_is_known_at_once() {
    let data = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(SqliteOptions::new(data.path().join("a.db"))).expect("opened");
    let url = serve(Arc::new(store), Arc::new(MemoryFanout::new())).await;
    let account = account(&url, "usage").await;
    let used = async || account.status().await["storageUsedBytes"].as_u64().expect("bytes");
    assert_eq!(used().await, 0);
    account.upload("d1", &run("d1", 1, 1)).await.ok();
    let one = used().await;
    assert!(one > 0);
    let mut large = run("d1", 2, 1);
    large[0]["payload"] = Value::String("x".repeat(100_000));
    account.upload("d1", &large).await.ok();
    assert!(used().await >= one + 100_000);
    account.delete("/api/sync/data").await.ok();
    assert_eq!(used().await, 0);
}
