//! Blobs through a server over memory: what to send, what comes back, what the sweep takes and what it must not.

use std::sync::Arc;

use bytes::Bytes;
use syncline::access::Caller;
use syncline::blob::{Need, Usage};
use syncline::call::{Call, ErrorCode, Refusal, Reply};
use syncline::conformance::support::{env, log};
use syncline::decide::{BlobBook, Choice, LogWrites, Scope, blob_reads};
use syncline::digest::{BlobId, Digest};
use syncline::id::UploadId;
use syncline::oplog::Sealing;
use syncline::server::blob_space;
use syncline::store::{
    Append, BlobError, BlobKey, BlobSource, BlobStore, ByteRange, BytesSource, MemoryBlobs, PutOutcome, StoreExt,
    UploadKey,
};
use syncline::{Env, LogKey, limits};

use super::common::poll_to_end;
use super::{LOG, World, operator};

/// A server that keeps blobs, with one log in it, and a clock that is moved by hand.
pub(super) struct Blobs {
    pub(super) world: World,
    pub(super) bytes: Arc<MemoryBlobs>,
    pub(super) now: u64,
}

pub(super) fn content(number: u64, len: usize) -> Bytes {
    number.to_be_bytes().iter().copied().cycle().take(len).collect::<Vec<_>>().into()
}

pub(super) fn name(bytes: &Bytes) -> (BlobId, u64) {
    (Digest::of(&[bytes]), bytes.len() as u64)
}

impl Blobs {
    pub(super) fn new() -> Self {
        let mut world = World::new();
        let bytes = Arc::new(MemoryBlobs::new());
        world.server = world.server.clone().with_blobs(Arc::<MemoryBlobs>::clone(&bytes));
        for log in [LOG, log(2)] {
            world.call(Call::CreateLog { log: log.log, sealing: Sealing::default() });
        }
        Self { world, bytes, now: 1_000 }
    }

    pub(super) fn env(&self) -> Env {
        env(self.now)
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now += ms + 1;
    }

    pub(super) fn ask(&self, call: Call) -> Result<Reply, Refusal> {
        poll_to_end(self.world.server.handle(&operator(), call, self.env()))
    }

