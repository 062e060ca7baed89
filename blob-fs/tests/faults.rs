//! Disks that are full, closed or damaged, and several servers on one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use syncline::conformance::bodies::{append, bucket, content, drain, key, put, read, upload};
use syncline::store::{BlobError, BlobKey, BlobStore as _, ByteRange};
use syncline_blob_fs::FsBlobs;

const DISK: &str = "SYNCLINE_BLOB_FS_DISK";

/// Without a runtime nothing waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for somebody"),
    }
}

fn file(root: &Path, key: BlobKey) -> PathBuf {
    let name = key.blob.to_string();
    root.join(key.bucket.to_string()).join(&name[..2]).join(&name[2..4]).join(&name)
}

/// Runs this test again with a disk of 4 MiB of its own at `DISK`: in a mount namespace, which ends with it.
fn on_a_small_disk(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut child = Command::new("unshare");
    child.arg("--mount").args(if root { None } else { Some("--map-root-user") });
    child.args(["sh", "-c", r#"mount -t tmpfs -o size=4m none "$0" && exec "$@""#]).arg(folder.path());
    child.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let output = child.env(DISK, folder.path()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "on a small disk (util-linux's unshare): {}", String::from_utf8_lossy(&said));
}

#[test]
fn fault_b17_a_full_disk_refuses_and_leaves_the_rest_intact() {
    let Some(disk) = std::env::var_os(DISK) else {
        return on_a_small_disk("fault_b17_a_full_disk_refuses_and_leaves_the_rest_intact");
    };
    let store = FsBlobs::open(&disk).unwrap();
    let (small, large, other) = (content(1, 1 << 20), content(2, 8 << 20), content(3, 2 << 20));
    now(put(&store, key(1, &small), 1 << 20, &small)).unwrap();
    for _ in 0..3 {
        let full = now(put(&store, key(1, &large), 8 << 20, &large));
        assert!(matches!(full, Err(BlobError::Full(_))), "{full:?}");
        assert_eq!(now(store.stat(key(1, &large))).unwrap(), None);
    }
    // What it had written is gone, so there is room.
    now(put(&store, key(1, &other), 2 << 20, &other)).unwrap();
    now(append(&store, upload(1), 0, 1, b"hel")).unwrap();
    let full = now(append(&store, upload(1), 3, 1, &large));
    assert!(matches!(full, Err(BlobError::Full(_))), "{full:?}");
    assert_eq!(now(store.uploaded(upload(1))).unwrap().map(|stat| stat.size), Some(3));
    assert_eq!(now(store.delete(&[key(1, &other)])).unwrap(), 1);
    now(append(&store, upload(1), 3, 1, b"lo")).unwrap();
    now(store.finish(upload(1).upload, key(1, b"hello"), 5)).unwrap();
    assert_eq!(now(read(&store, key(1, &small), ByteRange::default())).unwrap(), small);
}

#[test]
fn a_disk_that_takes_no_writes_is_said_to_deny_them() {
    let Some(disk) = std::env::var_os(DISK) else {
        return on_a_small_disk("a_disk_that_takes_no_writes_is_said_to_deny_them");
    };
    let store = FsBlobs::open(&disk).unwrap();
    now(put(&store, key(1, b"hello"), 5, b"hello")).unwrap();
    assert!(Command::new("mount").args(["-o", "remount,ro"]).arg(&disk).status().unwrap().success());
    let denied = now(put(&store, key(1, b"other"), 5, b"other"));
    assert!(matches!(denied, Err(BlobError::Denied(_))), "{denied:?}");
    let denied = now(append(&store, upload(1), 0, 1, b"other"));
    assert!(matches!(denied, Err(BlobError::Denied(_))), "{denied:?}");
    assert!(matches!(FsBlobs::open(&disk), Err(BlobError::Denied(_))));
    assert_eq!(now(read(&store, key(1, b"hello"), ByteRange::default())).unwrap(), b"hello");
}

#[test]
fn fault_b05_a_flipped_bit_is_never_read_as_the_blob() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsBlobs::open(folder.path()).unwrap();
    let bytes = content(1, 700_000);
    let key = key(1, &bytes);
    for at in [0, 300_000, 699_999] {
        now(put(&store, key, 700_000, &bytes)).unwrap();
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        fs::write(file(folder.path(), key), flipped).unwrap();

        let mut source = now(store.open(key, ByteRange::default())).unwrap();
        let mut given = 0;
        let error = loop {
            match now(source.next()) {
                Ok(Some(piece)) => given += piece.len(),
                Ok(None) => panic!("a damaged blob was read to its end"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, BlobError::Corrupt { blob } if blob == key.blob), "{error:?}");
        assert!(given < bytes.len(), "the last bytes are not given");
        assert!(now(source.next()).is_err(), "and not on asking again");
        fs::remove_file(file(folder.path(), key)).unwrap();
    }
}

#[test]
fn fault_b03_a_file_that_lost_its_end_is_never_read_as_the_blob() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsBlobs::open(folder.path()).unwrap();
    let bytes = content(1, 700_000);
    let key = key(1, &bytes);
    for len in [0, 1, 262_144, 699_999, 700_001] {
        now(put(&store, key, 700_000, &bytes)).unwrap();
        let file = fs::OpenOptions::new().write(true).open(file(folder.path(), key)).unwrap();
        file.set_len(len).unwrap();
        let source = now(store.open(key, ByteRange::default())).unwrap();
        assert!(matches!(now(drain(source)), Err(BlobError::Corrupt { .. })), "{len}");
        // Storing it again heals what has another size.
        now(put(&store, key, 700_000, &bytes)).unwrap();
        assert_eq!(now(read(&store, key, ByteRange::default())).unwrap(), bytes);
    }
}

#[test]
fn fault_b05_a_scrub_finds_damage_and_puts_it_aside() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsBlobs::open(folder.path()).unwrap();
    let mut keys = Vec::new();
    for number in 0..20_u8 {
        let bytes = content(number.into(), 1_000);
        let key = key(number % 3, &bytes);
        now(put(&store, key, 1_000, &bytes)).unwrap();
        keys.push((key, bytes));
    }
    let damaged = [keys[4].0, keys[9].0, keys[17].0];
    for key in damaged {
        let path = file(folder.path(), key);
        let mut bytes = fs::read(&path).unwrap();
        bytes[500] ^= 0x80;
        fs::write(path, bytes).unwrap();
    }
    let mut found = Vec::new();
    let (mut blobs, mut after) = (0, None);
    loop {
        let step = now(store.scrub(after, 3)).unwrap();
        assert!(step.blobs <= 3);
        blobs += step.blobs;
        found.extend(step.damaged);
        after = step.next;
        if after.is_none() {
            break;
        }
    }
    found.sort_unstable();
    let mut expected = damaged.to_vec();
    expected.sort_unstable();
    assert_eq!((blobs, found), (20, expected));
    assert_eq!(folder.path().join(".damaged").read_dir().unwrap().count(), 3, "put aside, not deleted");
    for (key, bytes) in &keys {
        assert_eq!(now(store.stat(*key)).unwrap().is_none(), damaged.contains(key));
        now(put(&store, *key, 1_000, bytes)).unwrap();
        assert_eq!(now(read(&store, *key, ByteRange::default())).unwrap(), *bytes);
    }
    assert_eq!(now(store.scrub(None, 100)).unwrap().damaged, []);
}

