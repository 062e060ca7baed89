//! Bytes on their way over HTTP, and what becomes of them when it goes wrong.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use syncline::blob::Need;
use syncline::call::{Call, ErrorCode, Reply};
use syncline::client::{BlobTransport, CallError, Transport as _};
use syncline::files::What;
use syncline::store::ByteRange;
use syncline::tree::Content;
use syncline::{Digest, Timestamp};
use syncline_drive::engine::EngineError;
use syncline_drive::read::Reading;
use syncline_drive::transfer::{Limits, Outgoing, Progress, Sent, Transfer, TransferError};

use crate::house::{House, log};
use crate::way::Meddler;

fn code<T: std::fmt::Debug>(answer: Result<T, CallError>) -> ErrorCode {
    match answer {
        Err(CallError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e06_an_upload_that_goes_on_at_a_wrong_place_changes_nothing_and_goes_on_at_the_right_one() {
    const BEFORE: usize = 1 << 20;
    let house = House::new();
    let mut a = house.drive("A", 1).await;
    let way = Meddler::on(house.over_http().await);
    // One blob that is too large for one request.
    let bytes: Bytes = (0..(9 << 20) + 5_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let (blob, size) = (Digest::of(&[&bytes]), bytes.len() as u64);
    a.write("large", &bytes);
    let Ok(Reply::Needs(needs)) = way.call(Call::Reserve { log: log().log, blobs: vec![(blob, size)] }).await else {
        panic!("nothing is reserved");
    };
    assert_eq!(needs, [Need::Send]);
    assert_eq!(way.append_blob(log().log, blob, size, 0, bytes.slice(..BEFORE)).await.unwrap(), BEFORE as u64);
    for wrong in [0, BEFORE as u64 - 1, BEFORE as u64 + 1, size - 1] {
        let refused = way.append_blob(log().log, blob, size, wrong, bytes.slice(..1)).await;
        assert_eq!(code(refused), ErrorCode::UploadOffset, "at {wrong}");
        assert_eq!(way.upload_at(log().log, blob, size).await.unwrap(), BEFORE as u64, "it was changed");
    }
    let folder = Arc::clone(a.engine().folder());
    let print = folder.looks(&["large"]).unwrap().unwrap().print;
    let content = Content {
        blob,
        bytes: size,
        manifest: None,
        modified_at: Timestamp::default(),
        executable: false,
        attributes: None,
    };
    let reading = Reading { content, manifest: None, print };
    let large = Outgoing { path: vec!["large".into()], what: What::File { executable: false }, reading };
    let through: Arc<dyn BlobTransport> = Arc::<Meddler>::clone(&way);
    let transfer = Transfer::new(through, log().log, folder, house.env(), Limits::default());
    way.forgets.store(true, Ordering::Relaxed);
    way.elsewhere.store(0, Ordering::Relaxed);
    way.appended.store(0, Ordering::Relaxed);
    let sent = transfer.upload(std::slice::from_ref(&large), &Progress::none()).await.unwrap();
    assert!(matches!(sent.as_slice(), [Sent::Done]), "{sent:?}");
    assert_eq!(way.elsewhere.load(Ordering::Relaxed), 1, "it was told where to go on");
    let appended = way.appended.load(Ordering::Relaxed);
    assert!(appended <= size - BEFORE as u64 + (4 << 20), "{appended} bytes for {size}, one request of them in vain");
    let mut source = way.open_blob(log().log, blob, ByteRange::default()).await.unwrap();
    let mut kept = Vec::new();
    while let Some(more) = source.next().await.unwrap() {
        kept.extend_from_slice(&more);
    }
    assert!(kept == bytes, "other bytes are kept than were sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn e07_bytes_that_are_not_what_was_promised_are_discarded_and_the_file_stays_as_it_was() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    let way = Meddler::on(house.over_http().await);
    let through: Arc<dyn BlobTransport> = Arc::<Meddler>::clone(&way);
    house.start_over(&mut a, through).unwrap();
    a.write("doc", "first");
    a.sync().await;
    b.sync().await;
    // A small one goes together with others, a larger one alone.
    for second in ["second".to_owned(), "longer ".repeat(200_000)] {
        let (commits, before) = (house.commits().await, b.read("doc"));
        let blob = Digest::of(&[second.as_bytes()]);
        a.write("doc", &second);
        a.write("other", &second[1..]);
        way.flips.store(true, Ordering::Relaxed);
        let failed = a.engine().sync(false).await;
        let Err(EngineError::Transfer(TransferError::Call(error)) | EngineError::Call(error)) = failed else {
            panic!("{failed:?}");
        };
        assert_eq!(code::<()>(Err(error)), ErrorCode::BlobMismatch);
        b.sync().await;
        assert_eq!((house.commits().await, b.read("doc")), (commits, before), "the item was touched");
        let asked = Call::Reserve { log: log().log, blobs: vec![(blob, second.len() as u64)] };
        let Ok(Reply::Needs(needs)) = way.call(asked).await else { panic!("no answer") };
        if second.len() < 1 << 20 {
            assert_eq!(needs, [Need::Send], "it was kept");
        }
        way.flips.store(false, Ordering::Relaxed);
        a.sync().await;
        b.sync().await;
        assert_eq!(b.read("doc"), second);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_server_does_not_give_is_asked_for_less_and_less_often_and_another_content_at_once() {
    const MINUTE_MS: i64 = 60_000;
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    let way = Meddler::on(house.way());
    let through: Arc<dyn BlobTransport> = Arc::<Meddler>::clone(&way);
    house.start_over(&mut b, through).unwrap();
    a.write("bad", "something that should not be here");
    a.sync().await;
    way.refuses.store(true, Ordering::Relaxed);
    let asked = || way.asked.load(Ordering::Relaxed);
    let first = b.sync().await;
    assert_eq!((first.troubles.len(), first.put_off, asked()), (1, 1, 1), "{first:?}");
    a.write("good", "good");
    for (later_ms, asks) in [(0, 1), (MINUTE_MS / 3, 1), (MINUTE_MS, 2), (MINUTE_MS / 2, 2), (MINUTE_MS, 3)] {
        house.later(later_ms);
        let synced = b.sync().await;
        assert_eq!((asked(), synced.put_off), (asks, 1), "after {later_ms} ms more: {synced:?}");
    }
    a.write("bad", "something else");
    a.sync().await;
    assert_eq!((b.sync().await.put_off, asked()), (2, 5), "another content, and another file");
    way.refuses.store(false, Ordering::Relaxed);
    assert_eq!((b.sync().await.put_off, b.show().len()), (2, 0));
    house.later(MINUTE_MS);
    let last = b.sync().await;
    assert_eq!((last.put_off, b.read("bad"), b.read("good")), (0, "something else".into(), "good".into()));
}