    pub(super) fn needs(&self, asked: &[(BlobId, u64)]) -> Result<Vec<Need>, Refusal> {
        match self.ask(Call::Reserve { log: LOG.log, blobs: asked.to_vec() })? {
            Reply::Needs(needs) => Ok(needs),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn usage(&self) -> Usage {
        match self.ask(Call::BlobUsage(LOG.log)).expect("an answer") {
            Reply::BlobUsage(usage) => usage,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn put(&self, bytes: &Bytes) -> Result<PutOutcome, Refusal> {
        let mut body = BytesSource::new(bytes.clone());
        poll_to_end(self.world.server.put_blob(&operator(), LOG.log, name(bytes), &mut body, self.env()))
    }

    pub(super) fn put_all(&self, contents: &[Bytes]) -> Result<Vec<PutOutcome>, Refusal> {
        let blobs = contents.iter().map(|bytes| (name(bytes).0, bytes.clone())).collect();
        poll_to_end(self.world.server.put_blobs(&operator(), LOG.log, blobs, self.env()))
    }

    pub(super) fn append(&self, named: (BlobId, u64), offset: u64, bytes: &Bytes) -> Result<u64, Refusal> {
        let mut body = BytesSource::new(bytes.clone());
        poll_to_end(self.world.server.append_blob(&operator(), LOG.log, named, offset, &mut body, self.env()))
    }

    pub(super) fn read(&self, log: LogKey, blob: BlobId, range: ByteRange) -> Result<Vec<u8>, ErrorCode> {
        let opened = poll_to_end(self.world.server.open_blob(&operator(), log.log, blob, range));
        let (_, mut source) = opened.map_err(|refusal| refusal.code)?;
        let mut held = Vec::new();
        while let Some(bytes) = poll_to_end(source.next()).map_err(|error| match error {
            BlobError::Corrupt { .. } => ErrorCode::BlobDamaged,
            other => panic!("{other}"),
        })? {
            held.extend_from_slice(&bytes);
        }
        Ok(held)
    }

    /// As a commit does it.
    pub(super) fn refer(&self, blob: BlobId, more: bool) -> bool {
        let rule = move |view: &syncline::decide::View| {
            let mut book = BlobBook::open(LOG, view).expect("readable");
            let done = if more { book.refer(blob) } else { book.release(blob) };
            let mut writes = LogWrites::new(LOG, view.log(LOG).bounds.clone().expect("a log"));
            book.write_into(&mut writes);
            Choice::Done(done, Some(writes.alone()))
        };
        let scope = Scope::log(LOG, blob_reads([blob].into_iter()));
        poll_to_end(self.world.store.decide(scope, rule)).expect("committed")
    }

    pub(super) fn sweep(&self) -> usize {
        let (mut after, mut deleted) = (None, 0);
        loop {
            let swept = poll_to_end(self.world.server.sweep_blobs(LOG, after, 3, self.env()));
            let (done, next) = swept.expect("swept");
            deleted += done.deleted;
            match next {
                Some(next) => after = Some(next),
                None => return deleted,
            }
        }
    }

    /// Objects in the blob store.
    pub(super) fn objects(&self) -> usize {
        let listed = poll_to_end(self.bytes.list(blob_space(LOG), None, 10_000));
        listed.expect("a list").len()
    }

    pub(super) fn adopt(&self) -> usize {
        poll_to_end(self.world.server.adopt_blobs(LOG, None, 1_000, self.env())).expect("adopted").0
    }

    /// Until nothing is left that nobody needs.
    pub(super) fn sweep_all(&mut self) {
        for _ in 0..4 {
            self.wait(limits::BLOB_LEASE_MS.max(limits::BLOB_GRACE_MS));
            self.sweep();
        }
    }
}

#[test]
fn a_blob_is_asked_for_sent_and_read_back() {
    let blobs = Blobs::new();
    let bytes = content(1, 1_000);
    let named = name(&bytes);
    assert_eq!(blobs.needs(&[named]).expect("an answer"), [Need::Send]);
    assert_eq!(blobs.read(LOG, named.0, ByteRange::default()), Err(ErrorCode::BlobNotFound));
    assert_eq!(blobs.put(&bytes).expect("stored"), PutOutcome::Stored);
    assert_eq!(blobs.needs(&[named]).expect("an answer"), [Need::Have]);
    assert_eq!(blobs.put(&bytes).expect("stored"), PutOutcome::Present);
    assert_eq!(blobs.read(LOG, named.0, ByteRange::default()).expect("read"), bytes);
    let part = ByteRange { start: 3, end: Some(10) };
    assert_eq!(blobs.read(LOG, named.0, part).expect("read"), bytes[3..10]);
    assert_eq!(blobs.usage(), Usage { bytes: 1_000, blobs: 1, quota: None });
}

#[test]
fn who_names_a_blob_of_another_log_gets_nothing_and_learns_nothing() {
    let blobs = Blobs::new();
    let bytes = content(1, 100);
    blobs.put(&bytes).expect("stored");
    let other = log(2);
    assert_eq!(blobs.read(other, name(&bytes).0, ByteRange::default()), Err(ErrorCode::BlobNotFound));
    let asked = blobs.ask(Call::Reserve { log: other.log, blobs: vec![name(&bytes)] }).expect("an answer");
    assert!(matches!(asked, Reply::Needs(needs) if needs == [Need::Send]));
    let stranger = Caller { bucket: syncline::BucketId::from_bytes([9; 16]), ..operator() };
    let asked = Call::Reserve { log: LOG.log, blobs: vec![name(&bytes)] };
    let refused = poll_to_end(blobs.world.server.handle(&stranger, asked, blobs.env())).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::LogNotFound);
}

#[test]
fn bytes_that_are_not_the_ones_named_are_refused_and_nothing_is_kept() {
    let blobs = Blobs::new();
    let (right, wrong) = (content(1, 100), content(2, 100));
    let mut body = BytesSource::new(wrong.clone());
    let put = poll_to_end(blobs.world.server.put_blob(&operator(), LOG.log, name(&right), &mut body, blobs.env()));
    assert_eq!(put.expect_err("refused").code, ErrorCode::BlobMismatch);
    let batch = vec![(name(&right).0, right.clone()), (name(&right).0, wrong)];
    let put = poll_to_end(blobs.world.server.put_blobs(&operator(), LOG.log, batch, blobs.env()));
    assert_eq!(put.expect_err("refused").code, ErrorCode::BlobMismatch);
    assert_eq!(blobs.objects(), 0);
    // Nor is a blob known by two sizes.
    blobs.put(&right).expect("stored");
    let refused = blobs.needs(&[(name(&right).0, 99)]).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::BlobMismatch);
}

#[test]
fn a_promise_of_another_size_hinders_nobody() {
    let blobs = Blobs::new();
    let bytes = content(1, 100);
    assert_eq!(blobs.needs(&[(name(&bytes).0, 7)]).expect("an answer"), [Need::Send]);
    assert_eq!(blobs.put(&bytes).expect("stored"), PutOutcome::Stored);
    assert_eq!(blobs.usage(), Usage { bytes: 100, blobs: 1, quota: None });
}

#[test]
fn small_blobs_sent_together_are_one_object_and_each_is_read_alone() {
    let mut blobs = Blobs::new();
    let contents: Vec<Bytes> =
        (0..20).map(|number| content(number, 100 + usize::try_from(number).expect("small"))).collect();
    blobs.put(&contents[3]).expect("stored");
    let outcomes = blobs.put_all(&contents).expect("stored");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == PutOutcome::Present).count(), 1);
    assert_eq!(blobs.objects(), 2);
    for bytes in &contents {
        assert_eq!(blobs.read(LOG, name(bytes).0, ByteRange::default()).expect("read"), *bytes);
        let part = ByteRange { start: 90, end: Some(1_000) };
        assert_eq!(blobs.read(LOG, name(bytes).0, part).expect("read"), bytes[90..]);
    }
    let sum: usize = contents.iter().map(Bytes::len).sum();
    assert_eq!(blobs.usage().bytes, sum as u64, "a pack is not counted beside what is in it");
    // The pack stays as long as one of its blobs is needed, and goes with the last.
    assert!(blobs.refer(name(&contents[5]).0, true));
    blobs.sweep_all();
    assert_eq!((blobs.objects(), blobs.usage().blobs), (1, 1));
    assert_eq!(blobs.read(LOG, name(&contents[5]).0, ByteRange::default()).expect("read"), contents[5]);
    blobs.refer(name(&contents[5]).0, false);
    blobs.sweep_all();
    blobs.sweep_all();
    assert_eq!((blobs.objects(), blobs.usage()), (0, Usage::default()));
}

