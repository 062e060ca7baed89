//! A tree whose nodes move, never into themselves: folders, outlines, boards.
//!
//! A node is named by the op that made it and has a JSON value; of its values the newest counts, and of its places too. A remove
//! takes a node out with everything under it, and is a move like the others: a newer one brings it back. So of each
//! node the state keeps its newest moves, [`limits::TREE_MOVES_KEPT`] of them, and what a reader sees [follows from these](shape): two moves that would close a circle can both be there, and every reader passes
//! over the same one, until the next edit settles it. There is no log of moves to undo and redo, and none that grows.
//!
//! What must hold: every order of the same edits, each author's in theirs, makes the same bytes; what a reader sees is a tree.
//! What a reader does not see, because somebody removed it, stays until it is forgotten ([`TreeEdit::Forget`]): which a
//! device says of what every device has heard of. That is the one edit whose place in the log counts. What comes later
//! and is older than it says nothing of nodes that are not here. A tree without nodes does not exist.
//!
//! (The move operation of Kleppmann et al., 2021, "A highly-available move operation for replicated trees", over the moves
//! that can still matter in place of all of them.)
//!
//! # Bytes, version 1
//!
//! For an edit see [`TreeEdit`]. The value: the byte 1; the [context](super::context); 0, or 1 and the stamp up to which it
//! forgot; a count, and the names of the nodes in order: 16 bytes of the op and which of the op's as a varint; a count, and the
//! [positions](super::position) that nodes have or had, each once and in order. Then per node
//! in the same order: 0, or 1 and when its value was written and the text behind its varint length; a count, and its
//! newest moves, newest first: when, and as a varint 0 for the root, 1 for a node that is not here (its name follows), 2 for
//! a remove, or 3 + the parent's place among the names; and but for a remove which of the positions, from 0.
//! When is the author's place in the context, the reading's milliseconds and counter, and how many of the author's
//! with that stamp came before, all as varints.

mod bytes;
mod edit;
mod shape;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use ::bytes::Bytes;

pub use edit::TreeEdit;
use shape::Children;
pub use shape::Placed;

use super::content::{Content, shown};
use super::context::Context;
use super::item::ItemId;
use super::moment::{Moment, Stamp};
use super::newest::Newest;
use super::position::{PlaceFull, Position, SessionName};
use crate::codec::DecodeError;
use crate::limits;

const WHAT: &str = "a tree";
const BAD: DecodeError = DecodeError::NotCanonical(WHAT);

/// What a node is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a node or none")]
pub enum Parent {
    /// Nothing.
    Root,
    /// Another node.
    Node(ItemId),
}

impl Parent {
    /// The node, if it is one.
    #[must_use]
    pub const fn node(self) -> Option<ItemId> {
        match self {
            Self::Root => None,
            Self::Node(node) => Some(node),
        }
    }
}

impl From<Option<ItemId>> for Parent {
    fn from(node: Option<ItemId>) -> Self {
        node.map_or(Self::Root, Self::Node)
    }
}

/// A place in a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::exhaustive_structs, reason = "what a place is")]
pub struct Spot {
    /// Under which node.
    pub parent: Parent,
    /// Where among those under it.
    pub place: Position,
}

/// A tree of JSON values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    context: Context,
    forgot: Option<Stamp>,
    nodes: BTreeMap<ItemId, Node>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    value: Option<Newest<Bytes>>,
    /// The newest moves, newest first.
    edges: Vec<Edge>,
}

