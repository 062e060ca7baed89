//! Replays concurrent events: the sequence of characters of a stretch of history, in two states at once.
//!
//! Events say positions in the text that *their author saw*. To find out where they act in the text that *we* have, the
//! tracker keeps every character of the stretch (the *zone*) in document order with two states. The *prepared* state is
//! moved to what the author of the next event saw; there the position says which characters are meant. The *effect*
//! state has everything replayed so far; there the same characters give the position that our text understands. (The
//! event graph walker: Gentle and Kleppmann, "Collaborative text editing with Eg-walker", EuroSys 2025.)
//!
//! A zone begins behind a critical event, so that everybody in it had seen the text there: that text stands *under* the
//! zone, one span of unknown content. Concurrent insertions at one place are ordered as `place` says.
//!
//! *What must hold:* an event is replayed once, after its parents; the tracker is thrown away when the zone is closed. To
//! place an event costs a logarithm of the zone, whoever else writes there; to change the prepared version costs what the
//! two versions differ by, so the order of replay decides. *Where next:* [`super::merge`].

mod grow;
mod index;
mod place;
#[cfg(test)]
mod tests;
mod tree;

use index::Index;
use tree::{Spot, Tree, UNDER_LEN};

use super::authors::Authors;
use super::graph::Graph;
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

/// An insertion as it was made: where its first character belongs, and everybody else's is beside the one before.
#[derive(Debug, Clone, Copy)]
struct Origin {
    id: u32,
    end: u32,
    /// The character before, when it was made; [`NOWHERE`] at the start of the text.
    left: u32,
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

/// The characters of a zone.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracker {
    root: Lv,
    /// Length of the text under the zone, once known.
    under: Option<u32>,
    /// The prepared version.
    version: Vec<Lv>,
    tree: Tree,
    origins: Vec<Origin>,
    origin_at: Index,
    deleted: Vec<Deleted>,
    deleted_at: Index,
    /// Insertions by the character they hang on: one, or with the high bit the number of a crowd.
    left_kids: Index,
    right_kids: Index,
    crowds: Vec<Vec<u32>>,
}

impl Tracker {
    /// Empties it for the zone whose first event is `root`, on a text of `under` characters, if that is known.
    pub(super) fn reset(&mut self, root: Lv, critical: Option<Lv>, under: Option<u32>) {
        self.root = root;
        self.under = under;
        self.version.clear();
        self.version.extend(critical);
        self.tree.reset(root);
        self.origins.clear();
        self.origin_at.clear(root);
        self.deleted.clear();
        self.deleted_at.clear(root);
        self.left_kids.clear(root);
        self.right_kids.clear(root);
        self.crowds.clear();
    }

    /// The first event of the zone.
    pub(super) const fn root(&self) -> Lv {
        self.root
    }

    /// By how much everything replayed changed the length of the text.
    pub(super) fn growth(&self) -> i64 {
        i64::from(self.tree.total().effect) - i64::from(UNDER_LEN)
    }

    pub(super) const fn set_under(&mut self, under: u32) {
        self.under = Some(under);
    }

    /// Moves the prepared state to `version`.
    pub(super) fn prepare(&mut self, history: History<'_>, version: &[Lv]) {
        if self.version == version {
            return;
        }
        let (back, forth) = history.graph.diff(&self.version, version);
        for range in back {
            self.shift(history.ops, range.start.max(self.root), range.end, u32::wrapping_sub);
        }
        for range in forth.into_iter().rev() {
            self.shift(history.ops, range.start.max(self.root), range.end, u32::wrapping_add);
        }
        self.version.clear();
        self.version.extend_from_slice(version);
    }

    /// Takes events out of the prepared state or puts them back. Counting makes the order indifferent.
    fn shift(&mut self, ops: &Ops, from: Lv, to: Lv, count: fn(u32, u32) -> u32) {
        for run in ops.runs(from, to) {
            if run.kind == Kind::Insert {
                self.count(run.lv, run.len, count);
                continue;
            }
            let (mut lv, end) = (run.lv, run.lv + run.len);
            while lv < end {
                let Some((_, at)) = self.deleted_at.floor(lv) else { break };
                let this = self.deleted[at as usize];
                let (skip, take) = (lv - this.lv, (end - lv).min(this.lv + this.len - lv));
                let target = if this.back { this.target + this.len - skip - take } else { this.target + skip };
                self.count(target, take, count);
                lv += take;
            }
        }
    }

