//! Scanners: what is read before, while and after they judge, who waits, and whose word counts. The scanner is a script: it
//! says what it is told to, fails when it is down, and notes what it was shown.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use syncline::blob::{Chunker, Engine, Finding, Manifest, Piece, ScanPolicy, ScanRecord, ScanState};
use syncline::call::{Call, ErrorCode, ManifestKept, Reply};
use syncline::conformance::support::env;
use syncline::decide::{self, Scope, Unscanned, scan_reads};
use syncline::digest::{BlobId, Digest};
use syncline::limits;
use syncline::oplog::Sealing;
use syncline::server::{ScannedBlobs, blob_space};
use syncline::store::{
    BlobKey, BlobSource, BlobStore as _, ByteRange, BytesSource, MemoryBlobs, ScanError, Scanner, StoreExt as _,
};

use super::common::poll_to_end;
use super::{LOG, World, operator};

const MINUTE_MS: u64 = 60_000;
const LATER_MS: u64 = 1_000_000;
const VIRUS: &[u8] = b"something that should not be here";

#[derive(Debug, Clone)]
struct Script {
    engine: Engine,
    down: bool,
    /// It answers, and is away by the time it is shown something.
    lost: bool,
    /// What fails though the engine answers.
    poison: Option<BlobId>,
    seen: Arc<Mutex<Vec<Bytes>>>,
}

impl Script {
    fn new(version: u64) -> Self {
        Self { engine: Engine::new("script", version), down: false, lost: false, poison: None, seen: Arc::default() }
    }

    fn shown(&self) -> usize {
        self.seen.lock().expect("not poisoned").len()
    }
}

#[async_trait]
impl Scanner for Script {
    async fn engine(&self) -> Result<Engine, ScanError> {
        if self.down { Err(ScanError::Down("nobody listens".into())) } else { Ok(self.engine.clone()) }
    }

    async fn scan(&self, size: u64, bytes: &mut dyn BlobSource) -> Result<Finding, ScanError> {
        if self.lost {
            return Err(ScanError::Down("nobody listens any more".into()));
        }
        let mut held = Vec::new();
        while let Some(chunk) = bytes.next().await? {
            held.extend_from_slice(&chunk);
        }
        assert_eq!(held.len() as u64, size);
        self.seen.lock().expect("not poisoned").push(held.clone().into());
        if self.poison == Some(Digest::of(&[&held])) {
            return Err(ScanError::Timeout);
        }
        // What it knows grows with its version.
        Ok(match held.as_slice() {
            content if self.engine.version >= 2 && content.windows(VIRUS.len()).any(|part| part == VIRUS) => {
                Finding::Found("Script.Virus".into())
            }
            content if content.starts_with(b"large") => Finding::Unfit("too large".into()),
            _ => Finding::Clean,
        })
    }
}

fn world(policy: ScanPolicy) -> World {
    let mut world = World::new();
    world.server = world.server.clone().with_blobs(Arc::new(MemoryBlobs::new()));
    world.call(Call::CreateLog { log: LOG.log, sealing: Sealing::default() });
    set(&world, policy);
    world
}

fn set(world: &World, policy: ScanPolicy) {
    assert!(matches!(world.call(Call::SetScanning { log: LOG.log, policy }), Reply::Done));
}

fn put(world: &World, content: &[u8]) -> BlobId {
    let bytes = Bytes::copy_from_slice(content);
    let (blob, size) = (Digest::of(&[content]), content.len() as u64);
    let mut body = BytesSource::new(bytes);
    poll_to_end(world.server.put_blob(&operator(), LOG.log, (blob, size), &mut body, world.env())).expect("taken");
    blob
}

fn read(world: &World, blob: BlobId) -> Result<(), ErrorCode> {
    let size = poll_to_end(world.server.blob_size(&operator(), LOG.log, blob)).map(drop);
    let opened = poll_to_end(world.server.open_blob(&operator(), LOG.log, blob, ByteRange::default())).map(drop);
    let (size, opened) = (size.map_err(|refusal| refusal.code), opened.map_err(|refusal| refusal.code));
    assert_eq!(size, opened, "the size is told to whom the bytes are");
    opened
}