#[test]
fn a_large_blob_goes_on_where_it_was_cut_off() {
    let blobs = Blobs::new();
    let bytes = content(1, 10_000);
    let named = name(&bytes);
    let at = || poll_to_end(blobs.world.server.upload_at(&operator(), LOG.log, named, blobs.env())).expect("an answer");
    assert_eq!(at(), 0);
    assert_eq!(blobs.append(named, 0, &bytes.slice(..4_000)).expect("taken"), 4_000);
    assert_eq!(at(), 4_000);
    let wrong = blobs.append(named, 3_999, &bytes.slice(3_999..)).expect_err("refused");
    assert_eq!((wrong.code, at()), (ErrorCode::UploadOffset, 4_000));
    assert_eq!(blobs.append(named, 4_000, &bytes.slice(4_000..)).expect("taken"), 10_000);
    assert_eq!(blobs.read(LOG, named.0, ByteRange::default()).expect("read"), bytes);
    assert_eq!(at(), 10_000);
    assert_eq!(blobs.append(named, 10_000, &Bytes::new()).expect("the same answer"), 10_000);
}

/// B1: whoever took the last byte died before the bytes were a blob. Its sender asks how far it is, and is told the end only
/// of what is stored.
#[test]
fn fault_b01_an_upload_that_has_all_its_bytes_is_stored_when_it_is_asked_about() {
    let blobs = Blobs::new();
    let at = |named| poll_to_end(blobs.world.server.upload_at(&operator(), LOG.log, named, blobs.env()));
    let leave = |named: (BlobId, u64), bytes: &Bytes| {
        let upload = UploadId::from_bytes(named.0.as_bytes()[..16].try_into().expect("16"));
        let upload = UploadKey { bucket: blob_space(LOG), upload };
        let append = Append { offset: 0, size_max: named.1, now: blobs.env().now };
        poll_to_end(blobs.bytes.append(upload, append, &mut BytesSource::new(bytes.clone()))).expect("taken");
    };
    let bytes = content(1, 10_000);
    leave(name(&bytes), &bytes);
    assert_eq!(at(name(&bytes)).expect("an answer"), 10_000);
    assert_eq!(blobs.read(LOG, name(&bytes).0, ByteRange::default()).expect("read"), bytes);
    // Other bytes are not stored by asking, and it begins anew.
    let (right, wrong) = (content(2, 100), content(3, 100));
    leave(name(&right), &wrong);
    assert_eq!(at(name(&right)).expect_err("refused").code, ErrorCode::BlobMismatch);
    assert_eq!(at(name(&right)).expect("an answer"), 0);
    blobs.append(name(&right), 0, &right).expect("taken");
}

