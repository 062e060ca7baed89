//! A bad way to a real S3 server, all its faults at once, and few retries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use syncline::conformance::bodies::{append, bucket, drain, put, read, upload};
use syncline::store::{BlobError, BlobKey, BlobStore, ByteRange};
use syncline_blob_s3::{S3Blobs, S3Options};
use syncline_prove::Chance;
use syncline_tests::rig::faulty_s3::{Fault, FaultyS3};
use syncline_tests::rig::seaweed::{BUCKET, KEY, SECRET, fresh_prefix, shared_url};

use super::Made;
use crate::part::{Counts, count};

/// What happens to whoever writes.
const WRITING: &[Fault] = &[
    Fault::SlowDown,
    Fault::Reset,
    Fault::LoseAnswer,
    Fault::CutAnswer,
    Fault::ErrorIn200,
    Fault::CutRequest,
    Fault::Stale,
];
/// And to whoever reads: bytes are held against their name.
const READING: &[Fault] =
    &[Fault::SlowDown, Fault::Reset, Fault::LoseAnswer, Fault::CutAnswer, Fault::ShortAnswer, Fault::FlipAnswer];
const WRITERS: u8 = 4;
/// More than two parts.
const LARGE: usize = (11 << 20) + 5;

/// Writers, readers and one who takes away, through the bad way; then what was said is held against the server.
///
/// # Panics
/// When something that was said is not true.
pub async fn life(seed: u64, rounds: u64) -> Counts {
    let prefix = fresh_prefix();
    let way = FaultyS3::before(&shared_url()).await.expect("a way");
    let options = |url: &str| {
        let options = S3Options::new(BUCKET).endpoint(url).keys(KEY, SECRET).prefix(&prefix).part_bytes(5 << 20);
        options.retries(1, Duration::from_secs(5))
    };
    let direct = S3Blobs::connect(&options(&shared_url())).await.expect("connected");
    let store = Arc::new(S3Blobs::connect(&options(&way.url)).await.expect("connected"));
    way.fail_by_chance(seed, 25, WRITING);
    let writers = (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(&store), writer, seed, rounds)));
    let mut told = BTreeMap::new();
    for writer in writers.collect::<Vec<_>>() {
        told.extend(writer.await.expect("a writer ends well"));
    }
    way.fail_by_chance(seed, 40, READING);
    for made in told.values() {
        match read_whole(&*store, made.key()).await {
            Ok(bytes) => assert!(bytes == made.bytes(), "{made:?}: other bytes"),
            Err(BlobError::Corrupt { .. } | BlobError::Unavailable(_)) => {}
            Err(error) => panic!("{made:?}: {error}"),
        }
    }
    way.fail_by_chance(seed, 25, WRITING);
    // Every third is taken away, as a sweep does; who is told so does not find it.
    let gone: Vec<BlobKey> = told.keys().copied().step_by(3).collect();
    let mut surely_gone = Vec::new();
    for key in gone {
        told.remove(&key);
        if store.delete(&[key]).await.is_ok() {
            surely_gone.push(key);
        }
    }
    way.fail_by_chance(seed, 0, &[]);
    for made in told.values() {
        let bytes = read(&direct, made.key(), ByteRange::default()).await;
        assert!(bytes.unwrap_or_else(|error| panic!("{made:?}: {error}")) == made.bytes(), "{made:?}");
    }
    for key in surely_gone {
        assert_eq!(direct.stat(key).await.expect("asked"), None, "it was said to be gone");
    }
    for stat in direct.list(bucket(1), None, 1_000).await.expect("a list") {
        let key = BlobKey { bucket: bucket(1), blob: stat.blob };
        assert_eq!(read(&direct, key, ByteRange::default()).await.expect("whole").len() as u64, stat.size);
    }
    let mut counts = Counts::new();
    count(&mut counts, "S3 faults", way.done() as u64);
    count(&mut counts, "S3 blobs acknowledged", told.len() as u64);
    counts
}

async fn read_whole(store: &dyn BlobStore, key: BlobKey) -> Result<Vec<u8>, BlobError> {
    drain(store.open(key, ByteRange::default()).await?).await
}

async fn write(store: Arc<S3Blobs>, writer: u8, seed: u64, rounds: u64) -> BTreeMap<BlobKey, Made> {
    let mut chance = Chance::new(seed ^ u64::from(writer));
    let mut told = BTreeMap::new();
    let large = chance.below(rounds);
    for round in 0..rounds {
        // Some are the same for two of them.
        let made = Made {
            seed: seed.wrapping_mul(1_000) + round * 2 + u64::from(writer % 2),
            len: if round == large && writer == 0 { LARGE } else { 5_000 },
        };
        let (key, bytes, mine) = (made.key(), made.bytes(), upload(writer + 1));
        let outcome = if round % 3 == 0 {
            let _ = store.discard(&[mine]).await;
            match append(&*store, mine, 0, round + 1, &bytes).await {
                Ok(_) => store.finish(mine.upload, key, bytes.len() as u64).await.map(drop),
                Err(error) => Err(error),
            }
        } else {
            put(&*store, key, bytes.len() as u64, &bytes).await.map(drop)
        };
        if outcome.is_ok() {
            told.insert(key, made);
        }
    }
    told
}
