//! Files in pieces: what their manifests keep, how that goes on after a crash, and what they are not taken for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use syncline::blob::{Chunker, Judged, Listed, Manifest, Need, Piece, Usage};
use syncline::call::{Call, Commit, Committed, ErrorCode, ManifestKept, Refusal, Reply};
use syncline::decide::{
    BlobBook, Choice, LogWrites, PieceStep, PiecesStepped, Scope, TREE_ROOT, View, blob_key, blob_of, blob_reads,
    count_pieces, file_key, release_pieces,
};
use syncline::digest::{BlobId, Digest};
use syncline::server::JudgedManifests;
use syncline::store::{ByteRange, StoreExt as _};
use syncline::tree::{self, Content, Kind, Label, TreeOp};
use syncline::{EntityId, OpId, ReplicaId, Timestamp, limits};

use super::blobs::{Blobs, content, name};
use super::common::poll_to_end;
use super::{LOG, operator};

const PIECE: usize = 4096;

fn piece(number: u64) -> Bytes {
    content(number + 1, PIECE)
}

/// The file of these pieces, cut into them.
pub(super) fn file(pieces: &[Bytes]) -> (Bytes, Manifest) {
    let bytes: Bytes = pieces.concat().into();
    let list =
        pieces.iter().map(|bytes| Piece { blob: name(bytes).0, len: u32::try_from(bytes.len()).expect("short") });
    let chunker = Chunker::fixed(u32::try_from(pieces[0].len()).expect("short")).expect("a chunker");
    let manifest = Manifest::new(name(&bytes).0, bytes.len() as u64, chunker, list.collect()).expect("a manifest");
    (bytes, manifest)
}

/// The same pieces, and the name of another file.
fn lie(manifest: &Manifest) -> Manifest {
    let other = Digest::of(&[b"another file"]);
    Manifest::new(other, manifest.size(), manifest.chunker(), manifest.pieces().to_vec()).expect("a manifest")
}

/// So many different pieces.
pub(super) fn many(count: u64) -> Vec<Bytes> {
    (0..count).map(piece).collect()
}

impl Blobs {
    pub(super) fn send(&self, pieces: &[Bytes]) {
        for batch in pieces.chunks(limits::LIST_ITEMS_MAX) {
            self.put_all(batch).expect("stored");
        }
    }

    pub(super) fn keep(&self, manifest: BlobId) -> Result<ManifestKept, Refusal> {
        match self.ask(Call::KeepManifest { log: LOG.log, manifest })? {
            Reply::ManifestKept(kept) => Ok(kept),
            other => panic!("{other:?}"),
        }
    }

    /// How many refer to a blob, and what it keeps.
    fn record(&self, blob: BlobId) -> (u64, Option<Listed>) {
        let note = poll_to_end(self.world.store.head(LOG, &blob_key(blob))).expect("read");
        blob_of(note.as_ref()).expect("reads").map_or((0, None), |record| (record.references, record.listed))
    }

    fn references(&self, pieces: &[Bytes]) -> Vec<u64> {
        pieces.iter().map(|bytes| self.record(name(bytes).0).0).collect()
    }

    /// One step, as a server does that dies behind it.
    fn step(&self, manifest: &Manifest, from: usize, part: std::ops::Range<usize>, counts: bool) -> PiecesStepped {
        let pieces = PieceStep::pieces_of(manifest).expect("pieces");
        let count = |number: usize| u32::try_from(number).expect("few");
        let step = PieceStep {
            manifest: manifest.id(),
            file: manifest.file(),
            bytes: manifest.size(),
            of: count(pieces.len()),
            from: count(from),
            pieces: pieces[part].to_vec(),
        };
        let (now, reads) = (self.env().now, step.reads());
        let rule = move |view: &View| {
            if counts { count_pieces(LOG, &step, now, view) } else { release_pieces(LOG, &step, now, view) }
        };
        poll_to_end(self.world.store.decide(Scope::log(LOG, reads), rule)).expect("committed").expect("a step")
    }

