//! A run: the plan's events in their time, everything in between, the healing, and the checks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use syncline::store::MemoryStore;

use crate::house::House;
use crate::outcome::{Broken, Report};
use crate::plan::Plan;
use crate::schedule::{Group, Runner, Turn, lock};
use crate::world::World;

/// How long after everything works again all must be at rest.
const REST_MS: u64 = 30 * 60_000;
/// How often one looks whether all is.
const LOOK_MS: u64 = 1_000;
/// How often somebody presses the button again: what waits for its user does not wait for ever.
const ENCOURAGE_MS: u64 = 60_000;
/// How long somebody waits for what takes moments.
const MINUTE_MS: u64 = 60_000;
/// Polls of a run: far more than any takes that ends.
const POLLS_MAX: u64 = 30_000_000;
/// Tasks at once: a few per device, and calls that are late.
const TASKS_MAX: usize = 5_000;

/// How a run ended, and what happened in it where somebody wants to read it.
pub(crate) struct Ended {
    pub(crate) result: Result<Report, Broken>,
    pub(crate) lines: Vec<String>,
}

/// Runs a plan.
pub(crate) fn run(world: &Arc<World>, plan: &Plan, readable: bool) -> Ended {
    let house = House::new(Arc::clone(world), plan.clone(), readable);
    let mut runner = Runner::new(house.weather.schedule.clone(), house.weather.draw(&[14]));
    for number in 0..plan.servers {
        house.start_server(number);
    }
    for _ in 0..plan.devices {
        let room = house.add(MemoryStore::new(), BTreeSet::new(), None);
        house.boot(&room, 0);
    }
    for event in &plan.events {
        if !until(&house, &mut runner, event.at.min(plan.heals_at)) {
            break;
        }
        house.happen(event, &mut runner);
    }
    if until(&house, &mut runner, plan.heals_at) {
        rest(&house, &mut runner);
    }
    let weather = &house.weather;
    let result = match weather.broken() {
        Some(broken) => Err(broken),
        None => {
            let ledger = lock(&house.ledger);
            let calls = house.rooms().iter().map(|room| room.calls.load(Ordering::Relaxed)).sum();
            Ok(Report {
                trace_hash: weather.trace.hash(),
                events: weather.trace.events(),
                simulated_ms: weather.now(),
                faults: weather.counts(),
                writes: ledger.len(),
                lost_with_a_disk: ledger.excused(),
                reckoned: house.reckoned.load(Ordering::Relaxed),
                calls,
            })
        }
    };
    Ended { result, lines: weather.trace.lines() }
}

/// Lets everything happen up to a moment; whether all promises held.
fn until(house: &Arc<House>, runner: &mut Runner, moment: u64) -> bool {
    loop {
        house.kill_asked(runner);
        match runner.turn() {
            Turn::Polled => {}
            Turn::Panicked(words) => house.weather.broke("nothing panics", words),
            Turn::Idle(Some(next)) if next <= moment => runner.pass(next),
            Turn::Idle(_) => {
                runner.pass(moment);
                return house.weather.broken().is_none();
            }
        }
        if runner.polls > POLLS_MAX {
            house.weather.broke("a run comes to an end", format!("not after {POLLS_MAX} polls"));
        }
        if runner.tasks() > TASKS_MAX {
            house.weather.broke("what is under way is bounded", format!("{} tasks", runner.tasks()));
        }
        if house.weather.broken().is_some() {
            return false;
        }
    }
}

fn rest(house: &Arc<House>, runner: &mut Runner) {
    house.heal(runner);
    // Once more after everybody did everything: what works again is not only to look at.
    if !comes_to_rest(house, runner) {
        return;
    }
    let at = Arc::clone(house);
    if !comes_to_an_end(house, runner, "all acts come to an end", async move { at.do_everything().await })
        || !comes_to_rest(house, runner)
    {
        return;
    }
    let at = Arc::clone(house);
    comes_to_an_end(house, runner, "the checks come to an end", async move { at.check_rest().await });
}

/// Lets time pass until nobody has anything to send or to hear.
fn comes_to_rest(house: &Arc<House>, runner: &mut Runner) -> bool {
    let healed = house.weather.now();
    let mut next_word = healed + ENCOURAGE_MS;
    loop {
        if !until(house, runner, house.weather.now() + LOOK_MS) {
            return false;
        }
        let Some(why) = house.restless() else { return true };
        if house.weather.now() > healed + REST_MS {
            let how = format!("{why} (unsynced, once opened anew: {})", house.unsynced_on_disks());
            house.weather.broke("all comes to rest once everything works", how);
            return false;
        }
        if house.weather.now() > next_word {
            next_word += ENCOURAGE_MS;
            house.encourage();
        }
    }
}

/// Does something that takes less than a minute: it waits for disks that work, and at most a little.
fn comes_to_an_end(
    house: &Arc<House>,
    runner: &mut Runner,
    promise: &str,
    doing: impl Future<Output = ()> + Send + 'static,
) -> bool {
    let done = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&done);
    house.weather.schedule.begin(Group::Wire, async move {
        doing.await;
        ended.store(true, Ordering::Relaxed);
    });
    let begun = house.weather.now();
    while !done.load(Ordering::Relaxed) {
        if !until(house, runner, house.weather.now() + LOOK_MS) {
            return false;
        }
        if house.weather.now() > begun + MINUTE_MS && !done.load(Ordering::Relaxed) {
            house.weather.broke(promise, format!("not within {MINUTE_MS} ms"));
            return false;
        }
    }
    true
}
