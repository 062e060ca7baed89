//! Blobs over a socket: what a client sends comes back, ranges are ranges, uploads go on where they were cut off, and
//! everything that is wrong with a request is said.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{LOG, Rig, head};
use syncline::blob::{Need, Usage};
use syncline::call::{Call, ErrorCode, Reply};
use syncline::client::{BlobTransport as _, CallError, Transport as _};
use syncline::digest::{BlobId, Digest};
use syncline::limits;
use syncline::oplog::Sealing;
use syncline::store::{BlobError, BlobSource, ByteRange, PutOutcome};
use syncline_transport_http::client::HttpClient;
use tokio::io::AsyncWriteExt as _;

fn content(seed: u8, len: usize) -> Bytes {
    (0..len).map(|at| u8::try_from(at % 251).expect("small") ^ seed).collect::<Vec<_>>().into()
}

fn name(bytes: &Bytes) -> BlobId {
    Digest::of(&[bytes])
}

async fn rig() -> (Rig, HttpClient) {
    let rig = Rig::start().await;
    rig.ask(Call::CreateLog { log: LOG, sealing: Sealing::default() }).await;
    let client = rig.client();
    (rig, client)
}

async fn read(mut source: Box<dyn BlobSource>) -> Result<Vec<u8>, BlobError> {
    let mut held = Vec::new();
    while let Some(bytes) = source.next().await? {
        held.extend_from_slice(&bytes);
    }
    Ok(held)
}

