//! Scanning by the reference server as a process, with a real program: killed while blobs wait, started with a scanner that
//! is away, that comes, and that learns.

use std::time::Duration;

use bytes::Bytes;
use syncline::LogId;
use syncline::blob::ScanPolicy;
use syncline::call::{Call, ErrorCode};
use syncline::client::{BlobTransport as _, CallError, Transport as _};
use syncline::digest::{BlobId, Digest};
use syncline::oplog::Sealing;
use syncline::store::ByteRange;
use syncline_tests::rig::server::{Process, TOKEN};
use syncline_transport_http::client::{ClientOptions, HttpClient};

const LOG: LogId = LogId::from_bytes([7; 16]);

/// Whether a blob is read, once the answer is this one.
async fn comes_to(client: &HttpClient, blob: BlobId, wanted: Option<ErrorCode>) {
    let mut last = None;
    for _ in 0..600 {
        match client.open_blob(LOG, blob, ByteRange::default()).await {
            Ok(_) => last = None,
            Err(CallError::Refused(refusal)) => last = Some(refusal.code),
            // A connection that was kept from before the server was killed.
            Err(_) => continue,
        }
        if last == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{blob} came to {last:?}, not to {wanted:?}");
}

#[tokio::test]
async fn fault_m10_servers_that_are_killed_while_blobs_wait_scan_them_later() {
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known");
    let (list, data) = (known.display(), folder.path().join("data"));
    // Knows the words in a file; without the file it fails. The file's lines are its version.
    let program = format!("process:test -f {list} || exit 2; if grep -qaFf {list}; then echo a word; exit 1; fi");
    let version = format!("wc -l <{list}");
    let server = Process::start_with(&data, None, &["--scanner", &program, "--scanner-version", &version]);
    let client = HttpClient::new(ClientOptions::new(&server.url, TOKEN)).unwrap();
    client.call(Call::CreateLog { log: LOG, sealing: Sealing::default() }).await.unwrap();
    client.call(Call::SetScanning { log: LOG, policy: ScanPolicy::UntilClean }).await.unwrap();
    let contents = ["nothing", "one plague", "two pests"].map(|text| Bytes::from_static(text.as_bytes()));
    let blobs = contents.clone().map(|bytes| Digest::of(&[&bytes]));
    for (blob, bytes) in blobs.iter().zip(&contents) {
        client.put_blob(LOG, *blob, bytes.clone()).await.unwrap();
    }
    comes_to(&client, blobs[0], Some(ErrorCode::ScanPending)).await;
    server.kill();
    server.run();
    comes_to(&client, blobs[0], Some(ErrorCode::ScanPending)).await;

    std::fs::write(&known, "plague\n").unwrap();
    comes_to(&client, blobs[0], None).await;
    comes_to(&client, blobs[1], Some(ErrorCode::Quarantined)).await;
    comes_to(&client, blobs[2], None).await;
    server.kill();
    std::fs::write(&known, "plague\npests\n").unwrap();
    server.run();
    comes_to(&client, blobs[2], Some(ErrorCode::Quarantined)).await;
    comes_to(&client, blobs[0], None).await;
}
