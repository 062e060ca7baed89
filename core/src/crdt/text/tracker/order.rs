//! Characters in document order: the tree of spans, and what each of them hangs on.
//!
//! The tracker has one with every character of its zone; a [lane](super::lane) has one with the characters that its
//! writer knows. What was placed in one by position is placed in another by what it hangs on.
//!
//! *What must hold:* whatever a character hangs on is there before it. *Where next:* [`super::place`] says where an
//! insertion belongs, [`super::tree`] holds the spans.

use super::index::Index;
use super::tree::{Spot, Tree, View};
use super::{Lv, NOWHERE};
use crate::crdt::text::ops::{Kind, Run};

/// An insertion as it was made: where its first character belongs, and everybody else's is beside the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) id: u32,
    pub(super) end: u32,
    /// The character before, when it was made; [`NOWHERE`] at the start of the text.
    pub(super) left: u32,
    /// The character on whose left the first one hangs; [`NOWHERE`] if it hangs on the right of the one before.
    pub(super) parent: u32,
}

impl Origin {
    /// The part of it from one of its characters on, up to `end` at most.
    pub(super) fn part(self, id: u32, end: u32) -> Self {
        let end = self.end.min(end);
        if id == self.id { Self { end, ..self } } else { Self { id, end, left: id - 1, parent: NOWHERE } }
    }
}

/// A part of what a run deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    /// The first event of the part, in the order of the targets.
    pub(super) lv: Lv,
    /// The first character.
    pub(super) target: u32,
    pub(super) len: u32,
    /// Where it stood in effect, if it did.
    pub(super) at: Option<u32>,
}

/// Characters and how they hang together.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    pub(super) tree: Tree,
    pub(super) origins: Vec<Origin>,
    pub(super) origin_at: Index,
    /// Insertions by the character they hang on: one, or with the high bit the number of a crowd.
    pub(super) left_kids: Index,
    pub(super) right_kids: Index,
    pub(super) crowds: Vec<Vec<u32>>,
}

impl Order {
    /// Empties it for the zone whose first event is `root`.
    pub(super) fn reset(&mut self, root: Lv) {
        self.tree.reset(root);
        self.origins.clear();
        self.origin_at.clear(root);
        self.left_kids.clear(root);
        self.right_kids.clear(root);
        self.crowds.clear();
    }

    /// Counts up or down how often `len` characters from `id` on were inserted and deleted in the prepared version; gives
    /// how many spans that took.
    pub(super) fn count(&mut self, id: u32, len: u32, count: fn(u32, u32) -> u32) -> u32 {
        let (mut id, end, mut spans) = (id, id + len, 0);
        while id < end {
            let spot = self.tree.spot_of(id);
            let span = self.tree.span(spot);
            let take = (end - id).min(span.len - spot.off);
            self.tree.set_state(spot, take, count(span.state, 2));
            id += take;
            spans += 1;
        }
        spans
    }

    /// Deletes what the view shows at the run's position; tells `gone` each part of it.
    pub(super) fn delete(&mut self, run: &Run<'_>, view: View, mut gone: impl FnMut(Gone)) {
        let (mut spot, mut at) = self.shown_at(view, run.low());
        let mut done = 0;
        loop {
            let span = self.tree.span(spot);
            let take = (run.len - done).min(span.len - spot.off);
            let back = run.kind == Kind::Backspace;
            let lv = if back { run.lv + run.len - done - take } else { run.lv + done };
            let stands = span.shown(View::Whole);
            gone(Gone { lv, target: span.id + spot.off, len: take, at: stands.then_some(at) });
            let state = if view == View::Whole { span.state | 1 } else { (2 << 1) | 1 };
            let behind = self.tree.set_state(spot, take, state);
            done += take;
            if done == run.len {
                return;
            }
            // What is gone is not shown any more, so that what follows stands where it stood.
            (spot, at) = match self.tree.next_shown_near(view, behind) {
                Some((next, between)) => (next, at + between),
                None => self.shown_at(view, run.low()),
            };
        }
    }

    /// The spot before the character that the view shows at `pos`, and what effect shows before it.
    fn shown_at(&self, view: View, pos: u32) -> (Spot, u32) {
        let (spot, before) = self.tree.behind_shown(view, pos + 1);
        let spot = Spot { off: spot.off - 1, ..spot };
        (spot, before - u32::from(self.tree.span(spot).shown(View::Whole)))
    }

    /// Deletes in effect what was deleted elsewhere, and leaves the prepared version as it is; tells `gone` each part of it
    /// that stood.
    pub(super) fn delete_known(&mut self, id: u32, len: u32, mut gone: impl FnMut(u32, u32)) {
        let (mut id, end) = (id, id + len);
        while id < end {
            let spot = self.tree.spot_of(id);
            let span = self.tree.span(spot);
            let take = (end - id).min(span.len - spot.off);
            if span.shown(View::Whole) {
                gone(self.tree.before(spot).effect, take);
                self.tree.set_state(spot, take, span.state | 1);
            }
            id += take;
        }
    }
}