    /// As a commit refers to a manifest; whether it may.
    fn refer_manifest(&self, manifest: BlobId, more: bool) -> bool {
        let rule = move |view: &View| {
            let mut book = BlobBook::open(LOG, view).expect("readable");
            let listed = book.get(manifest).and_then(|record| record.listed);
            let may = listed.is_some_and(|listed| listed.is_whole()) || !more;
            let done = may && if more { book.refer(manifest) } else { book.release(manifest) };
            let mut writes = LogWrites::new(LOG, view.log(LOG).bounds.clone().expect("a log"));
            book.write_into(&mut writes);
            Choice::Done(done, Some(writes.alone()))
        };
        poll_to_end(self.world.store.decide(Scope::log(LOG, blob_reads([manifest].into_iter())), rule)).expect("done")
    }

    fn whole(&self, file: BlobId) -> Result<Vec<u8>, ErrorCode> {
        self.read(LOG, file, ByteRange::default())
    }

    fn judge_all(&self) -> JudgedManifests {
        let (mut after, mut all) = (None, JudgedManifests::default());
        loop {
            let judged = poll_to_end(self.world.server.judge_manifests(LOG, after, 3));
            let (JudgedManifests { seen, right, wrong, unread }, next) = judged.expect("judged");
            all = JudgedManifests {
                seen: all.seen + seen,
                right: all.right + right,
                wrong: all.wrong + wrong,
                unread: all.unread + unread,
            };
            match next {
                Some(_) => after = next,
                None => return all,
            }
        }
    }

    fn is_empty(&self) -> bool {
        let names = &file_key(Digest::of(&[])).collection;
        let notes = poll_to_end(self.world.store.heads(LOG, names, None, 10)).expect("read");
        (self.objects(), self.usage()) == (0, Usage::default()) && notes.heads.is_empty()
    }
}

#[test]
fn a_kept_manifest_keeps_its_pieces_and_they_go_after_it() {
    let mut blobs = Blobs::new();
    let pieces = [piece(0), piece(1), piece(0), piece(2).slice(..10)];
    let (bytes, manifest) = file(&pieces);
    blobs.send(&pieces[..1]);
    blobs.put(&manifest.to_bytes()).expect("stored");
    let mut missing = vec![name(&pieces[1]).0, name(&pieces[3]).0];
    missing.sort_unstable();
    assert_eq!(blobs.keep(manifest.id()).expect("an answer"), ManifestKept::Needs(missing));
    assert_eq!(blobs.references(&pieces), [0; 4]);
    blobs.send(&pieces[1..]);
    for _ in 0..3 {
        assert_eq!(blobs.keep(manifest.id()).expect("an answer"), ManifestKept::Kept { judged: true });
        assert_eq!(blobs.references(&pieces), [1; 4], "each different piece once, however often it is asked");
    }
    assert!(blobs.refer_manifest(manifest.id(), true));
    blobs.sweep_all();
    assert_eq!(blobs.whole(manifest.file()).expect("read"), bytes);
    for (start, end) in [(0, 1), (4_095, 4_097), (4_096, 8_192), (5, 12_295), (12_290, 12_298), (12_298, 99_999)] {
        let part = ByteRange { start, end: Some(end) };
        let (from, to) =
            (usize::try_from(start).expect("small"), usize::try_from(end).expect("small").min(bytes.len()));
        assert_eq!(blobs.read(LOG, manifest.file(), part).expect("read"), bytes[from..to], "{start}..{end}");
    }
    blobs.refer_manifest(manifest.id(), false);
    blobs.sweep_all();
    assert_eq!(blobs.whole(manifest.file()), Err(ErrorCode::BlobNotFound));
    blobs.sweep_all();
    assert!(blobs.is_empty());
}

