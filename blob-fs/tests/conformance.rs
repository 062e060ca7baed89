//! The suite every blob store must pass, over a directory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use syncline::conformance::BlobFixture;
use syncline_blob_fs::FsBlobs;

fn on_tokio<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

syncline::blob_conformance! {
    run: on_tokio,
    fresh: || async {
        let folder = tempfile::tempdir().unwrap();
        BlobFixture::with(FsBlobs::open(folder.path().join("blobs")).unwrap(), folder)
    }
}
