//! A process is killed at each step, and the next one finds the blob whole or not at all.
//!
//! A test starts itself again as the process that dies: the variables say where and on what.

use std::cell::RefCell;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use rustix::process::{Signal, getpid, kill_process};
use syncline::conformance::bodies::{Pieces, append, at, body, bucket, content, key, put, read, upload};
use syncline::store::{BlobKey, BlobStore as _, ByteRange};

use crate::FsBlobs;
use crate::stage::Stage;

const DIE_AT: &str = "SYNCLINE_BLOB_FS_DIE_AT";
const FOLDER: &str = "SYNCLINE_BLOB_FS_FOLDER";

thread_local! {
    /// Work is done in place here, in the thread of the test.
    static REACHED: RefCell<Vec<Stage>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn reached(stage: Stage) {
    REACHED.with_borrow_mut(|reached| reached.push(stage));
    if std::env::var(DIE_AT).is_ok_and(|wanted| wanted == format!("{stage:?}")) {
        kill_process(getpid(), Signal::KILL).unwrap();
        loop {
            std::thread::park();
        }
    }
}

/// Without a runtime nothing waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for somebody"),
    }
}

/// Runs this test in a process that is killed when it comes to `stage`.
fn die(test: &str, stage: Stage, folder: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", &format!("tests::crash::{test}"), "--nocapture"]);
    let status = child.env(DIE_AT, format!("{stage:?}")).env(FOLDER, folder).output().unwrap().status;
    assert_eq!(status.signal(), Some(9), "it came to {stage:?}");
}

