//! What every [`BlobStore`] must do with blobs.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::bodies::{Broken, Pieces, bucket, content, key, put, read};
use super::support::side_by_side;
use crate::digest::Hasher;
use crate::store::{BlobError, BlobKey, BlobStore, ByteRange, PutOutcome};

async fn whole(store: &dyn BlobStore, key: BlobKey) -> Vec<u8> {
    read(store, key, ByteRange::default()).await.expect("readable")
}

async fn assert_absent(store: &dyn BlobStore, key: BlobKey) {
    assert_eq!(store.stat(key).await.expect("a stat"), None);
    assert!(matches!(store.open(key, ByteRange::default()).await, Err(BlobError::NotFound)));
    assert!(store.list(key.bucket, None, 10).await.expect("a list").iter().all(|stat| stat.blob != key.blob));
}

/// Putting what is there is success, and changes nothing.
pub async fn a_blob_is_stored_once_and_read_back(store: Arc<dyn BlobStore>) {
    let key = key(1, b"hello");
    assert!(matches!(put(&*store, key, 5, b"hello").await, Ok(PutOutcome::Stored)));
    assert!(matches!(put(&*store, key, 5, b"hello").await, Ok(PutOutcome::Present)));
    assert_eq!(whole(&*store, key).await, b"hello");
    assert_eq!(store.stat(key).await.expect("a stat").map(|stat| stat.size), Some(5));
}

/// Nothing is visible unless its bytes are the ones announced.
pub async fn bytes_that_are_not_the_ones_announced_are_not_stored(store: Arc<dyn BlobStore>) {
    let key = key(1, b"hello");
    assert!(matches!(put(&*store, key, 5, b"hullo").await, Err(BlobError::Mismatch { .. })));
    assert!(matches!(put(&*store, key, 4, b"hello").await, Err(BlobError::TooLarge { size: 5, max: 4 })));
    assert!(matches!(put(&*store, key, 6, b"hello").await, Err(BlobError::TooShort { size: 5, announced: 6 })));
    assert_absent(&*store, key).await;
}

/// Who names a blob that is there and sends other bytes is refused, as if it were not there.
pub async fn bytes_are_verified_also_where_the_blob_is_there(store: Arc<dyn BlobStore>) {
    let key = key(1, b"hello");
    put(&*store, key, 5, b"hello").await.expect("stored");
    assert!(matches!(put(&*store, key, 5, b"hullo").await, Err(BlobError::Mismatch { .. })));
    assert!(matches!(put(&*store, key, 5, b"").await, Err(BlobError::TooShort { .. })));
    assert_eq!(whole(&*store, key).await, b"hello");
}

/// No bytes have a name, too.
pub async fn the_empty_blob_is_a_blob(store: Arc<dyn BlobStore>) {
    let key = key(1, b"");
    assert!(matches!(put(&*store, key, 0, b"").await, Ok(PutOutcome::Stored)));
    assert_eq!(whole(&*store, key).await, b"");
    assert_eq!(read(&*store, key, ByteRange { start: 3, end: None }).await.expect("readable"), b"");
    assert_eq!(store.stat(key).await.expect("a stat").map(|stat| stat.size), Some(0));
}

/// Half-open, and clamped to what is there.
pub async fn a_range_is_half_open_and_clamped(store: Arc<dyn BlobStore>) {
    let key = key(1, b"hello");
    put(&*store, key, 5, b"hello").await.expect("stored");
    let rows: [(u64, Option<u64>, &[u8]); 8] = [
        (1, Some(3), b"el"),
        (2, None, b"llo"),
        (3, Some(99), b"lo"),
        (0, Some(u64::MAX), b"hello"),
        (5, None, b""),
        (3, Some(3), b""),
        (9, Some(2), b""),
        (u64::MAX, None, b""),
    ];
    for (start, end, bytes) in rows {
        let part = read(&*store, key, ByteRange { start, end }).await.expect("readable");
        assert_eq!(part, bytes, "{start}..{end:?}");
    }
}

/// A tenant cannot find out what another has.
pub async fn buckets_do_not_share_blobs(store: Arc<dyn BlobStore>) {
    put(&*store, key(1, b"hello"), 5, b"hello").await.expect("stored");
    assert_absent(&*store, key(2, b"hello")).await;
    assert_eq!(store.delete(&[key(2, b"hello")]).await.expect("deleted"), 0);
    assert_eq!(whole(&*store, key(1, b"hello")).await, b"hello");
}

