//! Waiting without a runtime: one holder at a time, and a bell that many may listen to.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// An async lock. First come, first served is not promised; nobody waits for ever, because every release wakes all.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    held: bool,
    waiting: Vec<Waker>,
}

/// Holding a [`Gate`]; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Pass<'g>(&'g Gate);

impl Gate {
    /// Waits until nobody holds it.
    pub(super) async fn enter(&self) -> Pass<'_> {
        poll_fn(|context| {
            let mut state = lock(&self.state);
            if state.held {
                remember(&mut state.waiting, context.waker());
                return Poll::Pending;
            }
            state.held = true;
            Poll::Ready(Pass(self))
        })
        .await
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.held = false;
        state.waiting.drain(..).for_each(Waker::wake);
    }
}

/// Rings for everyone who waits; says how often it rang, so that a ring between looking and waiting is not missed.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<Rung>,
}

#[derive(Debug, Default)]
struct Rung {
    times: u64,
    waiting: Vec<Waker>,
}

impl Bell {
    /// How often it rang so far.
    pub(super) fn times(&self) -> u64 {
        lock(&self.state).times
    }

    /// Rings.
    pub(super) fn ring(&self) {
        let mut state = lock(&self.state);
        state.times = state.times.wrapping_add(1);
        state.waiting.drain(..).for_each(Waker::wake);
    }

    /// Waits until it has rung since it had rung `times` times.
    pub(super) async fn rung_since(&self, times: u64) {
        poll_fn(|context| {
            let mut state = lock(&self.state);
            if state.times != times {
                return Poll::Ready(());
            }
            remember(&mut state.waiting, context.waker());
            Poll::Pending
        })
        .await;
    }
}

fn remember(waiting: &mut Vec<Waker>, waker: &Waker) {
    if !waiting.iter().any(|known| known.will_wake(waker)) {
        waiting.push(waker.clone());
    }
}

/// A poisoned lock only means that a waker panicked; what it guards is whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
