//! What every [`BlobStore`] must do with uploads that may be continued.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::bodies::{Broken, Pieces, append, at, body, bucket, content, key, put, read, upload};
use super::support::side_by_side;
use crate::id::UploadId;
use crate::store::{Append, BlobError, BlobKey, BlobStore, ByteRange, PutOutcome, UploadKey};

async fn size(store: &dyn BlobStore, upload: UploadKey) -> Option<u64> {
    store.uploaded(upload).await.expect("an answer").map(|stat| stat.size)
}

/// In three appends, of which one is empty; it is a blob only when it is finished.
pub async fn an_upload_goes_on_where_it_stopped(store: Arc<dyn BlobStore>) {
    let key = key(1, b"hello");
    assert_eq!(size(&*store, upload(1)).await, None);
    assert_eq!(append(&*store, upload(1), 0, 1, b"").await.expect("begun"), 0);
    assert_eq!(size(&*store, upload(1)).await, Some(0));
    assert_eq!(append(&*store, upload(1), 0, 2, b"hel").await.expect("taken"), 3);
    assert_eq!(append(&*store, upload(1), 3, 3, b"lo").await.expect("taken"), 5);
    let stat = store.uploaded(upload(1)).await.expect("an answer").expect("there");
    assert_eq!((stat.upload, stat.size, stat.touched.ms()), (upload(1).upload, 5, 3));
    assert_eq!(store.stat(key).await.expect("a stat"), None);
    assert!(store.list(bucket(1), None, 10).await.expect("a list").is_empty());

    assert!(matches!(store.finish(upload(1).upload, key, 5).await, Ok(PutOutcome::Stored)));
    assert_eq!(read(&*store, key, ByteRange::default()).await.expect("readable"), b"hello");
    assert_eq!(size(&*store, upload(1)).await, None);
}

/// Nothing is taken anywhere but where it goes on.
pub async fn a_wrong_offset_changes_nothing_and_says_the_true_one(store: Arc<dyn BlobStore>) {
    let wrong = append(&*store, upload(1), 3, 1, b"lo").await;
    assert!(matches!(wrong, Err(BlobError::WrongOffset { at: 0 })), "{wrong:?}");
    assert_eq!(size(&*store, upload(1)).await, None);
    append(&*store, upload(1), 0, 1, b"hel").await.expect("taken");
    for offset in [0, 2, 4, u64::MAX] {
        let wrong = append(&*store, upload(1), offset, 1, b"lo").await;
        assert!(matches!(wrong, Err(BlobError::WrongOffset { at: 3 })), "{offset}: {wrong:?}");
    }
    assert_eq!(size(&*store, upload(1)).await, Some(3));
    append(&*store, upload(1), 3, 1, b"lo").await.expect("taken");
    store.finish(upload(1).upload, key(1, b"hello"), 5).await.expect("finished");
}

/// The wrong bytes have to be sent again from the beginning.
pub async fn an_upload_that_does_not_fit_its_name_is_discarded(store: Arc<dyn BlobStore>) {
    let named = key(1, b"hello");
    append(&*store, upload(1), 0, 1, b"hullo").await.expect("taken");
    let judged = store.finish(upload(1).upload, named, 5).await;
    assert!(matches!(judged, Err(BlobError::Mismatch { actual, .. }) if actual == key(1, b"hullo").blob), "{judged:?}");
    assert_eq!(size(&*store, upload(1)).await, None);

    append(&*store, upload(1), 0, 1, b"hello").await.expect("begun anew");
    let judged = store.finish(upload(1).upload, named, 4).await;
    assert!(matches!(judged, Err(BlobError::TooLarge { size: 5, max: 4 })), "{judged:?}");
    assert_eq!(size(&*store, upload(1)).await, None);
    assert_eq!(store.stat(named).await.expect("a stat"), None);
}

