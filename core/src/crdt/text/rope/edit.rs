//! Changing a rope.
//!
//! *What must hold:* an edit touches one path and, where a leaf overflows, what it splits into. Leaves that became
//! small take in a neighbour, empty ones go, so that a text deleted to its last character leaves no tree behind.

use super::{Branch, DEPTH_MAX, FAN, FILL_BYTES, LEAF_BYTES, Leaf, Path, Rope, Width, boundary, byte_of, cut};
use crate::crdt::text::int;

/// A leaf below this takes in a neighbour, if both fit [`FILL_BYTES`].
const SMALL_BYTES: usize = LEAF_BYTES / 4;

impl Rope {
    /// Puts `text` before character `at`.
    pub(in crate::crdt::text) fn insert(&mut self, at: u32, text: &str, width: Width) {
        if text.is_empty() {
            return;
        }
        let (path, leaf, within) = self.descend(at);
        let slot = &mut self.leaves[leaf as usize];
        let byte = byte_of(&slot.text, slot.width, within);
        if slot.text.len() + text.len() <= LEAF_BYTES {
            if text.len() > slot.text.capacity() - slot.text.len() {
                // In two steps to its full size: most leaves of a long text are never typed in again.
                let room = if slot.text.len() + text.len() <= FILL_BYTES { FILL_BYTES } else { LEAF_BYTES };
                slot.text.reserve_exact(room - slot.text.len());
            }
            slot.text.insert_str(byte, text);
            slot.width = slot.width.plus(width);
            for (branch, child) in &path.steps[..self.depth] {
                let known = &mut self.branches[*branch as usize].widths[*child as usize];
                *known = known.plus(width);
            }
            self.width = self.width.plus(width);
        } else {
            self.overflow(at, &path, leaf, byte, text);
        }
    }

    /// A leaf that cannot hold the text: it keeps what stands before, the rest goes into new leaves behind it.
    fn overflow(&mut self, at: u32, path: &Path, leaf: u32, byte: usize, text: &str) {
        let slot = &mut self.leaves[leaf as usize];
        let tail = slot.text.split_off(byte);
        let start = at - Width::of(&slot.text).chars;
        let mut all = std::mem::take(&mut slot.text);
        if !tail.is_empty() || all.len() < SMALL_BYTES {
            all.push_str(text);
            all.push_str(&tail);
            let first = boundary(&all, all.len() / all.len().div_ceil(FILL_BYTES).max(1));
            let rest = all.split_off(first);
            all.shrink_to(FILL_BYTES);
            self.replace(path, leaf, all);
            self.append_leaves(start, &rest);
        } else {
            self.replace(path, leaf, all);
            self.append_leaves(start, text);
        }
    }

    /// Gives a leaf another text and mends the widths above it.
    fn replace(&mut self, path: &Path, leaf: u32, text: String) {
        let width = Width::of(&text);
        self.leaves[leaf as usize] = Leaf { text, width };
        self.mend(path, self.depth, width);
    }

    /// Puts `text` into new leaves behind the leaf in which character `start` begins.
    fn append_leaves(&mut self, start: u32, text: &str) {
        let mut before = start;
        let (_, first, _) = self.descend(before + 1);
        let mut last = self.leaves[first as usize].width.chars;
        for chunk in cut(text, FILL_BYTES) {
            let width = Width::of(chunk);
            let (path, ..) = self.descend(before + last);
            let mut own = String::with_capacity(chunk.len().max(SMALL_BYTES));
            own.push_str(chunk);
            let leaf = self.new_leaf(Leaf { text: own, width });
            self.insert_behind(&path, leaf, width);
            before += last;
            last = width.chars;
        }
    }

    fn new_leaf(&mut self, leaf: Leaf) -> u32 {
        if let Some(free) = self.free_leaves.pop() {
            self.leaves[free as usize] = leaf;
            return free;
        }
        self.leaves.push(leaf);
        int(self.leaves.len() - 1)
    }

    fn new_branch(&mut self, branch: Branch) -> u32 {
        if let Some(free) = self.free_branches.pop() {
            self.branches[free as usize] = branch;
            return free;
        }
        self.branches.push(branch);
        int(self.branches.len() - 1)
    }

    /// Hangs `kid` behind the child that `path` leads to, splitting full branches up to the root.
    fn insert_behind(&mut self, path: &Path, kid: u32, width: Width) {
        let mut carry = Some((kid, width));
        for level in (0..self.depth).rev() {
            let (branch, child) = path.steps[level];
            if level + 1 < self.depth {
                let below = path.steps[level + 1].0;
                self.branches[branch as usize].widths[child as usize] = self.branches[below as usize].width();
            }
            if let Some((kid, width)) = carry {
                carry = self.hang(branch, child as usize + 1, kid, width);
            }
        }
        if let Some((kid, width)) = carry {
            let mut root = Branch::EMPTY;
            root.count = 2;
            (root.kids[0], root.widths[0]) = (self.root, self.branches[self.root as usize].width());
            (root.kids[1], root.widths[1]) = (kid, width);
            self.root = self.new_branch(root);
            self.depth = (self.depth + 1).min(DEPTH_MAX);
        }
        self.width = self.branches[self.root as usize].width();
    }