#[test]
fn counting_and_releasing_go_on_where_they_were_cut_off() {
    let mut blobs = Blobs::new();
    let pieces = many(2_500);
    let (_, manifest) = file(&pieces);
    let kept = ManifestKept::Kept { judged: true };
    blobs.send(&pieces);
    blobs.put(&manifest.to_bytes()).expect("stored");
    // Counting dies after the first step; another server that was as far finds it done.
    assert_eq!(blobs.step(&manifest, 0, 0..1_000, true), PiecesStepped::At(1_000));
    assert_eq!(blobs.step(&manifest, 0, 0..1_000, true), PiecesStepped::At(1_000));
    assert_eq!(blobs.references(&pieces).iter().sum::<u64>(), 1_000);
    assert!(!blobs.refer_manifest(manifest.id(), true), "nobody refers to a part of a file");
    assert_eq!(blobs.whole(manifest.file()), Err(ErrorCode::BlobNotFound));
    assert_eq!(blobs.keep(manifest.id()).expect("an answer"), kept);
    assert!(blobs.references(&pieces).iter().all(|count| *count == 1));
    // While it is leased nothing is released.
    assert_eq!(blobs.step(&manifest, 2_500, 1_500..2_500, false), PiecesStepped::Needed);
    blobs.wait(limits::BLOB_LEASE_MS);
    blobs.sweep();
    blobs.wait(limits::BLOB_GRACE_MS);
    // Releasing dies as well, and somebody wants it back.
    assert_eq!(blobs.step(&manifest, 2_500, 1_500..2_500, false), PiecesStepped::At(1_500));
    assert_eq!(blobs.step(&manifest, 2_500, 1_500..2_500, false), PiecesStepped::At(1_500));
    assert_eq!(blobs.references(&pieces).iter().sum::<u64>(), 1_500);
    assert!(!blobs.refer_manifest(manifest.id(), true));
    assert_eq!(blobs.whole(manifest.file()), Err(ErrorCode::BlobNotFound));
    assert_eq!(blobs.keep(manifest.id()).expect("an answer"), kept);
    assert!(blobs.references(&pieces).iter().all(|count| *count == 1));
    assert!(blobs.whole(manifest.file()).is_ok());
    // In the end the sweep ends what a dead one began.
    blobs.wait(limits::BLOB_LEASE_MS);
    blobs.sweep();
    blobs.wait(limits::BLOB_GRACE_MS);
    assert_eq!(blobs.step(&manifest, 2_500, 1_500..2_500, false), PiecesStepped::At(1_500));
    blobs.sweep_all();
    blobs.sweep_all();
    assert!(blobs.is_empty());
}

#[test]
fn what_is_no_manifest_of_its_file_is_refused_and_keeps_nothing() {
    let mut blobs = Blobs::new();
    let pieces = many(3);
    let (_, manifest) = file(&pieces);
    blobs.send(&pieces);
    let absent = name(&Bytes::from_static(b"absent")).0;
    assert_eq!(blobs.keep(absent).expect("an answer"), ManifestKept::Needs(vec![absent]));
    assert_eq!(blobs.keep(name(&pieces[0]).0).expect_err("refused").code, ErrorCode::ManifestWrong);
    let wrong = lie(&manifest);
    blobs.put(&wrong.to_bytes()).expect("stored");
    for _ in 0..2 {
        assert_eq!(blobs.keep(wrong.id()).expect_err("refused").code, ErrorCode::ManifestWrong);
        assert_eq!(blobs.references(&pieces), [0; 3]);
        assert_eq!(blobs.whole(wrong.id()), Err(ErrorCode::ManifestWrong), "nobody reads the list");
        assert_eq!(blobs.whole(wrong.file()), Err(ErrorCode::BlobNotFound));
    }
    // A piece of another length than it has, and one of two lengths.
    let list = |lens: [u32; 2]| {
        let blob = name(&pieces[0]).0;
        let list = lens.iter().map(|len| Piece { blob, len: *len }).collect();
        let size = lens.iter().map(|len| u64::from(*len)).sum();
        Manifest::new(manifest.file(), size, Chunker::content(16 << 10).expect("a chunker"), list).expect("a manifest")
    };
    for (lens, code) in [([5_000, 5_000], ErrorCode::BlobMismatch), ([4_096, 17], ErrorCode::ManifestWrong)] {
        blobs.put(&list(lens).to_bytes()).expect("stored");
        assert_eq!(blobs.keep(list(lens).id()).expect_err("refused").code, code, "{lens:?}");
        assert_eq!(blobs.references(&pieces), [0; 3]);
    }
    blobs.sweep_all();
    blobs.sweep_all();
    assert!(blobs.is_empty());
}

