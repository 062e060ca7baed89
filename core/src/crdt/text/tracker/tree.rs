//! Spans of characters in document order: a B-tree that counts them in both states.
//!
//! A span is a stretch of characters whose ids follow each other and whose state is the same. Marks of no width stand
//! where the subtree of a character begins or ends, so that the place beside it is found without walking it.
//!
//! *What must hold:* a branch's widths are the sums of its child's; `places` knows the leaf of every span by its first
//! id, `begins` and `ends` that of every mark; leaves are equally deep. *Where next:* `grow` changes it, [`super::place`] says where a span belongs.

use std::collections::BTreeMap;

use super::index::{Index, UNDER};

/// Spans of a leaf; searched one by one, so few, yet a small zone fits one leaf.
pub(super) const LEAF: usize = 24;
pub(super) const FAN: usize = 16;
/// Characters under a zone: more than a document can hold.
pub(super) const UNDER_LEN: u32 = 1 << 30;
pub(super) const NONE: u32 = u32::MAX;

/// In a span's state: nothing here; it marks where the subtree of `id` begins.
pub(super) const BEGIN: u32 = u32::MAX - 1;
/// … ends.
pub(super) const END: u32 = u32::MAX;

/// Characters `id..id + len` in one state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::crdt::text) struct Span {
    pub(in crate::crdt::text) id: u32,
    pub(in crate::crdt::text) len: u32,
    /// Low bit: deleted in effect. Above it, in the prepared version: 0 not yet there, 1 there, more: how often deleted,
    /// plus one.
    pub(in crate::crdt::text) state: u32,
}

impl Span {
    pub(super) const fn is_mark(self) -> bool {
        self.len == 0
    }

    pub(in crate::crdt::text) const fn prepared(self) -> u32 {
        self.state >> 1
    }

    pub(super) const fn width(self) -> Wide {
        if self.len == 0 {
            return Wide { shown: 0, known: 0, effect: 0, all: 0 };
        }
        let prepared = self.state >> 1;
        Wide {
            all: self.len,
            shown: if prepared == 1 { self.len } else { 0 },
            known: if prepared > 0 { self.len } else { 0 },
            effect: if self.state & 1 == 0 { self.len } else { 0 },
        }
    }
}

/// Whose text a position is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// Somebody's who has seen the prepared version.
    Prepared,
    /// Somebody's who has seen everything replayed so far: what is shown in effect.
    Whole,
}

impl Span {
    pub(super) const fn shown(self, view: View) -> bool {
        match view {
            View::Prepared => self.state >> 1 == 1,
            View::Whole => self.state & 1 == 0,
        }
    }

    const fn known(self, view: View) -> bool {
        self.len > 0 && (matches!(view, View::Whole) || self.state >> 1 > 0)
    }
}

/// Widths of a subtree: characters shown and known in the prepared version, shown in effect, and all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wide {
    pub(super) shown: u32,
    pub(super) known: u32,
    pub(super) effect: u32,
    pub(super) all: u32,
}

impl Wide {
    pub(super) const fn shown(self, view: View) -> u32 {
        match view {
            View::Prepared => self.shown,
            View::Whole => self.effect,
        }
    }

