//! What does keeping a large stream cost, beside hashing it and writing it down? And how much of it is held at a time?
//!
//! `cargo bench --bench blob -- 5120` streams 5,120 MiB for the second question instead of 512.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use syncline::digest::Hasher;
use syncline::id::{BucketId, UploadId};
use syncline::store::{Append, BlobError, BlobKey, BlobSource, BlobStore, ByteRange, UploadKey};
use syncline::time::Timestamp;
use syncline_benches::measure::{Memory, Meter, compare};
use syncline_benches::table::{self, Aim};
use syncline_benches::{scale, smoke};
use syncline_blob_fs::FsBlobs;
use tokio::runtime::Runtime;

/// As bodies come off a socket.
const CHUNK: usize = 64 << 10;
const MIB: usize = 1 << 20;
const BUCKET: BucketId = BucketId::DEFAULT;

/// The same mebibyte again and again, in chunks.
struct Stream {
    block: Bytes,
    left: usize,
}

impl Stream {
    fn new(mib: usize) -> Self {
        let block: Vec<u8> = (0..MIB).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap_or(0)).collect();
        Self { block: block.into(), left: mib * MIB / CHUNK }
    }

    fn chunk(&self, number: usize) -> Bytes {
        let at = number % (MIB / CHUNK) * CHUNK;
        self.block.slice(at..at + CHUNK)
    }
}

#[async_trait]
impl BlobSource for Stream {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        Ok(Some(self.chunk(left)))
    }
}

fn key_of(mib: usize) -> BlobKey {
    let stream = Stream::new(mib);
    let mut hasher = Hasher::new();
    for number in (0..stream.left).rev() {
        hasher.update(&stream.chunk(number));
    }
    BlobKey { bucket: BUCKET, blob: hasher.finish() }
}

/// Hash, write, fsync: nothing else, in one thread.
fn bare(path: &Path, mib: usize) -> anyhow::Result<u64> {
    let stream = Stream::new(mib);
    let (mut file, mut sha) = (File::create(path)?, Sha256::new());
    for number in (0..stream.left).rev() {
        let chunk = stream.chunk(number);
        sha.update(&chunk);
        file.write_all(&chunk)?;
    }
    file.sync_all()?;
    std::hint::black_box(sha.finalize());
    fs::remove_file(path)?;
    Ok(mib as u64)
}

fn main() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let store = FsBlobs::open(folder.path().join("blobs"))?;
    speed(&runtime, &store, folder.path())?;
    memory(&runtime, &store)
}

fn speed(runtime: &Runtime, store: &FsBlobs, folder: &Path) -> anyhow::Result<()> {
    let (mib, pairs) = (scale(256, 64), scale(9, 1));
    table::begin(&format!("A stream of {mib} MiB into a directory, beside SHA-256, write and fsync in one thread"));
    let (key, size) = (key_of(mib), (mib * MIB) as u64);
    let path = folder.join("bare");

    let mut put = || {
        runtime.block_on(store.put(key, size, &mut Stream::new(mib)))?;
        runtime.block_on(store.delete(&[key]))?;
        Ok(mib as u64)
    };
    let compared = compare(Meter::new(), pairs, &mut put, &mut || bare(&path, mib))?;
    table::row("put", "MiB", &compared, Aim::Speed(0.8));

    let upload = UploadKey { bucket: BUCKET, upload: UploadId::from_bytes([1; 16]) };
    let mut appended = || {
        let append = Append { offset: 0, size_max: size, now: Timestamp::default() };
        runtime.block_on(store.append(upload, append, &mut Stream::new(mib)))?;
        runtime.block_on(store.finish(upload.upload, key, size))?;
        runtime.block_on(store.delete(&[key]))?;
        Ok(mib as u64)
    };
    let compared = compare(Meter::new(), pairs, &mut appended, &mut || bare(&path, mib))?;
    table::row("upload that can be continued every 8 MiB", "MiB", &compared, Aim::Known);

    runtime.block_on(store.put(key, size, &mut Stream::new(mib)))?;
    let name = key.blob.to_string();
    let stored = folder.join("blobs").join(BUCKET.to_string()).join(&name[..2]).join(&name[2..4]).join(&name);
    let mut read = || {
        let mut source = runtime.block_on(store.open(key, ByteRange::default()))?;
        while let Some(bytes) = runtime.block_on(source.next())? {
            std::hint::black_box(bytes);
        }
        Ok(mib as u64)
    };
    let mut floor = || {
        let (mut file, mut sha, mut buffer) = (File::open(&stored)?, Sha256::new(), vec![0; 256 << 10]);
        while let read @ 1.. = file.read(&mut buffer)? {
            sha.update(&buffer[..read]);
        }
        std::hint::black_box(sha.finalize());
        Ok(mib as u64)
    };
    let compared = compare(Meter::new(), pairs, &mut read, &mut floor)?;
    table::row("verified read, beside read and SHA-256", "MiB", &compared, Aim::Speed(0.8));
    runtime.block_on(store.delete(&[key]))?;
    Ok(())
}

fn memory(runtime: &Runtime, store: &FsBlobs) -> anyhow::Result<()> {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let mib = if smoke() { 64 } else { asked.unwrap_or(512) };
    table::begin_with(&format!("Memory while {mib} MiB pass"), &["question", "before", "peak", "beyond"]);
    let (key, size) = (key_of(mib), (mib * MIB) as u64);
    let row = |question: &str, work: &mut dyn FnMut() -> anyhow::Result<()>| -> anyhow::Result<()> {
        Memory::forget_peak()?;
        let before = Memory::now()?.resident;
        work()?;
        let peak = Memory::now()?.peak;
        let beyond = table::size(peak.saturating_sub(before));
        table::cells(&[question, &table::size(before), &table::size(peak), &beyond]);
        Ok(())
    };
    row("put", &mut || {
        runtime.block_on(store.put(key, size, &mut Stream::new(mib)))?;
        Ok(())
    })?;
    row("verified read", &mut || {
        let mut source = runtime.block_on(store.open(key, ByteRange::default()))?;
        while runtime.block_on(source.next())?.is_some() {}
        Ok(())
    })?;
    runtime.block_on(store.delete(&[key]))?;
    let upload = UploadKey { bucket: BUCKET, upload: UploadId::from_bytes([2; 16]) };
    row("upload and finish", &mut || {
        let append = Append { offset: 0, size_max: size, now: Timestamp::default() };
        runtime.block_on(store.append(upload, append, &mut Stream::new(mib)))?;
        runtime.block_on(store.finish(upload.upload, key, size))?;
        Ok(())
    })?;
    runtime.block_on(store.delete(&[key]))?;
    Ok(())
}
