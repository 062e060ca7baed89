//! What is the same in every world: the log, its schema, the time, and where randomness comes from.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use syncline::oplog::{ConflictPolicy, Rules, Schema};
use syncline::time::EnvSource;
use syncline::{BucketId, Env, LogId, LogKey, Timestamp};

pub(crate) const LOG: LogKey = LogKey { bucket: BucketId::from_bytes([1; 16]), log: LogId::from_bytes([2; 16]) };
/// Time stands still: what differs by time alone is one state.
const NOW_MS: u64 = 1_700_000_000_000;

/// Turns that something may let others have.
const TURNS_MAX: u32 = 100_000;

/// `causal` refuses one of two edits that met; `counters` and every other collection merge them.
pub(crate) fn schema() -> Schema {
    Schema::default()
        .with("causal".parse().unwrap(), Rules::of(ConflictPolicy::Causal))
        .with("counters".parse().unwrap(), Rules::counter())
}

/// One poll of something that never waits for anybody outside of these worlds.
pub(crate) fn once<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs what cannot wait, though it may let others have a turn.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..TURNS_MAX {
        if let Poll::Ready(value) = once(future.as_mut()) {
            return value;
        }
    }
    panic!("nobody will ever wake this")
}

/// A number for anything.
pub(crate) fn number(of: impl Hash) -> u64 {
    let mut out = DefaultHasher::new();
    of.hash(&mut out);
    out.finish()
}

/// Randomness that depends on who draws and on what is stored: whoever is in the same state draws the same. What a user
/// writes draws by the write's number instead, so that the same write made in two orders is the same op.
#[derive(Debug)]
pub(crate) struct Draws {
    actor: u64,
    /// The number of what is stored now.
    stored: Arc<AtomicU64>,
    named: AtomicBool,
    /// The number of the write under way, or 0.
    write: AtomicU64,
    ahead_ms: u64,
}

impl Draws {
    pub(crate) fn new(actor: u64, stored: u64, ahead_ms: u64) -> Self {
        let stored = Arc::new(AtomicU64::new(stored));
        Self { actor, stored, named: AtomicBool::new(false), write: AtomicU64::new(0), ahead_ms }
    }

    /// Where whoever stores says what is stored now.
    pub(crate) fn stored(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.stored)
    }

    pub(crate) fn writes(&self, number: u64) {
        self.write.store(number, Ordering::Relaxed);
    }
}

impl EnvSource for Draws {
    fn env(&self) -> Env {
        let write = self.write.load(Ordering::Relaxed);
        let words = match (write, self.named.swap(true, Ordering::Relaxed)) {
            // The first is for the name of the process alone, which says nothing about the state.
            (0, false) => [self.actor, 0, 0, 1],
            (0, true) => [self.actor, self.stored.load(Ordering::Relaxed), 0, 2],
            (write, _) => [write, 0, 0, 3],
        };
        let mut entropy = [0; 32];
        for (bytes, word) in entropy.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Env { now: Timestamp::from_ms(NOW_MS + self.ahead_ms).unwrap(), entropy }
    }
}