#[test]
fn an_upload_of_other_bytes_begins_anew() {
    let blobs = Blobs::new();
    let (right, wrong) = (content(1, 100), content(2, 100));
    let named = name(&right);
    assert_eq!(blobs.append(named, 0, &wrong).expect_err("refused").code, ErrorCode::BlobMismatch);
    let at = poll_to_end(blobs.world.server.upload_at(&operator(), LOG.log, named, blobs.env()));
    assert_eq!(at.expect("an answer"), 0);
    assert_eq!(blobs.append(named, 0, &right).expect("taken"), 100);
    poll_to_end(blobs.world.server.drop_upload(&operator(), LOG.log, named.0)).expect("nothing to drop is no error");
}

#[test]
fn a_quota_is_kept_before_any_byte_is_sent() {
    let mut blobs = Blobs::new();
    let set = |quota| Call::SetBlobQuota { log: LOG.log, quota };
    blobs.ask(set(Some(250))).expect("set");
    let [first, second, third] = [content(1, 100), content(2, 100), content(3, 51)];
    blobs.put(&first).expect("stored");
    assert_eq!(blobs.needs(&[name(&second)]).expect("fits"), [Need::Send], "a promise counts");
    let refused = blobs.put(&third).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::QuotaExceeded);
    assert!(refused.detail.contains("200 of 250") && refused.detail.contains("51"), "{}", refused.detail);
    // Exactly full is full, not over.
    assert_eq!(blobs.needs(&[name(&content(3, 50))]).expect("fits"), [Need::Send]);
    assert_eq!(blobs.usage().bytes, 250);
    // What was promised and did not come is given back.
    blobs.wait(limits::BLOB_LEASE_MS);
    blobs.refer(name(&first).0, true);
    blobs.sweep();
    assert_eq!(blobs.usage().bytes, 100);
    blobs.put(&third).expect("fits now");
}

#[test]
fn a_lease_keeps_what_was_said_to_be_here_and_then_it_goes() {
    let mut blobs = Blobs::new();
    let bytes = content(1, 100);
    blobs.put(&bytes).expect("stored");
    blobs.wait(limits::BLOB_LEASE_MS - 10);
    assert_eq!(blobs.needs(&[name(&bytes)]).expect("an answer"), [Need::Have]);
    blobs.wait(limits::BLOB_LEASE_MS - 10);
    blobs.sweep();
    assert!(blobs.refer(name(&bytes).0, true), "an op may refer to it to the end of the lease");
    blobs.sweep_all();
    assert_eq!(blobs.objects(), 1);
    blobs.refer(name(&bytes).0, false);
    blobs.wait(limits::BLOB_LEASE_MS);
    assert_eq!(blobs.sweep(), 0, "doomed");
    assert!(blobs.read(LOG, name(&bytes).0, ByteRange::default()).is_ok(), "readers were told of it just before");
    assert_eq!(blobs.needs(&[name(&bytes)]).expect("an answer"), [Need::Have], "and it can be taken back");
    blobs.sweep_all();
    assert_eq!((blobs.objects(), blobs.usage()), (0, Usage::default()));
    assert_eq!(blobs.needs(&[name(&bytes)]).expect("an answer"), [Need::Send]);
}

#[test]
fn a_blob_whose_bytes_are_being_deleted_is_neither_promised_nor_read() {
    let mut blobs = Blobs::new();
    let bytes = content(1, 100);
    let named = name(&bytes);
    blobs.put(&bytes).expect("stored");
    blobs.wait(limits::BLOB_LEASE_MS);
    blobs.sweep();
    blobs.wait(limits::BLOB_GRACE_MS);
    // A sweep that dies between its decision and its deed.
    let now = blobs.env().now;
    let rule = move |view: &syncline::decide::View| syncline::decide::sweep_blobs(LOG, &[named.0], now, view);
    let scope = Scope::log(LOG, blob_reads([named.0].into_iter()));
    let going = poll_to_end(blobs.world.store.decide(scope, rule)).expect("committed").expect("swept");
    assert_eq!(going.len(), 1);
    assert_eq!(blobs.needs(&[named]).expect("an answer"), [Need::Later]);
    assert_eq!(blobs.read(LOG, named.0, ByteRange::default()), Err(ErrorCode::BlobNotFound));
    assert_eq!(blobs.put(&bytes).expect_err("refused").code, ErrorCode::Busy);
    assert!(!blobs.refer(named.0, true));
    // The next one ends it.
    blobs.wait(limits::BLOB_DELETE_MS);
    assert_eq!(blobs.sweep(), 1);
    assert_eq!(blobs.put(&bytes).expect("stored"), PutOutcome::Stored);
    assert_eq!(blobs.read(LOG, named.0, ByteRange::default()).expect("read"), bytes);
}

