//! Where an insertion belongs among concurrent ones: the order of Fugue.
//!
//! Characters form a tree whose in-order walk is the document. A new character hangs on the left of the one behind it, if
//! that one already descends from the one before it, else on the right of the one before. Several on one side are
//! siblings, in the order of their authors' names, then of their numbers. Runs of concurrent authors therefore do not
//! interleave, typed forwards or backwards. (Weidner and Kleppmann, "The art of the fugue", 2023. Its variant FugueMax
//! orders right siblings by what stood behind them first; the recorded histories of the reference implementation,
//! which our tests replay, are in the plain order.)
//!
//! A run of typing is a chain of right children and is kept as one. Beside a sibling means before or behind its whole
//! subtree; begin and end marks stand there, so that nobody walks a chain to find it: two writers who both keep
//! prepending at one place cost n log n, not n².
//!
//! *What must hold:* a character with a left child inside the zone has a begin mark, one with a right child other than
//! the next of its run an end mark.

use std::cmp::Ordering;

use super::NOWHERE;
use super::index::UNDER;
use super::order::{Order, Origin};
use super::tree::{BEGIN, END, Span, Spot, View};
use crate::crdt::text::authors::Authors;
use crate::crdt::text::{Lv, int};

/// In a span's state: there in both.
pub(super) const PRESENT: u32 = 1 << 1;
/// … there in effect, and not known to the prepared version.
pub(super) const UNKNOWN: u32 = 0;
/// In a slot of kids: the number of a crowd instead of the only kid.
const CROWD: u32 = 1 << 31;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Order {
    /// Inserts events `lv..lv + len` at `pos` of the text that the view shows; says what they hang on, and the position in
    /// effect.
    pub(super) fn insert(&mut self, authors: &Authors, lv: Lv, len: u32, pos: u32, view: View) -> (Origin, u32) {
        let (spot, effect) = self.tree.behind_shown(view, pos);
        let left = if pos == 0 { NOWHERE } else { self.tree.span(spot).id + spot.off - 1 };
        let right = self.tree.next_known(view, spot).unwrap_or(UNDER);
        let parent = if left >= UNDER || self.left_of(right) == left { right } else { NOWHERE };
        let new = Origin { id: lv, end: lv + len, left, parent };
        let state = if view == View::Whole { UNKNOWN } else { PRESENT };
        let there = self.hang(authors, new, state, Some(spot));
        (new, if there { effect } else { self.effect_before(lv) })
    }

    /// What effect shows before a character.
    pub(super) fn effect_before(&self, id: u32) -> u32 {
        self.tree.before(self.tree.spot_of(id)).effect
    }

    /// Puts an insertion where it hangs, in this state; says whether that was the spot expected.
    pub(super) fn hang(&mut self, authors: &Authors, new: Origin, state: u32, expected: Option<Spot>) -> bool {
        let span = Span { id: new.id, len: new.end - new.id, state };
        if new.parent != NOWHERE {
            return self.hang_left(authors, new, span, expected);
        }
        let spot = expected.unwrap_or_else(|| {
            let left = self.tree.spot_of(new.left);
            Spot { off: left.off + 1, ..left }
        });
        if !self.continues(new) {
            return self.hang_right(authors, new, span, spot);
        }
        if let Some(origin) = self.origins.last_mut() {
            origin.end = new.end;
        }
        let held = self.tree.span(spot);
        if held.state == state && held.id + held.len == new.id {
            self.tree.extend(spot, span.len);
        } else {
            self.tree.insert(spot, span);
        }
        true
    }

    /// The left origin of a character.
    fn left_of(&self, id: u32) -> u32 {
        if id >= UNDER {
            return if id == UNDER { NOWHERE } else { id - 1 };
        }
        match self.origin(id) {
            Some(origin) if origin.id == id => origin.left,
            _ => id.wrapping_sub(1),
        }
    }

    pub(super) fn origin(&self, id: u32) -> Option<Origin> {
        let (_, at) = self.origin_at.floor(id)?;
        self.origins.get(at as usize).copied()
    }

    /// Whether the insertion goes on where the last one ended, with nobody else's beside it.
    fn continues(&self, new: Origin) -> bool {
        self.origins.last().is_some_and(|last| {
            last.end == new.id && last.end - 1 == new.left && self.right_kids.get(new.left).is_none()
        })
    }

    fn add(&mut self, new: Origin) {
        self.origin_at.set(new.id, int(self.origins.len()));
        self.origins.push(new);
    }

    fn hang_left(&mut self, authors: &Authors, new: Origin, span: Span, expected: Option<Spot>) -> bool {
        let parent = new.parent;
        self.add(new);
        let kids = self.kids(Side::Left, parent);
        let next = kids.get(kids.partition_point(|kid| authors.order(*kid, new.id) == Ordering::Less)).copied();
        let first = kids.is_empty();
        let at = match next {
            Some(next) => self.begin_of(next),
            None => self.tree.spot_of(parent),
        };
        let at = if first && parent < UNDER {
            let mark = self.tree.insert(at, Span { id: parent, len: 0, state: BEGIN });
            Spot { slot: mark.slot + 1, off: 0, ..mark }
        } else {
            at
        };
        self.add_kid(authors, Side::Left, parent, new.id);
        let direct = expected.is_some_and(|spot| {
            let same = at.leaf == spot.leaf && at.off == 0 && at.slot == spot.slot + 1;
            at == spot || (same && spot.off == self.tree.span(spot).len)
        });
        self.tree.insert(at, span);
        direct
    }

    /// The spot is behind the character that the insertion hangs on.
    fn hang_right(&mut self, authors: &Authors, new: Origin, span: Span, spot: Spot) -> bool {
        let parent = new.left;
        self.add(new);
        let run_end = self.origin(parent).map_or(parent + 1, |origin| origin.end);
        let first = self.kids(Side::Right, parent).is_empty();
        if first && run_end == parent + 1 {
            self.add_kid(authors, Side::Right, parent, new.id);
            let there = self.tree.insert(spot, span);
            self.tree.insert(Spot { slot: there.slot + 1, off: 0, ..there }, Span { id: parent, len: 0, state: END });
            return true;
        }
        if first {
            // The next character of the parent's own run was its only child so far.
            self.add_kid(authors, Side::Right, parent, parent + 1);
            let end = self.end_of(parent + 1, run_end);
            self.tree.insert(end, Span { id: parent, len: 0, state: END });
        }
        let kids = self.kids(Side::Right, parent);
        let at = kids.partition_point(|kid| authors.order(*kid, new.id) == Ordering::Less);
        let next = kids.get(at).copied();
        let at = match next {
            Some(next) => self.begin_of(next),
            None => self.tree.mark(parent, END).unwrap_or(spot),
        };
        self.add_kid(authors, Side::Right, parent, new.id);
        self.tree.insert(at, span);
        false
    }

    /// Where the subtree of a character begins.
    fn begin_of(&self, id: u32) -> Spot {
        self.tree.mark(id, BEGIN).unwrap_or_else(|| self.tree.spot_of(id))
    }

    /// Behind the subtree of a character whose run ends at `run_end`.
    fn end_of(&self, id: u32, run_end: u32) -> Spot {
        match self.tree.next_end(id, run_end).and_then(|id| self.tree.mark(id, END)) {
            Some(mark) => Spot { slot: mark.slot + 1, ..mark },
            None => {
                let last = self.tree.spot_of(run_end - 1);
                Spot { off: last.off + 1, ..last }
            }
        }
    }

    fn kids(&self, side: Side, parent: u32) -> &[u32] {
        let index = if side == Side::Left { &self.left_kids } else { &self.right_kids };
        match index.get_ref(parent) {
            None => &[],
            Some(slot) if slot & CROWD > 0 => &self.crowds[(slot & !CROWD) as usize],
            Some(only) => std::slice::from_ref(only),
        }
    }

    /// Adds a child in the order of siblings.
    fn add_kid(&mut self, authors: &Authors, side: Side, parent: u32, kid: u32) {
        let index = if side == Side::Left { &mut self.left_kids } else { &mut self.right_kids };
        let Some(slot) = index.get(parent) else {
            index.set(parent, kid);
            return;
        };
        let crowd = if slot & CROWD > 0 {
            (slot & !CROWD) as usize
        } else {
            index.set(parent, int(self.crowds.len()) | CROWD);
            self.crowds.push(vec![slot]);
            self.crowds.len() - 1
        };
        let at = self.crowds[crowd].partition_point(|other| authors.order(*other, kid) == Ordering::Less);
        self.crowds[crowd].insert(at, kid);
    }
}
