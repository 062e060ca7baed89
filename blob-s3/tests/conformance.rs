//! The suite every blob store must pass, over a real S3 server.

mod support;

use syncline::conformance::BlobFixture;

syncline::blob_conformance! {
    run: support::on_tokio,
    fresh: || async { BlobFixture::with(support::fresh().await, ()) }
}
