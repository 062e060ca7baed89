//! Makes a failing plan small: takes events and mishaps out while the same promise stays broken (delta debugging; Zeller and
//! Hildebrandt, 2002).

use crate::outcome::Broken;
use crate::plan::Plan;
use crate::play;
use crate::world::World;

/// Runs that are spent on it.
const TRIES_MAX: usize = 600;

pub(crate) struct Shrinker<'w> {
    describe: &'w dyn Fn(&mut World),
    promise: String,
    tries: usize,
}

impl<'w> Shrinker<'w> {
    pub(crate) fn new(describe: &'w dyn Fn(&mut World), broken: &Broken) -> Self {
        Self { describe, promise: broken.promise.clone(), tries: 0 }
    }

    /// The smallest plan that was found.
    pub(crate) fn shrink(mut self, mut plan: Plan) -> Plan {
        loop {
            let before = size(&plan);
            self.drop_events(&mut plan);
            self.drop_rates(&mut plan);
            self.simplify(&mut plan);
            if size(&plan) == before || self.tries >= TRIES_MAX {
                return plan;
            }
        }
    }

    fn fails(&mut self, plan: &Plan) -> bool {
        self.tries += 1;
        self.tries <= TRIES_MAX
            && play(self.describe, plan, false).result.is_err_and(|broken| broken.promise == self.promise)
    }

    fn drop_events(&mut self, plan: &mut Plan) {
        let mut width = plan.events.len().next_power_of_two();
        while width > 0 {
            let mut at = 0;
            while at < plan.events.len() {
                let mut smaller = plan.clone();
                smaller.events.drain(at..(at + width).min(plan.events.len()));
                if self.fails(&smaller) {
                    *plan = smaller;
                } else {
                    at += width;
                }
            }
            width /= 2;
        }
    }

    fn drop_rates(&mut self, plan: &mut Plan) {
        let mut at = 0;
        while at < plan.rates.len() {
            let mut smaller = plan.clone();
            smaller.rates.remove(at);
            if self.fails(&smaller) {
                *plan = smaller;
            } else {
                at += 1;
            }
        }
    }

    fn simplify(&mut self, plan: &mut Plan) {
        let changes: [fn(&mut Plan); 5] = [
            |plan| plan.servers = 1,
            |plan| plan.sealed = false,
            |plan| plan.retain = None,
            |plan| plan.devices = plan.devices.saturating_sub(1).max(1),
            |plan| plan.heals_at = plan.events.last().map_or(0, |event| event.at + 10_000),
        ];
        for change in changes {
            let mut smaller = plan.clone();
            change(&mut smaller);
            if smaller != *plan && smaller.heals_at <= plan.heals_at && self.fails(&smaller) {
                *plan = smaller;
            }
        }
    }
}

fn size(plan: &Plan) -> (usize, usize, usize, u64) {
    let rules = usize::from(plan.sealed) + usize::from(plan.retain.is_some());
    (plan.events.len(), plan.rates.len(), plan.devices + plan.servers + rules, plan.heals_at)
}