fn step(world: &World, scanner: &Script) -> ScannedBlobs {
    poll_to_end(world.server.scan_blobs(LOG, scanner, None, 100, world.env())).expect("scanned").0
}

/// The same, so many ms later than anything else that happens here.
fn step_after(world: &World, scanner: &Script, ms: u64) -> ScannedBlobs {
    poll_to_end(world.server.scan_blobs(LOG, scanner, None, 100, env(LATER_MS + ms))).expect("scanned").0
}

fn judged(judged: usize) -> ScannedBlobs {
    ScannedBlobs { judged, ..ScannedBlobs::default() }
}

fn scans(world: &World) -> Vec<ScanRecord> {
    match world.call(Call::Scans { log: LOG.log, after: None, limit: 100 }) {
        Reply::Scans { scans, .. } => scans,
        other => panic!("{other:?}"),
    }
}

fn state(world: &World, blob: BlobId) -> Option<ScanState> {
    scans(world).into_iter().find(|scan| scan.blob == blob).map(|scan| scan.state)
}

#[test]
fn what_is_read_before_a_verdict_is_the_logs_choice_and_what_was_found_is_read_by_nobody() {
    use ErrorCode::{Quarantined, ScanPending, ScanRejected};
    let rows = [
        (ScanPolicy::Off, Ok(()), [Ok(()), Ok(()), Ok(())]),
        (ScanPolicy::Meanwhile, Ok(()), [Ok(()), Err(Quarantined), Ok(())]),
        (ScanPolicy::UntilClean, Err(ScanPending), [Ok(()), Err(Quarantined), Err(ScanRejected)]),
    ];
    for (policy, before, after) in rows {
        let world = world(policy);
        let blobs = [b"good".as_slice(), VIRUS, b"large"].map(|content| put(&world, content));
        assert_eq!(blobs.map(|blob| read(&world, blob)), [before; 3], "{policy:?}");
        step(&world, &Script::new(2));
        assert_eq!(blobs.map(|blob| read(&world, blob)), after, "{policy:?}");
        if policy != ScanPolicy::Off {
            // What was found stays found when scanning ends.
            set(&world, ScanPolicy::Off);
            assert_eq!(blobs.map(|blob| read(&world, blob)), [Ok(()), Err(Quarantined), Ok(())]);
        }
    }
}

#[test]
fn fault_m10_a_scanner_that_is_down_for_an_hour_loses_no_verdict() {
    let world = world(ScanPolicy::UntilClean);
    let mut scanner = Script { down: true, ..Script::new(2) };
    let mut blobs = Vec::new();
    for minute in 0..60_u8 {
        blobs.push(put(&world, &[minute; 40]));
        let refused = poll_to_end(world.server.scan_blobs(LOG, &scanner, None, 100, world.env()));
        assert_eq!(refused.expect_err("down").code, ErrorCode::Unavailable);
        assert_eq!(read(&world, blobs[0]), Err(ErrorCode::ScanPending));
    }
    // Some were there before anything was scanned, and one went with its log's policy off and on.
    let virus = put(&world, VIRUS);
    scanner.down = false;
    assert_eq!(step(&world, &scanner), judged(61));
    assert_eq!(step(&world, &scanner), judged(0), "once is enough");
    assert!(blobs.iter().all(|blob| read(&world, *blob).is_ok()));
    assert_eq!(read(&world, virus), Err(ErrorCode::Quarantined));
}

#[test]
fn a_blob_that_fails_waits_and_keeps_no_other_waiting() {
    let world = world(ScanPolicy::UntilClean);
    let blobs: Vec<BlobId> = (0..5_u8).map(|n| put(&world, &[n; 9])).collect();
    let scanner = Script { poison: Some(blobs[2]), ..Script::new(1) };
    let done = step(&world, &scanner);
    assert_eq!((done.judged, done.failed), (4, 1));
    assert!(done.fault.expect("said").contains("took too long"));
    let readable = blobs.iter().filter(|blob| read(&world, **blob).is_ok()).count();
    assert_eq!((readable, read(&world, blobs[2])), (4, Err(ErrorCode::ScanPending)));
    assert_eq!(step_after(&world, &Script::new(1), MINUTE_MS), judged(1), "and is asked about again");
    assert_eq!(read(&world, blobs[2]), Ok(()));
}