    const fn known(self, view: View) -> u32 {
        match view {
            View::Prepared => self.known,
            View::Whole => self.all,
        }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            shown: self.shown.wrapping_add(other.shown),
            known: self.known.wrapping_add(other.known),
            effect: self.effect.wrapping_add(other.effect),
            all: self.all.wrapping_add(other.all),
        }
    }

    pub(super) const fn minus(self, other: Self) -> Self {
        Self {
            shown: self.shown.wrapping_sub(other.shown),
            known: self.known.wrapping_sub(other.known),
            effect: self.effect.wrapping_sub(other.effect),
            all: self.all.wrapping_sub(other.all),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    pub(super) parent: u32,
    pub(super) count: u32,
    pub(super) spans: [Span; LEAF],
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Branch {
    pub(super) parent: u32,
    pub(super) count: u32,
    pub(super) kids: [u32; FAN],
    pub(super) widths: [Wide; FAN],
}

impl Branch {
    pub(super) fn slot_of(&self, kid: u32) -> usize {
        self.kids[..self.count as usize].iter().position(|other| *other == kid).unwrap_or(0)
    }
}

/// Between two characters, or inside a span: behind the first `off` characters of span `slot` of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) leaf: u32,
    pub(super) slot: usize,
    pub(super) off: u32,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    pub(super) leaves: Vec<Leaf>,
    pub(super) branches: Vec<Branch>,
    pub(super) root: u32,
    pub(super) depth: u32,
    pub(super) places: Index,
    pub(super) begins: BTreeMap<u32, u32>,
    pub(super) ends: BTreeMap<u32, u32>,
    /// Steps taken through branches and leaves.
    #[cfg(test)]
    work: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Tree {
    /// Only the characters under the zone, which begins with event `root`.
    pub(super) fn reset(&mut self, root: u32) {
        self.leaves.clear();
        self.branches.clear();
        self.begins.clear();
        self.ends.clear();
        self.places.clear(root);
        let mut leaf = Leaf { parent: 0, count: 1, spans: [Span::default(); LEAF] };
        leaf.spans[0] = Span { id: UNDER, len: UNDER_LEN, state: 2 };
        self.places.set(UNDER, 0);
        self.leaves.push(leaf);
        let mut branch = Branch { parent: NONE, count: 1, kids: [0; FAN], widths: [Wide::default(); FAN] };
        branch.widths[0] = leaf.spans[0].width();
        self.branches.push(branch);
        self.root = 0;
        self.depth = 1;
    }

    /// Counts steps, in tests of how work grows.
    #[cfg(test)]
    fn worked(&self, steps: usize) {
        self.work.fetch_add(steps as u64, std::sync::atomic::Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn work(&self) -> u64 {
        self.work.load(std::sync::atomic::Ordering::Relaxed)
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "counts nothing outside tests")]
    const fn worked(&self, _: usize) {}

    /// No fewer spans than there are.
    pub(super) const fn spans_at_most(&self) -> usize {
        self.leaves.len() * LEAF
    }

    pub(super) fn total(&self) -> Wide {
        let root = &self.branches[self.root as usize];
        root.widths[..root.count as usize].iter().fold(Wide::default(), |sum, width| sum.plus(*width))
    }

    pub(super) fn span(&self, spot: Spot) -> Span {
        self.leaves[spot.leaf as usize].spans[spot.slot]
    }

    /// The spot just behind the `count`th character that the view shows (0: before everything), and what effect shows
    /// before it.
    pub(super) fn behind_shown(&self, view: View, count: u32) -> (Spot, u32) {
        let (mut node, mut left, mut effect) = (self.root, count, 0_u32);
        for _ in 0..self.depth {
            let branch = &self.branches[node as usize];
            let mut child = 0;
            while child + 1 < branch.count as usize && left > branch.widths[child].shown(view) {
                left -= branch.widths[child].shown(view);
                effect = effect.wrapping_add(branch.widths[child].effect);
                child += 1;
            }
            self.worked(child + 1);
            node = branch.kids[child];
        }
        let leaf = &self.leaves[node as usize];
        if count == 0 {
            return (Spot { leaf: node, slot: 0, off: 0 }, 0);
        }
        let mut slot = 0;
        while slot + 1 < leaf.count as usize {
            let width = leaf.spans[slot].width();
            if left <= width.shown(view) {
                break;
            }
            left -= width.shown(view);
            effect = effect.wrapping_add(width.effect);
            slot += 1;
        }
        self.worked(slot + 1);
        if leaf.spans[slot].state & 1 == 0 {
            effect = effect.wrapping_add(left);
        }
        (Spot { leaf: node, slot, off: left }, effect)
    }

    /// Where character `id` is: the spot before it.
    pub(super) fn spot_of(&self, id: u32) -> Spot {
        let (start, leaf) = self.places.floor(id).unwrap_or((id, 0));
        let slot = self.slot_in(leaf, |span| span.id == start && !span.is_mark());
        Spot { leaf, slot, off: id - start }
    }

    /// Where the mark is at which the subtree of `id` begins or ends, if it has one.
    pub(super) fn mark(&self, id: u32, state: u32) -> Option<Spot> {
        let marks = if state == BEGIN { &self.begins } else { &self.ends };
        let leaf = *marks.get(&id)?;
        Some(Spot {
            leaf,
            slot: self.slot_in(leaf, |span| span.id == id && span.len == 0 && span.state == state),
            off: 0,
        })
    }

    /// The first character from `id` on, below `to`, that has an end mark.
    pub(super) fn next_end(&self, id: u32, to: u32) -> Option<u32> {
        if self.ends.is_empty() {
            return None;
        }
        self.ends.range(id..to).next().map(|(id, _)| *id)
    }

    fn slot_in(&self, leaf: u32, is: impl Fn(&Span) -> bool) -> usize {
        let leaf = &self.leaves[leaf as usize];
        let slot = leaf.spans[..leaf.count as usize].iter().position(is).unwrap_or(0);
        self.worked(slot + 1);
        slot
    }

    /// The first character behind `spot` that the view knows.
    pub(super) fn next_known(&self, view: View, spot: Spot) -> Option<u32> {
        let leaf = &self.leaves[spot.leaf as usize];
        let span = leaf.spans[spot.slot];
        if spot.off < span.len && span.known(view) {
            return Some(span.id + spot.off);
        }
        let known = |span: &&Span| span.known(view);
        if let Some(span) = leaf.spans[spot.slot + 1..leaf.count as usize].iter().find(known) {
            return Some(span.id);
        }
        let (mut kid, mut parent, mut height) = (spot.leaf, leaf.parent, 0);
        while parent != NONE {
            self.worked(FAN);
            let branch = &self.branches[parent as usize];
            let next =
                (branch.slot_of(kid) + 1..branch.count as usize).find(|slot| branch.widths[*slot].known(view) > 0);
            if let Some(slot) = next {
                let mut node = branch.kids[slot];
                for _ in 0..height {
                    let branch = &self.branches[node as usize];
                    let slot = (0..branch.count as usize).find(|slot| branch.widths[*slot].known(view) > 0)?;
                    node = branch.kids[slot];
                }
                let leaf = &self.leaves[node as usize];
                return leaf.spans[..leaf.count as usize].iter().find(known).map(|span| span.id);
            }
            (kid, parent, height) = (parent, branch.parent, height + 1);
        }
        None
    }

    /// The next leaf in document order.
    pub(super) fn next_leaf(&self, leaf: u32) -> Option<u32> {
        let (mut kid, mut parent, mut height) = (leaf, self.leaves[leaf as usize].parent, 0);
        while parent != NONE {
            let branch = &self.branches[parent as usize];
            let slot = branch.slot_of(kid) + 1;
            if slot < branch.count as usize {
                let mut node = branch.kids[slot];
                for _ in 0..height {
                    node = self.branches[node as usize].kids[0];
                }
                return Some(node);
            }
            (kid, parent, height) = (parent, branch.parent, height + 1);
        }
        None
    }

    /// Widths of everything before the spot.
    pub(super) fn before(&self, spot: Spot) -> Wide {
        let leaf = &self.leaves[spot.leaf as usize];
        let mut sum = Span { len: spot.off, ..leaf.spans[spot.slot] }.width();
        for span in &leaf.spans[..spot.slot] {
            sum = sum.plus(span.width());
        }
        let (mut kid, mut parent) = (spot.leaf, leaf.parent);
        while parent != NONE {
            self.worked(FAN);
            let branch = &self.branches[parent as usize];
            for slot in 0..branch.slot_of(kid) {
                sum = sum.plus(branch.widths[slot]);
            }
            (kid, parent) = (parent, branch.parent);
        }
        sum
    }

    /// Every span in document order, marks left out.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        let mut leaf = Some(self.first_leaf());
        let mut slot = 0;
        std::iter::from_fn(move || {
            loop {
                let here = &self.leaves[leaf? as usize];
                if slot < here.count as usize {
                    slot += 1;
                    let span = here.spans[slot - 1];
                    if span.is_mark() {
                        continue;
                    }
                    return Some(span);
                }
                leaf = self.next_leaf(leaf?);
                slot = 0;
            }
        })
    }

    fn first_leaf(&self) -> u32 {
        let mut node = self.root;
        for _ in 0..self.depth {
            node = self.branches[node as usize].kids[0];
        }
        node
    }

    /// The next span of the same leaf that the view shows, and what effect shows between it and the spot.
    pub(super) fn next_shown_near(&self, view: View, spot: Spot) -> Option<(Spot, u32)> {
        let leaf = &self.leaves[spot.leaf as usize];
        let first = spot.slot + usize::from(spot.off == leaf.spans[spot.slot].len);
        let mut between = 0;
        for slot in first..leaf.count as usize {
            let span = leaf.spans[slot];
            if span.len > 0 && span.shown(view) {
                return Some((Spot { slot, off: 0, ..spot }, between));
            }
            between += span.width().effect;
        }
        None
    }

    /// What does not hold.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut stack = vec![(self.root, self.depth, self.total(), NONE)];
        while let Some((id, height, expected, parent)) = stack.pop() {
            let mut sum = Wide::default();
            if height == 0 {
                let leaf = &self.leaves[id as usize];
                for span in &leaf.spans[..leaf.count as usize] {
                    sum = sum.plus(span.width());
                    let known = match (span.len, span.state) {
                        (0, BEGIN) => self.begins.get(&span.id).copied(),
                        (0, _) => self.ends.get(&span.id).copied(),
                        _ => self.places.get(span.id),
                    };
                    if known != Some(id) {
                        return Err(format!("{span:?} is in leaf {id}, the index says {known:?}"));
                    }
                }
                if leaf.parent != parent {
                    return Err(format!("leaf {id} has a wrong parent"));
                }
            } else {
                let branch = &self.branches[id as usize];
                for slot in 0..branch.count as usize {
                    sum = sum.plus(branch.widths[slot]);
                    stack.push((branch.kids[slot], height - 1, branch.widths[slot], id));
                }
                if branch.parent != parent {
                    return Err(format!("branch {id} has a wrong parent"));
                }
            }
            if sum != expected {
                return Err(format!("{id} at height {height} is {sum:?}, above it {expected:?}"));
            }
        }
        Ok(())
    }
}
