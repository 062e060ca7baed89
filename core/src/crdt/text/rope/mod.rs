//! The characters of a document: a B-tree over chunks of text, with every width cached in the branches.
//!
//! *What must hold:* every leaf is non-empty and at most [`LEAF_BYTES`] long (an empty rope has one empty leaf), a
//! branch's widths are the sums of its child's, all leaves are equally deep. Positions given are within the text: the
//! callers check. *Where next:* `edit` changes it, `walk` reads it, [`super::buffer`] puts a write-behind in front.

mod edit;
mod walk;

pub(in crate::crdt::text) use walk::{Chunks, within};

use super::int;

/// Most bytes of a leaf. Half a kilobyte moves in some ten nanoseconds, and a tree of them stays three deep.
pub(super) const LEAF_BYTES: usize = 512;
/// What a leaf is filled to when text is cut up: room for edits, without wasting memory.
const FILL_BYTES: usize = 400;
/// Children of a branch.
const FAN: usize = 16;
/// Levels of branches: 16¹² leaves is more than fits any memory.
const DEPTH_MAX: usize = 12;

/// How long a stretch of text is, in every unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::crdt::text) struct Width {
    /// UTF-8 bytes.
    pub(in crate::crdt::text) bytes: u32,
    /// Unicode scalar values: the unit of positions.
    pub(in crate::crdt::text) chars: u32,
    /// UTF-16 code units.
    pub(in crate::crdt::text) units: u32,
}

impl Width {
    /// The width of `text`.
    pub(in crate::crdt::text) fn of(text: &str) -> Self {
        let bytes = int(text.len());
        if text.is_ascii() {
            return Self { bytes, chars: bytes, units: bytes };
        }
        let mut width = Self { bytes, chars: 0, units: 0 };
        for byte in text.bytes() {
            // Every byte but a continuation starts a character; those of four bytes take two UTF-16 units.
            width.chars += u32::from(byte & 0xc0 != 0x80);
            width.units += u32::from(byte & 0xc0 != 0x80) + u32::from(byte >= 0xf0);
        }
        width
    }

    pub(in crate::crdt::text) const fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, chars: self.chars + other.chars, units: self.units + other.units }
    }

    pub(in crate::crdt::text) const fn minus(self, other: Self) -> Self {
        Self { bytes: self.bytes - other.bytes, chars: self.chars - other.chars, units: self.units - other.units }
    }
}

/// The unit in which a place is asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::crdt::text) enum Unit {
    Bytes,
    Chars,
    Utf16,
}

impl Unit {
    const fn of(self, width: Width) -> u32 {
        match self {
            Self::Bytes => width.bytes,
            Self::Chars => width.chars,
            Self::Utf16 => width.units,
        }
    }
}

/// The byte at which character `chars` of `text` starts; its length for the end.
pub(in crate::crdt::text) fn byte_of(text: &str, width: Width, chars: u32) -> usize {
    if width.bytes == width.chars {
        return chars as usize;
    }
    text.char_indices().nth(chars as usize).map_or(text.len(), |(at, _)| at)
}

/// How many characters `text` has.
pub(in crate::crdt::text) fn chars_in(text: &str) -> u32 {
    if text.is_ascii() { int(text.len()) } else { Width::of(text).chars }
}

#[derive(Debug, Clone)]
struct Leaf {
    text: String,
    width: Width,
}

#[derive(Debug, Clone, Copy)]
struct Branch {
    count: usize,
    /// Branches, or leaves on the lowest level.
    kids: [u32; FAN],
    widths: [Width; FAN],
}

impl Branch {
    const EMPTY: Self = Self { count: 0, kids: [0; FAN], widths: [Width { bytes: 0, chars: 0, units: 0 }; FAN] };

    fn width(&self) -> Width {
        self.widths[..self.count].iter().fold(Width::default(), |sum, width| sum.plus(*width))
    }
}

/// From the root down to a leaf: the branch and which of its children, per level.
#[derive(Debug, Clone, Copy, Default)]
struct Path {
    steps: [(u32, u32); DEPTH_MAX],
}

/// A text as a tree of chunks.
#[derive(Debug, Clone)]
pub(in crate::crdt::text) struct Rope {
    leaves: Vec<Leaf>,
    branches: Vec<Branch>,
    free_leaves: Vec<u32>,
    free_branches: Vec<u32>,
    root: u32,
    /// Levels of branches above the leaves, at least 1.
    depth: usize,
    width: Width,
}

impl Rope {
    pub(in crate::crdt::text) fn new() -> Self {
        let mut root = Branch::EMPTY;
        root.count = 1;
        Self {
            leaves: vec![Leaf { text: String::new(), width: Width::default() }],
            branches: vec![root],
            free_leaves: Vec::new(),
            free_branches: Vec::new(),
            root: 0,
            depth: 1,
            width: Width::default(),
        }
    }

    /// A rope of `text`, built from below.
    pub(in crate::crdt::text) fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self::new();
        }
        let mut rope = Self::new();
        rope.leaves.clear();
        rope.branches.clear();
        let mut level: Vec<(u32, Width)> = Vec::new();
        for chunk in cut(text, FILL_BYTES) {
            let width = Width::of(chunk);
            level.push((int(rope.leaves.len()), width));
            rope.leaves.push(Leaf { text: chunk.to_owned(), width });
        }
        rope.depth = 0;
        loop {
            let mut above = Vec::with_capacity(level.len() / FAN + 1);
            for kids in level.chunks(FAN) {
                let mut branch = Branch::EMPTY;
                branch.count = kids.len();
                for (slot, (kid, width)) in kids.iter().enumerate() {
                    branch.kids[slot] = *kid;
                    branch.widths[slot] = *width;
                }
                above.push((int(rope.branches.len()), branch.width()));
                rope.branches.push(branch);
            }
            rope.depth += 1;
            level = above;
            if let [(root, width)] = level[..] {
                rope.root = root;
                rope.width = width;
                return rope;
            }
        }
    }

    pub(in crate::crdt::text) const fn width(&self) -> Width {
        self.width
    }

    /// What does not hold, for tests and fuzzers.
    pub(in crate::crdt::text) fn check(&self) -> Result<(), String> {
        let mut stack = vec![(self.root, 0, self.width)];
        while let Some((id, level, expected)) = stack.pop() {
            if level == self.depth {
                let leaf = &self.leaves[id as usize];
                if Width::of(&leaf.text) != leaf.width || leaf.width != expected || leaf.text.len() > LEAF_BYTES {
                    return Err(format!("leaf {id} is {:?}, its branch says {expected:?}", leaf.width));
                }
                if leaf.text.is_empty() && self.width.bytes > 0 {
                    return Err(format!("leaf {id} is empty"));
                }
            } else {
                let branch = &self.branches[id as usize];
                if branch.width() != expected || branch.count == 0 {
                    return Err(format!("branch {id} is {:?}, above it {expected:?}", branch.width()));
                }
                for slot in 0..branch.count {
                    stack.push((branch.kids[slot], level + 1, branch.widths[slot]));
                }
            }
        }
        Ok(())
    }
}

/// Cuts `text` into pieces of about `bytes`, never inside a character.
fn cut(text: &str, bytes: usize) -> impl Iterator<Item = &str> {
    let pieces = text.len().div_ceil(bytes).max(1);
    let step = text.len().div_ceil(pieces);
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(boundary(rest, step));
        rest = after;
        Some(piece)
    })
}

/// The first character boundary at or after `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}
