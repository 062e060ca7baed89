//! How server processes wake each other, and readers.
//!
//! A wake says "log L is at seq N" and nothing more. It may be lost, repeated, late or merged with a newer one:
//! correctness never rests on it, only freshness. Ephemerals are payloads relayed at most once and never stored.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;

use crate::id::{LogKey, ReplicaId};
use crate::limits;
use crate::seq::Seq;

/// Something worth waking for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// The log has an op at this seq.
    Wake {
        /// Which log.
        log: LogKey,
        /// Its last seq, or an earlier one.
        seq: Seq,
    },
    /// A payload for whoever listens now.
    Ephemeral {
        /// In which log's circle.
        log: LogKey,
        /// From whom.
        from: ReplicaId,
        /// What.
        payload: Bytes,
    },
}

impl Signal {
    /// The log it is about.
    #[must_use]
    pub const fn log(&self) -> LogKey {
        match self {
            Self::Wake { log, .. } | Self::Ephemeral { log, .. } => *log,
        }
    }
}

/// Which signals a subscriber wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// Those of these logs.
    Logs(Vec<LogKey>),
    /// All: for bridges between processes.
    Everything,
}

impl Interest {
    /// Whether it covers a log.
    #[must_use]
    pub fn covers(&self, log: LogKey) -> bool {
        match self {
            Self::Logs(logs) => logs.contains(&log),
            Self::Everything => true,
        }
    }
}

/// The bus is down. Nothing is lost by it: readers find out by asking.
#[derive(Debug, thiserror::Error)]
#[error("signals cannot be passed on: {0}")]
pub struct FanoutError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Passes signals between everything that serves the same store.
#[async_trait]
pub trait Fanout: Debug + Send + Sync + 'static {
    /// Tells everyone interested; does not wait for them.
    ///
    /// # Errors
    /// When the bus is down; callers go on without.
    async fn publish(&self, signal: Signal) -> Result<(), FanoutError>;

    /// Listens from now on.
    ///
    /// # Errors
    /// When the bus is down.
    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn SignalSource>, FanoutError>;
}

/// A subscription. Dropping it ends it.
#[async_trait]
pub trait SignalSource: Debug + Send {
    /// Waits for the next signal; `None` when there will be no more. Wakes of one log may be merged into the newest.
    async fn next(&mut self) -> Option<Signal>;
}

/// Fan-out inside one process.
#[derive(Debug, Clone, Default)]
pub struct MemoryFanout {
    subscribers: Arc<Mutex<Vec<Weak<Subscriber>>>>,
}

#[derive(Debug)]
struct Subscriber {
    interest: Interest,
    queue: Mutex<Queue>,
}

/// Bounded: wakes by the number of logs, because they merge; ephemerals by count, because they may be lost.
#[derive(Debug, Default)]
struct Queue {
    wakes: BTreeMap<LogKey, Seq>,
    ephemerals: VecDeque<Signal>,
    waker: Option<Waker>,
}

impl MemoryFanout {
    /// A bus without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// [`Fanout::publish`] for callers that are not async; it never waits.
    pub fn send(&self, signal: &Signal) {
        let mut subscribers = lock(&self.subscribers);
        subscribers.retain(|subscriber| {
            let Some(subscriber) = subscriber.upgrade() else {
                return false;
            };
            if subscriber.interest.covers(signal.log()) {
                subscriber.offer(signal);
            }
            true
        });
    }

    /// [`Fanout::subscribe`] for callers that are not async.
    #[must_use]
    pub fn listen(&self, interest: Interest) -> Box<dyn SignalSource> {
        let subscriber = Arc::new(Subscriber { interest, queue: Mutex::default() });
        lock(&self.subscribers).push(Arc::downgrade(&subscriber));
        Box::new(MemorySignals { subscriber })
    }
}

#[async_trait]
impl Fanout for MemoryFanout {
    async fn publish(&self, signal: Signal) -> Result<(), FanoutError> {
        self.send(&signal);
        Ok(())
    }

    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn SignalSource>, FanoutError> {
        Ok(self.listen(interest))
    }
}

impl Subscriber {
    fn offer(&self, signal: &Signal) {
        let mut queue = lock(&self.queue);
        match signal {
            Signal::Wake { log, seq } => {
                let newest = queue.wakes.entry(*log).or_insert(*seq);
                *newest = (*newest).max(*seq);
            }
            Signal::Ephemeral { .. } => {
                if queue.ephemerals.len() >= limits::SOCKET_QUEUE_FRAMES_MAX {
                    queue.ephemerals.pop_front();
                }
                queue.ephemerals.push_back(signal.clone());
            }
        }
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }
}

#[derive(Debug)]
struct MemorySignals {
    subscriber: Arc<Subscriber>,
}

#[async_trait]
impl SignalSource for MemorySignals {
    async fn next(&mut self) -> Option<Signal> {
        poll_fn(|context| {
            let mut queue = lock(&self.subscriber.queue);
            if let Some((log, seq)) = queue.wakes.pop_first() {
                return Poll::Ready(Some(Signal::Wake { log, seq }));
            }
            if let Some(signal) = queue.ephemerals.pop_front() {
                return Poll::Ready(Some(signal));
            }
            queue.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A poisoned lock only means that another subscriber's waker panicked; the queue itself is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
