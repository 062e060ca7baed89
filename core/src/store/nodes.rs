//! Listings of a tree of files.

use crate::id::EntityId;
use crate::seq::Cursor;
use crate::tree::{NameKey, Node};

/// Which nodes are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "stores answer every kind of question")]
pub enum NodeQuery {
    /// All of them, live and dead, by id, after one.
    All {
        /// After this one.
        after: Option<EntityId>,
    },
    /// The live nodes of a folder by their folded names, as bytes, after one.
    Children {
        /// The folder.
        of: EntityId,
        /// After this name.
        after: Option<NameKey>,
    },
    /// The roots of what was deleted, by id, after one: dead nodes whose folder is not dead in the same group.
    Trash {
        /// After this one.
        after: Option<EntityId>,
    },
    /// Nodes from one down, live or dead, itself among them, that have nothing in them. Which ones, where there are more than
    /// asked for, is the store's choice.
    Leaves {
        /// Where it begins.
        of: EntityId,
    },
    /// One node, live or dead; a node that another stands for is that one.
    One(EntityId),
}

/// Nodes of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct NodePage {
    /// In the order asked for.
    pub nodes: Vec<(EntityId, Node)>,
    /// Whether there are more.
    pub more: bool,
    /// Where the log ended when they were read; `None` without a log.
    pub end: Option<Cursor>,
}
