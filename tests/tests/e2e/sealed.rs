//! A sealed log over HTTP, on SQLite files at both ends: what devices write they read, and the server's disk holds none of
//! it.
//!
//! How: two devices in step in the background write into one log, rotate its keys and leave a snapshot; a third begins from
//! that. Then every file of the server is searched for what they wrote; the same words in a log that is not sealed are
//! found, so the search finds what is there.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use syncline::client::{Halt, Phase, Receipt, Replica, ReplicaOptions, SharedKeyring, Tier};
use syncline::oplog::Sealing;
use syncline::seal::{KeyRecipe, LogSecret};
use syncline::{LogId, LogKey, Seq};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_tests::rig::server::{Process, TOKEN};
use syncline_transport_http::client::{Background, ClientOptions, HttpClient, SystemEnv};

use crate::device::BUCKET;

/// How long anything may take before the test says that it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const FIELD: &str = "favouritedish";

struct Open {
    replica: Replica,
    way: Arc<HttpClient>,
    _sync: Background,
}

async fn open(file: &Path, log: LogKey, url: &str, keys: Option<&SharedKeyring>) -> Open {
    let env = Arc::new(SystemEnv::new().unwrap());
    let store = Arc::new(SqliteStore::open(SqliteOptions::new(file)).unwrap());
    let mut options = ReplicaOptions::default();
    if let Some(keys) = keys {
        options.sealer = Some(Arc::new(keys.clone()));
        options.sealing = Some(Sealing::Required);
    }
    let replica = Replica::open(store, log, env.clone(), options).await.unwrap();
    let way = Arc::new(HttpClient::new(ClientOptions::new(url, TOKEN)).unwrap());
    let sync = Background::start(replica.clone(), way.clone(), env);
    Open { replica, way, _sync: sync }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: it hangs"))
}

impl Open {
    async fn set(&self, name: &str, value: &str) -> Receipt {
        self.replica.collection("meals").unwrap().named(name).set(FIELD, value).await.unwrap()
    }

    async fn arrived(&self, receipt: Receipt) {
        within("a write", receipt.reached(Tier::Server)).await.unwrap();
    }

    async fn shows(&self, name: &str, value: &str) {
        let map = self.replica.collection("meals").unwrap().named(name);
        let mut events = self.replica.events();
        let shown = async {
            while map.field::<String>(FIELD).await.unwrap().as_deref() != Some(value) {
                events.next().await;
            }
        };
        within(name, shown).await;
    }

    async fn halts(&self, halt: Halt) {
        let mut events = self.replica.events();
        within("a halt", async {
            while self.replica.status().phase != Some(Phase::Halted(halt)) {
                let _ = tokio::time::timeout(Duration::from_millis(50), events.next()).await;
            }
        })
        .await;
    }
}

/// Everything on a disk, file after file.
fn everything_in(folder: &Path, found: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            everything_in(&path, found);
        } else {
            found.extend(std::fs::read(&path).unwrap());
        }
    }
}

fn finds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_database_holds_nothing_readable_of_a_sealed_log() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("server");
    let server = Process::start(&data, None);
    let log = LogKey { bucket: BUCKET, log: LogId::named("sealed") };
    let recipe: KeyRecipe = KeyRecipe::new([7; 16]).to_string().parse().unwrap();
    let first = recipe.secret("correct horse battery staple").unwrap();
    let (mine, theirs) = (SharedKeyring::with(1, &first).unwrap(), SharedKeyring::with(1, &first).unwrap());
    let phone = open(&folder.path().join("phone.db"), log, &server.url, Some(&mine)).await;
    let laptop = open(&folder.path().join("laptop.db"), log, &server.url, Some(&theirs)).await;

    phone.arrived(phone.set("monday", "aubergine parmigiana").await).await;
    laptop.shows("monday", "aubergine parmigiana").await;
    assert_eq!(laptop.replica.status().sealing, Some(Sealing::Required), "made as the phone wanted it");

    // A rotation, of which the laptop learns by its next write.
    mine.add(2, &LogSecret::from_bytes([2; 32])).unwrap();
    within("a rotation", phone.replica.rotate_keys(&*phone.way, 2)).await.unwrap();
    let waits = laptop.set("tuesday", "gazpacho andaluz").await;
    laptop.halts(Halt::KeyNeeded { epoch: 2 }).await;
    theirs.add(2, &LogSecret::from_bytes([2; 32])).unwrap();
    laptop.replica.keys_changed();
    laptop.arrived(waits).await;
    phone.shows("tuesday", "gazpacho andaluz").await;

    let cursor = within("a snapshot", phone.replica.put_snapshot(&*phone.way)).await.unwrap().unwrap();
    assert!(cursor.seq > Seq::FIRST);
    laptop.arrived(laptop.set("wednesday", "ribollita toscana").await).await;
    let tablet = open(&folder.path().join("tablet.db"), log, &server.url, Some(&mine)).await;
    tablet.shows("wednesday", "ribollita toscana").await;
    tablet.shows("monday", "aubergine parmigiana").await;
    assert_eq!(tablet.replica.cursor_at(Seq::FIRST).await.unwrap(), None, "it began from the snapshot");

    // A restore, which is a sealed full state, and one more device that begins from that.
    let receipt = tablet.replica.restore(Seq::FIRST).await.unwrap_err();
    assert!(receipt.to_string().contains("not kept"), "{receipt}");
    phone.arrived(phone.replica.restore(Seq::FIRST).await.unwrap()).await;
    let desktop = open(&folder.path().join("desktop.db"), log, &server.url, Some(&mine)).await;
    desktop.shows("monday", "aubergine parmigiana").await;
    assert!(desktop.replica.unread().await.unwrap().is_empty());

    let open_log = LogKey { bucket: BUCKET, log: LogId::named("in the open") };
    let guest = open(&folder.path().join("guest.db"), open_log, &server.url, None).await;
    guest.arrived(guest.set("thursday", "bouillabaisse marseillaise").await).await;
    server.kill();

    let mut disk = Vec::new();
    everything_in(&data, &mut disk);
    assert!(finds(&disk, "bouillabaisse") && finds(&disk, "meals"), "the search finds what is there");
    for word in ["aubergine", "parmigiana", "gazpacho", "andaluz", "ribollita", "toscana", "battery staple"] {
        assert!(!finds(&disk, word), "the server's disk holds {word}");
    }
}
