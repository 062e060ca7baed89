//! What a reader sees of a tree: every node under one parent, in order, and no circles.
//!
//! Each node stands where its newest move put it. Where such moves close a circle, the newest of the circle's moves gives
//! way: its node goes back to the newest of its earlier parents that is in the tree without it, or else under the root. So of two
//! folders that are put into each other at the same time, one is in the other, and the other where it was. Nodes under one that
//! was removed, or that has not come, are not shown.
//!
//! It takes time linear in the nodes, and no stack.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Node, Parent, Spot, Tree};
use crate::crdt::item::ItemId;

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

/// Where the way up from a node leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    Unknown,
    /// On the way that is being walked.
    Walked,
    ToRoot,
    /// To what is removed or not here.
    Nowhere,
    /// Into a circle.
    Round,
}

/// Every node's place among its siblings, by parent.
pub(super) type Children<'t> = HashMap<Parent, Vec<(&'t Spot, ItemId)>>;

impl Tree {
    /// The nodes, each before those under it, siblings in order.
    #[must_use]
    pub fn placed(&self) -> Vec<Placed> {
        let children = self.children();
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

    /// Every shown or hidden node's siblings in order, without circles.
    pub(super) fn children(&self) -> Children<'_> {
        let ids: Vec<ItemId> = self.nodes.keys().copied().collect();
        let index: HashMap<ItemId, usize> = ids.iter().enumerate().map(|(index, id)| (*id, index)).collect();
        let nodes: Vec<&Node> = self.nodes.values().collect();
        let up = |spot: Option<&Spot>| match spot.map(|spot| spot.parent) {
            Some(Parent::Node(node)) => Ok(index.get(&node).copied()),
            Some(Parent::Root) => Err(Leads::ToRoot),
            None => Ok(None),
        };
        let mut leads = vec![Leads::Unknown; nodes.len()];
        let mut circles: Vec<Vec<usize>> = Vec::new();
        for start in 0..nodes.len() {
            let (mut path, mut at) = (Vec::new(), start);
            let end = loop {
                match leads[at] {
                    Leads::Unknown => {}
                    Leads::Walked => {
                        let begins = path.iter().position(|on| *on == at).unwrap_or(0);
                        circles.push(path[begins..].to_vec());
                        break Leads::Round;
                    }
                    known => break known,
                }
                leads[at] = Leads::Walked;
                path.push(at);
                match up(nodes[at].spot()) {
                    Ok(Some(next)) => at = next,
                    Ok(None) => break Leads::Nowhere,
                    Err(root) => break root,
                }
            };
            path.into_iter().for_each(|on| leads[on] = end);
        }
        let stands = |spot: &&Spot| match spot.parent {
            Parent::Root => true,
            Parent::Node(node) => index.get(&node).is_some_and(|node| leads[*node] == Leads::ToRoot),
        };
        let mut moved: HashMap<usize, (Parent, &Spot)> = HashMap::new();
        for circle in &circles {
            let newest = circle.iter().max_by_key(|on| (nodes[**on].edges.first().map(|edge| edge.when()), ids[**on]));
            let Some(newest) = newest else { continue };
            let mut spots = nodes[*newest].edges.iter().filter_map(|edge| edge.value.as_ref());
            let now = spots.next();
            let back = spots.find(stands).map(|spot| (spot.parent, spot));
            moved.extend(back.or_else(|| now.map(|now| (Parent::Root, now))).map(|to| (*newest, to)));
        }
        let mut children = Children::new();
        for (at, node) in nodes.iter().enumerate() {
            let spot = node.spot().map(|spot| (spot.parent, spot));
            if let Some((parent, spot)) = moved.get(&at).copied().or(spot) {
                children.entry(parent).or_default().push((spot, ids[at]));
            }
        }
        children.values_mut().for_each(|among| among.sort_by(|one, two| (&one.0.place, one.1).cmp(&(&two.0.place, two.1))));
        children
    }
}