#[test]
fn a_blob_that_always_takes_too_long_takes_the_scanners_time_less_and_less_often() {
    let world = world(ScanPolicy::UntilClean);
    let bad = put(&world, b"takes too long");
    let scanner = Script { poison: Some(bad), ..Script::new(1) };
    let mut at = 0_u64;
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360].map(|minutes| minutes * MINUTE_MS) {
        let (shown, first) = (scanner.shown(), put(&world, &at.to_be_bytes()));
        let done = step_after(&world, &scanner, at);
        assert_eq!((done.judged, done.failed, scanner.shown()), (1, 1, shown + 2), "after {at} ms");
        let second = put(&world, &(at + 1).to_be_bytes());
        assert_eq!(
            step_after(&world, &scanner, at + wait - 1),
            judged(1),
            "it is asked about before {wait} ms are over"
        );
        assert!(read(&world, first).is_ok() && read(&world, second).is_ok());
        at += wait;
    }
    assert_eq!(read(&world, bad), Err(ErrorCode::ScanPending));
    // Who sends it again, or a scanner that is away, puts nothing off.
    put(&world, b"takes too long");
    assert_eq!(step_after(&world, &scanner, at - 1), judged(0));
    let fresh = put(&world, b"fresh");
    let down = Script { lost: true, ..Script::new(1) };
    assert_eq!(step_after(&world, &down, at - 1).failed, 1);
    assert_eq!(step_after(&world, &Script::new(1), at - 1), judged(1), "it was the scanner's fault");
    assert_eq!(read(&world, fresh), Ok(()));
    assert_eq!(step_after(&world, &Script::new(1), at), judged(1));
    assert_eq!(read(&world, bad), Ok(()));
}

