//! Jobs for a few threads, handed to the one that worked last: its connection and its processor have what the next job
//! is likely to ask for.
//!
//! What must hold: a job is run by one thread or dropped, also when every thread is gone; so whoever waits for its
//! answer always wakes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The side that hands out jobs. Dropping it lets the workers finish what is queued, and end.
pub(crate) struct Queue<J>(Arc<Shared<J>>);

/// The side of one thread.
pub(crate) struct Worker<J> {
    shared: Arc<Shared<J>>,
    number: usize,
}

struct Shared<J> {
    state: Mutex<State<J>>,
    /// One for each worker.
    wake: Box<[Condvar]>,
}

struct State<J> {
    jobs: VecDeque<J>,
    /// The workers that wait, the one that worked last at the end.
    idle: Vec<usize>,
    workers: usize,
    closed: bool,
}

/// A queue and its workers.
pub(crate) fn queue<J>(workers: usize) -> (Queue<J>, Vec<Worker<J>>) {
    let state = State { jobs: VecDeque::new(), idle: Vec::with_capacity(workers), workers, closed: false };
    let wake = (0..workers).map(|_| Condvar::new()).collect();
    let shared = Arc::new(Shared { state: Mutex::new(state), wake });
    let worker = |number| Worker { shared: Arc::clone(&shared), number };
    let workers = (0..workers).map(worker).collect();
    (Queue(shared), workers)
}

impl<J> Queue<J> {
    /// Hands a job over; where no worker is left it is dropped.
    pub(crate) fn send(&self, job: J) {
        let mut state = self.0.lock();
        if state.workers == 0 {
            return;
        }
        state.jobs.push_back(job);
        let woken = state.idle.pop();
        drop(state);
        if let Some(wake) = woken.and_then(|number| self.0.wake.get(number)) {
            wake.notify_one();
        }
    }
}

impl<J> Drop for Queue<J> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wake.iter().for_each(Condvar::notify_one);
    }
}

impl<J> Worker<J> {
    /// Waits for a job; `None` once there will be none any more.
    pub(crate) fn next(&self) -> Option<J> {
        let mut state = self.shared.lock();
        loop {
            state.idle.retain(|idle| *idle != self.number);
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle.push(self.number);
            let wake = self.shared.wake.get(self.number)?;
            state = wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.workers -= 1;
        let left = if state.workers == 0 { std::mem::take(&mut state.jobs) } else { VecDeque::new() };
        drop(state);
        drop(left);
    }
}

impl<J> Shared<J> {
    /// The state is whole after every step, so a panic elsewhere says nothing about it.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> fmt::Debug for Queue<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("workers", &self.0.wake.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_runs_once_and_the_threads_end() {
        let (queue, workers) = queue::<u32>(3);
        let run = |worker: Worker<u32>| std::thread::spawn(move || std::iter::from_fn(|| worker.next()).collect());
        let threads: Vec<std::thread::JoinHandle<Vec<u32>>> = workers.into_iter().map(run).collect();
        (0..1_000).for_each(|job| queue.send(job));
        drop(queue);
        let mut ran: Vec<u32> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        ran.sort_unstable();
        assert_eq!(ran, (0..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_job_that_nobody_will_run_is_dropped() {
        let (queue, workers) = queue::<Arc<()>>(2);
        let job = Arc::new(());
        queue.send(Arc::clone(&job));
        drop(workers);
        queue.send(Arc::clone(&job));
        assert_eq!(Arc::strong_count(&job), 1);
    }
}
