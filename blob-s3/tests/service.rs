//! What else is promised of the service: who may, what it must be able to do, addresses for readers, several servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::time::Duration;

use support::{fresh, on_tokio, options};
use syncline::conformance::bodies::{append, bucket, content, key, put, read, upload};
use syncline::store::{BlobError, BlobStore as _, ByteRange};
use syncline_blob_s3::{S3Blobs, S3Options};
use syncline_tests::rig::faulty_s3::{Fault, FaultyS3};
use syncline_tests::rig::seaweed::{BUCKET, KEY, SECRET, fresh_prefix, shared_url};

#[test]
fn wrong_keys_and_buckets_are_told_apart_from_absent_blobs() {
    on_tokio(async {
        let wrong = S3Options::new(BUCKET).endpoint(shared_url()).keys(KEY, "not the secret").prefix(fresh_prefix());
        let denied = S3Blobs::connect(&wrong).await;
        assert!(matches!(denied, Err(BlobError::Denied(_))), "{denied:?}");
        assert!(!format!("{:?}", options("http://x", "").keys(KEY, SECRET)).contains(SECRET), "secrets are not shown");

        let box_ = FaultyS3::before(&shared_url()).await.unwrap();
        let options_of_it = options(&box_.url, &fresh_prefix());
        box_.fail(Fault::NoBucket, 1, |_, _| true);
        let absent = S3Blobs::connect(&options_of_it).await;
        assert!(matches!(absent, Err(BlobError::Unavailable(_))), "{absent:?}");
        // Removed while we use it.
        let store = S3Blobs::connect(&options_of_it).await.unwrap();
        box_.fail(Fault::NoBucket, 4, |_, _| true);
        assert!(matches!(put(&store, key(1, b"hello"), 5, b"hello").await, Err(BlobError::Unavailable(_))));
        assert!(matches!(read(&store, key(1, b"hello"), ByteRange::default()).await, Err(BlobError::Unavailable(_))));
        assert!(matches!(store.list(bucket(1), None, 9).await, Err(BlobError::Unavailable(_))));
        assert!(matches!(append(&store, upload(1), 0, 1, b"hello").await, Err(BlobError::Unavailable(_))));

        let nobody = options("http://127.0.0.1:1", "x").retries(1, Duration::from_secs(1));
        let nobody = S3Blobs::connect(&nobody).await;
        assert!(matches!(nobody, Err(BlobError::Unavailable(_))), "{nobody:?}");
    });
}

#[test]
fn a_service_that_overwrites_what_it_should_create_is_refused() {
    on_tokio(async {
        let box_ = FaultyS3::before(&shared_url()).await.unwrap();
        box_.fail(Fault::Pretend, 2, |method, _| method == "PUT");
        let refused = S3Blobs::connect(&options(&box_.url, &fresh_prefix())).await;
        assert!(matches!(&refused, Err(error) if error.to_string().contains("conditional puts")), "{refused:?}");
    });
}

#[test]
fn an_address_for_a_reader_reads_this_blob_and_no_other() {
    on_tokio(async {
        let store = fresh().await;
        put(&store, key(1, b"hello"), 5, b"hello").await.unwrap();
        put(&store, key(1, b"other"), 5, b"other").await.unwrap();
        let url = store.read_url(key(1, b"hello"), Duration::from_secs(60)).await.unwrap();
        let bytes = support::get(&url).await.unwrap();
        assert_eq!(bytes, b"hello");
        let other = url.replace(&key(1, b"hello").blob.to_string(), &key(1, b"other").blob.to_string());
        assert_eq!(support::get(&other).await, Err(403));
    });
}

/// What one server has begun, another one goes on with.
#[test]
fn an_upload_goes_on_at_another_server() {
    on_tokio(async {
        let options = options(&shared_url(), &fresh_prefix());
        let (store, other) = (S3Blobs::connect(&options).await.unwrap(), S3Blobs::connect(&options).await.unwrap());
        let bytes = content(1, 12 << 20);
        let cut = (6 << 20) + 1;
        append(&store, upload(1), 0, 1, &bytes[..cut]).await.unwrap();
        drop(store);
        assert_eq!(append(&other, upload(1), cut as u64, 2, &bytes[cut..]).await.unwrap(), bytes.len() as u64);
        other.finish(upload(1).upload, key(1, &bytes), bytes.len() as u64).await.unwrap();
        assert!(read(&other, key(1, &bytes), ByteRange::default()).await.unwrap() == bytes);
    });
}
