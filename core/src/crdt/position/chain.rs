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
    /// One further up: so that any is found in a few steps more than the logarithm of the depth.
    jump: Option<Position>,
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
        // What a jump leads to is held by those between.
        self.jump = None;
        let mut above = self.above.take();
        while let Some(Position(node)) = above {
            above = Arc::into_inner(node).and_then(|mut node| {
                node.jump = None;
                node.above.take()
            });
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
        // As far again as the two jumps before, where these are of one length.
        let far = before.and_then(|Self(top)| {
            let jump = top.jump.as_ref()?;
            let next = jump.0.jump.as_ref()?;
            Some(next).filter(|next| top.depth - jump.0.depth == jump.0.depth - next.0.depth)
        });
        let jump = far.or(before).cloned();
        Self(Arc::new(Node { above, jump, level, times, depth, bytes }))
    }

    /// From the last node up.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |Self(node)| node.above.as_ref())
    }

    /// The first nodes.
    pub(super) fn first(&self, depth: u32) -> Option<&Self> {
        let mut at = Some(self);
        while let Some(Self(node)) = at.filter(|Self(node)| node.depth > depth) {
            let jump = node.jump.as_ref().filter(|Self(far)| far.depth >= depth);
            at = jump.or(node.above.as_ref());
        }
        at
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
        let below = |of: &'p Position| of.first(depth + 1).filter(|Position(node)| node.depth > depth);
        pairs = Pairs { ends: Some(ends), below: (below(one), below(other)) };
    }
    pairs
}

struct Pairs<'p> {
    ends: Option<(&'p Position, &'p Position)>,
    below: (Option<&'p Position>, Option<&'p Position>),
}

impl<'p> Iterator for Pairs<'p> {
    type Item = Pair<'p>;

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

/// Where two chains have no node in common any more: the topmost of each, both as deep.
fn fork<'p>(one: &'p Position, other: &'p Position) -> Option<(&'p Position, &'p Position)> {
    let depth = one.0.depth.min(other.0.depth);
    let (mut one, mut other) = one.first(depth).zip(other.first(depth)).filter(|(one, other)| !one.same(other))?;
    while let Some(above) = one.0.above.as_ref().zip(other.0.above.as_ref()).filter(|(one, other)| !one.same(other)) {
        let jump = one.0.jump.as_ref().zip(other.0.jump.as_ref()).filter(|(one, other)| !one.same(other));
        (one, other) = jump.unwrap_or(above);
    }
    Some((one, other))
}

/// The node that both chains have.
fn common<'p>(one: &'p Position, other: &'p Position) -> Option<&'p Position> {
    match fork(one, other) {
        Some((one, _)) => one.0.above.as_ref(),
        None => one.first(other.0.depth),
    }
}

type Pair<'p> = ((&'p Position, Option<&'p Position>), (&'p Position, Option<&'p Position>));

/// The topmost nodes that say something else, and those below them.
fn differ<'p>(one: &'p Position, other: &'p Position) -> Option<Pair<'p>> {
    let (top, across) = fork(one, other)?;
    if !equal(top, across) {
        let below = |of: &'p Position| of.first(top.0.depth + 1).filter(|Position(node)| node.depth > top.0.depth);
        return Some(((top, below(one)), (across, below(other))));
    }
    // They say the same in nodes of their own.
    pairs(one, other).filter(|((one, _), (other, _))| !equal(one, other)).last()
}

/// How many nodes both begin with.
pub(super) fn shared(one: &Position, other: &Position) -> u32 {
    match differ(one, other) {
        Some(((one, _), _)) => one.0.depth - 1,
        None => one.0.depth.min(other.0.depth),
    }
}

/// How many nodes are the same in both, and the levels below them of each.
pub(super) fn split(one: Option<&Position>, other: Option<&Position>) -> (u32, Levels, Levels) {
    let base = one.zip(other).and_then(|(one, other)| common(one, other));
    let depth = base.map_or(0, |Position(node)| node.depth);
    let levels = |of: Option<&Position>| {
        let nodes = of.into_iter().flat_map(Position::nodes).take_while(|Position(node)| node.depth > depth);
        let mut levels: Levels = nodes.map(|Position(node)| (node.level, node.times)).collect();
        levels.reverse();
        levels
    };
    (depth, levels(one), levels(other))
}

type Levels = Vec<(Level, u64)>;

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        // What is nearest the top decides.
        let Some(((Self(one), below_one), (Self(other), below_other))) = differ(self, other) else {
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
    /// Of the next, what was passed.
    passed: u64,
    /// Those that were passed.
    pub(super) nodes: u32,
    then: &'p [(Level, u64)],
}

impl<'p> Rest<'p> {
    pub(super) fn of(levels: &'p [(Level, u64)]) -> Self {
        let mut rest = Self { next: None, passed: 0, nodes: 0, then: levels };
        rest.step();
        rest
    }

    /// What was passed of the next one.
    pub(super) fn part(&self) -> Option<(Level, u64)> {
        self.next.filter(|_| self.passed > 0).map(|(level, _)| (level, self.passed))
    }

    /// Passes some of the next, at most all.
    pub(super) fn pass(&mut self, times: u64) {
        match &mut self.next {
            Some((_, many)) if *many > times => {
                *many -= times;
                self.passed += times;
            }
            next => {
                self.nodes += u32::from(next.is_some());
                self.step();
            }
        }
    }

    fn step(&mut self) {
        self.passed = 0;
        self.next = self.then.split_first().map(|(next, then)| {
            self.then = then;
            *next
        });
    }
}