/// What one has begun, another goes on with; nobody removes what another is writing.
#[test]
fn servers_on_one_directory_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = FsBlobs::open(folder.path()).unwrap();
    now(append(&first, upload(1), 0, 1, b"hel")).unwrap();
    let long = content(1, 3 << 20);
    let (mut body, stuck) = syncline::conformance::bodies::Broken::stuck_after(long.clone().into());
    let key_of_long = key(1, &long);
    let written = async {
        stuck
            .cancels(async {
                let writing = first.put(key_of_long, 3 << 20, &mut body);
                let mut writing = pin!(writing);
                std::future::poll_fn(|context| {
                    assert!(writing.as_mut().poll(context).is_pending());
                    let second = FsBlobs::open(folder.path()).unwrap();
                    let unfinished = |number: usize| {
                        let folders = folder.path().join(".temp").read_dir().unwrap();
                        let files = folders.map(|folder| folder.unwrap().path().read_dir().unwrap().count());
                        assert_eq!(files.sum::<usize>(), number);
                    };
                    unfinished(1);
                    now(append(&second, upload(1), 3, 1, b"lo")).unwrap();
                    now(second.finish(upload(1).upload, key(1, b"hello"), 5)).unwrap();
                    drop(second);
                    unfinished(1);
                    Poll::<()>::Pending
                })
                .await;
            })
            .await;
    };
    now(written);
    assert_eq!(now(read(&first, key(1, b"hello"), ByteRange::default())).unwrap(), b"hello");
    assert_eq!(now(first.list(bucket(1), None, 9)).unwrap().len(), 1);
}

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
    assert!(matches!(FsBlobs::open(folder.path()), Err(BlobError::Unavailable(_))));
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);

    let folder = tempfile::tempdir().unwrap();
    drop(FsBlobs::open(folder.path()).unwrap());
    drop(FsBlobs::open(folder.path()).unwrap());
    fs::write(folder.path().join(".format"), "syncline blobs 2\n").unwrap();
    fs::create_dir(folder.path().join(bucket(1).to_string())).unwrap();
    assert!(matches!(FsBlobs::open(folder.path()), Err(BlobError::Unavailable(_))));
}
