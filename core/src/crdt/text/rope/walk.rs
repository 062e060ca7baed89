//! Reading a rope: finding places, and its text chunk by chunk.

use super::{DEPTH_MAX, Path, Rope, Unit, Width};
use crate::crdt::text::int;

impl Rope {
    /// The leaf before whose character `at` an insertion goes; at a seam the left one, so that typing extends it.
    pub(super) fn descend(&self, at: u32) -> (Path, u32, u32) {
        let mut path = Path::default();
        let (mut node, mut left) = (self.root, at);
        for step in &mut path.steps[..self.depth] {
            let branch = &self.branches[node as usize];
            let mut child = 0;
            while child + 1 < branch.count && left > branch.widths[child].chars {
                left -= branch.widths[child].chars;
                child += 1;
            }
            *step = (node, int(child));
            node = branch.kids[child];
        }
        (path, node, left)
    }

    /// The width of everything before the place `at`, counted in `unit`; `None` inside a character or behind the end.
    pub(in crate::crdt::text) fn before(&self, unit: Unit, at: u32) -> Option<Width> {
        let (mut node, mut left, mut sum) = (self.root, at, Width::default());
        for _ in 0..self.depth {
            let branch = &self.branches[node as usize];
            let mut child = 0;
            while child + 1 < branch.count && left > unit.of(branch.widths[child]) {
                left -= unit.of(branch.widths[child]);
                sum = sum.plus(branch.widths[child]);
                child += 1;
            }
            node = branch.kids[child];
        }
        let leaf = &self.leaves[node as usize];
        within(&leaf.text, leaf.width, unit, left).map(|width| sum.plus(width))
    }

    /// The text in chunks, from character `from` up to `to`.
    pub(in crate::crdt::text) fn chunks(&self, from: u32, to: u32) -> Chunks<'_> {
        let (path, leaf, within) = self.descend(from);
        let skip = super::byte_of(&self.leaves[leaf as usize].text, self.leaves[leaf as usize].width, within);
        Chunks { rope: self, path, leaf: Some(leaf), skip, left: to.saturating_sub(from) }
    }
}

/// The width of the first `at` units of `text`.
pub(in crate::crdt::text) fn within(text: &str, width: Width, unit: Unit, at: u32) -> Option<Width> {
    if at > unit.of(width) {
        return None;
    }
    if width.bytes == width.chars {
        return Some(Width { bytes: at, chars: at, units: at });
    }
    let mut sum = Width::default();
    for char in text.chars() {
        if unit.of(sum) >= at {
            break;
        }
        sum = sum.plus(Width { bytes: int(char.len_utf8()), chars: 1, units: int(char.len_utf16()) });
    }
    (unit.of(sum) == at).then_some(sum)
}

/// The text of a stretch of a rope, leaf by leaf.
#[derive(Debug, Clone)]
pub(in crate::crdt::text) struct Chunks<'a> {
    rope: &'a Rope,
    path: Path,
    leaf: Option<u32>,
    skip: usize,
    left: u32,
}

impl Chunks<'_> {
    fn next_leaf(&mut self) -> Option<u32> {
        let depth = self.rope.depth.min(DEPTH_MAX);
        for level in (0..depth).rev() {
            let (branch, child) = self.path.steps[level];
            let node = &self.rope.branches[branch as usize];
            if child as usize + 1 >= node.count {
                continue;
            }
            self.path.steps[level].1 = child + 1;
            let mut below = node.kids[child as usize + 1];
            for step in &mut self.path.steps[level + 1..depth] {
                *step = (below, 0);
                below = self.rope.branches[below as usize].kids[0];
            }
            return Some(below);
        }
        None
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        while self.left > 0 {
            let leaf = &self.rope.leaves[self.leaf? as usize];
            let skip = std::mem::take(&mut self.skip);
            let text = &leaf.text[skip..];
            let width = if skip == 0 { leaf.width } else { Width::of(text) };
            self.leaf = self.next_leaf();
            if width.chars == 0 {
                continue;
            }
            if width.chars <= self.left {
                self.left -= width.chars;
                return Some(text);
            }
            let end = super::byte_of(text, width, self.left);
            self.left = 0;
            return Some(&text[..end]);
        }
        None
    }
}