#[test]
fn a_file_of_so_many_bytes_is_read_at_once_and_a_larger_one_later() {
    let mut blobs = Blobs::new();
    let (max, long) = (limits::FILE_JUDGED_AT_ONCE_BYTES_MAX, 4 << 20);
    let whole = content(1, long);
    for (size, at_once) in [(max - 1, true), (max, true), (max + 1, false)] {
        let size = usize::try_from(size).expect("small");
        let full = size / long;
        let mut pieces = vec![whole.clone(); full];
        pieces.extend((size % long > 0).then(|| whole.slice(..size % long)));
        let (_, manifest) = file(&pieces);
        let wrong = lie(&manifest);
        for bytes in [&whole, pieces.last().expect("a piece"), &manifest.to_bytes(), &wrong.to_bytes()] {
            blobs.put(bytes).expect("stored");
        }
        assert_eq!(blobs.keep(manifest.id()).expect("an answer"), ManifestKept::Kept { judged: at_once }, "{size}");
        let kept = blobs.keep(wrong.id()).map_err(|refusal| refusal.code);
        let expected = if at_once { Err(ErrorCode::ManifestWrong) } else { Ok(ManifestKept::Kept { judged: false }) };
        assert_eq!(kept, expected, "{size}");
        if !at_once {
            assert!(blobs.refer_manifest(wrong.id(), true) && blobs.refer_manifest(manifest.id(), true));
            let JudgedManifests { right, wrong: found, unread, .. } = blobs.judge_all();
            assert_eq!((right, found, unread), (1, 1, 0));
            assert_eq!(blobs.record(manifest.id()).1.map(|listed| listed.judged), Some(Judged::Right));
            assert_eq!(blobs.keep(manifest.id()).expect("an answer"), ManifestKept::Kept { judged: true });
            for name in [wrong.id(), wrong.file()] {
                assert_eq!(blobs.whole(name), Err(ErrorCode::ManifestWrong), "found wrong: not read any more");
            }
            assert!(!blobs.refer_manifest(wrong.id(), true));
            assert_eq!(
                blobs.read(LOG, manifest.file(), ByteRange { start: 0, end: Some(9) }).expect("read"),
                whole[..9]
            );
            assert_eq!(blobs.judge_all().right, 0, "what was found is not looked at again");
        }
    }
    blobs.sweep_all();
}

