//! P13: the disk of a cluster is full, and later has room again.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline::conformance::author::Author;
use syncline::oplog::Op;
use syncline::store::StoreErrorKind;
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_tests::rig::postgres::Cluster;

use super::{Load, assert_stored_once, attempt, insist, open, ops};

const MEBIBYTES: u32 = 96;
const PATIENCE: Duration = Duration::from_secs(60);

/// What a writer may be told meanwhile: none of it is an acknowledgement.
const PASSES: &[StoreErrorKind] = &[
    StoreErrorKind::Full,
    StoreErrorKind::Unavailable,
    StoreErrorKind::OutcomeUnknown,
    StoreErrorKind::Busy,
    StoreErrorKind::Timeout,
];

/// Fills the disk under load, so many times.
///
/// # Panics
/// When something acknowledged is lost or stored twice, or when it does not go on once there is room.
pub async fn full(times: u8) {
    let cluster = Cluster::start_on_a_disk_of(MEBIBYTES).expect("a cluster on a small disk");
    let mut options = PostgresOptions::new(cluster.url());
    options.wait = Duration::from_millis(500);
    let store = Arc::new(PostgresStore::connect(&options).await.expect("connected"));
    let load = Load::start(&store, 3, PASSES);
    let filler = cluster.socket_folder().join("data/filler");
    let mut tried = Vec::new();
    for round in 0..times {
        load.gets_to(load.answers() + 20).await;
        fill(&filler);
        push_until_full(&cluster, &store, &mut Author::new(100 + round), &mut tried).await;
        std::fs::remove_file(&filler).expect("removed");
        let (until, begun) = (load.answers() + 20, Instant::now());
        while load.answers() < until {
            assert!(begun.elapsed() < PATIENCE, "it does not go on with room");
            // It went down for want of room for its log, or stayed up; one that is just going down starts in another turn.
            if !cluster.is_up() {
                let _ = cluster.run();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut written = load.stop().await;
    let store = open(&cluster.url()).await;
    // Whoever was refused repeats it.
    for batch in tried {
        insist(&store, &batch).await;
        written.extend(batch.iter().map(Op::id));
    }
    assert_stored_once(&store, &written).await;
}

fn fill(filler: &Path) {
    let mut file = File::create(filler).expect("created");
    // A failed write is what this is for; what is left is less than a page.
    for piece in [1 << 16, 1 << 12] {
        while file.write_all(&vec![1; piece]).is_ok() {}
    }
}

/// Until it is told that there is no room, or the cluster is down for want of it. Whatever else it is told passes, and is no
/// sign that the disk is full.
async fn push_until_full(cluster: &Cluster, store: &PostgresStore, author: &mut Author, tried: &mut Vec<Vec<Op>>) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let batch = ops(author, 200);
        tried.push(batch.clone());
        if let Err(error) = attempt(store, &batch).await {
            assert!(PASSES.contains(&error.kind()), "{error}: {:?}", std::error::Error::source(&error));
            if error.kind() == StoreErrorKind::Full || !cluster.is_up() {
                return;
            }
        }
    }
    panic!("a full disk takes everything");
}
