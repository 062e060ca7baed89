//! One thread, virtual time: tasks are polled one at a time, in an order that is drawn, and when nobody is ready the clock
//! goes to the next timer.
//!
//! What must hold: nothing here or above it asks the machine's clock or its randomness, so a run is its seed; what is
//! killed is dropped where it waits, like a process whose power is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::draw::Draw;

/// A poisoned lock means that a check failed by a panic; what it guards is read to tell of it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tasks that end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// What is on its way: nobody can kill it.
    Wire,
    /// A device's process.
    Device(usize),
    /// A server's process.
    Server(usize),
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What tasks see of it. Clones are handles to the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schedule {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    clock: Mutex<Clock>,
    ready: Arc<Mutex<BTreeSet<u64>>>,
    begun: Mutex<Vec<Begun>>,
}

/// Milliseconds since the beginning, and who waits for later.
#[derive(Debug, Default)]
struct Clock {
    now: u64,
    count: u64,
    timers: BTreeMap<(u64, u64), Waker>,
}

struct Begun(Group, Task);

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Schedule {
    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        lock(&self.shared.clock).now
    }

    /// Begins a task.
    pub(crate) fn begin(&self, group: Group, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.shared.begun).push(Begun(group, Box::pin(task)));
    }

    /// Waits; 0 ms lets others go first, perhaps.
    pub(crate) fn sleep(&self, ms: u64) -> Sleep {
        let until = self.now().saturating_add(ms);
        Sleep { schedule: self.clone(), until, key: None }
    }
}

/// A wait.
#[derive(Debug)]
pub(crate) struct Sleep {
    schedule: Schedule,
    until: u64,
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = Arc::clone(&self.schedule.shared);
        let mut clock = lock(&shared.clock);
        if let Some(key) = self.key {
            let Some(waker) = clock.timers.get_mut(&key) else { return Poll::Ready(()) };
            waker.clone_from(context.waker());
            return Poll::Pending;
        }
        clock.count += 1;
        let key = (self.until, clock.count);
        clock.timers.insert(key, context.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            lock(&self.schedule.shared.clock).timers.remove(&key);
        }
    }
}

#[derive(Debug)]
struct Flag {
    task: u64,
    ready: Arc<Mutex<BTreeSet<u64>>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        lock(&self.ready).insert(self.task);
    }
}

/// Who polls.
pub(crate) struct Runner {
    schedule: Schedule,
    draw: Draw,
    tasks: BTreeMap<u64, (Group, Task, Waker)>,
    next: u64,
    /// Polls so far: a run that never ends is found out by them.
    pub(crate) polls: u64,
}

/// What came of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Somebody was polled.
    Polled,
    /// Somebody panicked, in these words.
    Panicked(String),
    /// Nobody was ready; the next timer is then, if any.
    Idle(Option<u64>),
}

impl Runner {
    pub(crate) fn new(schedule: Schedule, draw: Draw) -> Self {
        Self { schedule, draw, tasks: BTreeMap::new(), next: 0, polls: 0 }
    }

    /// How many tasks there are.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Lets one task go on, one that is ready.
    pub(crate) fn turn(&mut self) -> Turn {
        self.take_in();
        let shared = Arc::clone(&self.schedule.shared);
        let chosen = {
            let mut ready = lock(&shared.ready);
            let at = self.draw.index(ready.len());
            let chosen = ready.iter().nth(at).copied();
            chosen.inspect(|task| {
                ready.remove(task);
            })
        };
        let Some(chosen) = chosen else {
            return Turn::Idle(lock(&shared.clock).timers.keys().next().map(|(at, _)| *at));
        };
        if let Some((_, task, waker)) = self.tasks.get_mut(&chosen) {
            self.polls += 1;
            // What it leaves half done is not looked at again: a panic ends the run.
            let poll = AssertUnwindSafe(|| task.as_mut().poll(&mut Context::from_waker(waker)));
            match catch_unwind(poll) {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(())) => drop(self.tasks.remove(&chosen)),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().map(String::as_str);
                    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
                    return Turn::Panicked(text.to_owned());
                }
            }
        }
        Turn::Polled
    }

    /// Lets time pass, to a moment that is not before now; whoever waited up to then is ready.
    pub(crate) fn pass(&self, to: u64) {
        let due: Vec<Waker> = {
            let mut clock = lock(&self.schedule.shared.clock);
            clock.now = clock.now.max(to);
            let later = clock.timers.split_off(&(to + 1, 0));
            std::mem::replace(&mut clock.timers, later).into_values().collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Ends a group's tasks where they stand.
    pub(crate) fn kill(&mut self, group: Group) {
        self.take_in();
        // Dropped after the map is whole again: what they hold may wake others.
        let (dead, alive) = std::mem::take(&mut self.tasks).into_iter().partition(|(_, (of, ..))| *of == group);
        self.tasks = alive;
        drop::<BTreeMap<_, _>>(dead);
    }

    fn take_in(&mut self) {
        let begun = std::mem::take(&mut *lock(&self.schedule.shared.begun));
        for Begun(group, task) in begun {
            let id = self.next;
            self.next += 1;
            let flag = Flag { task: id, ready: Arc::clone(&self.schedule.shared.ready) };
            lock(&flag.ready).insert(id);
            self.tasks.insert(id, (group, task, Waker::from(Arc::new(flag))));
        }
    }
}

/// The outcome of what waits for nobody: what a store in memory does.
pub(crate) fn now_or<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}