fn unfinished(folder: &Path) -> usize {
    let folders = std::fs::read_dir(folder.join(".temp")).unwrap();
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

/// More than two pieces.
const LEN: usize = (2 << 20) + 77;

#[test]
fn fault_b01_killed_at_any_step_a_blob_is_there_whole_or_not_at_all() {
    let bytes = content(1, LEN);
    let key = key(1, &bytes);
    if let Ok(folder) = std::env::var(FOLDER) {
        let store = FsBlobs::open(folder).unwrap();
        now(put(&store, key, LEN as u64, &bytes)).unwrap();
        return;
    }
    for stage in [Stage::Made, Stage::Written, Stage::Synced, Stage::Named, Stage::Settled] {
        let folder = tempfile::tempdir().unwrap();
        let other = FsBlobs::open(folder.path()).unwrap();
        now(put(&other, super::crash::key(1, b"before"), 6, b"before")).unwrap();
        die("fault_b01_killed_at_any_step_a_blob_is_there_whole_or_not_at_all", stage, folder.path());
        let left = unfinished(folder.path());
        assert_eq!(left, usize::from(!matches!(stage, Stage::Named | Stage::Settled)), "{stage:?}");

        let store = FsBlobs::open(folder.path()).unwrap();
        assert_eq!(unfinished(folder.path()), 0, "what the dead left is swept, {stage:?}");
        let found = now(store.stat(key)).unwrap();
        assert_eq!(found.is_some(), left == 0, "{stage:?}");
        assert!(found.is_none_or(|stat| stat.size == LEN as u64), "{stage:?}");
        now(put(&store, key, LEN as u64, &bytes)).unwrap();
        assert_eq!(now(read(&store, key, ByteRange::default())).unwrap(), bytes);
        assert_eq!(now(read(&other, super::crash::key(1, b"before"), ByteRange::default())).unwrap(), b"before");
    }
}

#[test]
fn fault_b01_killed_at_any_step_an_upload_goes_on_where_it_says() {
    let mut first = Pieces::new(1, 9, 1_000_003);
    let bytes: Vec<u8> = (1..=9).flat_map(|seed| content(seed, 1_000_003)).chain(content(7, 100)).collect();
    let key = key(1, &bytes);
    if let Ok(folder) = std::env::var(FOLDER) {
        let store = FsBlobs::open(folder).unwrap();
        now(store.append(upload(1), at(0, 1), &mut first)).unwrap();
        now(append(&store, upload(1), first_len(), 2, &content(7, 100))).unwrap();
        now(store.finish(upload(1).upload, key, bytes.len() as u64)).unwrap();
        return;
    }
    for stage in [Stage::PieceSynced, Stage::Marked, Stage::Named, Stage::Settled, Stage::Finished] {
        let folder = tempfile::tempdir().unwrap();
        die("fault_b01_killed_at_any_step_an_upload_goes_on_where_it_says", stage, folder.path());
        let store = FsBlobs::open(folder.path()).unwrap();
        let there = now(store.stat(key)).unwrap().is_some();
        assert_eq!(there, matches!(stage, Stage::Named | Stage::Settled | Stage::Finished), "{stage:?}");
        let at = now(store.uploaded(upload(1))).unwrap().map(|stat| stat.size);
        assert_eq!(at, (stage == Stage::Marked).then_some(8 << 20), "{stage:?}");
        // Listing clears what is no upload any more.
        assert_eq!(now(store.uploads(bucket(1), None, 9)).unwrap().len(), usize::from(at.is_some()));
        assert_eq!(
            folder.path().join(bucket(1).to_string()).join("uploads").read_dir().unwrap().count(),
            usize::from(at.is_some())
        );
        let at = at.unwrap_or(0);
        let rest = &bytes[usize::try_from(at).unwrap()..];
        now(append(&store, upload(1), at, 3, rest)).unwrap();
        now(store.finish(upload(1).upload, key, bytes.len() as u64)).unwrap();
        assert_eq!(now(read(&store, key, ByteRange::default())).unwrap(), bytes);
    }
}

const fn first_len() -> u64 {
    9 * 1_000_003
}

/// An upload that died when it had become a blob, and begins anew under its old name, knows nothing of what it was.
#[test]
fn an_upload_that_begins_anew_forgets_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsBlobs::open(folder.path()).unwrap();
    now(append(&store, upload(1), 0, 9, &content(1, 1_000))).unwrap();
    let bytes = store.inner.layout.upload(upload(1)).join("bytes");
    std::fs::remove_file(bytes).unwrap();
    assert!(now(store.uploaded(upload(1))).unwrap().is_none());
    now(append(&store, upload(1), 0, 1, &content(2, 600))).unwrap();
    now(append(&store, upload(1), 600, 1, &content(3, 600))).unwrap();
    let whole = [content(2, 600), content(3, 600)].concat();
    now(store.finish(upload(1).upload, key(1, &whole), 1_200)).unwrap();
    assert_eq!(now(read(&store, key(1, &whole), ByteRange::default())).unwrap(), whole);
}

#[test]
fn fault_b02_bytes_are_durable_before_they_have_a_name_and_the_name_before_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsBlobs::open(folder.path()).unwrap();
    let steps = |work: &dyn Fn()| {
        REACHED.take();
        work();
        REACHED.take()
    };
    let stored = steps(&|| {
        now(store.put(key(1, b"hello"), 5, &mut body(b"hello"))).unwrap();
    });
    assert_eq!(stored, [Stage::Made, Stage::Written, Stage::Synced, Stage::Named, Stage::Settled]);
    let present = steps(&|| {
        now(store.put(key(1, b"hello"), 5, &mut body(b"hello"))).unwrap();
    });
    assert_eq!(present, [Stage::Made, Stage::Settled]);
    let appended = steps(&|| {
        now(append(&store, upload(1), 0, 1, b"other")).unwrap();
    });
    assert_eq!(appended, [Stage::PieceSynced, Stage::Marked]);
    let other = BlobKey { bucket: bucket(1), ..key(1, b"other") };
    let finished = steps(&|| {
        now(store.finish(upload(1).upload, other, 5)).unwrap();
    });
    assert_eq!(finished, [Stage::Named, Stage::Settled, Stage::Finished]);
}