    /// Counts up or down how often `len` characters from `id` on were inserted and deleted in the prepared version.
    fn count(&mut self, id: u32, len: u32, count: fn(u32, u32) -> u32) {
        let (mut id, end) = (id, id + len);
        while id < end {
            let spot = self.tree.spot_of(id);
            let span = self.tree.span(spot);
            let take = (end - id).min(span.len - spot.off);
            self.tree.set_state(spot, take, count(span.state, 2));
            id += take;
        }
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
        self.prepare(history, parents);
        for run in history.ops.runs(from, to) {
            self.check_bounds(&run)?;
            if run.kind == Kind::Insert {
                let at = self.insert(history.authors, run.lv, run.len, run.pos);
                effect(Effect::Insert { at, lv: run.lv, len: run.len });
            } else {
                self.delete(&run, &mut effect);
            }
        }
        self.version.clear();
        self.version.push(to - 1);
        Ok(())
    }

    fn check_bounds(&self, run: &Run<'_>) -> Result<(), TextError> {
        let Some(under) = self.under else { return Ok(()) };
        let len = i64::from(self.tree.total().shown) - i64::from(UNDER_LEN) + i64::from(under);
        let reach = if run.kind == Kind::Insert { run.pos } else { run.low().saturating_add(run.len) };
        if i64::from(reach) > len {
            return Err(TextError::OutOfBounds { at: reach.into(), len: len.try_into().unwrap_or(0) });
        }
        Ok(())
    }

    /// Deletes what is shown at the run's position; each character once in effect, whoever else deletes it.
    fn delete(&mut self, run: &Run<'_>, effect: &mut impl FnMut(Effect)) {
        let (spot, before) = self.tree.behind_shown(run.low() + 1);
        let mut spot = Spot { off: spot.off - 1, ..spot };
        let mut at = before - u32::from(self.tree.span(spot).state & 1 == 0);
        let mut done = 0;
        loop {
            let span = self.tree.span(spot);
            let take = (run.len - done).min(span.len - spot.off);
            if span.state & 1 == 0 {
                effect(Effect::Delete { at, len: take });
            }
            let back = run.kind == Kind::Backspace;
            let lv = if back { run.lv + run.len - done - take } else { run.lv + done };
            self.deleted_at.set(lv, super::int(self.deleted.len()));
            self.deleted.push(Deleted { lv, target: span.id + spot.off, len: take, back });
            let behind = self.tree.set_state(spot, take, (2 << 1) | 1);
            done += take;
            if done == run.len {
                return;
            }
            let mut next = self.tree.step(behind);
            while let Some(there) = next {
                let span = self.tree.span(there);
                if span.prepared() == 1 {
                    break;
                }
                at += if span.state & 1 == 0 { span.len } else { 0 };
                next = self.tree.step(there);
            }
            let Some(there) = next else { return };
            spot = there;
        }
    }

    /// Every character of the zone and under it in document order, with its states.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        self.tree.spans()
    }

    /// Where in the text with every effect character `id` stands, or would stand; and whether it is there.
    pub(super) fn place_of(&self, id: u32) -> (u32, bool) {
        let spot = self.tree.spot_of(id);
        (self.tree.before(spot).effect, self.tree.span(spot).state & 1 == 0)
    }

    /// The event deleted which characters: the target of the first, how many events continue alike, and which way.
    pub(super) fn target_of(&self, lv: Lv) -> Option<(u32, u32, bool)> {
        let (_, at) = self.deleted_at.floor(lv)?;
        let this = self.deleted[at as usize];
        let skip = lv - this.lv;
        let target = if this.back { (this.target + this.len - 1).checked_sub(skip)? } else { this.target + skip };
        Some((target, this.len.checked_sub(skip)?, this.back))
    }

    /// The event of which character `at` of the prepared text is, or [`UNDER`] and its place.
    pub(super) fn id_at(&self, at: u32) -> u32 {
        let (spot, _) = self.tree.behind_shown(at + 1);
        self.tree.span(spot).id + spot.off - 1
    }

    /// What does not hold.
    pub(super) fn check(&self) -> Result<(), String> {
        self.tree.check()
    }
}
