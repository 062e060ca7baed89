//! Stores on the shared S3 server, each with a prefix of its own.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and these are parts of tests")]

use std::time::Duration;

use syncline_blob_s3::{S3Blobs, S3Options};
use syncline_tests::rig::faulty_s3::FaultyS3;
use syncline_tests::rig::seaweed::{BUCKET, KEY, SECRET, fresh_prefix, shared_url};

pub fn on_tokio<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// The server at `url`, as the tests reach it.
pub fn options(url: &str, prefix: &str) -> S3Options {
    S3Options::new(BUCKET).endpoint(url).keys(KEY, SECRET).prefix(prefix).part_bytes(5 << 20)
}

pub async fn fresh() -> S3Blobs {
    S3Blobs::connect(&options(&shared_url(), &fresh_prefix())).await.unwrap()
}

/// A store behind a middlebox, and another past it, on the same prefix.
pub struct Faulty {
    pub box_: FaultyS3,
    pub store: S3Blobs,
    pub direct: S3Blobs,
    pub prefix: String,
}

pub async fn faulty() -> Faulty {
    faulty_with(|options| options).await
}

pub async fn faulty_with(change: impl Fn(S3Options) -> S3Options) -> Faulty {
    let prefix = fresh_prefix();
    let box_ = FaultyS3::before(&shared_url()).await.unwrap();
    let options_of = |url: &str| change(options(url, &prefix).retries(5, Duration::from_secs(30)));
    let direct = S3Blobs::connect(&options_of(&shared_url())).await.unwrap();
    let store = S3Blobs::connect(&options_of(&box_.url)).await.unwrap();
    Faulty { box_, store, direct, prefix }
}

/// What an address gives, or the status it is refused with.
pub async fn get(url: &str) -> Result<Vec<u8>, u16> {
    let answer = reqwest::get(url).await.unwrap();
    if !answer.status().is_success() {
        return Err(answer.status().as_u16());
    }
    Ok(answer.bytes().await.unwrap().to_vec())
}
