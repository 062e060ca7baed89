//! The levels of a position in memory: a chain of nodes, from the last one up, that positions which begin alike share.
//!
//! What must hold: equal levels one below the other are one node, with how often they come, so that what is done with a position takes time in
//! how often it changes, not in how deep it is; two chains that share their nodes are compared from where they part. A chain is
//! let go of without a stack.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Position, SessionName};

/// In the order they are compared in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level {
    pub(super) number: i64,
    pub(super) session: SessionName,
    pub(super) count: i64,
}

pub(super) struct Node {
    /// Never with the same level.
    pub(super) above: Option<Position>,
    pub(super) level: Level,
    /// How often it comes in a row.
    pub(super) times: u64,
    /// Nodes of the chain, this one too.
    pub(super) depth: u32,
    /// Bytes of the chain.
    pub(super) bytes: u32,
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some(Position(node)) = above {
            above = Arc::into_inner(node).and_then(|mut node| node.above.take());
        }
    }
}

/// Nodes of a chain from which on it pays to look for nodes that it could share.
const DEEP: u32 = 16;

impl Position {
    pub(super) fn push(above: Option<Self>, level: Level, times: u64) -> Self {
        match above {
            Some(Self(top)) if top.level == level => {
                Self::node(top.above.clone(), level, top.times.saturating_add(times))
            }
            above => Self::node(above, level, times),
        }
    }

    fn node(above: Option<Self>, level: Level, times: u64) -> Self {
        let before = above.as_ref();
        let (depth, bytes) = before.map_or((0, 0), |Self(top)| (top.depth, top.bytes));
        let own = u32::try_from(super::bytes::len(before, level, times)).unwrap_or(u32::MAX);
        let (depth, bytes) = (depth.saturating_add(1), bytes.saturating_add(own));
        Self(Arc::new(Node { above, level, times, depth, bytes }))
    }

    /// From the last node up.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |Self(node)| node.above.as_ref())
    }

    /// The first nodes.
    pub(super) fn first(&self, depth: u32) -> Option<&Self> {
        self.nodes().find(|Self(node)| node.depth <= depth)
    }

    /// Whether it pays to look for nodes that it could share.
    pub(in crate::crdt) fn is_deep(&self) -> bool {
        self.0.depth > DEEP
    }

    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// This position with other nodes for its first ones, which say the same.
    fn on(&self, first: &Self) -> Self {
        let own: Vec<&Self> = self.nodes().take_while(|Self(node)| node.depth > first.0.depth).collect();
        let push = |above: Self, Self(node): &Self| Self::node(Some(above), node.level, node.times);
        own.into_iter().rev().fold(first.clone(), push)
    }

    /// The same, with the nodes of another for what it begins with as that does.
    pub(in crate::crdt) fn sharing(self, other: Option<&Self>) -> Self {
        let Some(other) = other else { return self };
        let depth = shared(&self, other);
        match (self.first(depth), other.first(depth)) {
            (Some(ours), Some(theirs)) if !ours.same(theirs) => self.on(theirs),
            _ => self,
        }
    }

    /// The same, where another that it shares nodes with was put on others.
    pub(in crate::crdt) fn following(self, before: &Self, after: &Self) -> Self {
        if before.same(after) {
            return self;
        }
        let depth = common(&self, before).map_or(0, |Self(node)| node.depth);
        match after.first(depth) {
            Some(first) => self.on(first),
            None => self,
        }
    }
}

/// Pairs of nodes as far from the top, and those below each, from the end up to where they are the same.
fn pairs<'p>(one: &'p Position, other: &'p Position) -> Pairs<'p> {
    let mut pairs = Pairs { ends: Some((one, other)), below: (None, None) };
    let depth = one.0.depth.min(other.0.depth);
    if let Some(ends) = one.first(depth).zip(other.first(depth)) {
        let below = |of: &'p Position| of.nodes().take_while(|Position(node)| node.depth > depth).last();
        pairs = Pairs { ends: Some(ends), below: (below(one), below(other)) };
    }
    pairs
}

struct Pairs<'p> {
    ends: Option<(&'p Position, &'p Position)>,
    below: (Option<&'p Position>, Option<&'p Position>),
}

impl<'p> Iterator for Pairs<'p> {
    type Item = ((&'p Position, Option<&'p Position>), (&'p Position, Option<&'p Position>));

    fn next(&mut self) -> Option<Self::Item> {
        let (one, other) = self.ends.take().filter(|(one, other)| !one.same(other))?;
        let pair = ((one, self.below.0), (other, self.below.1));
        self.below = (Some(one), Some(other));
        self.ends = one.0.above.as_ref().zip(other.0.above.as_ref());
        Some(pair)
    }
}

fn equal(one: &Position, other: &Position) -> bool {
    (one.0.level, one.0.times) == (other.0.level, other.0.times)
}

/// The node that both chains have.
fn common<'p>(one: &'p Position, other: &Position) -> Option<&'p Position> {
    let depth = one.0.depth.min(other.0.depth);
    let mut pairs = one.first(depth)?.nodes().zip(other.first(depth)?.nodes());
    pairs.find(|(one, other)| one.same(other)).map(|(one, _)| one)
}

/// How many nodes both begin with.
pub(super) fn shared(one: &Position, other: &Position) -> u32 {
    let differ = pairs(one, other).filter(|((one, _), (other, _))| !equal(one, other)).last();
    match differ {
        Some(((one, _), _)) => one.0.depth - 1,
        None => one.0.depth.min(other.0.depth),
    }
}

/// What is the same node in both, and the levels below it of each.
pub(super) fn split(one: Option<&Position>, other: Option<&Position>) -> (Option<Position>, Levels, Levels) {
    let base = one.zip(other).and_then(|(one, other)| common(one, other));
    let depth = base.map_or(0, |Position(node)| node.depth);
    let levels = |of: Option<&Position>| {
        let nodes = of.into_iter().flat_map(Position::nodes).take_while(|Position(node)| node.depth > depth);
        let mut levels: Levels = nodes.map(|Position(node)| (node.level, node.times)).collect();
        levels.reverse();
        levels
    };
    (base.cloned(), levels(one), levels(other))
}

type Levels = Vec<(Level, u64)>;

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        // What is nearest the top decides.
        let differ = pairs(self, other).filter(|((one, _), (other, _))| !equal(one, other)).last();
        let Some(((Self(one), below_one), (Self(other), below_other))) = differ else {
            return self.0.depth.cmp(&other.0.depth);
        };
        if one.level != other.level {
            return one.level.cmp(&other.level);
        }
        // One goes on with the level, and the other with what is below it.
        if one.times < other.times {
            below_one.map_or(Ordering::Less, |Self(below)| below.level.cmp(&other.level))
        } else {
            below_other.map_or(Ordering::Greater, |Self(below)| one.level.cmp(&below.level))
        }
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes && self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Position {}

/// What of some levels was not passed yet.
pub(super) struct Rest<'p> {
    pub(super) next: Option<(Level, u64)>,
    then: &'p [(Level, u64)],
}

impl<'p> Rest<'p> {
    pub(super) fn of(levels: &'p [(Level, u64)]) -> Self {
        let mut rest = Self { next: None, then: levels };
        rest.pass(0);
        rest
    }

    /// Passes some of the next, at most all.
    pub(super) fn pass(&mut self, times: u64) {
        self.next = match self.next {
            Some((level, many)) if many > times => Some((level, many - times)),
            _ => self.then.split_first().map(|(next, then)| {
                self.then = then;
                *next
            }),
        };
    }
}
