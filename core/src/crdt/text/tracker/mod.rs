//! Replays concurrent events: the sequence of characters of a stretch of history, in two states at once.
//!
//! Events say positions in the text that *their author saw*. To find out where they act in the text that *we* have, the
//! tracker keeps every character of the stretch (the *zone*) in document order with two states. The *prepared* state is
//! moved to what the author of the next event saw; there the position says which characters are meant. The *effect*
//! state has everything replayed so far; there the same characters give the position that our text understands. (The
//! event graph walker: Gentle and Kleppmann, "Collaborative text editing with Eg-walker", EuroSys 2025.)
//!
//! Whoever has seen everything replayed so far means the effect state itself: such an event is placed there and the
//! prepared version stays with those who lag behind. Writers who never read each other get views of their own, once going
//! back and forth between them has cost as much as that ([`lane`]).
//!
//! A zone begins behind a critical event, so that everybody in it had seen the text there: that text stands *under* the
//! zone, one span of unknown content. Concurrent insertions at one place are ordered as `place` says.
//!
//! *What must hold:* an event is replayed once, after its parents; the tracker is thrown away when the zone is closed. To
//! place an event costs a logarithm of the zone, whoever else writes there. To change the prepared version costs what the
//! two versions differ by; a lane only goes on, and costs what its writer has seen. So events of up to nine writers who
//! never read each other cost n log n in any order; with more, or with authors whose events do not build on each other,
//! the order of replay decides. *Where next:* [`super::merge`].

mod grow;
mod index;
mod lane;
mod order;
mod place;
#[cfg(test)]
mod tests;
mod tree;

use std::ops::Range;

use index::Index;
use lane::Lanes;
use order::{Gone, Order};
use place::UNKNOWN;
use tree::{UNDER_LEN, View, Wide};

use super::authors::Authors;
use super::graph::{Graph, leave_tips};
use super::ops::{Kind, Ops, Run};
use super::{Lv, TextError};

pub(super) use index::UNDER;
pub(super) use tree::Span;

/// What an event does to the text that has seen everything replayed before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The characters of these events appear at `at`.
    Insert { at: u32, lv: Lv, len: u32 },
    /// `len` characters from `at` on go.
    Delete { at: u32, len: u32 },
}

/// Deletions whose targets follow each other.
#[derive(Debug, Clone, Copy)]
struct Deleted {
    lv: Lv,
    target: u32,
    len: u32,
    back: bool,
}

const NOWHERE: u32 = u32::MAX;

/// What the tracker reads of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct History<'a> {
    pub(super) graph: &'a Graph,
    pub(super) ops: &'a Ops,
    pub(super) authors: &'a Authors,
}

/// Every character of a zone, and every deletion's target.
#[derive(Debug, Clone, Default)]
struct Known {
    root: Lv,
    order: Order,
    deleted: Vec<Deleted>,
    deleted_at: Index,
}

impl Known {
    /// What the deletions from `lv` on, before `end`, deleted as far as that is in one piece: its first character and how
    /// many follow.
    fn next_target(&self, lv: Lv, end: Lv) -> Option<(u32, u32)> {
        let (_, at) = self.deleted_at.floor(lv)?;
        let this = self.deleted[at as usize];
        let skip = lv - this.lv;
        let take = (end - lv).min(this.len.checked_sub(skip)?);
        let target = if this.back { this.target + this.len - skip - take } else { this.target + skip };
        (take > 0).then_some((target, take))
    }
}

/// The characters of a zone.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracker {
    /// Length of the text under the zone, once known.
    under: Option<u32>,
    /// The prepared version.
    version: Vec<Lv>,
    /// Everything replayed.
    whole: Vec<Lv>,
    known: Known,
    lanes: Lanes,
    /// Stretches of the graph walked to tell versions apart.
    #[cfg(test)]
    walked: u64,
}

