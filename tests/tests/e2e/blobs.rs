//! Blobs through the reference server as a process: in files, and in S3 beside Postgres with two servers. Killed between
//! and during pieces, everything that was said to be stored is read back, and an upload goes on where it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use syncline::LogId;
use syncline::call::{Call, ErrorCode};
use syncline::client::{BlobTransport as _, CallError, Transport as _};
use syncline::digest::{BlobId, Digest};
use syncline::oplog::Sealing;
use syncline::store::{BlobSource, ByteRange};
use syncline_tests::rig::server::{Process, TOKEN};
use syncline_tests::rig::{postgres, seaweed};
use syncline_transport_http::client::{ClientOptions, HttpClient};

const LOG: LogId = LogId::from_bytes([7; 16]);
/// A killed server is back long before so many tries.
const TRIES: u32 = 1_500;
const PIECE: usize = 1 << 20;

/// Bytes that nothing repeats in (xorshift).
fn noise(len: usize, mut seed: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend_from_slice(&seed.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

fn name(bytes: &Bytes) -> BlobId {
    Digest::of(&[bytes])
}

fn client(server: &Process) -> HttpClient {
    HttpClient::new(ClientOptions::new(&server.url, TOKEN)).unwrap()
}

/// Asks until there is an answer.
async fn insist<T>(mut ask: impl AsyncFnMut() -> Result<T, CallError>) -> T {
    for _ in 0..TRIES {
        match ask().await {
            Ok(answer) => return answer,
            Err(CallError::Refused(refusal)) if refusal.code != ErrorCode::Unavailable => panic!("{refusal}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("the server does not come back");
}

async fn read(client: &HttpClient, blob: BlobId, range: ByteRange) -> Bytes {
    insist(async || {
        let mut source: Box<dyn BlobSource> = client.open_blob(LOG, blob, range).await?;
        let mut held = Vec::new();
        while let Some(bytes) = source.next().await.map_err(|error| CallError::Interrupted(error.into()))? {
            held.extend_from_slice(&bytes);
        }
        Ok(Bytes::from(held))
    })
    .await
}

/// Sends a large blob piece by piece, at every server in turn, and kills one after every fifth piece and in the middle of the
/// one after it.
async fn upload(servers: &[Arc<Process>], bytes: &Bytes) {
    let (blob, size) = (name(bytes), bytes.len() as u64);
    let (mut pieces, mut kills) = (0, 0);
    loop {
        let way = client(&servers[pieces % servers.len()]);
        let at = insist(async || way.upload_at(LOG, blob, size).await).await;
        if at == size {
            break;
        }
        let from = usize::try_from(at).unwrap();
        let piece = bytes.slice(from..(from + PIECE).min(bytes.len()));
        pieces += 1;
        let sent = way.append_blob(LOG, blob, size, at, piece);
        if pieces % 5 == 0 && kills < 4 {
            let server = Arc::clone(&servers[kills % servers.len()]);
            kills += 1;
            let killed = tokio::task::spawn_blocking(move || {
                server.kill();
                server.run();
            });
            // Whatever it says: how far the upload is, is asked again.
            let _ = sent.await;
            killed.await.unwrap();
        } else {
            let _ = sent.await;
        }
        assert!(pieces < 200, "the upload gets nowhere");
    }
    assert!(kills > 0);
}

async fn store_and_read(servers: Vec<Arc<Process>>) {
    let way = client(&servers[0]);
    insist(async || way.call(Call::CreateLog { log: LOG, sealing: Sealing::default() }).await).await;
    let small: Vec<Bytes> = (0..40).map(|seed| noise(1_000 + usize::try_from(seed).unwrap(), seed + 1)).collect();
    let batch: Vec<_> = small.iter().map(|bytes| (name(bytes), bytes.clone())).collect();
    insist(async || way.put_blobs(LOG, batch.clone()).await).await;
    let whole = noise(6 << 20, 77);
    insist(async || way.put_blob(LOG, name(&whole), whole.clone()).await).await;
    let large = noise((20 << 20) + 17, 99);
    upload(&servers, &large).await;
    for server in &servers {
        server.kill();
        server.run();
    }
    let last = client(servers.last().unwrap());
    for bytes in small.iter().chain([&whole, &large]) {
        assert!(read(&last, name(bytes), ByteRange::default()).await == *bytes, "other bytes came back");
    }
    let part = ByteRange { start: 5 << 20, end: Some((5 << 20) + 4_000) };
    assert_eq!(read(&last, name(&large), part).await, large.slice(5 << 20..(5 << 20) + 4_000));
}

#[test]
fn blobs_in_files_survive_kills_and_uploads_go_on() {
    let data = tempfile::tempdir().unwrap();
    let servers = vec![Arc::new(Process::start(data.path(), None))];
    tokio::runtime::Runtime::new().unwrap().block_on(store_and_read(servers));
}

#[test]
fn blobs_in_s3_beside_postgres_survive_kills_of_two_servers_and_uploads_go_on() {
    let data = tempfile::tempdir().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = format!("postgres:{}", postgres::fresh_schema_url().await);
        let blobs = format!("s3:{}/{}", seaweed::BUCKET, seaweed::fresh_prefix());
        let endpoint = seaweed::shared_url();
        let more = ["--blobs", &blobs, "--s3-endpoint", &endpoint, "--s3-region", "us-east-1"];
        let servers = (0..2).map(|_| Arc::new(Process::start_with(data.path(), Some(&store), &more))).collect();
        store_and_read(servers).await;
    });
}