fn code<T: std::fmt::Debug>(outcome: Result<T, CallError>) -> ErrorCode {
    match outcome {
        Err(CallError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

fn target(what: &str, blob: BlobId) -> String {
    format!("/v1/logs/{LOG}/{what}/{blob}")
}

#[tokio::test]
async fn what_is_sent_comes_back_whole_and_in_parts() {
    let (_rig, client) = rig().await;
    let bytes = content(1, 300_000);
    let blob = name(&bytes);
    assert_eq!(client.put_blob(LOG, blob, bytes.clone()).await.expect("sent"), PutOutcome::Stored);
    assert_eq!(client.put_blob(LOG, blob, bytes.clone()).await.expect("sent"), PutOutcome::Present);
    let all = client.open_blob(LOG, blob, ByteRange::default()).await.expect("opened");
    assert_eq!(read(all).await.expect("read"), bytes);
    for (start, end, part) in [
        (0, Some(1), &bytes[..1]),
        (7, Some(1_000), &bytes[7..1_000]),
        (299_999, None, &bytes[299_999..]),
        (299_999, Some(400_000), &bytes[299_999..]),
        (300_000, None, &[][..]),
        (5, Some(5), &[][..]),
    ] {
        let source = client.open_blob(LOG, blob, ByteRange { start, end }).await.expect("opened");
        assert_eq!(read(source).await.expect("read"), part, "{start}..{end:?}");
    }
    let usage = client.call(Call::BlobUsage(LOG)).await.expect("an answer");
    assert!(matches!(usage, Reply::BlobUsage(Usage { bytes: 300_000, blobs: 1, quota: None })), "{usage:?}");
}

#[tokio::test]
async fn small_blobs_go_together() {
    let (_rig, client) = rig().await;
    let contents: Vec<Bytes> = (0..200).map(|seed| content(seed, 1_000)).collect();
    let blobs: Vec<_> = contents.iter().map(|bytes| (name(bytes), bytes.clone())).collect();
    let asked = blobs.iter().map(|(blob, bytes)| (*blob, bytes.len() as u64)).collect();
    let needs = client.call(Call::Reserve { log: LOG, blobs: asked }).await.expect("an answer");
    assert!(matches!(&needs, Reply::Needs(needs) if needs.iter().all(|need| *need == Need::Send)), "{needs:?}");
    let stored = client.put_blobs(LOG, blobs.clone()).await.expect("sent");
    assert!(stored.iter().all(|outcome| *outcome == PutOutcome::Stored));
    for (blob, bytes) in &blobs {
        let source = client.open_blob(LOG, *blob, ByteRange::default()).await.expect("opened");
        assert_eq!(read(source).await.expect("read"), *bytes);
    }
    let wrong = vec![(blobs[0].0, contents[1].clone())];
    assert_eq!(code(client.put_blobs(LOG, wrong).await), ErrorCode::BlobMismatch);
    let mut names: Vec<_> = blobs.iter().map(|(blob, _)| *blob).collect();
    assert_eq!(client.get_blobs(LOG, &names).await.expect("read"), contents);
    names.push(name(&content(250, 1)));
    assert_eq!(code(client.get_blobs(LOG, &names).await), ErrorCode::BlobNotFound);
    assert_eq!(code(client.get_blobs(LOG, &[]).await), ErrorCode::BatchSize);
    let too_many = vec![names[0]; limits::LIST_ITEMS_MAX + 1];
    assert_eq!(code(client.get_blobs(LOG, &too_many).await), ErrorCode::BatchSize);
}

#[tokio::test]
async fn a_cut_upload_goes_on_where_it_was_cut() {
    let (rig, client) = rig().await;
    let bytes = content(1, 3 << 20);
    let (blob, size) = (name(&bytes), bytes.len() as u64);
    assert_eq!(client.upload_at(LOG, blob, size).await.expect("an answer"), 0);
    // The peer leaves in the middle of a piece.
    let mut stream = rig.dial().await;
    let path = format!("{}?size={size}", target("uploads", blob));
    let request = head("PATCH", &path, &[("upload-offset", "0")], Some(bytes.len()));
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.write_all(&bytes[..2 << 20]).await.expect("sent");
    drop(stream);
    let mut at = 0;
    for _ in 0..1_000 {
        at = client.upload_at(LOG, blob, size).await.expect("an answer");
        if at > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    // The rest of what was taken may still be on its way to the disk: then this offset is not the newest.
    let whole = loop {
        let rest = bytes.slice(usize::try_from(at).expect("small")..);
        match client.append_blob(LOG, blob, size, at, rest).await {
            Ok(at) => break at,
            Err(CallError::Refused(refusal)) if refusal.code == ErrorCode::UploadOffset => {
                at = client.upload_at(LOG, blob, size).await.expect("an answer");
            }
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(whole, size);
    let source = client.open_blob(LOG, blob, ByteRange::default()).await.expect("opened");
    assert_eq!(read(source).await.expect("read"), bytes);
    assert_eq!(code(client.append_blob(LOG, blob, size, 1, bytes).await), ErrorCode::UploadOffset);
}

#[tokio::test]
async fn an_upload_is_dropped_or_begins_anew_when_it_was_another_blob() {
    let (rig, client) = rig().await;
    let (bytes, wrong) = (content(1, 1_000), content(2, 1_000));
    let blob = name(&bytes);
    assert_eq!(code(client.append_blob(LOG, blob, 1_000, 0, wrong).await), ErrorCode::BlobMismatch);
    assert_eq!(client.append_blob(LOG, blob, 1_000, 0, bytes.slice(..400)).await.expect("taken"), 400);
    assert_eq!(rig.request("DELETE", &target("uploads", blob), &[], b"").await.status, 204);
    assert_eq!(client.upload_at(LOG, blob, 1_000).await.expect("an answer"), 0);
    // A blob has one size; while its bytes are on their way, that is not known yet.
    assert_eq!(code(client.append_blob(LOG, blob, 999, 0, bytes.clone()).await), ErrorCode::BlobTooLarge);
    assert_eq!(client.append_blob(LOG, blob, 1_000, 0, bytes.clone()).await.expect("taken"), 1_000);
    assert_eq!(code(client.upload_at(LOG, blob, 999).await), ErrorCode::BlobMismatch);
}

#[tokio::test]
async fn readers_that_have_a_blob_are_told_so_and_ranges_are_said() {
    let (rig, client) = rig().await;
    let bytes = content(1, 5_000);
    let blob = name(&bytes);
    client.put_blob(LOG, blob, bytes.clone()).await.expect("sent");
    let (path, tag) = (target("blobs", blob), format!("\"{blob}\""));
    let whole = rig.request("GET", &path, &[], b"").await;
    assert_eq!((whole.status, whole.header("etag"), whole.header("content-length")), (200, Some(&*tag), Some("5000")));
    assert_eq!((whole.header("accept-ranges"), &*whole.body), (Some("bytes"), &*bytes));
    // Not even for a peer that would take it packed.
    let packed = rig.request("GET", &path, &[("accept-encoding", "gzip, zstd")], b"").await;
    assert_eq!((packed.header("content-encoding"), &*packed.body), (None, &*bytes));
    let none = rig.request("GET", &path, &[("if-none-match", &tag)], b"").await;
    assert_eq!((none.status, none.body.len()), (304, 0));
    let head = rig.request("HEAD", &path, &[], b"").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("5000"), 0));
    let part = rig.request("GET", &path, &[("range", "bytes=10-19"), ("if-range", &tag)], b"").await;
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 10-19/5000")));
    assert_eq!(part.body, bytes[10..20]);
    let other = rig.request("GET", &path, &[("range", "bytes=10-19"), ("if-range", "\"other\"")], b"").await;
    assert_eq!((other.status, other.body.len()), (200, 5_000));
    let behind = rig.request("GET", &path, &[("range", "bytes=5000-")], b"").await;
    assert_eq!((behind.status, behind.header("content-range")), (416, Some("bytes */5000")));
}

/// Method, path, headers, body, and the status of the answer.
type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16);

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_and_nothing_is_taken() {
    let (rig, client) = rig().await;
    let bytes = content(1, 100);
    let (blob, absent) = (name(&bytes), name(&content(9, 9)));
    let put = target("blobs", blob);
    let patch = format!("{}?size=100", target("uploads", blob));
    let rows: [Row<'_>; 11] = [
        ("PUT", &put, &[], b"other bytes", 422),
        ("PUT", &put, &[("content-encoding", "gzip")], &bytes, 415),
        ("PUT", &format!("/v1/logs/{LOG}/blobs/beef"), &[], &bytes, 400),
        ("PUT", &format!("{put}?size=1"), &[], &bytes, 400),
        ("POST", &format!("/v1/logs/{LOG}/blobs"), &[("content-type", "application/json")], b"[]", 415),
        (
            "POST",
            &format!("/v1/logs/{LOG}/blobs"),
            &[("content-type", "application/vnd.syncline.v1")],
            b"\x01\x05\x00",
            413,
        ),
        (
            "POST",
            &format!("/v1/logs/{LOG}/blobs"),
            &[("content-type", "application/vnd.syncline.v1")],
            b"\x01\x05\x7f",
            400,
        ),
        ("PATCH", &patch, &[], &bytes, 400),
        ("PATCH", &patch, &[("upload-offset", "1")], &bytes, 409),
        ("PATCH", &target("uploads", blob), &[("upload-offset", "0")], &bytes, 400),
        ("GET", &target("blobs", absent), &[], b"", 404),
    ];
    for (method, path, headers, body, status) in rows {
        let answer = rig.request(method, path, headers, body).await;
        assert_eq!(answer.status, status, "{method} {path} {headers:?}: {}", String::from_utf8_lossy(&answer.body));
    }
    let usage = client.call(Call::BlobUsage(LOG)).await.expect("an answer");
    assert!(matches!(usage, Reply::BlobUsage(Usage { blobs: 1, .. })), "only what was promised: {usage:?}");
    let opened = client.open_blob(LOG, blob, ByteRange::default()).await;
    assert_eq!(code(opened.map(drop)), ErrorCode::BlobNotFound);
}

#[tokio::test]
async fn a_refusal_arrives_though_the_peer_is_still_sending() {
    let (_rig, client) = rig().await;
    let set = Call::SetBlobQuota { log: LOG, quota: Some(10) };
    client.call(set).await.expect("set");
    let bytes = content(1, 6 << 20);
    assert_eq!(code(client.put_blob(LOG, name(&bytes), bytes.clone()).await), ErrorCode::QuotaExceeded);
    let size = bytes.len() as u64;
    assert_eq!(code(client.append_blob(LOG, name(&bytes), size, 0, bytes).await), ErrorCode::QuotaExceeded);
}

#[tokio::test]
async fn a_quota_is_kept_and_its_figures_are_said() {
    let (_rig, client) = rig().await;
    let set = Call::SetBlobQuota { log: LOG, quota: Some(1_000) };
    client.call(set).await.expect("set");
    let put = client.put_blob(LOG, name(&content(1, 1_001)), content(1, 1_001)).await;
    match put {
        Err(CallError::Refused(refusal)) => {
            assert_eq!(refusal.code, ErrorCode::QuotaExceeded);
            assert!(refusal.detail.contains("0 of 1000"), "{}", refusal.detail);
        }
        other => panic!("{other:?}"),
    }
    client.put_blob(LOG, name(&content(1, 1_000)), content(1, 1_000)).await.expect("it fits to the byte");
}

#[tokio::test]
async fn one_request_carries_so_many_bytes_and_no_more() {
    let (rig, client) = rig().await;
    let max = usize::try_from(limits::BLOB_PUT_BYTES_MAX).expect("small");
    for (len, good) in [(max - 1, true), (max, true)] {
        let bytes = content(1, len);
        assert_eq!(client.put_blob(LOG, name(&bytes), bytes).await.is_ok(), good, "{len}");
    }
    let blob = name(&content(9, 9));
    // Refused by what is announced, before a byte is read.
    for (method, path, headers, max) in [
        ("PUT", target("blobs", blob), &[][..], limits::BLOB_PUT_BYTES_MAX),
        (
            "PATCH",
            format!("{}?size=1", target("uploads", blob)),
            &[("upload-offset", "0")][..],
            limits::BLOB_PIECE_BYTES_MAX,
        ),
    ] {
        let length = usize::try_from(max + 1).expect("small");
        let answer = rig.raw(head(method, &path, headers, Some(length)).as_bytes()).await;
        assert_eq!(answer.status, 413, "{method}");
        assert!(String::from_utf8_lossy(&answer.body).contains("BODY_TOO_LARGE"));
    }
    // A piece of the largest size is read, and found to be more than this blob has.
    for length in [limits::BLOB_PIECE_BYTES_MAX - 1, limits::BLOB_PIECE_BYTES_MAX] {
        let length = usize::try_from(length).expect("small");
        let path = format!("{}?size=1", target("uploads", blob));
        let mut request = head("PATCH", &path, &[("upload-offset", "0")], Some(length)).into_bytes();
        request.extend_from_slice(&[7; 64]);
        let answer = rig.raw(&request).await;
        assert_eq!(answer.status, 413);
        assert!(String::from_utf8_lossy(&answer.body).contains("BLOB_TOO_LARGE"));
    }
}