#[test]
fn a_commit_refers_to_a_file_in_pieces_once_they_are_kept() {
    let mut blobs = Blobs::new();
    let pieces = many(3);
    let (bytes, manifest) = file(&pieces);
    let content = Content {
        blob: manifest.file(),
        bytes: manifest.size(),
        manifest: Some(manifest.id()),
        modified_at: Timestamp::default(),
        executable: false,
        attributes: None,
    };
    let commit = |number: u8, content| {
        let node = EntityId::from_bytes([number; 16]);
        let name = format!("file {number}");
        let create = TreeOp::Create { node, parent: TREE_ROOT, name, kind: Kind::File, content: Some(content) };
        Call::Commit(Commit {
            log: LOG.log,
            id: OpId::from_bytes([number; 16]),
            replica: ReplicaId::from_bytes([1; 16]),
            label: Label::new("device").expect("a label"),
            ops: Arc::new(tree::Commit::new(vec![create]).expect("a commit")),
        })
    };
    let ask = |blobs: &Blobs, call| match blobs.ask(call).map_err(|refusal| refusal.code)? {
        Reply::Committed(committed) => Ok(committed),
        other => panic!("{other:?}"),
    };
    let needs = Ok(Committed::Needs(vec![manifest.id()]));
    assert_eq!(ask(&blobs, commit(1, content)), needs);
    blobs.send(&pieces);
    blobs.put(&manifest.to_bytes()).expect("stored");
    assert_eq!(ask(&blobs, commit(1, content)), needs, "all is there, and nothing is kept yet");
    assert_eq!(blobs.keep(manifest.id()).expect("an answer"), ManifestKept::Kept { judged: true });
    let another = Content { blob: Digest::of(&[b"another"]), ..content };
    assert_eq!(ask(&blobs, commit(1, another)), Err(ErrorCode::ManifestWrong));
    assert_eq!(ask(&blobs, commit(1, Content { bytes: 7, ..content })), Err(ErrorCode::ManifestWrong));
    assert!(matches!(ask(&blobs, commit(1, content)), Ok(Committed::Done { seq: Some(_), .. })));
    assert_eq!(blobs.record(manifest.id()).0, 1);
    blobs.sweep_all();
    assert_eq!(blobs.whole(manifest.file()).expect("read"), bytes);
    let refused =
        blobs.ask(Call::KeepManifest { log: syncline::conformance::support::log(9).log, manifest: manifest.id() });
    assert_eq!(refused.expect_err("refused").code, ErrorCode::LogNotFound);
    let reader = syncline::access::Caller { access: syncline::access::Access::Read, ..operator() };
    let keep = Call::KeepManifest { log: LOG.log, manifest: manifest.id() };
    let refused = poll_to_end(blobs.world.server.handle(&reader, keep, blobs.env()));
    assert_eq!(refused.expect_err("refused").code, ErrorCode::Forbidden);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is asked, sent, kept, referred to, released and swept, in whatever order and at whatever time: what is referred
    /// to, by itself or by a manifest, and what somebody was told is here less than a lease ago, can be read; the count is the
    /// sum; and in the end nothing is left over.
    #[test]
    fn no_sweep_takes_what_somebody_needs(steps in proptest::collection::vec((0_u8..14, 0_u64..6, 0_u64..3), 1..80)) {
        let mut blobs = Blobs::new();
        let files = [file(&[0, 1, 2, 1].map(piece)), file(&[2, 3, 4].map(piece))];
        let content_of = |number: u64| match number {
            0..6 => piece(number),
            _ => files[usize::try_from(number - 6).expect("small")].1.to_bytes(),
        };
        let mut references: BTreeMap<u64, u32> = BTreeMap::new();
        let mut told: BTreeMap<u64, u64> = BTreeMap::new();
        let mut kept: BTreeMap<usize, u64> = BTreeMap::new();
        for (step, number, how_long) in steps {
            let which = usize::try_from(number % 2).expect("small");
            // A few of them are about manifests.
            let number = if step >= 8 { 6 + number % 2 } else { number };
            let content = content_of(number);
            let named = name(&content);
            match step {
                0 => if let Ok(needs) = blobs.needs(&[named]) && needs == [Need::Have] {
                    told.insert(number, blobs.now);
                },
                1 | 8 => if blobs.put(&content).is_ok() {
                    told.insert(number, blobs.now);
                },
                2 => {
                    let other = (number + 1) % 6;
                    if blobs.put_all(&[content, content_of(other)]).is_ok() {
                        told.insert(number, blobs.now);
                        told.insert(other, blobs.now);
                    }
                }
                3 => if blobs.refer(named.0, true) {
                    *references.entry(number).or_default() += 1;
                },
                11 => if blobs.refer_manifest(named.0, true) {
                    *references.entry(number).or_default() += 1;
                },
                4 | 12 => if let Some(count) = references.get_mut(&number).filter(|count| **count > 0) {
                    *count -= 1;
                    blobs.refer(named.0, false);
                },
                5 => blobs.wait([1_000, limits::BLOB_LEASE_MS / 2, limits::BLOB_LEASE_MS][usize::try_from(how_long).expect("small")]),
                9 | 10 => if let Ok(ManifestKept::Kept { judged }) = blobs.keep(named.0) {
                    prop_assert!(judged);
                    kept.insert(which, blobs.now);
                    told.insert(number, blobs.now);
                },
                // A sweep that dies after its first release.
                13 => {
                    let manifest = &files[which].1;
                    let at = blobs.record(named.0).1.map_or(0, |listed| listed.counted as usize);
                    if at > 0 {
                        blobs.step(manifest, at, at - 1..at, false);
                    }
                }
                _ => drop(blobs.sweep()),
            }
            for (number, at) in &told {
                let needed = references.get(number).is_some_and(|count| *count > 0);
                if needed || blobs.now - at <= limits::BLOB_LEASE_MS {
                    prop_assert_eq!(blobs.whole(name(&content_of(*number)).0), Ok(content_of(*number).to_vec()));
                }
            }
            for (which, at) in &kept {
                let needed = references.get(&(6 + *which as u64)).is_some_and(|count| *count > 0);
                if needed || blobs.now - at <= limits::BLOB_LEASE_MS {
                    prop_assert_eq!(blobs.whole(files[*which].1.file()), Ok(files[*which].0.to_vec()));
                }
            }
        }
        for (number, count) in references {
            for _ in 0..count {
                blobs.refer(name(&content_of(number)).0, false);
            }
        }
        (0..4).for_each(|_| blobs.sweep_all());
        prop_assert!(blobs.is_empty());
    }
}

