//! What a reader sees of a tree: every node under one parent, in order, and no circles.
//!
//! The moves that are kept are made one after the other, oldest first; one that would put a node under itself is passed
//! over, and the node stays where it was (Kleppmann et al.). Of each node the newest are kept, so what stands anywhere is where it
//! stood when the move was made, or is not there yet: what nobody raced with is never passed over. So of two folders that are put into each other at the same time, the
//! older move counts, and the other folder is where it was; and it stays there, whatever becomes of the first. A node
//! whose first kept move is passed over goes under the root. Nodes under one that was removed, or that has not come, are not shown.
//!
//! It takes time in the moves and, for those of nodes that have others under them, in how deep they go; no stack. All looks
//! up the tree together are bounded: a tree that was made to take longer has its last moves passed over, for every reader alike.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Parent, Spot, Tree};
use crate::crdt::item::ItemId;
use crate::crdt::position::Position;

/// Steps up the tree that one look at it may take, to find circles: some ten milliseconds.
const STEPS_MAX: usize = 1 << 23;

/// A node as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placed {
    /// Which.
    pub id: ItemId,
    /// Under which; `None` for the root.
    pub parent: Option<ItemId>,
    /// How many nodes are above it.
    pub depth: usize,
    /// Its JSON text.
    pub value: Bytes,
}

/// Every node's place among its siblings, by parent.
pub(super) type Children<'t> = HashMap<Parent, Vec<(&'t Position, ItemId)>>;

impl Tree {
    /// The nodes, each before those under it, siblings in order.
    #[must_use]
    pub fn placed(&self) -> Vec<Placed> {
        self.placed_by(&self.children())
    }

    pub(super) fn placed_by(&self, children: &Children<'_>) -> Vec<Placed> {
        let mut placed = Vec::with_capacity(self.nodes.len());
        let under = |parent: Parent, depth: usize| {
            let children = children.get(&parent).into_iter().flatten().rev();
            children.map(move |(_, id)| (*id, parent, depth))
        };
        let mut left: Vec<(ItemId, Parent, usize)> = under(Parent::Root, 0).collect();
        while let Some((id, parent, depth)) = left.pop() {
            let Some(value) = self.nodes.get(&id).and_then(|node| node.value.as_ref()) else { continue };
            let parent = parent.node();
            placed.push(Placed { id, parent, depth, value: value.value.clone() });
            left.extend(under(Parent::Node(id), depth + 1));
        }
        placed
    }

    /// The nodes under each parent, shown or not, in order and without circles.
    pub(super) fn children(&self) -> Children<'_> {
        let ids: Vec<ItemId> = self.nodes.keys().copied().collect();
        let index: HashMap<ItemId, usize> = ids.iter().enumerate().map(|(index, id)| (*id, index)).collect();
        let mut moves = Vec::with_capacity(ids.len());
        for (at, node) in self.nodes.values().enumerate() {
            moves.extend(node.edges.iter().rev().map(|edge| (edge.when(), at, edge.value.as_ref())));
        }
        moves.sort_by_key(|(when, at, _)| (*when, *at));
        let mut tree = Standing::of(ids.len());
        for (_, node, to) in moves {
            let above = to.and_then(|spot| spot.parent.node()).and_then(|parent| index.get(&parent).copied());
            tree.moves(node, above, to);
        }
        let mut children = Children::new();
        for (at, stands) in tree.stands.into_iter().enumerate() {
            if let Some((parent, place)) = stands {
                children.entry(parent).or_default().push((place, ids[at]));
            }
        }
        children.values_mut().for_each(|among| among.sort_unstable());
        children
    }
}

/// Where every node stands so far.
struct Standing<'t> {
    stands: Vec<Option<(Parent, &'t Position)>>,
    above: Vec<Option<usize>>,
    below: Vec<usize>,
    steps: usize,
}

impl<'t> Standing<'t> {
    fn of(nodes: usize) -> Self {
        Self { stands: vec![None; nodes], above: vec![None; nodes], below: vec![0; nodes], steps: 0 }
    }

    fn moves(&mut self, node: usize, above: Option<usize>, to: Option<&'t Spot>) {
        let circle = above.is_some_and(|above| self.is_below(above, node));
        if circle && self.stands[node].is_some() {
            return;
        }
        let above = above.filter(|_| !circle);
        if let Some(before) = self.above[node] {
            self.below[before] -= 1;
        }
        if let Some(above) = above {
            self.below[above] += 1;
        }
        self.above[node] = above;
        let parent = |spot: &Spot| if circle { Parent::Root } else { spot.parent };
        self.stands[node] = to.map(|spot| (parent(spot), &spot.place));
    }

    /// Whether `node` is `over` or under it; also when that takes too long to find out.
    fn is_below(&mut self, node: usize, over: usize) -> bool {
        if self.below[over] == 0 {
            return node == over;
        }
        let mut at = Some(node);
        while let Some(on) = at {
            self.steps += 1;
            if on == over || self.steps > STEPS_MAX {
                return true;
            }
            at = self.above[on];
        }
        false
    }
}
