//! What the rules ask a tree.
//!
//! Every answer is about the tree as it is before the commit, in the same transaction that writes what comes of it, with the
//! tree locked *before* the first question: two moves that were each checked before either took the lock close a circle.
//!
//! # How a store answers
//!
//! With a row for each node (id, parent, name, folded name, kind, content, three stamps, `dead`) and `changed`, the largest
//! seq of the three stamps:
//!
//! | question | index | cost |
//! |---|---|---|
//! | [`node`](TreeView::node) | primary key; aliases in a table of their own | a row; asked for along a path to the root |
//! | [`child`](TreeView::child) | unique `(tree, parent, key)` where `dead` is null | a row |
//! | [`dead_child`](TreeView::dead_child) | `(tree, parent, dead, key)` where `dead` is not null | a row |
//! | [`changed_below`](TreeView::changed_below) | `(tree, changed)`: what changed since, each walked up to the root; or the subtree, if that is smaller | the smaller of both |
//! | [`height`](TreeView::height) | `(tree, parent)`: a recursive query | the folders below; only when a folder moves deeper |
//!
//! A store that hands out batches of rows fills a [`Loaded`](super::Loaded) with what it is asked for and begins again.

use super::name::NameKey;
use super::node::Node;
use crate::id::{EntityId, ReplicaId};
use crate::seq::Seq;

/// What there is under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "it is there, something else is, or nothing")]
pub enum Found {
    /// A node, live or dead. Its parent is there as well.
    Node(Box<Node>),
    /// A node that was not made, because this one stands for it.
    Alias(EntityId),
    /// Nothing, or what was purged.
    Nothing,
}

/// A tree before a commit.
pub trait TreeView {
    /// Why there is no answer.
    type Error;

    /// What is under this id.
    ///
    /// # Errors
    /// When there is no answer.
    fn node(&self, id: EntityId) -> Result<Found, Self::Error>;

    /// The live node of this name in a live folder.
    ///
    /// # Errors
    /// When there is no answer.
    fn child(&self, parent: EntityId, key: &NameKey) -> Result<Option<EntityId>, Self::Error>;

    /// The node of this name in a dead folder that died with it, in this group. There is at most one.
    ///
    /// # Errors
    /// When there is no answer.
    fn dead_child(&self, parent: EntityId, group: Seq, key: &NameKey) -> Result<Option<EntityId>, Self::Error>;

    /// Live nodes below `root`, itself not among them, with a stamp later than `after` of somebody else than `by`: at most
    /// `limit` of them, in any order.
    ///
    /// # Errors
    /// When there is no answer.
    fn changed_below(
        &self,
        root: EntityId,
        after: Seq,
        by: ReplicaId,
        limit: usize,
    ) -> Result<Vec<EntityId>, Self::Error>;

    /// Levels below a folder, dead nodes' included; `limit` when there are more.
    ///
    /// # Errors
    /// When there is no answer.
    fn height(&self, folder: EntityId, limit: usize) -> Result<usize, Self::Error>;
}
