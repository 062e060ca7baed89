//! Views of writers who do not read each other: what one of them has seen, kept beside the tracker's prepared version.
//!
//! Two writers who never take in what the other writes, heard alternately, would have the prepared version go back and
//! forth over all that they wrote. A *lane* stays with one of them and only goes on: it takes in each event that its writer
//! has seen once, as their own device did. It holds nothing that its writer does not know.
//!
//! *What must hold:* a lane is opened when going back and forth has cost more than building it, and there are at most
//! [`LANES`]. So ordinary texts have none, and all that lanes cost is what their writers took in, or was paid before.
//! *Where next:* [`super`], which brings what a lane places to everybody else's.

use std::collections::BTreeMap;
use std::ops::Range;

use super::order::Order;
use super::place::PRESENT;
use super::{History, Known, Lv};
use crate::crdt::text::authors::AuthorIndex;
use crate::crdt::text::ops::Kind;

/// Most lanes of a zone: as many writers who never read each other, and one more in the prepared version, cost n log n.
pub(super) const LANES: usize = 8;
/// Spans that the prepared version goes over before a lane is thought of.
const PATIENCE: usize = 256;
/// A lane that was not used for so many stretches of events may be given to somebody else.
const IDLE: u64 = 64;

/// What one writer has seen.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    author: AuthorIndex,
    /// The last event placed here.
    tip: Option<Lv>,
    /// Where stretches of seen events of the zone begin, and end.
    seen: BTreeMap<Lv, Lv>,
    pub(super) order: Order,
    used: u64,
}

/// The lanes of a zone.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    list: Vec<Lane>,
    /// Spans gone over by the prepared version since the last lane was opened.
    spent: usize,
    clock: u64,
}

impl Lanes {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Lane> {
        self.list.get_mut(at)
    }

    /// The lane of whoever has seen `parents` and goes on with `event`, brought to there; none if they have none.
    pub(super) fn find(&mut self, history: History<'_>, known: &Known, event: Lv, parents: &[Lv]) -> Option<usize> {
        if self.list.is_empty() {
            return None;
        }
        let (author, _) = history.authors.of(event);
        let goes_on = |lane: &Lane| lane.tip.is_some_and(|tip| parents.binary_search(&tip).is_ok());
        let at =
            self.list.iter().position(goes_on).or_else(|| self.list.iter().position(|lane| lane.author == author))?;
        self.clock += 1;
        let lane = self.list.get_mut(at)?;
        lane.used = self.clock;
        if !lane.advance(history, known, parents) {
            // Their events do not build on each other; there is no view that only goes on.
            self.list.swap_remove(at);
            return None;
        }
        Some(at)
    }

    /// Notes that the prepared version went over `spans`, of `all`, for `event`. Opens a lane for its author when that was
    /// worth one.
    pub(super) fn spend(&mut self, history: History<'_>, event: Lv, root: Lv, spans: usize, all: usize) {
        self.spent = self.spent.saturating_add(spans);
        if self.spent < PATIENCE + 2 * all {
            return;
        }
        self.clock += 1;
        if self.list.len() == LANES {
            let idle = self.list.iter().enumerate().min_by_key(|(_, lane)| lane.used);
            let Some((at, _)) = idle.filter(|(_, lane)| self.clock - lane.used > IDLE) else { return };
            self.list.swap_remove(at);
        }
        self.spent = 0;
        let (author, _) = history.authors.of(event);
        let mut order = Order::default();
        order.reset(root);
        self.list.push(Lane { author, tip: None, seen: BTreeMap::new(), order, used: self.clock });
    }

    #[cfg(test)]
    pub(super) fn work(&self) -> u64 {
        self.list.iter().map(|lane| lane.order.tree.work()).sum()
    }

    #[cfg(test)]
    pub(super) const fn count(&self) -> usize {
        self.list.len()
    }

    /// What does not hold.
    pub(super) fn check(&self) -> Result<(), String> {
        self.list.iter().try_for_each(|lane| lane.order.tree.check())
    }
}

impl Lane {
    /// Takes in everything that whoever saw `parents` has seen; says false, and is then good for nothing, if that is not
    /// everything here.
    fn advance(&mut self, history: History<'_>, known: &Known, parents: &[Lv]) -> bool {
        if let ([parent], Some(tip)) = (parents, self.tip)
            && *parent == tip
        {
            return true;
        }
        let root = known.root;
        let mut fresh = Vec::new();
        let mut stack = parents.to_vec();
        let mut met = self.tip.is_none();
        while let Some(lv) = stack.pop() {
            if lv < root {
                continue;
            }
            let (start, above) = history.graph.stretch_of(lv);
            let last = self.last_seen(lv).filter(|last| *last >= start);
            let from = last.map_or(start, |last| last + 1).max(root);
            met |= last.is_some_and(|last| Some(last) == self.tip);
            if from > lv {
                continue;
            }
            self.saw(from..lv + 1);
            fresh.push(from..lv + 1);
            if last.is_none() && start >= root {
                stack.extend_from_slice(above);
            }
        }
        fresh.sort_unstable_by_key(|range| range.start);
        for range in fresh {
            self.take_in(history, known, range);
        }
        met
    }

    /// The last seen event up to `lv`.
    fn last_seen(&self, lv: Lv) -> Option<Lv> {
        self.seen.range(..=lv).next_back().map(|(_, end)| lv.min(end - 1))
    }

    fn saw(&mut self, range: Range<Lv>) {
        if let Some((_, end)) = self.seen.range_mut(..=range.start).next_back()
            && *end == range.start
        {
            *end = range.end;
            return;
        }
        self.seen.insert(range.start, range.end);
    }

    /// The events that were just placed here.
    pub(super) fn went_on(&mut self, history: History<'_>, range: Range<Lv>) {
        self.tip = range.end.checked_sub(1);
        if let Some(tip) = self.tip {
            self.author = history.authors.of(tip).0;
        }
        self.saw(range);
    }

    /// Takes in events by what they hang on and whom they deleted.
    fn take_in(&mut self, history: History<'_>, known: &Known, range: Range<Lv>) {
        for run in history.ops.runs(range.start, range.end) {
            let (mut lv, end) = (run.lv, run.lv + run.len);
            if run.kind != Kind::Insert {
                while let Some((target, take)) = known.next_target(lv, end).filter(|_| lv < end) {
                    self.order.count(target, take, u32::wrapping_add);
                    lv += take;
                }
                continue;
            }
            while let Some(origin) = known.order.origin(lv).filter(|origin| lv < end && lv < origin.end) {
                let part = origin.part(lv, end);
                lv = part.end;
                self.order.hang(history.authors, part, PRESENT, None);
            }
        }
    }
}
