//! A bad way to a good server: nothing is said to be stored that is not, nothing that was is lost, and no wrong byte is
//! given out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::time::Duration;

use support::{Faulty, faulty, faulty_with, on_tokio};
use syncline::conformance::bodies::{append, bucket, content, drain, key, put, read, upload};
use syncline::store::{BlobError, BlobKey, BlobStore, ByteRange};
use syncline_tests::rig::faulty_s3::Fault;

/// More than two parts.
const LARGE: usize = (11 << 20) + 5;

async fn stored(store: &dyn BlobStore, seed: u64, len: usize) -> (BlobKey, Vec<u8>) {
    let bytes = content(seed, len);
    let key = key(1, &bytes);
    put(store, key, len as u64, &bytes).await.unwrap();
    (key, bytes)
}

async fn assert_whole(store: &dyn BlobStore, key: BlobKey, bytes: &[u8]) {
    assert!(read(store, key, ByteRange::default()).await.unwrap() == bytes, "other bytes");
}

fn is_complete(method: &str, target: &str) -> bool {
    method == "POST" && target.contains("uploadId=")
}

fn is_part(method: &str, target: &str) -> bool {
    method == "PUT" && target.contains("partNumber=")
}

#[test]
fn fault_b07_a_server_that_is_overloaded_is_asked_again() {
    on_tokio(async {
        let Faulty { box_, store, direct, .. } = faulty().await;
        for (seed, len) in [(1, 1_000), (2, LARGE)] {
            box_.fail(Fault::SlowDown, 3, |_, _| true);
            let (key, bytes) = stored(&store, seed, len).await;
            box_.fail(Fault::SlowDown, 2, |_, _| true);
            assert_whole(&store, key, &bytes).await;
            box_.fail(Fault::SlowDown, 2, |_, _| true);
            assert_eq!(store.stat(key).await.unwrap().map(|stat| stat.size), Some(len as u64));
            assert_whole(&direct, key, &bytes).await;
        }
        box_.fail(Fault::SlowDown, 2, |_, _| true);
        assert_eq!(store.list(bucket(1), None, 9).await.unwrap().len(), 2);
        assert_eq!(box_.done(), 16);
    });
}

#[test]
fn fault_b07_a_connection_that_breaks_loses_nothing() {
    on_tokio(async {
        let Faulty { box_, store, direct, .. } = faulty().await;
        for fault in [Fault::Reset, Fault::LoseAnswer] {
            for (seed, len) in [(1, 1_000), (2, LARGE)] {
                box_.fail(fault, 1, |method, _| method == "PUT");
                box_.fail(fault, 1, is_complete);
                let bytes = content(seed, len);
                let key = key(u8::from(fault == Fault::Reset), &bytes);
                let mut outcome = put(&store, key, len as u64, &bytes).await;
                if matches!(outcome, Err(BlobError::Unavailable(_))) {
                    // Nobody knows whether it was completed; it may be repeated.
                    outcome = put(&store, key, len as u64, &bytes).await;
                }
                outcome.unwrap();
                assert_whole(&direct, key, &bytes).await;
            }
        }
        assert!(box_.done() >= 6);
    });
}

#[test]
fn fault_b07_a_piece_whose_answer_was_lost_is_taken_once() {
    on_tokio(async {
        let Faulty { box_, store, direct, .. } = faulty().await;
        let bytes = content(1, 3_000);
        for at in [0, 1_000, 2_000] {
            box_.fail(Fault::LoseAnswer, 1, |method, _| method == "PUT");
            let piece = &bytes[at..at + 1_000];
            assert_eq!(append(&store, upload(1), at as u64, 1, piece).await.unwrap(), at as u64 + 1_000);
        }
        assert_eq!(box_.done(), 3);
        assert_eq!(direct.uploaded(upload(1)).await.unwrap().map(|stat| stat.size), Some(3_000));
        store.finish(upload(1).upload, key(1, &bytes), 3_000).await.unwrap();
        assert_whole(&direct, key(1, &bytes), &bytes).await;
    });
}

#[test]
fn fault_b07_an_error_inside_of_a_200_is_no_success() {
    on_tokio(async {
        let Faulty { box_, store, direct, .. } = faulty().await;
        let bytes = content(1, LARGE);
        let key = key(1, &bytes);
        for fault in [Fault::ErrorIn200, Fault::Pretend] {
            box_.fail(fault, 1, is_complete);
            let outcome = put(&store, key, LARGE as u64, &bytes).await;
            assert!(matches!(outcome, Err(BlobError::Unavailable(_))), "{fault:?}: {outcome:?}");
            assert_eq!(direct.stat(key).await.unwrap(), None);
        }
        put(&store, key, LARGE as u64, &bytes).await.unwrap();
        assert_whole(&direct, key, &bytes).await;
    });
}

