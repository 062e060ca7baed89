//! A process that stores blobs in files, under `strace`: its calls fail one after the other, or it is killed there.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use syncline::conformance::bodies::{append, bucket, drain, put, read, upload};
use syncline::store::{BlobError, BlobKey, BlobStore as _, ByteRange, UploadKey};
use syncline_blob_fs::FsBlobs;
use syncline_tests::rig::folder::Folder;
use syncline_tests::rig::server::program;

use super::Made;
use crate::part::{Counts, count};
use crate::power::wait;
use crate::syscalls::{Fault, Met, Point, injected, words};

/// The calls of a store of files.
pub const CALLS: &[(&str, &[Fault])] = &[
    ("write", &[Fault::Full, Fault::Io, Fault::StaysFull, Fault::Kill]),
    ("pwrite64", &[Fault::Full, Fault::Io, Fault::Kill]),
    ("fsync", &[Fault::Io, Fault::Kill]),
    ("fdatasync", &[Fault::Io, Fault::Kill]),
    ("rename", &[Fault::Io, Fault::Full, Fault::Kill]),
    ("mkdir", &[Fault::Full, Fault::Kill]),
    ("ftruncate", &[Fault::Io, Fault::Kill]),
    ("unlink", &[Fault::Io, Fault::Kill]),
    ("unlinkat", &[Fault::Io, Fault::Kill]),
    ("openat", &[Fault::Io, Fault::Kill]),
];

/// What the process does: some blobs at once, some piece by piece, some taken away again.
const PUTS: [Made; 4] = [made(1, 10), made(2, 70_000), made(3, 1_500_000), made(4, 0)];
const UPLOADS: [Made; 2] = [made(5, 30_000), made(6, 900)];
const PIECES: usize = 3;

const fn made(seed: u64, len: usize) -> Made {
    Made { seed, len }
}

fn upload_of(made: Made) -> UploadKey {
    upload(u8::try_from(made.seed).unwrap_or(0))
}

/// What the process is: it stores, and says of each step on standard output that it is done.
///
/// # Panics
/// When its output is closed.
pub fn work(root: &Path) {
    let mut out = std::io::stdout();
    let mut done = |what: &str, made: Made| {
        writeln!(out, "{what} {}", made.seed).and_then(|()| out.flush()).expect("somebody listens");
    };
    let Ok(store) = FsBlobs::open(root) else { return };
    for made in PUTS {
        if wait(put(&store, made.key(), made.len as u64, &made.bytes())).is_ok() {
            done("stored", made);
        }
        if wait(read(&store, made.key(), ByteRange::default())).is_ok_and(|bytes| bytes != made.bytes()) {
            done("wrong", made);
        }
    }
    for made in UPLOADS {
        if uploaded(&store, made).is_ok() {
            done("stored", made);
        }
    }
    let _ = wait(store.list(bucket(1), None, 100));
    let first = PUTS[0];
    // From now on it may be gone.
    done("dropping", first);
    let _ = wait(store.delete(&[first.key()]));
}

/// Piece by piece, from wherever it is.
fn uploaded(store: &FsBlobs, made: Made) -> Result<(), BlobError> {
    let (upload, bytes) = (upload_of(made), made.bytes());
    loop {
        let at = wait(store.uploaded(upload))?.map_or(0, |stat| stat.size);
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        if from >= made.len {
            break;
        }
        let until = (from + made.len.div_ceil(PIECES)).min(made.len);
        wait(append(store, upload, at, 1, &bytes[from..until]))?;
    }
    wait(store.finish(upload.upload, made.key(), made.len as u64)).map(drop)
}

/// Runs the process once with this fault, and looks at what it left.
///
/// # Panics
/// When a promise is broken.
pub fn meet(point: Point) -> (Met, Counts) {
    let folder = Folder::new("blobs").expect("a folder");
    let (root, trace) = (folder.path().join("blobs"), folder.path().join("trace"));
    let through = words(point, &trace, None, &root.join(".temp/$$-0")).join(" ");
    let output = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!(r#": >"$0/$$" && exec {through} "$@""#))
        .arg(folder.path().join("pids"))
        .arg(program("blob_worker"))
        .arg(&root)
        .stdin(Stdio::null())
        .output()
        .expect("a process");
    for ended in fs::read_dir(folder.path().join("pids")).expect("a folder").flatten() {
        let _ = fs::remove_file(ended.path());
    }
    let (said, cried) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!cried.contains("panicked"), "{point:?}: it panics: {cried}");
    assert!(!cried.contains("strace: "), "{point:?}: it was never started: {cried}");
    assert!(!said.contains("wrong"), "{point:?}: other bytes were read: {said}");
    let came = if point.fault == Fault::Kill { output.status.signal() == Some(9) } else { injected(&trace) };
    assert!(came || output.status.success(), "{point:?}: it ends as {}, and nothing failed: {cried}", output.status);
    let met = if came { Met::Reached } else { Met::Beyond };
    let mut counts = Counts::new();
    count(&mut counts, "disk points", u64::from(met == Met::Reached));
    look(&root, &said, point);
    (met, counts)
}

fn look(root: &Path, said: &str, point: Point) {
    let store = FsBlobs::open(root).unwrap_or_else(|error| panic!("{point:?}: it does not open again: {error}"));
    let told = |what: &str, made: Made| said.lines().any(|line| line == format!("{what} {}", made.seed));
    for made in PUTS.into_iter().chain(UPLOADS) {
        let whole = wait(read(&store, made.key(), ByteRange::default()));
        match whole {
            Ok(bytes) => assert!(bytes == made.bytes(), "{point:?}: other bytes under {made:?}"),
            Err(BlobError::NotFound) if !told("stored", made) || told("dropping", made) => {}
            Err(error) => panic!("{point:?}: {made:?}, acknowledged {}: {error}", told("stored", made)),
        }
    }
    for stat in wait(store.list(bucket(1), None, 100)).expect("a list") {
        let key = BlobKey { bucket: bucket(1), blob: stat.blob };
        let source = wait(store.open(key, ByteRange::default())).expect("opened");
        wait(drain(source)).unwrap_or_else(|error| panic!("{point:?}: what is listed does not read: {error}"));
    }
    let left: usize = fs::read_dir(root.join(".temp"))
        .expect("the folder of unfinished files")
        .map(|of_process| fs::read_dir(of_process.expect("an entry").path()).expect("a folder").count())
        .sum();
    assert_eq!(left, 0, "{point:?}: unfinished files stay");
    // Without faults everything goes.
    for made in PUTS {
        wait(put(&store, made.key(), made.len as u64, &made.bytes()))
            .unwrap_or_else(|error| panic!("{point:?}: {error}"));
    }
    for made in UPLOADS {
        if wait(store.stat(made.key())).expect("asked").is_none() {
            uploaded(&store, made).unwrap_or_else(|error| panic!("{point:?}: {made:?} cannot go on: {error}"));
        }
    }
    for made in PUTS.into_iter().chain(UPLOADS) {
        let bytes = wait(read(&store, made.key(), ByteRange::default()));
        assert!(bytes.unwrap_or_else(|error| panic!("{point:?}: {error}")) == made.bytes(), "{point:?}: {made:?}");
    }
}
