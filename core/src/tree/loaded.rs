//! A view of what was read so far, for stores that answer many questions at once.
//!
//! [`commit()`](super::commit()) is run on it; what it lacks is the error, a list of [`TreeRead`]s. They are answered with
//! [`Loaded`]'s setters and the commit is run again, until nothing lacks. An answer may say more than was asked: a node's path
//! to the root along with it saves a round for each folder.

use std::collections::BTreeMap;

use super::name::NameKey;
use super::node::Node;
use super::view::{Found, TreeView};
use crate::id::{EntityId, ReplicaId};
use crate::seq::Seq;

/// A question about a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_enums, reason = "stores answer every kind of question")]
pub enum TreeRead {
    /// [`TreeView::node`], with its path to the root.
    Node(EntityId),
    /// [`TreeView::child`].
    Child {
        /// The live folder.
        parent: EntityId,
        /// The name.
        key: NameKey,
    },
    /// [`TreeView::dead_child`].
    DeadChild {
        /// The dead folder.
        parent: EntityId,
        /// In which both died.
        group: Seq,
        /// The name.
        key: NameKey,
    },
    /// [`TreeView::changed_below`].
    ChangedBelow {
        /// The folder.
        root: EntityId,
        /// What its reader had seen.
        after: Seq,
        /// The reader, whose own changes do not count.
        by: ReplicaId,
        /// No more than these.
        limit: usize,
    },
    /// [`TreeView::height`].
    Height {
        /// The folder.
        folder: EntityId,
        /// No more than these.
        limit: usize,
    },
}

/// What was read of a tree.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    nodes: BTreeMap<EntityId, Found>,
    children: BTreeMap<TreeRead, Option<EntityId>>,
    lists: BTreeMap<TreeRead, Vec<EntityId>>,
    heights: BTreeMap<TreeRead, usize>,
}

impl Loaded {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is under an id.
    pub fn set(&mut self, id: EntityId, found: Found) {
        self.nodes.insert(id, found);
    }

    /// A node; puts it where [`Loaded::set`] does.
    pub fn set_node(&mut self, id: EntityId, node: Node) {
        self.set(id, Found::Node(Box::new(node)));
    }

    /// The answer to [`TreeRead::Child`] or [`TreeRead::DeadChild`].
    pub fn set_child(&mut self, read: TreeRead, found: Option<EntityId>) {
        self.children.insert(read, found);
    }

    /// The answer to [`TreeRead::ChangedBelow`].
    pub fn set_changed(&mut self, read: TreeRead, found: Vec<EntityId>) {
        self.lists.insert(read, found);
    }

    /// The answer to [`TreeRead::Height`].
    pub fn set_height(&mut self, read: TreeRead, height: usize) {
        self.heights.insert(read, height);
    }

    /// Answers a question from another view.
    ///
    /// # Errors
    /// When that has no answer.
    pub fn answer<V: TreeView>(&mut self, read: TreeRead, view: &V) -> Result<(), V::Error> {
        match &read {
            TreeRead::Node(id) => {
                let mut next = Some(*id);
                while let Some(id) = next.filter(|id| !self.nodes.contains_key(id)) {
                    let found = view.node(id)?;
                    next = match &found {
                        Found::Node(node) => node.parent,
                        Found::Alias(of) => Some(*of),
                        Found::Nothing => None,
                    };
                    self.set(id, found);
                }
            }
            TreeRead::Child { parent, key } => {
                let found = view.child(*parent, key)?;
                self.also(found, view)?;
                self.set_child(read, found);
            }
            TreeRead::DeadChild { parent, group, key } => {
                let found = view.dead_child(*parent, *group, key)?;
                self.also(found, view)?;
                self.set_child(read, found);
            }
            TreeRead::ChangedBelow { root, after, by, limit } => {
                let found = view.changed_below(*root, *after, *by, *limit)?;
                self.also(found.iter().copied(), view)?;
                self.set_changed(read, found);
            }
            TreeRead::Height { folder, limit } => {
                let height = view.height(*folder, *limit)?;
                self.set_height(read, height);
            }
        }
        Ok(())
    }

    /// Answers a question where there is no tree.
    pub fn answer_empty(&mut self, read: TreeRead) {
        match read {
            TreeRead::Node(id) => self.set(id, Found::Nothing),
            TreeRead::Child { .. } | TreeRead::DeadChild { .. } => self.set_child(read, None),
            TreeRead::ChangedBelow { .. } => self.set_changed(read, Vec::new()),
            TreeRead::Height { .. } => self.set_height(read, 0),
        }
    }

    fn also<V: TreeView>(&mut self, ids: impl IntoIterator<Item = EntityId>, view: &V) -> Result<(), V::Error> {
        ids.into_iter().try_for_each(|id| self.answer(TreeRead::Node(id), view))
    }
}

impl TreeView for Loaded {
    type Error = TreeRead;

    fn node(&self, id: EntityId) -> Result<Found, TreeRead> {
        self.nodes.get(&id).cloned().ok_or(TreeRead::Node(id))
    }

    fn child(&self, parent: EntityId, key: &NameKey) -> Result<Option<EntityId>, TreeRead> {
        let read = TreeRead::Child { parent, key: key.clone() };
        self.children.get(&read).copied().ok_or(read)
    }

    fn dead_child(&self, parent: EntityId, group: Seq, key: &NameKey) -> Result<Option<EntityId>, TreeRead> {
        let read = TreeRead::DeadChild { parent, group, key: key.clone() };
        self.children.get(&read).copied().ok_or(read)
    }

    fn changed_below(
        &self,
        root: EntityId,
        after: Seq,
        by: ReplicaId,
        limit: usize,
    ) -> Result<Vec<EntityId>, TreeRead> {
        let read = TreeRead::ChangedBelow { root, after, by, limit };
        self.lists.get(&read).cloned().ok_or(read)
    }

    fn height(&self, folder: EntityId, limit: usize) -> Result<usize, TreeRead> {
        let read = TreeRead::Height { folder, limit };
        self.heights.get(&read).copied().ok_or(read)
    }
}