#[test]
fn fault_b07_a_stale_list_moves_no_upload_back() {
    on_tokio(async {
        let Faulty { box_, store, direct, .. } = faulty().await;
        let is_list = |method: &str, target: &str| method == "GET" && target.contains("list-type=2");
        append(&store, upload(1), 0, 1, b"hel").await.unwrap();
        // As it was before anything was there.
        box_.fail(Fault::Stale, 1, is_list);
        assert_eq!(store.uploaded(upload(1)).await.unwrap().map(|stat| stat.size), Some(3));
        append(&direct, upload(1), 3, 1, b"l").await.unwrap();
        for offset in [0, 3] {
            box_.fail(Fault::Stale, 1, is_list);
            let wrong = append(&store, upload(1), offset, 1, b"x").await;
            assert!(matches!(wrong, Err(BlobError::WrongOffset { at: 4 })), "{wrong:?}");
        }
        box_.fail(Fault::Stale, 1, is_list);
        assert_eq!(append(&store, upload(1), 4, 1, b"o").await.unwrap(), 5);
        box_.fail(Fault::Stale, 1, is_list);
        store.finish(upload(1).upload, key(1, b"hello"), 5).await.unwrap();
        assert_whole(&direct, key(1, b"hello"), b"hello").await;
        assert_eq!(box_.done(), 5);
    });
}

#[test]
fn fault_b06_a_truncated_part_is_never_a_blob() {
    on_tokio(async {
        let Faulty { box_, store, direct, .. } = faulty().await;
        for (seed, len) in [(1, 1_000), (2, LARGE)] {
            let bytes = content(seed, len);
            let key = key(1, &bytes);
            box_.fail(
                Fault::CutRequest,
                1,
                move |method, target| if len == LARGE { is_part(method, target) } else { method == "PUT" },
            );
            let outcome = put(&store, key, len as u64, &bytes).await;
            assert!(outcome.is_err(), "{outcome:?}");
            assert_eq!(direct.stat(key).await.unwrap(), None);
            put(&store, key, len as u64, &bytes).await.unwrap();
            assert_whole(&direct, key, &bytes).await;
        }
        assert_eq!(box_.done(), 2);
        // A piece of an upload, too.
        box_.fail(Fault::CutRequest, 1, |method, _| method == "PUT");
        assert!(append(&store, upload(1), 0, 1, b"hello").await.is_err());
        let at = store.uploaded(upload(1)).await.unwrap().map_or(0, |stat| stat.size);
        append(&store, upload(1), at, 1, &b"hello"[usize::try_from(at).unwrap()..]).await.unwrap();
        store.finish(upload(1).upload, key(1, b"hello"), 5).await.unwrap();
    });
}

#[test]
fn fault_b05_wrong_bytes_on_the_way_are_never_read_as_the_blob() {
    on_tokio(async {
        let Faulty { box_, store, direct, .. } = faulty().await;
        for (seed, len) in [(1, 1_000), (2, LARGE)] {
            let (key, bytes) = stored(&direct, seed, len).await;
            box_.fail(Fault::FlipAnswer, 1, |method, _| method == "GET");
            let error = drain(store.open(key, ByteRange::default()).await.unwrap()).await.unwrap_err();
            assert!(matches!(error, BlobError::Corrupt { blob } if blob == key.blob), "{error:?}");
            // Half of it, under a length that fits.
            box_.fail(Fault::ShortAnswer, 1, |method, _| method == "GET");
            let read_of = async |range| drain(store.open(key, range).await?).await;
            let short = read_of(ByteRange::default()).await;
            assert!(short.is_err(), "{:?}", short.map(|bytes| bytes.len()));
            box_.fail(Fault::ShortAnswer, 1, |method, _| method == "GET");
            let short = read_of(ByteRange { start: 10, end: Some(900) }).await;
            assert!(short.is_err(), "{:?}", short.map(|bytes| bytes.len()));
            // The connection breaks: the rest is fetched.
            box_.fail(Fault::CutAnswer, 1, |method, _| method == "GET");
            assert_whole(&store, key, &bytes).await;
        }
        assert_eq!(box_.done(), 8);
    });
}

#[test]
fn fault_b07_a_server_that_never_answers_is_given_up() {
    on_tokio(async {
        let patience = Duration::from_millis(400);
        let Faulty { box_, store, direct, .. } =
            faulty_with(|options| options.timeout(patience).retries(1, patience * 5)).await;
        box_.fail(Fault::Hang, 1, |_, _| true);
        let (key, bytes) = stored(&store, 1, 1_000).await;
        assert_whole(&direct, key, &bytes).await;
        box_.fail(Fault::Hang, 9, |_, _| true);
        assert!(matches!(store.stat(key).await, Err(BlobError::Unavailable(_))));
    });
}
