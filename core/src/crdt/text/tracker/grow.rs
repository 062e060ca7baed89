//! Changing the tree of spans.
//!
//! *What must hold:* every change keeps widths and indexes right; a split moves at most a leaf's spans.

use super::tree::{BEGIN, Branch, FAN, LEAF, Leaf, NONE, Span, Spot, Tree, Wide};
use crate::crdt::text::int;

impl Tree {
    /// Adds to the widths above a leaf.
    fn add(&mut self, leaf: u32, more: Wide, less: Wide) {
        let (mut kid, mut parent) = (leaf, self.leaves[leaf as usize].parent);
        while parent != NONE {
            let branch = &mut self.branches[parent as usize];
            let slot = branch.slot_of(kid);
            branch.widths[slot] = branch.widths[slot].plus(more).minus(less);
            (kid, parent) = (parent, branch.parent);
        }
    }

    /// Gives `len` characters from the spot on, within one span, another state; the spot moves behind them.
    pub(super) fn set_state(&mut self, spot: Spot, len: u32, state: u32) -> Spot {
        let mut spot = spot;
        if spot.off > 0 {
            spot = self.split(spot);
        }
        if len < self.span(spot).len {
            let at = self.split(Spot { off: len, ..spot });
            // Both parts are in one leaf, which may be a new one.
            spot = Spot { slot: at.slot.saturating_sub(1), ..at };
        }
        let span = &mut self.leaves[spot.leaf as usize].spans[spot.slot];
        let old = span.width();
        span.state = state;
        let new = span.width();
        if old != new {
            self.add(spot.leaf, new, old);
        }
        Spot { off: len, ..spot }
    }

    /// Splits a span at the spot; gives the spot before its second part.
    pub(super) fn split(&mut self, spot: Spot) -> Spot {
        let spot = self.make_room(spot, 1);
        let leaf = &mut self.leaves[spot.leaf as usize];
        let slot = spot.slot;
        let span = leaf.spans[slot];
        leaf.spans.copy_within(slot + 1..leaf.count as usize, slot + 2);
        leaf.spans[slot].len = spot.off;
        leaf.spans[slot + 1] = Span { id: span.id + spot.off, len: span.len - spot.off, state: span.state };
        leaf.count += 1;
        self.places.set(span.id + spot.off, spot.leaf);
        Spot { leaf: spot.leaf, slot: slot + 1, off: 0 }
    }

    /// Puts a span at the spot, which may be inside another; gives where it is.
    pub(super) fn insert(&mut self, spot: Spot, span: Span) -> Spot {
        let inside = spot.off > 0 && spot.off < self.span(spot).len;
        let mut spot = if inside { self.split(spot) } else { spot };
        if !inside && spot.off > 0 {
            spot = Spot { slot: spot.slot + 1, off: 0, ..spot };
        }
        let spot = self.make_room(spot, 1);
        let leaf = &mut self.leaves[spot.leaf as usize];
        leaf.spans.copy_within(spot.slot..leaf.count as usize, spot.slot + 1);
        leaf.spans[spot.slot] = span;
        leaf.count += 1;
        self.settle(span, spot.leaf);
        if !span.is_mark() {
            self.add(spot.leaf, span.width(), Wide::default());
        }
        spot
    }

    /// Lengthens the span that the spot is at the end of.
    pub(super) fn extend(&mut self, spot: Spot, len: u32) {
        let span = &mut self.leaves[spot.leaf as usize].spans[spot.slot];
        let more = Span { len, ..*span }.width();
        span.len += len;
        self.add(spot.leaf, more, Wide::default());
    }

    /// Says where a span lives now.
    fn settle(&mut self, span: Span, leaf: u32) {
        match (span.len, span.state) {
            (0, BEGIN) => drop(self.begins.insert(span.id, leaf)),
            (0, _) => drop(self.ends.insert(span.id, leaf)),
            _ => self.places.set(span.id, leaf),
        }
    }

    /// Makes sure that the spot's leaf can take `more` spans, splitting it if need be.
    fn make_room(&mut self, spot: Spot, more: usize) -> Spot {
        let count = self.leaves[spot.leaf as usize].count as usize;
        if count + more <= LEAF {
            return spot;
        }
        let half = LEAF / 2;
        let old = &mut self.leaves[spot.leaf as usize];
        let mut new = Leaf { parent: old.parent, count: int(count - half), spans: [Span::default(); LEAF] };
        new.spans[..count - half].copy_from_slice(&old.spans[half..count]);
        old.count = int(half);
        let parent = old.parent;
        let id = int(self.leaves.len());
        self.leaves.push(new);
        let mut moved = Wide::default();
        for span in &new.spans[..count - half] {
            moved = moved.plus(span.width());
            self.settle(*span, id);
        }
        self.hang(parent, spot.leaf, id, moved, 0);
        if spot.slot < half || (spot.slot == half && spot.off == 0) {
            return spot;
        }
        Spot { leaf: id, slot: spot.slot - half, off: spot.off }
    }

    /// Hangs `kid` behind `left` into a branch `level` levels above the leaves; `width` moves from one to the other.
    fn hang(&mut self, parent: u32, left: u32, kid: u32, width: Wide, level: u32) {
        let (mut parent, mut left, mut kid, mut width, mut level) = (parent, left, kid, width, level);
        loop {
            let branch = &mut self.branches[parent as usize];
            let slot = branch.slot_of(left);
            branch.widths[slot] = branch.widths[slot].minus(width);
            let count = branch.count as usize;
            if count < FAN {
                put(branch, slot + 1, kid, width);
                self.set_parent(kid, parent, level);
                return;
            }
            let half = FAN / 2;
            let mut right = Branch { parent: branch.parent, count: int(FAN - half), ..*branch };
            right.kids.copy_within(half.., 0);
            right.widths.copy_within(half.., 0);
            branch.count = int(half);
            if slot < half {
                put(branch, slot + 1, kid, width);
            } else {
                put(&mut right, slot + 1 - half, kid, width);
            }
            let grand = branch.parent;
            let id = int(self.branches.len());
            self.branches.push(right);
            self.set_parent(kid, if slot < half { parent } else { id }, level);
            let mut moved = Wide::default();
            for slot in 0..right.count as usize {
                moved = moved.plus(right.widths[slot]);
                self.set_parent(right.kids[slot], id, level);
            }
            if grand == NONE {
                let mut root = Branch { parent: NONE, count: 2, ..right };
                let whole = self.branches[parent as usize];
                let kept = whole.widths[..whole.count as usize].iter().fold(Wide::default(), |sum, one| sum.plus(*one));
                (root.kids[0], root.widths[0]) = (parent, kept);
                (root.kids[1], root.widths[1]) = (id, moved);
                self.root = int(self.branches.len());
                self.branches.push(root);
                self.set_parent(parent, self.root, level + 1);
                self.set_parent(id, self.root, level + 1);
                self.depth += 1;
                return;
            }
            (left, kid, parent, width, level) = (parent, id, grand, moved, level + 1);
        }
    }

    fn set_parent(&mut self, kid: u32, parent: u32, level: u32) {
        if level == 0 {
            self.leaves[kid as usize].parent = parent;
        } else {
            self.branches[kid as usize].parent = parent;
        }
    }
}

fn put(branch: &mut Branch, slot: usize, kid: u32, width: Wide) {
    let count = branch.count as usize;
    branch.kids.copy_within(slot..count, slot + 1);
    branch.widths.copy_within(slot..count, slot + 1);
    branch.kids[slot] = kid;
    branch.widths[slot] = width;
    branch.count += 1;
}