#[test]
fn bytes_that_came_just_before_the_server_died_are_used_or_swept() {
    let mut blobs = Blobs::new();
    let contents = [content(1, 100), content(2, 100)];
    for bytes in &contents {
        let key = BlobKey { bucket: blob_space(LOG), blob: name(bytes).0 };
        poll_to_end(blobs.bytes.put(key, 100, &mut BytesSource::new(bytes.clone()))).expect("stored");
    }
    // One is asked for again, and need not be sent again.
    let at = poll_to_end(blobs.world.server.upload_at(&operator(), LOG.log, name(&contents[0]), blobs.env()));
    assert_eq!(at.expect("an answer"), 100);
    blobs.refer(name(&contents[0]).0, true);
    // The other is found without a record.
    assert_eq!((blobs.adopt(), blobs.adopt()), (1, 0));
    assert_eq!(blobs.read(LOG, name(&contents[1]).0, ByteRange::default()), Err(ErrorCode::BlobNotFound));
    blobs.sweep_all();
    assert_eq!((blobs.objects(), blobs.usage().bytes), (1, 100));
}

#[test]
fn an_upload_that_nobody_goes_on_with_is_dropped() {
    let mut blobs = Blobs::new();
    let bytes = content(1, 100);
    blobs.append(name(&bytes), 0, &bytes.slice(..50)).expect("taken");
    blobs.adopt();
    let at = |blobs: &Blobs| {
        poll_to_end(blobs.world.server.upload_at(&operator(), LOG.log, name(&bytes), blobs.env())).expect("an answer")
    };
    assert_eq!(at(&blobs), 50);
    blobs.wait(limits::BLOB_LEASE_MS);
    blobs.adopt();
    assert_eq!(at(&blobs), 0);
}

#[test]
fn damage_is_an_error_and_never_other_bytes() {
    let blobs = Blobs::new();
    let contents = [content(1, 100), content(2, 100)];
    blobs.put_all(&contents).expect("stored");
    let packed = poll_to_end(blobs.bytes.list(blob_space(LOG), None, 10)).expect("a list")[0].blob;
    let key = BlobKey { bucket: blob_space(LOG), blob: packed };
    poll_to_end(blobs.bytes.delete(&[key])).expect("deleted");
    assert_eq!(blobs.read(LOG, name(&contents[0]).0, ByteRange::default()), Err(ErrorCode::BlobNotFound));
}

#[test]
fn batches_and_listings_are_of_bounded_size() {
    let blobs = Blobs::new();
    let many = |count: usize| (0..count as u64).map(|number| content(number, 9)).collect::<Vec<_>>();
    let max = limits::LIST_ITEMS_MAX;
    for (count, good) in [(0, false), (1, true), (max - 1, true), (max, true), (max + 1, false)] {
        let contents = many(count);
        let asked: Vec<_> = contents.iter().map(name).collect();
        assert_eq!(blobs.needs(&asked).is_ok(), good, "{count} asked for");
        assert_eq!(blobs.put_all(&contents).is_ok(), good, "{count} sent");
    }
    let max = limits::BLOB_BATCH_BYTES_MAX;
    for (bytes, good) in [(max - 1, true), (max, true), (max + 1, false)] {
        let outcome = blobs.put_all(&[content(1, bytes - 8), content(2, 8)]).map_err(|refusal| refusal.code);
        assert_eq!(outcome.is_ok(), good, "{bytes} bytes: {outcome:?}");
    }
    let max = limits::BLOB_BYTES_MAX;
    for (size, good) in [(max - 1, true), (max, true), (max + 1, false)] {
        let asked = (Digest::of(&[&size.to_be_bytes()]), size);
        assert_eq!(blobs.needs(&[asked]).map_err(|refusal| refusal.code).is_ok(), good, "{size}");
    }
}

#[test]
fn a_server_without_a_blob_store_says_so() {
    let world = World::new();
    let asked = Call::Reserve { log: LOG.log, blobs: vec![name(&content(1, 1))] };
    assert_eq!(world.code(asked), ErrorCode::NoBlobs);
}
