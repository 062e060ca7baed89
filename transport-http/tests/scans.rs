//! Scanning over a socket: what an operator says and hears of it, and what a reader of a blob is told.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use async_trait::async_trait;
use bytes::Bytes;
use common::{KEY, LOG, Rig, head};
use syncline::blob::{Engine, Finding, ScanPolicy, ScanState};
use syncline::call::{Call, Reply};
use syncline::client::{BlobTransport as _, Transport as _};
use syncline::digest::Digest;
use syncline::oplog::Sealing;
use syncline::store::{BlobSource, ScanError, Scanner};
use syncline::time::{Env, Timestamp};

/// Finds something in everything that begins with an X.
#[derive(Debug)]
struct XFinder;

#[async_trait]
impl Scanner for XFinder {
    async fn engine(&self) -> Result<Engine, ScanError> {
        Ok(Engine::new("x", 1))
    }

    async fn scan(&self, _: u64, bytes: &mut dyn BlobSource) -> Result<Finding, ScanError> {
        let first = bytes.next().await?.unwrap_or_default();
        Ok(if first.starts_with(b"X") { Finding::Found("an X".to_owned()) } else { Finding::Clean })
    }
}

#[tokio::test]
async fn fault_m09_between_upload_and_verdict_and_after_a_bad_one_a_reader_is_told_423() {
    let rig = Rig::start().await;
    rig.ask(Call::CreateLog { log: LOG, sealing: Sealing::default() }).await;
    let client = rig.client();
    let policy = ScanPolicy::UntilClean;
    assert!(matches!(client.call(Call::SetScanning { log: LOG, policy }).await, Ok(Reply::Done)));
    let contents = [Bytes::from_static(b"good"), Bytes::from_static(b"X marks the spot")];
    let [good, bad] = [0, 1].map(|at: usize| Digest::of(&[&contents[at]]));
    for bytes in &contents {
        client.put_blob(LOG, Digest::of(&[bytes]), bytes.clone()).await.expect("sent");
    }
    let get = async |blob| rig.request("GET", &format!("/v1/logs/{LOG}/blobs/{blob}"), &[], b"").await;
    let pending = get(good).await;
    assert_eq!((pending.status, pending.code().as_str()), (423, "SCAN_PENDING"));
    assert!(pending.header("retry-after").is_some());

    let env = Env { now: Timestamp::from_ms(1_800_000_000_000).expect("a time"), entropy: [4; 32] };
    rig.server.scan_blobs(KEY, &XFinder, None, 10, env).await.expect("scanned");
    assert_eq!((get(good).await.status, get(bad).await.code().as_str()), (200, "QUARANTINED"));
    let whole = rig.raw(head("HEAD", &format!("/v1/logs/{LOG}/blobs/{bad}"), &[], None).as_bytes()).await;
    assert_eq!(whole.status, 423);
    let part = [("range", "bytes=0-0"), ("if-none-match", &*format!("\"{bad}\""))];
    assert_eq!(rig.request("GET", &format!("/v1/logs/{LOG}/blobs/{bad}"), &part, b"").await.status, 423);

    let Ok(Reply::Scans { policy: said, scans }) = client.call(Call::Scans { log: LOG, after: None, limit: 10 }).await
    else {
        panic!("no list")
    };
    let states: Vec<_> = scans.iter().map(|scan| (scan.blob, scan.state, scan.why.as_str())).collect();
    assert_eq!(said, policy);
    assert!(states.contains(&(good, ScanState::Clean, "")) && states.contains(&(bad, ScanState::Quarantined, "an X")));
    let after = Some(scans[0].blob);
    let rest = client.call(Call::Scans { log: LOG, after, limit: 10 }).await;
    assert!(matches!(&rest, Ok(Reply::Scans { scans: rest, .. }) if rest[..] == scans[1..]), "{rest:?}");

    assert!(matches!(client.call(Call::ReleaseBlob { log: LOG, blob: bad }).await, Ok(Reply::Done)));
    assert_eq!(get(bad).await.status, 200);
    assert!(matches!(client.call(Call::RescanBlob { log: LOG, blob: bad }).await, Ok(Reply::Done)));
    assert_eq!(get(bad).await.code(), "SCAN_PENDING");
}
