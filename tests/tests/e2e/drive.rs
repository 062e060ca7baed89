//! The drive as programs, with real folders and the reference server: in files beside SQLite, and in S3 beside Postgres with
//! a server for each device. A tree of other people's sources goes to the other device; then both are edited apart.
//!
//! `SYNCLINE_DRIVE_FILES` says how many files the tree has: 1,000 if nobody does; from 20,000 on a sparse image of a GiB is
//! among them.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use syncline_prove::Chance;
use syncline_tests::rig::server::Process;
use syncline_tests::rig::{postgres, seaweed};

use crate::drive_house::{Device, Ledger, assert_alike, files};

fn count() -> usize {
    std::env::var("SYNCLINE_DRIVE_FILES").map_or(1_000, |count| count.parse().expect("a number"))
}

/// Where cargo keeps the sources that this was built from.
fn sources() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.expect("a home of cargo").join("registry/src")
}

/// A tree of sources, and an image with holes.
pub(crate) fn plant(folder: &Path, count: usize) {
    let all = sources();
    let from = files(&all);
    assert!(from.len() >= count, "{} has {} files, not {count}", all.display(), from.len());
    for file in from.iter().take(count) {
        let to = folder.join(file.strip_prefix(&all).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    }
    let size: u64 = if count >= 20_000 { 1 << 30 } else { 48 << 20 };
    let mut image = fs::File::create(folder.join("disk.img")).unwrap();
    image.set_len(size).unwrap();
    let mut dice = Chance::new(1);
    for place in 0..8 {
        let bytes: Vec<u8> = (0..70_000).map(|_| u8::try_from(dice.index(256)).unwrap()).collect();
        image.seek(SeekFrom::Start(place * size / 8 + 4_321)).unwrap();
        image.write_all(&bytes).unwrap();
    }
}

fn sync_all(a: &Device, b: &Device) {
    for _ in 0..3 {
        a.sync();
        b.sync();
    }
    assert_eq!((a.sync(), b.sync()), ((0, 0), (0, 0)), "what is alike is synced again");
}

fn two_devices(at: &Path, servers: [&Process; 2], edits: usize) {
    let a = Device::attach(at, "A", &servers[0].url);
    plant(&a.folder, count());
    a.sync();
    let b = Device::attach(at, "B", &servers[1].url);
    b.sync();
    assert_alike(&a, &b);
    let image = fs::metadata(b.folder.join("disk.img")).unwrap();
    assert!(image.blocks() * 512 < image.len() / 4, "the image's holes are filled: {} blocks", image.blocks());
    let (mut dice, mut ledger) = (Chance::new(7), Ledger::default());
    for _ in 0..2 {
        a.edit(&mut dice, edits / 4, &mut ledger);
        b.edit(&mut dice, edits / 4, &mut ledger);
        sync_all(&a, &b);
        assert_alike(&a, &b);
        a.check(&ledger);
    }
    // A third device begins with what is there by now.
    let c = Device::attach(at, "C", &servers[1].url);
    c.sync();
    assert_alike(&a, &c);
}

#[test]
fn a_tree_is_the_same_on_every_device_and_no_edit_is_lost() {
    let (data, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Process::start(data.path(), None);
    two_devices(folders.path(), [&server, &server], count() / 10);
}

/// Servers on one Postgres and one S3 bucket.
async fn beside(data: &Path) -> [Process; 2] {
    let store = format!("postgres:{}", postgres::fresh_schema_url().await);
    let blobs = format!("s3:{}/{}", seaweed::BUCKET, seaweed::fresh_prefix());
    let endpoint = seaweed::shared_url();
    let more = ["--blobs", &blobs, "--s3-endpoint", &endpoint, "--s3-region", "us-east-1"];
    [(); 2].map(|()| Process::start_with(data, Some(&store), &more))
}

#[test]
fn a_tree_is_the_same_through_two_servers_over_postgres_and_s3() {
    let (data, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let servers = tokio::runtime::Runtime::new().unwrap().block_on(beside(data.path()));
    two_devices(folders.path(), [&servers[0], &servers[1]], count() / 10);
}

#[test]
fn devices_and_servers_that_are_killed_at_any_time_lose_nothing() {
    let (data, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Process::start(data.path(), None);
    let [a, b] = ["A", "B"].map(|name| Device::attach(folders.path(), name, &server.url));
    let (mut dice, mut ledger) = (Chance::new(3), Ledger::default());
    plant(&a.folder, 150);
    let mut cut = 0;
    for round in 0..16 {
        for device in [&a, &b] {
            if device.has_files() {
                device.edit(&mut dice, 6, &mut ledger);
            }
            let mut sync = device.begin();
            // Anywhere in its work, from the beginning to after its end.
            std::thread::sleep(Duration::from_millis(u64::try_from(dice.index(700)).unwrap()));
            if round % 3 == 2 {
                server.kill();
                server.run();
                // It comes to its end, or says why not.
                let _ = sync.wait();
            } else {
                cut += usize::from(sync.try_wait().unwrap().is_none());
                let _ = sync.kill();
                let _ = sync.wait();
            }
        }
    }
    assert!(cut >= 4, "only {cut} syncs were cut off");
    sync_all(&a, &b);
    assert_alike(&a, &b);
    a.check(&ledger);
}
