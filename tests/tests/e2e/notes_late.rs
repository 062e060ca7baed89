//! A device that comes late to a long history of texts: it begins from the snapshot that a server made which was told what
//! the collection holds, and from the first op where it was not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use syncline::call::{Call, Reply};
use syncline::client::{CallError, Replica, ReplicaOptions, Transport};
use syncline::crdt::text::Text;
use syncline::crdt::writing::{Said, TextEdit, WriterId};
use syncline::oplog::{Collection, Payload, Rules, Schema};
use syncline::store::MemoryStore;
use syncline::wire::binary;
use syncline::{EntityId, LogId, LogKey};
use syncline_tests::rig::server::{Process, TOKEN};
use syncline_transport_http::client::{ClientOptions, HttpClient, SystemEnv};

use crate::device::{BUCKET, Device, landed};
use crate::notes_desk::COLLECTIONS;

/// How many characters the text has at most, however much is typed.
const LEN: usize = 200;

/// A way to the server that counts.
#[derive(Debug)]
struct Counted {
    way: HttpClient,
    calls: AtomicUsize,
    ops: AtomicUsize,
    bytes: AtomicUsize,
}

#[async_trait::async_trait]
impl Transport for Counted {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        let reply = self.way.call(call).await?;
        self.calls.fetch_add(1, Relaxed);
        let bytes = match &reply {
            Reply::Pulled(page) => {
                self.ops.fetch_add(page.ops.len(), Relaxed);
                binary::encode_page(page).len()
            }
            Reply::Snapshot(Some(snapshot)) => binary::encode_snapshot(snapshot).len(),
            _ => 0,
        };
        self.bytes.fetch_add(bytes, Relaxed);
        Ok(reply)
    }
}

fn client(server: &Process) -> HttpClient {
    HttpClient::new(ClientOptions::new(&server.url, TOKEN)).expect("a client")
}

/// Types a history of so many ops into a log; the text in the end, and how many bytes the ops have.
async fn history(server: &Process, log: LogId, collection: &str, ops: usize) -> (String, usize) {
    let mut device = Device::new(1, log, vec![Arc::new(client(server))]);
    let writer = WriterId([1; 8]);
    let (mut text, entity) = (Text::new(), *EntityId::named("poem").as_bytes());
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for number in 0..ops {
        let since = text.seen(writer.author());
        if text.len() == LEN {
            text.delete(writer.author(), number % LEN..number % LEN + 1).expect("in it");
        } else {
            let letter = char::from(b'a' + u8::try_from(number % 26).expect("small"));
            text.insert(writer.author(), text.len(), &letter.to_string()).expect("in it");
        }
        let delta = text.delta(writer.author(), since).expect("a delta");
        let op =
            device.say(collection, entity, Payload::Plain(TextEdit { writer, said: Said::Typed(delta) }.to_bytes()));
        bytes += op.bytes().len();
        batch.push(op);
        if batch.len() == 500 || number + 1 == ops {
            let pushed = device.push(std::mem::take(&mut batch), 3).await;
            landed(&pushed.verdicts);
        }
    }
    (text.to_string(), bytes)
}

/// What a new device reads, and what that took.
async fn late(server: &Process, log: LogId, collection: &str) -> (String, Counted) {
    let mut options = ReplicaOptions::default();
    options.schema = Schema::default().with(Collection::new(collection).expect("a name"), Rules::text());
    let (store, env) = (Arc::new(MemoryStore::new()), Arc::new(SystemEnv::new().expect("randomness")));
    let replica = Replica::open(store, LogKey { bucket: BUCKET, log }, env, options).await.expect("a replica");
    let zero = || AtomicUsize::new(0);
    let way = Counted { way: client(server), calls: zero(), ops: zero(), bytes: zero() };
    let status = replica.sync_once(&way).await.expect("synced");
    assert_eq!((status.unread, status.synced_once), (0, true), "{status:?}");
    let poem = replica.collection(collection).expect("a name").text("poem").expect("a text");
    (poem.get().await.expect("it reads"), way)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_device_reads_a_snapshot_of_texts_however_long_they_were_typed_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::start_with(&folder.path().join("server"), None, &["--collection", COLLECTIONS]);
    let mut took = Vec::new();
    for ops in [2_000, 8_000] {
        let log = LogId::named(&ops.to_string());
        let (text, bytes) = history(&server, log, "notes", ops).await;
        let (read, way) = late(&server, log, "notes").await;
        assert_eq!(read, text, "{ops}");
        assert_eq!(way.ops.load(Relaxed), 0, "{ops} ops, and none is read one by one");
        let read = way.bytes.load(Relaxed);
        eprintln!("{ops} ops: {bytes} bytes in the log, {read} bytes in {:?} calls", way.calls);
        assert!(read * 10 < bytes, "{ops} ops: {read} of {bytes} bytes");
        took.push(way.calls.load(Relaxed));
    }
    assert_eq!(took[0], took[1], "the same calls for four times the history");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_not_told_of_texts_serves_their_history() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::start_with(&folder.path().join("server"), None, &["--collection", COLLECTIONS]);
    let log = LogId::named("untold");
    let (text, _) = history(&server, log, "poems", 2_000).await;
    let (read, way) = late(&server, log, "poems").await;
    assert_eq!((read, way.ops.load(Relaxed)), (text, 2_000));
}
