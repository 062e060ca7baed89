//! What every [`BlobStore`] must do.

use std::sync::Arc;

use bytes::Bytes;

use crate::digest::Digest;
use crate::id::BucketId;
use crate::store::{BlobError, BlobKey, BlobSource, BlobStore, ByteRange, BytesSource, PutOutcome};

fn key(bucket: u8, bytes: &[u8]) -> BlobKey {
    BlobKey { bucket: BucketId::from_bytes([bucket; 16]), blob: Digest::of(&[bytes]) }
}

async fn put(store: &dyn BlobStore, key: BlobKey, size: u64, bytes: &'static [u8]) -> Result<PutOutcome, BlobError> {
    store.put(key, size, &mut BytesSource::new(Bytes::from_static(bytes))).await
}

async fn read(store: &dyn BlobStore, key: BlobKey, range: ByteRange) -> Vec<u8> {
    let mut source: Box<dyn BlobSource> = store.open(key, range).await.expect("the blob is there");
    let mut held = Vec::new();
    while let Some(chunk) = source.next().await.expect("readable") {
        held.extend_from_slice(&chunk);
    }
    held
}

/// Putting what is there is success, and changes nothing.
pub async fn a_blob_is_stored_once_and_read_back(store: Arc<dyn BlobStore>) {
    let key = key(1, b"hello");
    assert!(matches!(put(&*store, key, 5, b"hello").await, Ok(PutOutcome::Stored)));
    assert!(matches!(put(&*store, key, 5, b"hello").await, Ok(PutOutcome::Present)));
    assert_eq!(read(&*store, key, ByteRange::default()).await, b"hello");
    assert_eq!(store.stat(key).await.expect("a stat").map(|stat| stat.size), Some(5));
}

/// Nothing is visible unless its bytes are the ones announced.
pub async fn bytes_that_are_not_the_ones_announced_are_not_stored(store: Arc<dyn BlobStore>) {
    let key = key(1, b"hello");
    assert!(matches!(put(&*store, key, 5, b"hullo").await, Err(BlobError::Mismatch { .. })));
    assert!(matches!(put(&*store, key, 4, b"hello").await, Err(BlobError::TooLarge { .. })));
    assert!(matches!(put(&*store, key, 6, b"hello").await, Err(BlobError::Mismatch { .. })));
    assert_eq!(store.stat(key).await.expect("a stat"), None);
    assert!(matches!(store.open(key, ByteRange::default()).await, Err(BlobError::NotFound)));
}

/// Half-open, and clamped to what is there.
pub async fn a_range_is_half_open_and_clamped(store: Arc<dyn BlobStore>) {
    let key = key(1, b"hello");
    put(&*store, key, 5, b"hello").await.expect("stored");
    let rows: [(u64, Option<u64>, &[u8]); 5] =
        [(1, Some(3), b"el"), (2, None, b"llo"), (3, Some(99), b"lo"), (5, None, b""), (9, Some(2), b"")];
    for (start, end, bytes) in rows {
        assert_eq!(read(&*store, key, ByteRange { start, end }).await, bytes, "{start}..{end:?}");
    }
}

/// A tenant cannot find out what another has.
pub async fn buckets_do_not_share_blobs(store: Arc<dyn BlobStore>) {
    put(&*store, key(1, b"hello"), 5, b"hello").await.expect("stored");
    assert_eq!(store.stat(key(2, b"hello")).await.expect("a stat"), None);
    assert!(store.list(BucketId::from_bytes([2; 16]), None, 10).await.expect("a list").is_empty());
}

/// In id order, in pages; deleting what is absent is no error.
pub async fn blobs_are_listed_in_id_order_and_deleted(store: Arc<dyn BlobStore>) {
    let contents: [&'static [u8]; 4] = [b"a", b"b", b"c", b"d"];
    let mut keys = Vec::new();
    for bytes in contents {
        put(&*store, key(1, bytes), 1, bytes).await.expect("stored");
        keys.push(key(1, bytes));
    }
    keys.sort_unstable();
    let bucket = keys[0].bucket;
    let list = async |after, limit| {
        let listed = store.list(bucket, after, limit).await.expect("a list");
        listed.into_iter().map(|stat| BlobKey { bucket, blob: stat.blob }).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10).await, keys);
    assert_eq!(list(Some(keys[1].blob), 1).await, keys[2..3]);
    assert_eq!(store.delete(&[keys[0], keys[3], key(1, b"absent")]).await.expect("deleted"), 2);
    assert_eq!(list(None, 10).await, keys[1..3]);
}
