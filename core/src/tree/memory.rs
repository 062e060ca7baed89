//! A tree in memory: what a view's answers are, and what changes do.
//!
//! It is the specification of a store's tree. It takes the straightforward way, through every node if need be; stores are
//! compared with it. What must hold is what [`MemoryTree::check`] looks at.
//!
//! Next: `view` for the indexes that a store has instead.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use super::change::Change;
use super::name::NameKey;
use super::node::{Node, Stamp};
use super::past::is_trash_root;
use super::view::{Found, TreeView};
use crate::id::{EntityId, ReplicaId};
use crate::limits::TREE_DEPTH_MAX;
use crate::seq::Seq;

/// A tree in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryTree {
    root: EntityId,
    nodes: BTreeMap<EntityId, Node>,
    children: BTreeMap<EntityId, BTreeSet<EntityId>>,
    names: BTreeMap<(EntityId, NameKey), EntityId>,
    aliases: BTreeMap<EntityId, EntityId>,
}

/// What is wrong with a tree, or with a change to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A node's parent is not there, or no folder.
    #[error("the parent of {0} is no folder that is there")]
    Parent(EntityId),
    /// A live node's parent is dead.
    #[error("{0} lives in a dead folder")]
    Dead(EntityId),
    /// A dead node's folder died before it.
    #[error("{0} died after its folder")]
    Group(EntityId),
    /// A node is below itself, or too deep.
    #[error("{0} is below itself, or too deep")]
    Circle(EntityId),
    /// Two live siblings have one name.
    #[error("{0} has the name of a sibling")]
    Name(EntityId),
    /// The root moved, died or is not there.
    #[error("the root is not in its place")]
    Root,
    /// A node has another kind than before, or content that its kind does not have.
    #[error("{0} is of another kind than it was")]
    Kind(EntityId),
    /// What is to be purged lives.
    #[error("{0} lives")]
    Alive(EntityId),
}

impl MemoryTree {
    /// A tree of nothing but its root.
    #[must_use]
    pub fn new(root: EntityId, made: Stamp) -> Self {
        Self {
            root,
            nodes: BTreeMap::from([(root, Node::root(made))]),
            children: BTreeMap::new(),
            names: BTreeMap::new(),
            aliases: BTreeMap::new(),
        }
    }

    /// The root.
    #[must_use]
    pub const fn root(&self) -> EntityId {
        self.root
    }

    /// A node, live or dead.
    #[must_use]
    pub fn get(&self, id: EntityId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// All nodes, live and dead, in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = (EntityId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// Up to `limit` nodes from one down, live or dead, that have nothing in them.
    pub fn leaves(&self, of: EntityId, limit: usize) -> impl Iterator<Item = (EntityId, &Node)> {
        let folders: BTreeSet<EntityId> = self.nodes.values().filter_map(|node| node.parent).collect();
        let below = move |id: EntityId| {
            let above = |id: &EntityId| self.nodes.get(id).and_then(|node| node.parent);
            std::iter::successors(Some(id), above).any(|id| id == of)
        };
        self.nodes().filter(move |(id, _)| !folders.contains(id) && below(*id)).take(limit)
    }

    /// Up to `limit` live nodes of a folder by their folded names, those after `after`.
    pub fn children(
        &self,
        folder: EntityId,
        after: Option<&NameKey>,
        limit: usize,
    ) -> impl Iterator<Item = (EntityId, &Node)> {
        let from = after.cloned().map_or(std::ops::Bound::Unbounded, |key| std::ops::Bound::Excluded((folder, key)));
        let all = self.names.range((from, std::ops::Bound::Unbounded));
        let all = all.skip_while(move |((parent, _), _)| *parent < folder);
        let found = all.take_while(move |((parent, _), _)| *parent == folder).take(limit);
        found.filter_map(|(_, id)| self.nodes.get(id).map(|node| (*id, node)))
    }

    /// The live node at a path of names from the root.
    #[must_use]
    pub fn at<'a>(&self, path: impl IntoIterator<Item = &'a NameKey>) -> Option<EntityId> {
        path.into_iter().try_fold(self.root, |at, key| self.names.get(&(at, key.clone())).copied())
    }

