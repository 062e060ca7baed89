//! What everything in a run shares: time, chance, the counts of what went wrong, and the first promise that was broken.

use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::draw::Draw;
use crate::menu::{Kind, Mishap};
use crate::outcome::Broken;
use crate::plan::Plan;
use crate::schedule::{Schedule, Sleep, lock};
use crate::trace::Trace;

#[derive(Debug)]
pub(crate) struct Weather {
    pub(crate) seed: u64,
    pub(crate) schedule: Schedule,
    pub(crate) trace: Trace,
    rates: BTreeMap<Mishap, u64>,
    calm: AtomicBool,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    broken: Mutex<Option<Broken>>,
}

impl Weather {
    pub(crate) fn new(plan: &Plan, readable: bool) -> Self {
        Self {
            seed: plan.seed,
            schedule: Schedule::default(),
            trace: Trace::new(readable),
            rates: Mishap::ALL.iter().map(|mishap| (*mishap, plan.rate(*mishap))).collect(),
            calm: AtomicBool::new(false),
            counts: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    pub(crate) fn draw(&self, labels: &[u64]) -> Draw {
        Draw::of(self.seed, labels)
    }

    pub(crate) fn now(&self) -> u64 {
        self.schedule.now()
    }

    pub(crate) fn sleep(&self, ms: u64) -> Sleep {
        self.schedule.sleep(ms)
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Whether a mishap happens now. It is counted.
    pub(crate) fn strikes(&self, mishap: Mishap, draw: &mut Draw) -> bool {
        let rate = self.rates.get(&mishap).copied().unwrap_or_default();
        let strikes = !self.is_calm() && draw.chance(rate);
        if strikes {
            self.count(mishap.name());
        }
        strikes
    }

    pub(crate) fn count_event(&self, kind: Kind) {
        if kind.is_fault() {
            self.count(kind.name());
        }
    }

    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counts).clone()
    }

    pub(crate) fn note(&self, numbers: &[u64], line: Arguments<'_>) {
        self.trace.note(self.now(), numbers, line);
    }

    /// A promise was broken; the first one is told.
    pub(crate) fn broke(&self, promise: &str, how: impl Into<String>) {
        let mut broken = lock(&self.broken);
        if broken.is_none() {
            let how = how.into();
            self.trace.note(self.now(), &[u64::MAX], format_args!("BROKEN {promise}: {how}"));
            *broken = Some(Broken { promise: promise.to_owned(), how, at: self.now() });
        }
    }

    pub(crate) fn broken(&self) -> Option<Broken> {
        lock(&self.broken).clone()
    }
}