#[test]
fn a_place_in_the_queue_is_read_back_as_it_was_written_and_nothing_else_is_one() {
    let fresh = Unscanned::new(Digest::of(&[b"x"]));
    assert_eq!(&fresh.to_bytes()[..], fresh.blob.as_bytes(), "as it was before anything failed");
    let failed = fresh.failed(env(5).now).failed(env(9).now);
    for place in [fresh, failed] {
        assert_eq!(Unscanned::from_bytes(&place.to_bytes()), Ok(place));
    }
    let bytes = failed.to_bytes();
    let longer = [&bytes[..], b"x"].concat();
    let never = [&bytes[..32], &[0; 4], &bytes[36..]].concat();
    for bad in [&bytes[..31], &bytes[..33], &bytes[..43], &longer, &never] {
        assert!(Unscanned::from_bytes(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn fault_m10_bytes_that_are_damaged_get_no_verdict_and_keep_no_other_waiting() {
    let mut world = World::new();
    let bytes = Arc::new(MemoryBlobs::new());
    world.server = world.server.clone().with_blobs(Arc::<MemoryBlobs>::clone(&bytes));
    world.call(Call::CreateLog { log: LOG.log, sealing: Sealing::default() });
    set(&world, ScanPolicy::UntilClean);
    let blobs = [put(&world, b"one"), put(&world, b"two")];
    let lost = BlobKey { bucket: blob_space(LOG), blob: blobs[0] };
    poll_to_end(bytes.delete(&[lost])).expect("deleted");
    let done = step(&world, &Script::new(1));
    assert_eq!((done.judged, done.failed), (1, 1));
    assert_eq!(read(&world, blobs[0]), Err(ErrorCode::ScanPending));
}

#[test]
fn a_newer_engine_is_shown_everything_and_an_older_ones_late_word_does_not_count() {
    let world = world(ScanPolicy::UntilClean);
    let (virus, good) = (put(&world, VIRUS), put(&world, b"good"));
    let (old, new) = (Script::new(1), Script::new(2));
    assert_eq!(step(&world, &old), judged(2));
    assert_eq!(read(&world, virus), Ok(()), "not known yet");
    assert_eq!(step(&world, &new), judged(2), "and found by who knows more");
    assert_eq!((read(&world, virus), read(&world, good)), (Err(ErrorCode::Quarantined), Ok(())));

    // A server that is behind: its engine was asked before, and answers now.
    let late = ScanRecord::of(virus, old.engine.clone(), Finding::Clean, world.env().now);
    let rule = move |view: &decide::View| decide::keep_scan(LOG, &late, view);
    let counted = poll_to_end(world.store.decide(Scope::log(LOG, scan_reads([virus].into_iter())), rule));
    assert!(!counted.expect("committed").expect("judged"));
    assert_eq!(read(&world, virus), Err(ErrorCode::Quarantined));
    assert_eq!(step(&world, &old), judged(0), "it is not asked again by whom knows less");

    // A late word on a blob that waits for the newer engine does not end its wait.
    let waiting = put(&world, b"waits");
    let late = ScanRecord::of(waiting, old.engine.clone(), Finding::Clean, world.env().now);
    let rule = move |view: &decide::View| decide::keep_scan(LOG, &late, view);
    let counted = poll_to_end(world.store.decide(Scope::log(LOG, scan_reads([waiting].into_iter())), rule));
    assert!(counted.expect("committed").expect("judged"), "it is the only word there is");
    assert_eq!(step(&world, &old), judged(0));
    assert_eq!(step(&world, &new), judged(1));
}

#[test]
fn a_new_engine_goes_through_many_blobs_in_steps_that_may_be_cut_off() {
    let world = world(ScanPolicy::Meanwhile);
    set(&world, ScanPolicy::Off);
    let blobs: Vec<BlobId> = (0..25_u8).map(|n| put(&world, &[n; 5])).collect();
    set(&world, ScanPolicy::Meanwhile);
    let scanner = Script::new(1);
    let (mut steps, mut judged) = (0, 0);
    loop {
        // Each step begins from nothing, as after a crash: how far it came is in the store.
        let (done, _) = poll_to_end(world.server.scan_blobs(LOG, &scanner, None, 4, world.env())).expect("scanned");
        (steps, judged) = (steps + 1, judged + done.judged);
        if !done.more {
            break;
        }
    }
    assert!((7..=8).contains(&steps), "{steps} steps of four");
    assert_eq!((judged, scanner.shown(), scans(&world).len()), (25, 25, blobs.len()), "each once");
}

#[test]
fn small_blobs_in_a_pack_are_judged_one_by_one() {
    let world = world(ScanPolicy::UntilClean);
    let contents = [b"a".as_slice(), VIRUS, b"c"].map(Bytes::copy_from_slice);
    let blobs: Vec<_> = contents.iter().map(|bytes| (Digest::of(&[bytes]), bytes.clone())).collect();
    poll_to_end(world.server.put_blobs(&operator(), LOG.log, blobs.clone(), world.env())).expect("taken");
    let scanner = Script::new(2);
    assert_eq!(step(&world, &scanner), judged(3), "and the pack is nobody's content");
    let read: Vec<_> = blobs.iter().map(|(blob, _)| read(&world, *blob)).collect();
    assert_eq!(read, [Ok(()), Err(ErrorCode::Quarantined), Ok(())]);
}

#[test]
fn an_operator_releases_what_was_found_and_has_it_judged_again() {
    let world = world(ScanPolicy::UntilClean);
    let (virus, absent) = (put(&world, VIRUS), Digest::of(&[b"absent"]));
    let (log, two) = (LOG.log, Script::new(2));
    step(&world, &two);
    world.call(Call::ReleaseBlob { log, blob: virus });
    assert_eq!((read(&world, virus), state(&world, virus)), (Ok(()), Some(ScanState::Released)));
    assert_eq!(scans(&world)[0].why, "Script.Virus", "what was found is still said");
    assert_eq!(step(&world, &Script::new(3)), judged(0), "nor does a newer engine take it back");
    world.call(Call::RescanBlob { log, blob: virus });
    assert_eq!(read(&world, virus), Err(ErrorCode::ScanPending));
    assert_eq!(step(&world, &Script::new(3)), judged(1));
    assert_eq!(read(&world, virus), Err(ErrorCode::Quarantined));
    // What waits can be released, too.
    let waits = put(&world, b"waits");
    world.call(Call::ReleaseBlob { log, blob: waits });
    assert_eq!(read(&world, waits), Ok(()));
    assert_eq!(step(&world, &Script::new(3)), judged(0));
    for call in [Call::ReleaseBlob { log, blob: absent }, Call::RescanBlob { log, blob: absent }] {
        assert_eq!(world.code(call), ErrorCode::BlobNotFound);
    }
    for limit in [0, limits::LIST_ITEMS_MAX + 1] {
        assert_eq!(world.code(Call::Scans { log, after: None, limit }), ErrorCode::LimitOutOfRange);
    }
}

#[test]
fn bytes_that_were_found_bad_are_bad_when_they_come_again_and_clean_ones_leave_nothing() {
    let world = world(ScanPolicy::UntilClean);
    let (virus, good) = (put(&world, VIRUS), put(&world, b"good"));
    let scanner = Script::new(2);
    step(&world, &scanner);
    // Nobody needs them, so they go.
    let mut now = 1_000_000;
    for _ in 0..3 {
        now += limits::BLOB_LEASE_MS + limits::BLOB_GRACE_MS + limits::BLOB_DELETE_MS;
        poll_to_end(world.server.sweep_blobs(LOG, None, 100, env(now))).expect("swept");
    }
    assert_eq!(read(&world, virus), Err(ErrorCode::BlobNotFound));
    assert_eq!((state(&world, virus), state(&world, good)), (Some(ScanState::Quarantined), None));
    put(&world, VIRUS);
    assert_eq!(read(&world, virus), Err(ErrorCode::Quarantined), "before it is shown to anybody");
    assert_eq!((step(&world, &scanner), scanner.shown()), (judged(0), 2));
}

/// A file of two pieces with the virus across their border, kept by a manifest: the manifest, the file, the pieces.
fn in_pieces(world: &World) -> (BlobId, BlobId, [BlobId; 2]) {
    let mut bytes = vec![7; 8_192];
    bytes[4_090..4_090 + VIRUS.len()].copy_from_slice(VIRUS);
    let pieces = [put(world, &bytes[..4_096]), put(world, &bytes[4_096..])];
    let (file, list) = (Digest::of(&[&bytes]), pieces.map(|blob| Piece { blob, len: 4_096 }).to_vec());
    let chunker = Chunker::fixed(4_096).expect("a chunker");
    let manifest = Manifest::new(file, 8_192, chunker, list).expect("a manifest").to_bytes();
    let manifest = put(world, &manifest);
    let kept = world.call(Call::KeepManifest { log: LOG.log, manifest });
    assert!(matches!(kept, Reply::ManifestKept(ManifestKept::Kept { .. })), "{kept:?}");
    (manifest, file, pieces)
}

#[test]
fn a_file_in_pieces_is_judged_as_a_whole_and_who_may_not_read_it_does_not_hear_of_its_pieces() {
    let strict = world(ScanPolicy::UntilClean);
    let (manifest, file, pieces) = in_pieces(&strict);
    assert_eq!([manifest, file].map(|blob| read(&strict, blob)), [Err(ErrorCode::ScanPending); 2]);
    assert_eq!(step(&strict, &Script::new(1)), judged(4), "two pieces, their list, and the file");
    assert_eq!([manifest, file].map(|blob| read(&strict, blob)), [Ok(()); 2], "not known yet");
    step(&strict, &Script::new(2));
    assert_eq!([manifest, file].map(|blob| read(&strict, blob)), [Err(ErrorCode::Quarantined); 2]);
    assert_eq!(pieces.map(|blob| state(&strict, blob)), [Some(ScanState::Clean); 2], "each by itself is good");
    strict.call(Call::ReleaseBlob { log: LOG.log, blob: file });
    assert_eq!([manifest, file].map(|blob| read(&strict, blob)), [Ok(()); 2]);

    // One that was there before anything was scanned.
    let late = world(ScanPolicy::Off);
    let (manifest, file, _) = in_pieces(&late);
    assert_eq!(read(&late, file), Ok(()));
    set(&late, ScanPolicy::Meanwhile);
    step(&late, &Script::new(2));
    assert_eq!([manifest, file].map(|blob| read(&late, blob)), [Err(ErrorCode::Quarantined); 2]);
}