/// What is too short waits for its rest.
pub async fn an_upload_that_is_too_short_goes_on(store: Arc<dyn BlobStore>) {
    append(&*store, upload(1), 0, 1, b"hel").await.expect("taken");
    let judged = store.finish(upload(1).upload, key(1, b"hello"), 5).await;
    assert!(matches!(judged, Err(BlobError::TooShort { size: 3, announced: 5 })), "{judged:?}");
    append(&*store, upload(1), 3, 1, b"lo").await.expect("taken");
    store.finish(upload(1).upload, key(1, b"hello"), 5).await.expect("finished");
}

/// At the bound, and one byte past it.
pub async fn an_upload_does_not_grow_past_its_bound(store: Arc<dyn BlobStore>) {
    let bounded = |offset| Append { size_max: 5, ..at(offset, 1) };
    let past = store.append(upload(1), bounded(0), &mut body(b"hello!")).await;
    assert!(matches!(past, Err(BlobError::TooLarge { size: 6, max: 5 })), "{past:?}");
    assert_eq!(size(&*store, upload(1)).await.unwrap_or(0), 0);
    assert_eq!(store.append(upload(1), bounded(0), &mut body(b"hell")).await.expect("taken"), 4);
    assert_eq!(store.append(upload(1), bounded(4), &mut body(b"o")).await.expect("taken"), 5);
    let past = store.append(upload(1), bounded(5), &mut body(b"!")).await;
    assert!(matches!(past, Err(BlobError::TooLarge { size: 6, max: 5 })), "{past:?}");
    store.finish(upload(1).upload, key(1, b"hello"), 5).await.expect("finished");
}

/// Naming a blob that is there, without its bytes, says nothing about it.
pub async fn nobody_gets_a_blob_by_finishing_nothing(store: Arc<dyn BlobStore>) {
    let named = key(1, b"hello");
    put(&*store, named, 5, b"hello").await.expect("stored");
    assert!(matches!(store.finish(upload(1).upload, named, 5).await, Err(BlobError::NotFound)));
    append(&*store, upload(1), 0, 1, b"").await.expect("begun");
    assert!(matches!(store.finish(upload(1).upload, named, 5).await, Err(BlobError::TooShort { .. })));
    append(&*store, upload(1), 0, 1, b"hello").await.expect("taken");
    assert!(matches!(store.finish(upload(1).upload, named, 5).await, Ok(PutOutcome::Present)));
    assert!(matches!(store.finish(upload(1).upload, named, 5).await, Err(BlobError::NotFound)));
}

/// What a broken body brought stays, as far as the store says.
pub async fn an_append_that_breaks_goes_on_where_it_is(store: Arc<dyn BlobStore>) {
    let bytes = Bytes::from(content(1, 20 << 20));
    let broke = store.append(upload(1), at(0, 1), &mut Broken::after(bytes.slice(..15 << 20))).await;
    assert!(matches!(broke, Err(BlobError::Unavailable(_))), "{broke:?}");
    let (mut more, stuck) = Broken::stuck_after(bytes.slice(kept(&*store).await..));
    let here = at(kept(&*store).await as u64, 1);
    stuck.cancels(store.append(upload(1), here, &mut more)).await;
    let kept = kept(&*store).await;
    append(&*store, upload(1), kept as u64, 1, &bytes[kept..]).await.expect("taken");
    let key = key(1, &bytes);
    store.finish(upload(1).upload, key, bytes.len() as u64).await.expect("finished");
    assert_eq!(read(&*store, key, ByteRange::default()).await.expect("readable"), bytes);
}

async fn kept(store: &dyn BlobStore) -> usize {
    usize::try_from(size(store, upload(1)).await.unwrap_or(0)).expect("small")
}