    /// The roots of what was deleted, up to `limit` of them by id, those after `after`.
    pub fn trash(&self, after: Option<EntityId>, limit: usize) -> impl Iterator<Item = (EntityId, &Node)> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let all = self.nodes.range((from, std::ops::Bound::Unbounded));
        let parent = |node: &Node| node.parent.and_then(|parent| self.nodes.get(&parent));
        all.filter(move |(_, node)| is_trash_root(node, parent(node))).take(limit).map(|(id, node)| (*id, node))
    }

    /// A tree of these nodes, live and dead, as a listing gives them. Where the listing was read while others committed, its
    /// nodes are of different times, and `later` is what was committed from its beginning on.
    ///
    /// # Errors
    /// When they make no tree.
    pub fn of(
        root: EntityId,
        nodes: impl IntoIterator<Item = (EntityId, Node)>,
        later: &[Change],
    ) -> Result<Self, Damage> {
        let nodes: BTreeMap<EntityId, Node> = nodes.into_iter().collect();
        let mut tree =
            Self { root, nodes, children: BTreeMap::new(), names: BTreeMap::new(), aliases: BTreeMap::new() };
        for (id, node) in &tree.nodes {
            if let Some(parent) = node.parent {
                tree.children.entry(parent).or_default().insert(*id);
            }
        }
        let mut touched = BTreeSet::new();
        for change in later {
            tree.follow_one(change, &mut touched)?;
        }
        let live = tree.nodes.iter().filter(|(_, node)| node.dead.is_none());
        tree.names = live.filter_map(|(id, node)| Some(((node.parent?, node.name.key()), *id))).collect();
        tree.check()?;
        Ok(tree)
    }

    /// Applies changes, all or nothing, and looks at the whole tree.
    ///
    /// # Errors
    /// When the tree would not be one afterwards.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), Damage> {
        let mut next = self.clone();
        next.follow(changes)?;
        next.check()?;
        *self = next;
        Ok(())
    }

    /// The tree with these changes.
    ///
    /// # Errors
    /// When it would not be one.
    pub fn applied(mut self, changes: &[Change]) -> Result<Self, Damage> {
        self.apply(changes).map(|()| self)
    }

    /// Applies changes in place, and looks at what they touch: the cost does not grow with the tree. Gives the nodes that
    /// are otherwise than before, those that are gone among them.
    ///
    /// # Errors
    /// When the tree is not one afterwards. Then it is neither what it was nor what it should be, and is to be read anew.
    pub fn follow(&mut self, changes: &[Change]) -> Result<BTreeSet<EntityId>, Damage> {
        let mut touched = BTreeSet::new();
        for change in changes {
            self.follow_one(change, &mut touched)?;
        }
        for id in &touched {
            let Some(node) = self.nodes.get(id) else { continue };
            if let (Some(parent), None) = (node.parent, node.dead)
                && self.names.insert((parent, node.name.key()), *id).is_some_and(|other| other != *id)
            {
                return Err(Damage::Name(*id));
            }
        }
        for id in &touched {
            let Some(node) = self.nodes.get(id) else { continue };
            self.check_one(*id, node)?;
            let below = self.children.get(id).into_iter().flatten();
            for child in below.filter(|child| !touched.contains(child)) {
                if let Some(node) = self.nodes.get(child) {
                    self.check_place(*child, node)?;
                }
            }
        }
        Ok(touched)
    }

    fn follow_one(&mut self, change: &Change, touched: &mut BTreeSet<EntityId>) -> Result<(), Damage> {
        match change {
            Change::Tombstone { root, group, kept, whole } => self.tombstone(*root, *group, kept, whole, touched),
            Change::Revive { root, group } => self.revive(*root, *group, touched),
            Change::Alias { new, of } => {
                self.aliases.insert(*new, *of);
            }
            Change::Node { id, node } => {
                self.unname(*id);
                touched.insert(*id);
                let old = self.nodes.insert(*id, (**node).clone());
                if let Some(old) = old {
                    if old.kind != node.kind {
                        return Err(Damage::Kind(*id));
                    }
                    if let Some(siblings) = old.parent.and_then(|parent| self.children.get_mut(&parent)) {
                        siblings.remove(id);
                    }
                }
                if let Some(parent) = node.parent {
                    self.children.entry(parent).or_default().insert(*id);
                }
            }
            Change::Purge { root } => return self.purge(*root, touched),
        }
        Ok(())
    }

    /// Takes a node's name out of the index, before it changes.
    fn unname(&mut self, id: EntityId) {
        let Some(node) = self.nodes.get(&id) else { return };
        let Some(parent) = node.parent.filter(|_| node.dead.is_none()) else { return };
        let place = (parent, node.name.key());
        if self.names.get(&place) == Some(&id) {
            self.names.remove(&place);
        }
    }

    fn tombstone(
        &mut self,
        root: EntityId,
        group: Seq,
        kept: &[EntityId],
        whole: &[EntityId],
        touched: &mut BTreeSet<EntityId>,
    ) {
        // Changes from elsewhere may name a circle, which is found out at the end.
        let (mut open, mut met) = (vec![root], BTreeSet::new());
        let (kept, whole): (BTreeSet<_>, BTreeSet<_>) = (kept.iter().collect(), whole.iter().collect());
        while let Some(id) = open.pop().filter(|id| met.insert(*id)) {
            let Some(node) = self.nodes.get(&id) else { continue };
            if node.dead.is_some() || whole.contains(&id) {
                continue;
            }
            if !kept.contains(&id) {
                self.set_dead(id, Some(group), touched);
            }
            open.extend(self.children.get(&id).into_iter().flatten());
        }
    }

    fn set_dead(&mut self, id: EntityId, dead: Option<Seq>, touched: &mut BTreeSet<EntityId>) {
        self.unname(id);
        touched.insert(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.dead = dead;
        }
    }

    fn revive(&mut self, root: EntityId, group: Seq, touched: &mut BTreeSet<EntityId>) {
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            if self.nodes.get(&id).is_some_and(|node| node.dead == Some(group)) {
                self.set_dead(id, None, touched);
                open.extend(self.children.get(&id).into_iter().flatten());
            }
        }
    }

    fn purge(&mut self, root: EntityId, touched: &mut BTreeSet<EntityId>) -> Result<(), Damage> {
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            open.extend(self.children.remove(&id).into_iter().flatten());
            touched.insert(id);
            let Some(node) = self.nodes.remove(&id) else { continue };
            if node.dead.is_none() {
                return Err(Damage::Alive(id));
            }
            if let Some(siblings) = node.parent.and_then(|parent| self.children.get_mut(&parent)) {
                siblings.remove(&id);
            }
        }
        self.aliases.retain(|_, of| self.nodes.contains_key(of));
        Ok(())
    }

    /// Looks at everything that must hold.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), Damage> {
        if self.nodes.get(&self.root).is_none_or(|root| root.parent.is_some() || root.dead.is_some()) {
            return Err(Damage::Root);
        }
        let mut names = BTreeSet::new();
        for (id, node) in &self.nodes {
            self.check_one(*id, node)?;
            if let (Some(parent), None) = (node.parent, node.dead)
                && !names.insert((parent, node.name.key()))
            {
                return Err(Damage::Name(*id));
            }
        }
        Ok(())
    }

    fn check_one(&self, id: EntityId, node: &Node) -> Result<(), Damage> {
        if node.kind.has_content() != node.content.is_some() {
            return Err(Damage::Kind(id));
        }
        if node.parent.is_none() {
            return if id == self.root && node.dead.is_none() { Ok(()) } else { Err(Damage::Root) };
        }
        self.check_place(id, node)?;
        let mut above = std::iter::successors(node.parent, |id| self.nodes.get(id).and_then(|node| node.parent));
        if above.nth(TREE_DEPTH_MAX).is_some() { Err(Damage::Circle(id)) } else { Ok(()) }
    }

    /// Whether a node is in a folder that it can be in.
    fn check_place(&self, id: EntityId, node: &Node) -> Result<(), Damage> {
        let Some(parent) = node.parent else { return Ok(()) };
        let Some(folder) = self.nodes.get(&parent).filter(|folder| folder.is_folder()) else {
            return Err(Damage::Parent(id));
        };
        match (node.dead, folder.dead) {
            (None, Some(_)) => Err(Damage::Dead(id)),
            (Some(group), Some(above)) if above < group => Err(Damage::Group(id)),
            _ => Ok(()),
        }
    }
}

