//! Eight devices push one op each at the same instant, a hundred times.

use std::sync::Arc;

use syncline::LogId;
use syncline::client::Transport;
use syncline_tests::rig::postgres;
use syncline_transport_http::client::{ClientOptions, HttpClient};
use tokio::sync::Barrier;

use super::device::{Device, landed};
use syncline_tests::rig::server::{Process, TOKEN};

const DEVICES: u8 = 8;
const ROUNDS: usize = 100;

#[test]
fn eight_devices_at_once_a_hundred_times_on_memory() {
    run(|_| vec![Some("memory".to_owned())]);
}

#[test]
fn eight_devices_at_once_a_hundred_times_on_sqlite() {
    run(|_| vec![None]);
}

#[test]
fn eight_devices_at_once_a_hundred_times_on_postgres() {
    run(|url| vec![Some(url)]);
}

#[test]
fn eight_devices_at_once_a_hundred_times_on_two_servers() {
    run(|url| vec![Some(url.clone()), Some(url)]);
}

/// Every op lands once, the seqs are dense, nobody sees an internal error.
fn run(stores: impl FnOnce(String) -> Vec<Option<String>>) {
    let data = tempfile::tempdir().expect("a folder");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let stores = stores(format!("postgres:{}", postgres::fresh_schema_url().await));
        let servers: Vec<Process> = stores.iter().map(|store| Process::start(data.path(), store.as_deref())).collect();
        let clients: Vec<Arc<dyn Transport>> = servers
            .iter()
            .map(|server| -> Arc<dyn Transport> {
                Arc::new(HttpClient::new(ClientOptions::new(&server.url, TOKEN)).expect("a client"))
            })
            .collect();
        let log = LogId::from_bytes([8; 16]);
        let barrier = Arc::new(Barrier::new(usize::from(DEVICES)));
        let devices = (1..=DEVICES).map(|number| {
            let (device, barrier) = (Device::new(number, log, clients.clone()), Arc::clone(&barrier));
            tokio::spawn(push_in_step(device, barrier))
        });
        let mut seqs = Vec::new();
        for device in devices.collect::<Vec<_>>() {
            seqs.extend(device.await.expect("the device ends well"));
        }
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=u64::from(DEVICES) * ROUNDS as u64).collect::<Vec<_>>());
        let mut reader = Device::new(99, log, clients);
        assert_eq!(reader.pull(1).await.ops.len(), seqs.len());
    });
}

/// One try each: a first answer must be a good one.
async fn push_in_step(mut device: Device, barrier: Arc<Barrier>) -> Vec<u64> {
    let mut seqs = Vec::new();
    for round in 0..ROUNDS {
        let payload = format!("{{\"round\":{round}}}").into_bytes();
        let op = device.write("notes", [2; 16], payload);
        barrier.wait().await;
        let pushed = device.push(vec![op], 1).await;
        assert_eq!(landed(&pushed.verdicts), 1);
        seqs.extend(pushed.verdicts.iter().filter_map(|verdict| verdict.seq()).map(|seq| seq.get()));
    }
    seqs
}
