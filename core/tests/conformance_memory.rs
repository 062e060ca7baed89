//! The memory store is the specification, so it must pass the suite it stands behind.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use syncline::conformance::{BlobFixture, Fixture};
use syncline::store::{MemoryBlobs, MemoryFanout, MemoryStore};

/// The memory store never waits for anyone else, so polling is all the runtime it needs.
fn poll_to_end<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

mod blobs {
    use super::*;
    syncline::blob_conformance! { run: poll_to_end, fresh: || async { BlobFixture::with(MemoryBlobs::new(), ()) } }
}

mod fanout {
    use super::*;
    syncline::fanout_conformance! { run: poll_to_end, fresh: || async { Arc::new(MemoryFanout::new()) } }
}

syncline::store_conformance! { run: poll_to_end, fresh: || async { Fixture::of(MemoryStore::new()) } }