/// Why an edit cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// There is no such node, or none any more.
    #[error("there is no node {0}")]
    NoNode(ItemId),
    /// There is nothing there.
    #[error("there is no place {index} among {len} nodes")]
    Index {
        /// What was asked for.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// It would be above itself.
    #[error("the node {0} cannot go under itself")]
    IntoItself(ItemId),
    /// There is no room at this place.
    #[error(transparent)]
    Full(#[from] PlaceFull),
}

type Edge = Newest<Option<Spot>>;

/// The newest first. That an author makes two with one time takes a program that breaks the rules.
fn order(edge: &Edge) -> (Reverse<(Stamp, u32)>, Option<&Spot>) {
    (Reverse(edge.when()), edge.value.as_ref())
}

impl Node {
    /// The newest moves.
    fn joins(&mut self, edges: impl IntoIterator<Item = Edge>) {
        for new in edges {
            if !self.edges.contains(&new) {
                self.edges.push(new);
            }
        }
        self.edges.sort_by(|one, two| order(one).cmp(&order(two)));
        self.edges.truncate(limits::TREE_MOVES_KEPT);
    }

    /// When something was last said of it.
    fn newest(&self) -> Option<Stamp> {
        let moved = self.edges.first().map(|edge| edge.stamp);
        moved.max(self.value.as_ref().map(|value| value.stamp))
    }
}

impl Tree {
    /// The names of the nodes under one, in order.
    #[must_use]
    pub fn under(&self, parent: Option<ItemId>) -> Vec<ItemId> {
        let children = self.children();
        children.get(&parent.into()).into_iter().flatten().map(|(_, id)| *id).collect()
    }

    /// The JSON text of a node that is shown or was removed and not forgotten.
    #[must_use]
    pub fn get(&self, id: ItemId) -> Option<&Bytes> {
        self.nodes.get(&id)?.value.as_ref().map(|value| &value.value)
    }

    /// Up to which stamp anything was said: what [`TreeEdit::Forget`] names once every device has heard of it all.
    #[must_use]
    pub fn newest(&self) -> Option<Stamp> {
        self.nodes.values().filter_map(Node::newest).max()
    }

    /// Whether it holds nodes that nobody sees.
    #[must_use]
    pub fn has_hidden(&self) -> bool {
        self.placed().len() < self.nodes.len()
    }

    /// What a new node says, that will have this index among those under `parent`.
    ///
    /// # Errors
    /// When there is no such place, or it is full.
    pub fn inserting(
        &self,
        parent: Option<ItemId>,
        index: usize,
        text: Bytes,
        session: SessionName,
    ) -> Result<Vec<TreeEdit>, TreeError> {
        let children = self.children();
        if let Some(node) = parent.filter(|node| !self.above(&children).contains_key(node)) {
            return Err(TreeError::NoNode(node));
        }
        let spot = spot(&children, parent, index, None, session)?;
        Ok(self.settled(&children, TreeEdit::Insert(spot, text)))
    }

    /// What a new value says.
    ///
    /// # Errors
    /// When the node is not there.
    pub fn setting(&self, node: ItemId, text: Bytes) -> Result<Vec<TreeEdit>, TreeError> {
        self.shown(node).map(|node| vec![TreeEdit::Set(node, text)])
    }

    /// What a move says, after which the node has this index among those under `parent`.
    ///
    /// # Errors
    /// When one of them is not there, the node is above `parent` or is it, or the place is full.
    pub fn moving(
        &self,
        node: ItemId,
        parent: Option<ItemId>,
        index: usize,
        session: SessionName,
    ) -> Result<Vec<TreeEdit>, TreeError> {
        let children = self.children();
        let above = self.above(&children);
        let mut at = parent;
        for known in [Some(node), parent].into_iter().flatten() {
            above.get(&known).ok_or(TreeError::NoNode(known))?;
        }
        while let Some(on) = at {
            if on == node {
                return Err(TreeError::IntoItself(node));
            }
            at = above.get(&on).copied().flatten();
        }
        let spot = spot(&children, parent, index, Some(node), session)?;
        Ok(self.settled(&children, TreeEdit::Move(node, spot)))
    }

    /// What a remove says.
    ///
    /// # Errors
    /// When the node is not there.
    pub fn removing(&self, node: ItemId) -> Result<Vec<TreeEdit>, TreeError> {
        self.shown(node).map(|node| self.settled(&self.children(), TreeEdit::Remove(node)))
    }

    /// An edit, and what makes good that moves were passed over: their nodes are moved to where they are shown, so that
    /// nothing that is done later changes that.
    fn settled(&self, children: &Children<'_>, edit: TreeEdit) -> Vec<TreeEdit> {
        let said = edit::moved(&edit);
        let mut edits = vec![edit];
        for (parent, among) in children {
            for (place, id) in among.iter().filter(|(_, id)| Some(*id) != said) {
                let meant = self.nodes.get(id).and_then(|node| node.edges.first()?.value.as_ref());
                if meant.is_some_and(|meant| meant.parent != *parent) {
                    edits.push(TreeEdit::Move(*id, Spot { parent: *parent, place: (*place).clone() }));
                }
            }
        }
        edits[1..].sort_by_key(edit::moved);
        edits
    }

    fn shown(&self, node: ItemId) -> Result<ItemId, TreeError> {
        if self.above(&self.children()).contains_key(&node) { Ok(node) } else { Err(TreeError::NoNode(node)) }
    }

    /// The parent of every node that is shown.
    fn above(&self, children: &Children<'_>) -> HashMap<ItemId, Option<ItemId>> {
        self.placed_by(children).into_iter().map(|placed| (placed.id, placed.parent)).collect()
    }

    /// Takes in another copy of it, that had each author's ops in their order too.
    pub fn merge(&mut self, other: &Self) {
        for (id, theirs) in &other.nodes {
            let ours = self.nodes.entry(*id).or_default();
            Newest::join(&mut ours.value, theirs.value.as_ref());
            ours.joins(theirs.edges.iter().cloned());
        }
        self.context.merge(&other.context);
        if let Some(forgot) = self.forgot.max(other.forgot) {
            self.forget(forgot);
        }
    }

    /// Drops what is not shown and of which nothing newer was said.
    fn forget(&mut self, upto: Stamp) {
        let shown = self.above(&self.children());
        self.nodes.retain(|id, node| shown.contains_key(id) || node.newest().is_some_and(|newest| newest > upto));
        self.forgot = self.forgot.max(Some(upto));
    }

    /// A node that something is said of; none where it was forgotten.
    fn known(&mut self, id: ItemId, stamp: Stamp) -> Option<&mut Node> {
        let forgotten = self.forgot.is_some_and(|forgot| stamp <= forgot) && !self.nodes.contains_key(&id);
        (!forgotten).then(|| self.nodes.entry(id).or_default())
    }
}

/// A place before the `index`-th of the nodes under a parent, without one that leaves.
fn spot(
    children: &Children<'_>,
    parent: Option<ItemId>,
    index: usize,
    without: Option<ItemId>,
    session: SessionName,
) -> Result<Spot, TreeError> {
    let parent = parent.into();
    let among = children.get(&parent).into_iter().flatten().filter(|(_, id)| Some(*id) != without);
    let among: Vec<&Position> = among.map(|(place, _)| *place).collect();
    if index > among.len() {
        return Err(TreeError::Index { index, len: among.len() });
    }
    let left = index.checked_sub(1).and_then(|left| among.get(left).copied());
    Ok(Spot { parent, place: Position::between(left, among.get(index).copied(), session)? })
}

impl Content for Tree {
    type Edit = Vec<TreeEdit>;

    const NAME: &'static str = WHAT;

    fn read_edit(payload: Bytes) -> Result<Vec<TreeEdit>, DecodeError> {
        edit::read(payload)
    }

    fn write_edit(edit: &Vec<TreeEdit>) -> Bytes {
        edit::write(edit)
    }

    fn apply(&mut self, moment: &Moment, edits: Vec<TreeEdit>) {
        let (stamp, nth) = (moment.stamp(), self.context.note(moment).nth);
        let mut made = ItemId { op: moment.op, nth: 0 };
        let write = |node: &mut Node, text: Bytes| {
            if let Some(value) = Newest::after(node.value.as_ref(), stamp, text) {
                node.value = Some(value);
            }
        };
        for edit in edits {
            match edit {
                TreeEdit::Insert(spot, text) => {
                    let node = self.nodes.entry(made).or_default();
                    write(node, text);
                    node.joins([Newest { stamp, nth, value: Some(spot) }]);
                    made.nth = made.nth.saturating_add(1);
                }
                TreeEdit::Set(id, text) => {
                    self.known(id, stamp).into_iter().for_each(|node| write(node, text.clone()));
                }
                TreeEdit::Move(id, spot) => {
                    let to = Newest { stamp, nth, value: Some(spot) };
                    self.known(id, stamp).into_iter().for_each(|node| node.joins([to.clone()]));
                }
                TreeEdit::Remove(id) => {
                    let out = Newest { stamp, nth, value: None };
                    self.known(id, stamp).into_iter().for_each(|node| node.joins([out.clone()]));
                }
                TreeEdit::Forget(upto) => self.forget(upto),
            }
        }
    }

    fn clear(&mut self, moment: &Moment) {
        self.context.note(moment);
        self.forgot = self.forgot.max(self.newest()).max(Some(moment.stamp()));
        self.nodes.clear();
    }

    fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Self::from_bytes(bytes)
    }

    /// An array of `{"id":…,"parent":…,"value":…}`, each node before those under it.
    fn view(&self) -> Result<Option<Bytes>, DecodeError> {
        let mut text = Vec::new();
        for Placed { id, parent, value, .. } in self.placed() {
            text.push(if text.is_empty() { b'[' } else { b',' });
            let parent = parent.map_or_else(|| "null".to_owned(), |parent| format!("\"{parent}\""));
            text.extend_from_slice(format!("{{\"id\":\"{id}\",\"parent\":{parent},\"value\":").as_bytes());
            text.extend_from_slice(shown(&value, WHAT)?);
            text.push(b'}');
        }
        if text.is_empty() {
            return Ok(None);
        }
        text.push(b']');
        Ok(Some(text.into()))
    }

    fn left_of(older: Vec<TreeEdit>, newer: &Vec<TreeEdit>) -> Option<Vec<TreeEdit>> {
        Some(edit::left_of(older, newer)).filter(|left| !left.is_empty())
    }
}
