//! Files of blobs that are damaged where they lie: flipped, cut, emptied, too long.

use std::fs;
use std::path::{Path, PathBuf};

use syncline::conformance::bodies::{drain, put, read};
use syncline::store::{BlobError, BlobKey, BlobStore as _, ByteRange};
use syncline_blob_fs::FsBlobs;

use super::Made;
use crate::part::{Counts, count};
use crate::power::wait;
use syncline_prove::Chance;

fn file(root: &Path, key: BlobKey) -> PathBuf {
    let name = key.blob.to_string();
    root.join(key.bucket.to_string()).join(&name[..2]).join(&name[2..4]).join(&name)
}

/// Damages blobs in a folder, reads them, scrubs, and stores them again.
///
/// # Panics
/// When other bytes are read, or damage is not found, or does not heal.
pub fn life(seed: u64, root: &Path) -> Counts {
    let mut chance = Chance::new(seed);
    let store = FsBlobs::open(root).expect("opened");
    let blobs: Vec<Made> = (0..12)
        .map(|number| {
            let most = chance.of(&[40, 4_000, 600_000]);
            Made { seed: seed.wrapping_mul(100) + number, len: usize::try_from(1 + chance.below(most)).unwrap_or(1) }
        })
        .collect();
    for made in &blobs {
        wait(put(&store, made.key(), made.len as u64, &made.bytes())).expect("stored");
    }
    let mut damaged = Vec::new();
    for made in &blobs {
        if chance.once_in(2) {
            damage(&file(root, made.key()), *made, &mut chance);
            damaged.push(made.key());
        }
    }
    for made in &blobs {
        let read = wait(async { drain(store.open(made.key(), ByteRange::default()).await?).await });
        match read {
            Ok(bytes) => assert!(bytes == made.bytes() && !damaged.contains(&made.key()), "{made:?}: read as if whole"),
            Err(BlobError::Corrupt { .. }) => assert!(damaged.contains(&made.key()), "{made:?}: said to be damaged"),
            Err(error) => panic!("{made:?}: {error}"),
        }
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let step = wait(store.scrub(after, 5)).expect("scrubbed");
        found.extend(step.damaged);
        after = step.next;
        if after.is_none() {
            break;
        }
    }
    let mut counts = Counts::new();
    count(&mut counts, "files damaged", damaged.len() as u64);
    found.sort_unstable();
    damaged.sort_unstable();
    assert_eq!(found, damaged, "the scrub finds what is damaged");
    for made in &blobs {
        wait(put(&store, made.key(), made.len as u64, &made.bytes())).expect("stored again");
        let bytes =
            wait(read(&store, made.key(), ByteRange::default())).unwrap_or_else(|error| panic!("{made:?}: {error}"));
        assert!(bytes == made.bytes(), "{made:?} is healed");
    }
    counts
}

fn damage(path: &Path, made: Made, chance: &mut Chance) {
    let mut bytes = made.bytes();
    match chance.below(5) {
        0 => bytes.clear(),
        1 => bytes.truncate(usize::try_from(chance.below(made.len as u64)).unwrap_or(0)),
        2 => bytes.push(0),
        3 => {
            // A page that was never written.
            let from = usize::try_from(chance.below(made.len as u64)).unwrap_or(0);
            let until = (from + 4_096).min(made.len);
            bytes[from..until].iter_mut().for_each(|byte| *byte = !*byte);
        }
        _ => {
            let at = usize::try_from(chance.below(made.len as u64)).unwrap_or(0);
            bytes[at] ^= 1 << chance.below(8);
        }
    }
    fs::write(path, bytes).expect("damaged");
}
