//! Many small blobs read together: as each would be alone, or not at all.

use bytes::Bytes;
use syncline::blob::{Place, ScanPolicy};
use syncline::call::{Call, ErrorCode};
use syncline::decide::{Came, Scope, View, blob_reads, settle_blobs};
use syncline::digest::{BlobId, Digest};
use syncline::limits;
use syncline::server::blob_space;
use syncline::store::{BlobKey, BlobStore as _, ByteRange, BytesSource, StoreExt as _};

use super::blobs::{Blobs, content, name};
use super::common::poll_to_end;
use super::manifests::{file, many};
use super::{LOG, operator};

impl Blobs {
    fn together(&self, blobs: &[BlobId]) -> Result<Vec<Bytes>, ErrorCode> {
        let given = poll_to_end(self.world.server.get_blobs(&operator(), LOG.log, blobs.to_vec()));
        let given = given.map_err(|refusal| refusal.code)?;
        assert!(given.iter().map(|(blob, _)| blob).eq(blobs), "in the order they were asked for");
        Ok(given.into_iter().map(|(_, bytes)| bytes).collect())
    }
}

#[test]
fn what_is_read_together_is_what_is_read_alone_wherever_it_lies() {
    let blobs = Blobs::new();
    let mut contents: Vec<Bytes> = (0..40).zip(0_usize..).map(|(number, at)| content(number, 1_000 * at)).collect();
    blobs.put_all(&contents[..20]).expect("a pack");
    blobs.put_all(&contents[20..35]).expect("another");
    for bytes in &contents[35..] {
        blobs.put(bytes).expect("of its own");
    }
    contents.reverse();
    contents.push(contents[3].clone());
    let names: Vec<BlobId> = contents.iter().map(|bytes| name(bytes).0).collect();
    assert_eq!(blobs.together(&names), Ok(contents.clone()), "twice the same, too");
    for (bytes, blob) in contents.iter().zip(names) {
        assert_eq!(blobs.read(LOG, blob, ByteRange::default()).as_deref(), Ok(&bytes[..]));
    }
}

#[test]
fn what_one_of_them_is_refused_for_is_said_and_none_is_given() {
    let blobs = Blobs::new();
    let (one, two, three) = (content(1, 100), content(2, 200), content(3, 300));
    blobs.put_all(&[one.clone(), two.clone()]).expect("sent");
    let names = [&one, &two, &three].map(|bytes| name(bytes).0);
    assert_eq!(blobs.together(&names), Err(ErrorCode::BlobNotFound), "one that never came");
    assert_eq!(blobs.together(&names[..2]), Ok(vec![one, two]));
    blobs.ask(Call::SetScanning { log: LOG.log, policy: ScanPolicy::UntilClean }).expect("set");
    blobs.put(&three).expect("sent");
    assert_eq!(blobs.together(&names), Err(ErrorCode::ScanPending), "one that nobody has looked at yet");
}

#[test]
fn bytes_that_are_not_the_blobs_are_never_given() {
    let blobs = Blobs::new();
    let contents = [content(1, 100), content(2, 100)];
    let names = [0, 1].map(|at: usize| name(&contents[at]));
    blobs.needs(&names).expect("reserved");
    let pack = Bytes::from(contents.concat());
    let (whole, key) = (name(&pack), BlobKey { bucket: blob_space(LOG), blob: name(&pack).0 });
    poll_to_end(blobs.bytes.put(key, whole.1, &mut BytesSource::new(pack))).expect("stored");
    // Each is said to lie where the other does.
    let came = [(0, 100), (1, 0)].map(|(at, offset): (usize, u64)| Came {
        blob: names[at].0,
        size: 100,
        place: Place::Packed { pack: whole.0, offset },
    });
    let reads = blob_reads(names.iter().map(|(blob, _)| *blob).chain([whole.0]));
    let now = blobs.env().now;
    let rule = move |view: &View| settle_blobs(LOG, Some(whole), &came, now, view);
    poll_to_end(blobs.world.store.decide(Scope::log(LOG, reads), rule)).expect("decided").expect("settled");
    let asked = names.map(|(blob, _)| blob);
    assert_eq!(blobs.together(&asked), Err(ErrorCode::BlobDamaged));
    assert_eq!(blobs.read(LOG, asked[0], ByteRange::default()), Err(ErrorCode::BlobDamaged), "nor alone");
}

#[test]
fn no_more_blobs_and_bytes_are_read_together_than_may_be_sent_together() {
    let blobs = Blobs::new();
    let max = limits::LIST_ITEMS_MAX;
    let contents: Vec<Bytes> = (0..=max as u64).map(|number| content(number, 9)).collect();
    blobs.put_all(&contents[..max]).expect("sent");
    blobs.put(&contents[max]).expect("sent");
    let names: Vec<BlobId> = contents.iter().map(|bytes| name(bytes).0).collect();
    for (count, good) in [(0, false), (1, true), (max - 1, true), (max, true), (max + 1, false)] {
        let read = blobs.together(&names[..count]).map(|given| given.len());
        assert_eq!(read, if good { Ok(count) } else { Err(ErrorCode::BatchSize) }, "{count} asked for");
    }
    let max = limits::BLOB_BATCH_BYTES_MAX;
    let large = content(1, max - 8);
    blobs.put(&large).expect("sent");
    for (rest, good) in [(7, true), (8, true), (9, false)] {
        let small = content(rest as u64, rest);
        blobs.put(&small).expect("sent");
        let read = blobs.together(&[name(&large).0, Digest::of(&[&small])]).map(|given| given.len());
        assert_eq!(read, if good { Ok(2) } else { Err(ErrorCode::BatchSize) }, "{} bytes", max - 8 + rest);
    }
}

#[test]
fn a_file_in_pieces_counts_as_often_as_it_is_asked_for() {
    let blobs = Blobs::new();
    let pieces = many(1_000);
    let (bytes, manifest) = file(&pieces);
    blobs.send(&pieces);
    blobs.put(&manifest.to_bytes()).expect("sent");
    blobs.keep(manifest.id()).expect("kept");
    let most = limits::BLOB_BATCH_BYTES_MAX / bytes.len();
    let name = manifest.file();
    assert_eq!(blobs.together(&vec![name; most]), Ok(vec![bytes; most]));
    assert_eq!(blobs.together(&vec![name; most + 1]), Err(ErrorCode::BatchSize));
    assert_eq!(blobs.together(&[name, manifest.id()]).map(|given| given.len()), Ok(2), "and its list");
}
