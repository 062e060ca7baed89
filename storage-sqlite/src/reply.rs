//! One answer from a thread to a future, without an async runtime.
//!
//! What must hold: the waiting side always wakes, also when the answering side dies without an answer.
//! Next: `transact` and `read` are the two threads that answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
enum State<T> {
    Waiting(Option<Waker>),
    Answered(T),
    /// The answering side is gone, or the answer was taken.
    Closed,
}

type Shared<T> = Arc<Mutex<State<T>>>;

/// The answering side.
#[derive(Debug)]
pub(crate) struct Answer<T>(Shared<T>);

/// The waiting side: `None` when nobody will answer any more.
#[derive(Debug)]
pub(crate) struct Reply<T>(Shared<T>);

/// A fresh pair.
pub(crate) fn pair<T>() -> (Answer<T>, Reply<T>) {
    let shared = Arc::new(Mutex::new(State::Waiting(None)));
    (Answer(Arc::clone(&shared)), Reply(shared))
}

fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, State<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Answer<T> {
    /// Answers; a waiting side that has given up is no error.
    pub(crate) fn send(self, value: T) {
        self.settle(State::Answered(value));
    }

    /// Whether the waiting side has given up.
    pub(crate) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn settle(&self, outcome: State<T>) {
        let mut state = lock(&self.0);
        let State::Waiting(waker) = &mut *state else { return };
        let waker = waker.take();
        *state = outcome;
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        self.settle(State::Closed);
    }
}

impl<T> Future for Reply<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = lock(&self.0);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Answered(value) => Poll::Ready(Some(value)),
            State::Closed => Poll::Ready(None),
            State::Waiting(_) => {
                *state = State::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}