impl Tracker {
    /// Empties it for the zone whose first event is `root`, on a text of `under` characters, if that is known.
    pub(super) fn reset(&mut self, root: Lv, critical: Option<Lv>, under: Option<u32>) {
        self.under = under;
        for version in [&mut self.version, &mut self.whole] {
            version.clear();
            version.extend(critical);
        }
        self.known.root = root;
        self.known.order.reset(root);
        self.known.deleted.clear();
        self.known.deleted_at.clear(root);
        self.lanes.clear();
    }

    /// The first event of the zone.
    pub(super) const fn root(&self) -> Lv {
        self.known.root
    }

    /// By how much everything replayed changed the length of the text.
    pub(super) fn growth(&self) -> i64 {
        i64::from(self.known.order.tree.total().effect) - i64::from(UNDER_LEN)
    }

    pub(super) const fn set_under(&mut self, under: u32) {
        self.under = Some(under);
    }

    /// Moves the prepared state to `version`; gives how many spans and stretches that went over.
    pub(super) fn prepare(&mut self, history: History<'_>, version: &[Lv]) -> usize {
        if self.version == version {
            return 0;
        }
        let apart = history.graph.diff(&self.version, version);
        let mut steps = apart.steps;
        #[cfg(test)]
        {
            self.walked += steps as u64;
        }
        for range in apart.one {
            steps += self.shift(history.ops, range.start, range.end, u32::wrapping_sub);
        }
        for range in apart.other.into_iter().rev() {
            steps += self.shift(history.ops, range.start, range.end, u32::wrapping_add);
        }
        self.version.clear();
        self.version.extend_from_slice(version);
        steps
    }

    /// Takes events out of the prepared state or puts them back. Counting makes the order indifferent.
    fn shift(&mut self, ops: &Ops, from: Lv, to: Lv, count: fn(u32, u32) -> u32) -> usize {
        let mut spans = 0;
        for run in ops.runs(from.max(self.known.root), to) {
            if run.kind == Kind::Insert {
                spans += self.known.order.count(run.lv, run.len, count);
                continue;
            }
            let (mut lv, end) = (run.lv, run.lv + run.len);
            while lv < end {
                let next = self.known.next_target(lv, end);
                let Some((target, take)) = next else { break };
                spans += self.known.order.count(target, take, count);
                lv += take;
            }
        }
        spans as usize
    }

    /// Replays a stretch of events, of which the first has seen `parents` and each other the one before.
    ///
    /// # Errors
    /// A position that is not in the text the author saw. The tracker is then good for nothing.
    pub(super) fn replay(
        &mut self,
        history: History<'_>,
        from: Lv,
        to: Lv,
        parents: &[Lv],
        mut effect: impl FnMut(Effect),
    ) -> Result<(), TextError> {
        // Whoever has seen everything needs no view of their own, and the prepared version stays with the others.
        let whole = parents == self.whole;
        let lane =
            if whole || parents == self.version { None } else { self.lanes.find(history, &self.known, from, parents) };
        if let Some(at) = lane {
            self.replay_in_lane(history, at, from..to, &mut effect)?;
        } else if whole {
            self.replay_here(history, from..to, View::Whole, &mut effect)?;
        } else {
            let steps = self.prepare(history, parents);
            self.replay_here(history, from..to, View::Prepared, &mut effect)?;
            self.version.clear();
            self.version.push(to - 1);
            let all = self.known.order.tree.spans_at_most();
            self.lanes.spend(history, to - 1, self.known.root, steps, all);
        }
        leave_tips(&mut self.whole, parents, to - 1);
        Ok(())
    }

    fn replay_here(
        &mut self,
        history: History<'_>,
        range: Range<Lv>,
        view: View,
        effect: &mut impl FnMut(Effect),
    ) -> Result<(), TextError> {
        let known = &mut self.known;
        for run in history.ops.runs(range.start, range.end) {
            check_bounds(self.under, known.order.tree.total(), view, &run)?;
            if run.kind == Kind::Insert {
                let (_, at) = known.order.insert(history.authors, run.lv, run.len, run.pos, view);
                effect(Effect::Insert { at, lv: run.lv, len: run.len });
                continue;
            }
            let (deleted, deleted_at) = (&mut known.deleted, &mut known.deleted_at);
            known.order.delete(&run, view, |gone| {
                note(deleted, deleted_at, &gone, run.kind);
                if let Some(at) = gone.at {
                    effect(Effect::Delete { at, len: gone.len });
                }
            });
        }
        Ok(())
    }

