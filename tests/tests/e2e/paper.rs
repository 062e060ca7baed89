//! 259,778 real edits from one device to another while the server is killed under them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use syncline::LogId;
use syncline::client::Transport;
use syncline_tests::rig::postgres;
use syncline_transport_http::client::{ClientOptions, HttpClient};

use super::device::{Device, landed};
use super::trace::{Edit, Text, Trace};
use syncline_tests::rig::server::{Process, TOKEN};

const BATCH: usize = 1_000;
/// Some seconds of tries: a killed server is back long before.
const PATIENCE: u32 = 1_500;

/// One server on SQLite, killed three times while batches are on their way.
#[test]
fn a_paper_written_on_one_device_is_read_on_another_through_three_kills_on_sqlite() {
    let data = tempfile::tempdir().expect("a folder");
    let servers = vec![Arc::new(Process::start(data.path(), None))];
    tokio::runtime::Runtime::new().expect("a runtime").block_on(write_and_read(servers));
}

/// Two servers on one Postgres, devices switching between them at random, each killed in turn.
#[test]
fn a_paper_written_on_one_device_is_read_on_another_through_three_kills_on_two_servers_and_postgres() {
    let data = tempfile::tempdir().expect("a folder");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let store = format!("postgres:{}", postgres::fresh_schema_url().await);
        let servers = (0..2).map(|_| Arc::new(Process::start(data.path(), Some(&store)))).collect();
        write_and_read(servers).await;
    });
}

async fn write_and_read(servers: Vec<Arc<Process>>) {
    let trace = Arc::new(Trace::paper());
    let log = LogId::from_bytes([7; 16]);
    let clients: Vec<Arc<dyn Transport>> = servers
        .iter()
        .map(|server| -> Arc<dyn Transport> {
            Arc::new(HttpClient::new(ClientOptions::new(&server.url, TOKEN)).expect("a client"))
        })
        .collect();
    let written = Arc::new(AtomicUsize::new(0));
    let writer = tokio::spawn(write(Device::new(1, log, clients.clone()), Arc::clone(&trace), Arc::clone(&written)));
    let reader = tokio::spawn(read(Device::new(2, log, clients), trace.edits.len()));
    for (kills, fraction) in (1..=3).enumerate() {
        let target = trace.edits.len() * fraction / 4;
        while written.load(Ordering::Relaxed) < target {
            assert!(!writer.is_finished(), "the writer ended early");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let server = &servers[kills % servers.len()];
        server.kill();
        server.run();
    }
    let pushed = writer.await.expect("the writer ends well");
    assert_eq!(pushed, trace.edits.len());
    let (text, read) = reader.await.expect("the reader ends well");
    assert_eq!(read, trace.edits.len(), "nothing is lost or doubled");
    assert_eq!(text, trace.end);
}

async fn write(mut device: Device, trace: Arc<Trace>, written: Arc<AtomicUsize>) -> usize {
    for batch in trace.edits.chunks(BATCH) {
        let ops = batch
            .iter()
            .map(|edit| device.write("notes", [1; 16], serde_json::to_vec(edit).expect("plain data")))
            .collect();
        let pushed = device.push(ops, PATIENCE).await;
        written.fetch_add(landed(&pushed.verdicts), Ordering::Relaxed);
    }
    written.load(Ordering::Relaxed)
}

async fn read(mut device: Device, total: usize) -> (String, usize) {
    let (mut text, mut read) = (Text::default(), 0);
    while read < total {
        let page = device.pull(PATIENCE).await;
        for op in &page.ops {
            let op = op.op.read().expect("an op");
            let edit: Edit = serde_json::from_slice(op.payload().bytes()).expect("an edit");
            text.apply(&edit);
            read += 1;
        }
        if page.ops.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    let rest = device.pull(PATIENCE).await;
    (text.read(), read + rest.ops.len())
}
