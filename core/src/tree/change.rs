//! What a commit does to a tree, as a store writes it and readers of the log apply it.
//!
//! Changes are applied in order. Lives and deaths of whole folders come first and are about the tree as it was; then come
//! aliases, then nodes as they are afterwards, a parent before its children. What must hold: names and index entries are
//! looked at when all are applied, for in between two siblings may have the same name.
//!
//! Next: `memory` applies them.

use super::node::Node;
use super::op::Outcome;
use super::{Content, Revision};
use crate::id::EntityId;
use crate::seq::Seq;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Everything that lives from `root` down dies, except what is kept.
    Tombstone {
        /// Where it begins.
        root: EntityId,
        /// The group they are in: this commit.
        group: Seq,
        /// These live on; what is below them is looked at. In the order of ids, with every folder up to `root`.
        kept: Vec<EntityId>,
        /// These live on with everything below them, or have left. In the order of ids.
        whole: Vec<EntityId>,
    },
    /// What died with `root` lives again: `root`, and below it whatever is reached over nodes of that group.
    Revive {
        /// Where it begins.
        root: EntityId,
        /// The group.
        group: Seq,
    },
    /// A new node is not made, for another stands for it.
    Alias {
        /// The new one's id.
        new: EntityId,
        /// What stands for it.
        of: EntityId,
    },
    /// A node as it is now.
    Node {
        /// Which.
        id: EntityId,
        /// All of it.
        node: Box<Node>,
    },
    /// A dead node and all that is below it, dead as well, are forgotten.
    Purge {
        /// Which.
        root: EntityId,
    },
}

/// What comes of a commit. No changes when everything was so already, or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// In the order in which they are applied.
    pub changes: Vec<Change>,
    /// One for each op.
    pub outcomes: Vec<Outcome>,
    /// New contents, for the history of their files.
    pub revisions: Vec<Revision>,
    /// Nodes that are new.
    pub nodes_added: u64,
    /// Bytes of the new contents.
    pub bytes_added: u64,
}

impl Committed {
    /// The contents that the tree now refers to and did not before.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        self.revisions.iter().map(|revision| &revision.content)
    }
}