    /// Places events in a lane by position, and here by what they hang on.
    fn replay_in_lane(
        &mut self,
        history: History<'_>,
        at: usize,
        range: Range<Lv>,
        effect: &mut impl FnMut(Effect),
    ) -> Result<(), TextError> {
        let (known, Some(lane)) = (&mut self.known, self.lanes.get_mut(at)) else { return Ok(()) };
        for run in history.ops.runs(range.start, range.end) {
            check_bounds(self.under, lane.order.tree.total(), View::Prepared, &run)?;
            if run.kind == Kind::Insert {
                let (origin, _) = lane.order.insert(history.authors, run.lv, run.len, run.pos, View::Prepared);
                known.order.hang(history.authors, origin, UNKNOWN, None);
                effect(Effect::Insert { at: known.order.effect_before(run.lv), lv: run.lv, len: run.len });
                continue;
            }
            lane.order.delete(&run, View::Prepared, |gone| {
                note(&mut known.deleted, &mut known.deleted_at, &gone, run.kind);
                known.order.delete_known(gone.target, gone.len, |at, len| effect(Effect::Delete { at, len }));
            });
        }
        lane.went_on(history, range);
        Ok(())
    }

    /// Every character of the zone and under it in document order, with its states.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        self.known.order.tree.spans()
    }

    /// Where in the text with every effect character `id` stands, or would stand; and whether it is there.
    pub(super) fn place_of(&self, id: u32) -> (u32, bool) {
        let tree = &self.known.order.tree;
        let spot = tree.spot_of(id);
        (tree.before(spot).effect, tree.span(spot).shown(View::Whole))
    }

    /// The event deleted which characters: the target of the first, how many events continue alike, and which way.
    pub(super) fn target_of(&self, lv: Lv) -> Option<(u32, u32, bool)> {
        let (_, at) = self.known.deleted_at.floor(lv)?;
        let this = self.known.deleted[at as usize];
        let skip = lv - this.lv;
        let target = if this.back { (this.target + this.len - 1).checked_sub(skip)? } else { this.target + skip };
        Some((target, this.len.checked_sub(skip)?, this.back))
    }

    /// The event of which character `at` of the prepared text is, or [`UNDER`] and its place.
    pub(super) fn id_at(&self, at: u32) -> u32 {
        let tree = &self.known.order.tree;
        let (spot, _) = tree.behind_shown(View::Prepared, at + 1);
        tree.span(spot).id + spot.off - 1
    }

    /// Steps taken in all.
    #[cfg(test)]
    fn work(&self) -> u64 {
        self.known.order.tree.work() + self.lanes.work() + self.walked
    }

    /// What does not hold.
    pub(super) fn check(&self) -> Result<(), String> {
        self.known.order.tree.check()?;
        self.lanes.check()
    }
}

fn note(deleted: &mut Vec<Deleted>, deleted_at: &mut Index, gone: &Gone, kind: Kind) {
    deleted_at.set(gone.lv, super::int(deleted.len()));
    deleted.push(Deleted { lv: gone.lv, target: gone.target, len: gone.len, back: kind == Kind::Backspace });
}

/// Whether a run is within a text of these widths.
fn check_bounds(under: Option<u32>, total: Wide, view: View, run: &Run<'_>) -> Result<(), TextError> {
    let Some(under) = under else { return Ok(()) };
    let len = i64::from(total.shown(view)) - i64::from(UNDER_LEN) + i64::from(under);
    let reach = if run.kind == Kind::Insert { run.pos } else { run.low().saturating_add(run.len) };
    if i64::from(reach) > len {
        return Err(TextError::OutOfBounds { at: reach.into(), len: len.try_into().unwrap_or(0) });
    }
    Ok(())
}
