//! Waiting without a runtime: one holder at a time, and a bell that many may listen to.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// An async lock, for whoever changes things. Most need it alone, from reading to having written ([`Gate::enter`]); those
/// that only add behind what others add hold it until their work is under way ([`Gate::follow`], then [`Pass::fly`]), and
/// whoever needs it alone waits until that has landed. First come, first served is not promised; nobody waits for ever,
/// because every release wakes all, and nobody follows while somebody waits to be alone.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    held: bool,
    flying: usize,
    /// How many wait to be alone.
    wanted: usize,
    waiting: Vec<Waker>,
}

impl Held {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// What may be under way at once: less than a store lets wait.
const FLYING_MAX: usize = 256;

/// Holding a [`Gate`]; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Pass<'g>(&'g Gate);

/// Something under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Flight<'g>(&'g Gate);

/// Somebody who waits to be alone.
struct Wanted<'g>(&'g Gate);

impl Gate {
    /// Waits until nobody holds it and nothing is under way.
    pub(super) async fn enter(&self) -> Pass<'_> {
        lock(&self.state).wanted += 1;
        let wanted = Wanted(self);
        let pass = self.take(|state| state.flying == 0).await;
        drop(wanted);
        pass
    }

    /// Waits until nobody holds it.
    pub(super) async fn follow(&self) -> Pass<'_> {
        self.take(|state| state.wanted == 0 && state.flying < FLYING_MAX).await
    }

    async fn take(&self, may: impl Fn(&Held) -> bool) -> Pass<'_> {
        poll_fn(|context| {
            let mut state = lock(&self.state);
            if state.held || !may(&state) {
                remember(&mut state.waiting, context.waker());
                return Poll::Pending;
            }
            state.held = true;
            Poll::Ready(Pass(self))
        })
        .await
    }
}

impl<'g> Pass<'g> {
    /// Lets the next one in, and those who want to be alone when what is under way has landed.
    pub(super) fn fly(self) -> Flight<'g> {
        lock(&self.0.state).flying += 1;
        Flight(self.0)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.held = false;
        state.wake();
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.flying -= 1;
        if state.flying == 0 || state.flying + 1 == FLYING_MAX {
            state.wake();
        }
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.wanted -= 1;
        if !state.held {
            state.wake();
        }
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