    /// Puts a child into a branch at `slot`; gives back the branch split off if there was no room.
    fn hang(&mut self, branch: u32, slot: usize, kid: u32, width: Width) -> Option<(u32, Width)> {
        let node = &mut self.branches[branch as usize];
        if node.count < FAN {
            put(node, slot, kid, width);
            return None;
        }
        let half = if slot == FAN { FAN - 2 } else { FAN / 2 };
        let mut right = Branch::EMPTY;
        right.count = FAN - half;
        right.kids[..FAN - half].copy_from_slice(&node.kids[half..]);
        right.widths[..FAN - half].copy_from_slice(&node.widths[half..]);
        node.count = half;
        if slot <= half {
            put(node, slot, kid, width);
        } else {
            put(&mut right, slot - half, kid, width);
        }
        let width = right.width();
        Some((self.new_branch(right), width))
    }

    /// Removes `count` characters from character `at` on.
    pub(in crate::crdt::text) fn delete(&mut self, at: u32, count: u32) {
        let mut left = count;
        while left > 0 {
            // The leaf that holds the character at `at`, not the one that ends before it.
            let (path, leaf, within) = self.descend(at + 1);
            let within = within - 1;
            let slot = &mut self.leaves[leaf as usize];
            let take = left.min(slot.width.chars - within);
            let from = byte_of(&slot.text, slot.width, within);
            let to = if slot.width.bytes == slot.width.chars {
                (within + take) as usize
            } else {
                from + slot.text[from..].char_indices().nth(take as usize).map_or(slot.text.len() - from, |(at, _)| at)
            };
            let gone = Width::of(&slot.text[from..to]);
            slot.text.replace_range(from..to, "");
            slot.width = slot.width.minus(gone);
            for (branch, child) in &path.steps[..self.depth] {
                let known = &mut self.branches[*branch as usize].widths[*child as usize];
                *known = known.minus(gone);
            }
            self.width = self.width.minus(gone);
            left -= take;
            if self.leaves[leaf as usize].text.len() < SMALL_BYTES {
                self.shrink(&path, leaf);
            }
        }
    }

    /// Joins a small leaf with its neighbour, or drops it when it is empty.
    fn shrink(&mut self, path: &Path, leaf: u32) {
        let (branch, child) = path.steps[self.depth - 1];
        let (node, child) = (self.branches[branch as usize], child as usize);
        if self.leaves[leaf as usize].text.is_empty() {
            if self.width.bytes > 0 {
                self.unhang(path);
            }
            return;
        }
        let len = self.leaves[leaf as usize].text.len();
        for other in [child + 1, child.wrapping_sub(1)] {
            if other >= node.count {
                continue;
            }
            let neighbour = node.kids[other];
            if self.leaves[neighbour as usize].text.len() + len > FILL_BYTES {
                continue;
            }
            let (small, width) = {
                let slot = &mut self.leaves[leaf as usize];
                (std::mem::take(&mut slot.text), std::mem::take(&mut slot.width))
            };
            let into = &mut self.leaves[neighbour as usize];
            if other > child {
                into.text.insert_str(0, &small);
            } else {
                into.text.push_str(&small);
            }
            into.width = into.width.plus(width);
            let node = &mut self.branches[branch as usize];
            node.widths[other] = node.widths[other].plus(width);
            node.widths[child] = Width::default();
            self.unhang(path);
            return;
        }
    }

    /// Takes an emptied leaf out of the tree, with every branch that has nothing left.
    fn unhang(&mut self, path: &Path) {
        for level in (0..self.depth).rev() {
            let (branch, child) = path.steps[level];
            let node = &mut self.branches[branch as usize];
            let kid = node.kids[child as usize];
            node.kids.copy_within(child as usize + 1..node.count, child as usize);
            node.widths.copy_within(child as usize + 1..node.count, child as usize);
            node.count -= 1;
            let emptied = node.count == 0;
            if level + 1 == self.depth {
                self.leaves[kid as usize].text = String::new();
                self.free_leaves.push(kid);
            } else {
                self.free_branches.push(kid);
            }
            if !emptied {
                break;
            }
        }
        while self.depth > 1 && self.branches[self.root as usize].count == 1 {
            self.free_branches.push(self.root);
            self.root = self.branches[self.root as usize].kids[0];
            self.depth -= 1;
        }
    }

    /// Sets the width of the child that `path` leads to on the lowest level and sums up above it.
    fn mend(&mut self, path: &Path, depth: usize, width: Width) {
        let mut width = width;
        for (branch, child) in path.steps[..depth].iter().rev() {
            let node = &mut self.branches[*branch as usize];
            node.widths[*child as usize] = width;
            width = node.width();
        }
        self.width = width;
    }
}

fn put(node: &mut Branch, slot: usize, kid: u32, width: Width) {
    node.kids.copy_within(slot..node.count, slot + 1);
    node.widths.copy_within(slot..node.count, slot + 1);
    node.kids[slot] = kid;
    node.widths[slot] = width;
    node.count += 1;
}