#[test]
fn a_commit_says_how_many_bytes_a_blob_has_and_nothing_else_is_taken() {
    let blobs = Blobs::new();
    let bytes = content(1, 1_000);
    let (blob, size) = name(&bytes);
    blobs.put(&bytes).expect("stored");
    let commit = |number: u8, bytes: u64, attributes| {
        let modified_at = Timestamp::default();
        let content = Content { blob, bytes, manifest: None, modified_at, executable: false, attributes };
        let (node, name) = (EntityId::from_bytes([number; 16]), format!("file {number}"));
        let create = TreeOp::Create { node, parent: TREE_ROOT, name, kind: Kind::File, content: Some(content) };
        let commit = Commit {
            log: LOG.log,
            id: OpId::from_bytes([number; 16]),
            replica: ReplicaId::from_bytes([1; 16]),
            label: Label::new("device").expect("a label"),
            ops: Arc::new(tree::Commit::new(vec![create]).expect("a commit")),
        };
        blobs.ask(Call::Commit(commit)).map_err(|refusal| refusal.code)
    };
    for wrong in [0, size - 1, size + 1, u64::from(u32::MAX)] {
        assert_eq!(commit(1, wrong, None).map(drop), Err(ErrorCode::BlobMismatch), "{wrong} bytes");
    }
    assert_eq!(blobs.record(blob).0, 0, "what was refused refers to nothing");
    assert!(matches!(commit(1, size, None), Ok(Reply::Committed(Committed::Done { seq: Some(_), .. }))));
    // What is beside a file has a size of its own.
    let beside = content(2, 10);
    blobs.put(&beside).expect("stored");
    assert!(matches!(commit(2, size, Some(name(&beside).0)), Ok(Reply::Committed(Committed::Done { .. }))));
    assert_eq!(blobs.record(blob).0, 2);
}
