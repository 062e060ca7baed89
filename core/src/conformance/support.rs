//! What the cases share: a schema with every policy, calls in one line, futures side by side.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::decide::{self, Choice, LogWrites, Reads, Scope, Upload, Uploaded, View};
use crate::digest::Digest;
use crate::id::{BucketId, LogId, LogKey, RequestId};
use crate::oplog::{Collection, ConflictPolicy, LogBounds, LoggedOp, Op, Rules, Schema, Verdict};
use crate::seq::{Cursor, Seq};
use crate::store::{PageLimit, Store, StoreExt};
use crate::time::{Env, Timestamp};

/// A log of the first bucket.
#[must_use]
pub const fn log(number: u8) -> LogKey {
    LogKey { bucket: BucketId::from_bytes([1; 16]), log: LogId::from_bytes([number; 16]) }
}

/// The world at a moment.
#[must_use]
pub fn env(at: u64) -> Env {
    let mut entropy = [0; 32];
    entropy[..8].copy_from_slice(&at.to_be_bytes());
    Env { now: Timestamp::from_ms(1_700_000_000_000 + at).expect("in range"), entropy }
}

/// Collections `causal`, `merge`, `precondition` and `append`, each with the policy of its name.
#[must_use]
pub fn schema() -> Schema {
    let named = |name: &str| Collection::new(name).expect("a good name");
    Schema::new(Rules::of(ConflictPolicy::Causal))
        .with(named("merge"), Rules::of(ConflictPolicy::Merge))
        .with(named("precondition"), Rules::of(ConflictPolicy::Precondition))
        .with(named("append"), Rules::of(ConflictPolicy::Append))
}

/// An upload without request id and cursor.
#[must_use]
pub fn plain(log: LogKey, ops: &[Op]) -> Upload {
    Upload { log, request: None, cursor: None, atomic: false, ops: Arc::from(ops) }
}

/// An upload under a request id.
#[must_use]
pub fn requested(log: LogKey, request: u8, ops: &[Op]) -> Upload {
    let fingerprint: Digest = Upload::fingerprint(false, ops);
    Upload { request: Some((RequestId::from_bytes([request; 16]), fingerprint)), ..plain(log, ops) }
}

/// Runs an upload under [`schema`].
pub async fn try_upload(store: &dyn Store, upload: Upload, env: Env) -> Result<Uploaded, crate::store::StoreError> {
    let scope = Scope::log(upload.log, upload.reads());
    let schema = schema();
    store.decide(scope, move |view| decide::upload(&upload, &schema, &env, view)).await
}

/// Runs an upload that does not fail.
pub async fn upload(store: &dyn Store, input: Upload) -> Uploaded {
    try_upload(store, input, env(7)).await.expect("the store works")
}

/// Pushes ops and returns their verdicts.
pub async fn push(store: &dyn Store, log: LogKey, ops: &[Op]) -> Vec<Verdict> {
    verdicts(upload(store, plain(log, ops)).await)
}

/// The verdicts of an upload that was judged.
#[must_use]
pub fn verdicts(uploaded: Uploaded) -> Vec<Verdict> {
    match uploaded {
        Uploaded::Done { verdicts, .. } => verdicts,
        other => unreachable!("not judged: {other:?}"),
    }
}

/// Accepted at this seq.
#[must_use]
pub fn accepted(seq: u64) -> Verdict {
    Verdict::Accepted { seq: Seq::new(seq).expect("in range") }
}

/// All ops of a log.
pub async fn all_ops(store: &dyn Store, log: LogKey) -> Vec<LoggedOp> {
    let mut ops = Vec::new();
    let mut cursor = Cursor::START;
    loop {
        let page = store.ops_after(log, cursor.seq, PageLimit::default()).await.expect("a page");
        assert_eq!(page.gap(cursor), None, "pages of a whole log follow each other");
        let next = page.next(cursor);
        let more = page.has_more();
        ops.extend(page.ops);
        if !more {
            return ops;
        }
        cursor = next;
    }
}

/// The bounds of a log that exists.
pub async fn bounds(store: &dyn Store, log: LogKey) -> LogBounds {
    store.bounds(log).await.expect("bounds").expect("the log exists")
}

/// Changes the row of a log that exists and writes whatever else `change` puts in.
pub async fn write(
    store: &dyn Store,
    log: LogKey,
    change: impl Fn(&mut LogBounds, &mut LogWrites) + Send + Sync + 'static,
) {
    let rule = move |view: &View| {
        let mut bounds = view.log(log).bounds.clone().expect("the log exists");
        let mut writes = LogWrites::new(log, bounds.clone());
        change(&mut bounds, &mut writes);
        writes.bounds = Some(bounds);
        Choice::Done((), Some(writes.alone()))
    };
    store.decide(Scope::log(log, Reads::default()), rule).await.expect("written");
}

/// Runs futures side by side in one task, without a runtime of our own.
pub async fn side_by_side<T>(futures: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut futures = futures;
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(move |context| {
        for (future, slot) in futures.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            Poll::Pending
        }
    })
    .await
}

/// The outcome of a future, or `None` when it panicked.
pub async fn unwinding<T>(future: impl Future<Output = T> + Send) -> Option<T> {
    let mut future = Box::pin(future);
    poll_fn(move |context| {
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(Poll::Ready(value)) => Poll::Ready(Some(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}
