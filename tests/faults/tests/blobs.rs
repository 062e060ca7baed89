//! Blobs on failing disks and over a bad way to S3, for a few seconds: the part `blob_faults` does the same for minutes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use syncline_faults::blobs::{disk, rot, s3};
use syncline_faults::syscalls::{Met, Sweep};

/// B1, B17: at every call that a store of files makes.
#[test]
fn fault_b01_whichever_call_of_a_store_of_files_fails_or_is_its_last_no_blob_is_lost_or_wrong() {
    let mut sweep = Sweep::of(disk::CALLS, 1, 3);
    let mut reached = 0;
    for _ in 0..45 {
        let Some(point) = sweep.take() else { break };
        let (met, _) = disk::meet(point);
        sweep.met(point, met);
        reached += u32::from(met == Met::Reached);
    }
    assert!(reached > 20, "{reached} points were reached");
}

/// B3, B5: flipped, cut, emptied, too long.
#[test]
fn fault_b05_whatever_damages_a_file_its_blob_is_whole_or_said_to_be_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let mut damaged = 0;
    for seed in 0..10 {
        damaged += rot::life(seed, &folder.path().join(seed.to_string()))["files damaged"];
    }
    assert!(damaged > 20, "{damaged} files were damaged");
}

/// All of it at once, and few retries: what was said to be stored is, and whatever is there is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_b07_whatever_goes_wrong_what_was_said_is_true() {
    let counts = s3::life(7, 15).await;
    assert!(counts["S3 faults"] > 20 && counts["S3 blobs acknowledged"] > 5, "{counts:?}");
}