impl TreeView for MemoryTree {
    type Error = Infallible;

    fn node(&self, id: EntityId) -> Result<Found, Infallible> {
        Ok(match (self.nodes.get(&id), self.aliases.get(&id)) {
            (Some(node), _) => Found::Node(Box::new(node.clone())),
            (None, Some(of)) => Found::Alias(*of),
            (None, None) => Found::Nothing,
        })
    }

    fn child(&self, parent: EntityId, key: &NameKey) -> Result<Option<EntityId>, Infallible> {
        Ok(self.names.get(&(parent, key.clone())).copied())
    }

    fn dead_child(&self, parent: EntityId, group: Seq, key: &NameKey) -> Result<Option<EntityId>, Infallible> {
        let children = self.children.get(&parent).into_iter().flatten();
        Ok(children
            .copied()
            .find(|id| self.nodes.get(id).is_some_and(|node| node.dead == Some(group) && node.name.key() == *key)))
    }

    fn changed_below(
        &self,
        root: EntityId,
        after: Seq,
        by: ReplicaId,
        limit: usize,
    ) -> Result<Vec<EntityId>, Infallible> {
        let mut found = Vec::new();
        let mut open: Vec<EntityId> = self.children.get(&root).into_iter().flatten().copied().collect();
        while let Some(id) = open.pop() {
            let Some(node) = self.nodes.get(&id).filter(|node| node.dead.is_none()) else { continue };
            if node.is_news(after, by) && found.len() < limit {
                found.push(id);
            }
            open.extend(self.children.get(&id).into_iter().flatten());
        }
        Ok(found)
    }

    fn height(&self, folder: EntityId, limit: usize) -> Result<usize, Infallible> {
        let (mut height, mut level) = (0, vec![folder]);
        loop {
            level = level.iter().flat_map(|id| self.children.get(id).into_iter().flatten().copied()).collect();
            if level.is_empty() || height == limit {
                return Ok(height);
            }
            height += 1;
        }
    }
}