/// In id order, in pages, per bucket, with the time they were touched; dropped ones begin anew.
pub async fn uploads_are_listed_and_dropped(store: Arc<dyn BlobStore>) {
    for number in [3, 1, 2] {
        append(&*store, upload(number), 0, u64::from(number), &content(1, number.into())).await.expect("taken");
    }
    let elsewhere = UploadKey { bucket: bucket(2), ..upload(1) };
    append(&*store, elsewhere, 0, 9, b"").await.expect("begun");
    let list = async |after: Option<UploadId>, limit| {
        let listed = store.uploads(bucket(1), after, limit).await.expect("a list");
        listed.into_iter().map(|stat| (stat.upload.as_bytes()[0], stat.size, stat.touched.ms())).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10).await, [(1, 1, 1), (2, 2, 2), (3, 3, 3)]);
    assert_eq!(list(Some(upload(1).upload), 1).await, [(2, 2, 2)]);
    assert_eq!(store.discard(&[upload(1), upload(3), upload(7)]).await.expect("dropped"), 2);
    assert_eq!(list(None, 10).await, [(2, 2, 2)]);
    assert_eq!(size(&*store, elsewhere).await, Some(0));
    assert!(matches!(append(&*store, upload(1), 1, 1, b"x").await, Err(BlobError::WrongOffset { at: 0 })));
    append(&*store, upload(1), 0, 1, b"x").await.expect("begun anew");
}

/// Many that send the same upload at once: every byte is taken once, whoever sent it.
pub async fn racing_appends_take_each_byte_once(store: Arc<dyn BlobStore>) {
    let bytes = content(1, 60_000);
    let writers = (0..6).map(|_| -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (store, bytes) = (Arc::clone(&store), bytes.clone());
        Box::pin(async move {
            let mut offset = 0;
            while let Some(piece) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
                let piece = &piece[..piece.len().min(10_000)];
                let next = match append(&*store, upload(1), offset as u64, 1, piece).await {
                    Ok(next) | Err(BlobError::WrongOffset { at: next }) => next,
                    Err(error) => unreachable!("{error:?}"),
                };
                offset = usize::try_from(next).expect("small");
            }
        })
    });
    side_by_side(writers.collect()).await;
    assert_eq!(size(&*store, upload(1)).await, Some(60_000));
    store.finish(upload(1).upload, key(1, &bytes), 60_000).await.expect("finished");
}

/// Two that finish one upload at once: the blob is there, and nobody is told something else.
pub async fn racing_finishes_make_one_blob(store: Arc<dyn BlobStore>) {
    let key = key(1, b"hello");
    append(&*store, upload(1), 0, 1, b"hello").await.expect("taken");
    let both = (0..4).map(|_| -> Pin<Box<dyn Future<Output = _> + Send>> {
        let store = Arc::clone(&store);
        Box::pin(async move { store.finish(upload(1).upload, key, 5).await })
    });
    let mut stored = 0;
    for outcome in side_by_side(both.collect()).await {
        match outcome {
            Ok(_) => stored += 1,
            Err(BlobError::NotFound) => {}
            Err(error) => unreachable!("{error:?}"),
        }
    }
    assert!(stored > 0, "somebody finished it");
    assert_eq!(read(&*store, key, ByteRange::default()).await.expect("readable"), b"hello");
    assert_eq!(size(&*store, upload(1)).await, None);
}

/// However long an upload is, little of it is held at a time.
pub async fn a_long_upload_passes_in_pieces(store: Arc<dyn BlobStore>) {
    const PIECE: usize = 700_001;
    let mut long = Pieces::new(1, 70, PIECE);
    let (bytes, blob) = (long.size(), long.blob());
    assert_eq!(store.append(upload(1), at(0, 1), &mut long).await.expect("taken"), bytes);
    let most = long.most_held();
    assert!(most <= 24 << 20, "{most} bytes of {bytes} were held at once");
    let key = BlobKey { bucket: bucket(1), blob };
    store.finish(upload(1).upload, key, bytes).await.expect("finished");
    assert_eq!(store.stat(key).await.expect("a stat").map(|stat| stat.size), Some(bytes));
    let middle = ByteRange { start: PIECE as u64, end: Some(2 * PIECE as u64) };
    assert_eq!(read(&*store, key, middle).await.expect("readable"), content(2, PIECE));
}