/// In id order, in pages; deleting what is absent is no error.
pub async fn blobs_are_listed_in_id_order_and_deleted(store: Arc<dyn BlobStore>) {
    let mut keys = Vec::new();
    for number in 0..12 {
        let bytes = content(number, 100);
        put(&*store, key(1, &bytes), 100, &bytes).await.expect("stored");
        keys.push(key(1, &bytes));
    }
    keys.sort_unstable();
    let list = async |after, limit| {
        let listed = store.list(bucket(1), after, limit).await.expect("a list");
        listed.into_iter().map(|stat| BlobKey { bucket: bucket(1), blob: stat.blob }).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 100).await, keys);
    assert_eq!(list(None, 0).await, []);
    let mut paged = Vec::new();
    while let page @ [_, ..] = &list(paged.last().map(|key: &BlobKey| key.blob), 5).await[..] {
        paged.extend_from_slice(page);
    }
    assert_eq!(paged, keys);
    assert_eq!(store.delete(&[keys[0], keys[11], key(1, b"absent")]).await.expect("deleted"), 2);
    assert_eq!(store.delete(&[]).await.expect("deleted"), 0);
    assert_eq!(list(None, 100).await, keys[1..11]);
    assert_absent(&*store, keys[0]).await;
}

/// Sixteen writers of one blob: all are told that it is there, and it is, once.
pub async fn fault_b09_sixteen_writers_of_one_blob_store_it_once(store: Arc<dyn BlobStore>) {
    let bytes = content(1, 300_000);
    let key = key(1, &bytes);
    let writers = (0..16).map(|_| -> Pin<Box<dyn Future<Output = _> + Send>> {
        let (store, bytes) = (Arc::clone(&store), bytes.clone());
        Box::pin(async move { put(&*store, key, bytes.len() as u64, &bytes).await })
    });
    for outcome in side_by_side(writers.collect()).await {
        assert!(matches!(outcome, Ok(PutOutcome::Stored | PutOutcome::Present)), "{outcome:?}");
    }
    assert_eq!(whole(&*store, key).await, bytes);
    assert_eq!(store.list(bucket(1), None, 10).await.expect("a list").len(), 1);
}

/// However long a blob is, little of it is held at a time, in and out.
pub async fn a_long_blob_passes_in_pieces(store: Arc<dyn BlobStore>) {
    const PIECE: usize = 700_001;
    let mut body = Pieces::new(1, 70, PIECE);
    let (size, blob) = (body.size(), body.blob());
    let key = BlobKey { bucket: bucket(1), blob };
    assert!(matches!(store.put(key, size, &mut body).await, Ok(PutOutcome::Stored)));
    let most = body.most_held();
    assert!(most <= 24 << 20, "{most} bytes of {size} were held at once");

    let mut source = store.open(key, ByteRange::default()).await.expect("there");
    let (mut hasher, mut largest) = (Hasher::new(), 0);
    while let Some(chunk) = source.next().await.expect("readable") {
        largest = largest.max(chunk.len());
        hasher.update(&chunk);
    }
    assert_eq!(hasher.finish(), blob);
    // The memory store has it all in one piece, and gives out that.
    assert!(largest <= 8 << 20 || store.name() == "memory", "{largest} bytes in one piece");

    let middle = ByteRange { start: PIECE as u64, end: Some(2 * PIECE as u64) };
    assert_eq!(read(&*store, key, middle).await.expect("readable"), content(2, PIECE));
}

/// A source that breaks leaves nothing, whether the blob is short or long.
pub async fn a_source_that_breaks_half_way_leaves_nothing(store: Arc<dyn BlobStore>) {
    for len in [1_000, 20 << 20] {
        let bytes = Bytes::from(content(1, len));
        let key = key(1, &bytes);
        let half = bytes.slice(..len / 2);
        let broke = store.put(key, len as u64, &mut Broken::after(half)).await;
        assert!(matches!(broke, Err(BlobError::Unavailable(_))), "{broke:?}");
        let broke = store.put(key, len as u64, &mut Broken::after(bytes)).await;
        assert!(matches!(broke, Err(BlobError::Unavailable(_))), "{broke:?}");
        assert_absent(&*store, key).await;
    }
}

/// A put that is given up leaves nothing visible, and does not stand in the way of the next.
pub async fn a_put_that_is_given_up_leaves_nothing_visible(store: Arc<dyn BlobStore>) {
    for len in [1_000, 20 << 20] {
        let bytes = Bytes::from(content(1, len));
        let key = key(1, &bytes);
        let (mut body, stuck) = Broken::stuck_after(bytes.clone());
        stuck.cancels(store.put(key, len as u64, &mut body)).await;
        assert_absent(&*store, key).await;
        put(&*store, key, len as u64, &bytes).await.expect("stored");
        assert_eq!(whole(&*store, key).await, bytes);
    }
}
