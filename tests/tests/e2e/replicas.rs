//! Replicas on SQLite files, kept in step in the background over HTTP and wakes, with a server that is killed.
//!
//! How: devices write without pause while the server process is killed with SIGKILL and started again on the same data;
//! a device is dropped without a word and opened again on its file. In the end every device shows every write.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use syncline::client::{Replica, ReplicaOptions, Tier};
use syncline::{LogId, LogKey};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_tests::rig::server::{Process, TOKEN};
use syncline_transport_http::client::{Background, ClientOptions, HttpClient, SystemEnv};

use crate::device::BUCKET;

/// How long anything may take before the test says that it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Open {
    replica: Replica,
    sync: Background,
}

async fn open(file: &Path, log: LogKey, url: &str) -> Open {
    let env = Arc::new(SystemEnv::new().unwrap());
    let store = Arc::new(SqliteStore::open(SqliteOptions::new(file)).unwrap());
    let replica = Replica::open(store, log, env.clone(), ReplicaOptions::default()).await.unwrap();
    let way = Arc::new(HttpClient::new(ClientOptions::new(url, TOKEN)).unwrap());
    let sync = Background::start(replica.clone(), way, env);
    Open { replica, sync }
}

impl Open {
    async fn set(&self, name: &str, value: &str) -> syncline::client::Receipt {
        let map = self.replica.collection("tasks").unwrap().named(name);
        map.set("n", value).await.unwrap()
    }

    async fn shows(&self, name: &str, value: &str) {
        let map = self.replica.collection("tasks").unwrap().named(name);
        let mut events = self.replica.events();
        let shown = async {
            while map.field::<String>("n").await.unwrap().as_deref() != Some(value) {
                events.next().await;
            }
        };
        let status = || self.replica.status();
        tokio::time::timeout(PATIENCE, shown).await.unwrap_or_else(|_| panic!("{name} never came: {:?}", status()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_device_writes_shows_on_the_other_without_anybody_asking() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(&folder.path().join("server"), None);
    let log = LogKey { bucket: BUCKET, log: LogId::named("shared") };
    let phone = open(&folder.path().join("phone.db"), log, &server.url).await;
    let laptop = open(&folder.path().join("laptop.db"), log, &server.url).await;
    let receipt = phone.set("1", "from the phone").await;
    tokio::time::timeout(PATIENCE, receipt.reached(Tier::Server)).await.unwrap().unwrap();
    laptop.shows("1", "from the phone").await;
    laptop.set("1", "from the laptop").await;
    phone.shows("1", "from the laptop").await;
}

/// Catalogue S1, C1, C2 and C16 over real sockets, files and processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_and_a_dropped_device_cost_no_write() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(&folder.path().join("server"), None);
    let log = LogKey { bucket: BUCKET, log: LogId::named("killed") };
    let file = folder.path().join("phone.db");
    let laptop = open(&folder.path().join("laptop.db"), log, &server.url).await;
    let mut phone = open(&file, log, &server.url).await;
    for round in 0..6 {
        for index in 0..10 {
            phone.set(&format!("p{round}-{index}"), "1").await;
            laptop.set(&format!("l{round}-{index}"), "1").await;
        }
        if round % 2 == 0 {
            server.kill();
            phone.set(&format!("offline{round}"), "1").await;
            server.run();
        } else {
            let Open { replica, sync } = phone;
            drop(replica);
            sync.stop().await;
            phone = open(&file, log, &server.url).await;
        }
    }
    let last = phone.set("last", "1").await;
    tokio::time::timeout(PATIENCE, last.reached(Tier::Server)).await.unwrap().unwrap();
    for round in 0..6 {
        for index in 0..10 {
            laptop.shows(&format!("p{round}-{index}"), "1").await;
            phone.shows(&format!("l{round}-{index}"), "1").await;
        }
    }
    laptop.shows("last", "1").await;
    assert!(phone.replica.status().is_safe(), "{:?}", phone.replica.status());
}

/// Stopping comes at any instant of a push: before it, while the answer is under way, while it is being stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_is_stopped_in_the_middle_leaves_a_replica_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(&folder.path().join("server"), None);
    let log = LogKey { bucket: BUCKET, log: LogId::named("stopped") };
    let Open { replica, mut sync } = open(&folder.path().join("phone.db"), log, &server.url).await;
    let way = Arc::new(HttpClient::new(ClientOptions::new(&server.url, TOKEN)).unwrap());
    let map = replica.collection("tasks").unwrap().named("1");
    let mut receipts = Vec::new();
    for round in 0..60 {
        receipts.push(map.set("n", &round).await.unwrap());
        for _ in 0..round * 20 {
            tokio::task::yield_now().await;
        }
        sync.stop().await;
        assert_eq!(replica.status().phase, None);
        if round % 3 == 0 {
            replica.sync_once(&*way).await.unwrap();
            assert!(replica.status().is_safe(), "{:?}", replica.status());
        }
        sync = Background::start(replica.clone(), way.clone(), Arc::new(SystemEnv::new().unwrap()));
    }
    for receipt in receipts {
        tokio::time::timeout(PATIENCE, receipt.reached(Tier::Server)).await.expect("told").unwrap();
    }
}
