//! The tree while a commit is decided: what was read of it, and what has become of that.
//!
//! Only nodes that the commit names are loaded, and the folders above them. When a folder dies or comes back, nothing below
//! it is touched: the event is written down with its number, and [`Working::dead`] finds what holds for a node by walking up
//! over the parents it had before. What must hold after every op: a live node's parent lives, and there is no circle.

use std::collections::{BTreeMap, BTreeSet};

use super::Terms;
use super::name::NameKey;
use super::node::{Node, Revision, Stamp};
use super::view::{Found, TreeView};
use crate::id::EntityId;
use crate::limits::TREE_DEPTH_MAX;
use crate::seq::Seq;

/// Why a commit cannot be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stuck<E> {
    /// The view has no answer.
    #[error("a question about the tree has no answer")]
    View(E),
    /// The tree is damaged: a node whose parent is not there, a circle, or a path that is too deep.
    #[error("the path of node {0} to the root is damaged")]
    Damaged(EntityId),
}

pub(super) type Asked<T, V> = Result<T, Stuck<<V as TreeView>::Error>>;

/// How a node came into the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was there, with what was in it.
    Old,
    /// The commit made it.
    New,
    /// It was dead, in this group, and came back without what was in it.
    Bare(Seq),
}

#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// As the view has it; `None` if the commit made it.
    pub(super) before: Option<Node>,
    pub(super) now: Node,
    pub(super) origin: Origin,
    /// The number of the event that said last whether it lives, if one spoke of it alone.
    pub(super) said: Option<u32>,
    /// Whether it is written.
    pub(super) touched: bool,
}

/// What of a folder that is deleted must live on because of the same commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shield {
    /// This node.
    Node,
    /// This node and what is below it.
    Whole,
}

#[derive(Debug, Clone)]
pub(super) struct Felled {
    pub(super) at: u32,
    pub(super) kept: BTreeSet<EntityId>,
    pub(super) whole: BTreeSet<EntityId>,
}

pub(super) struct Working<'a, V: TreeView> {
    pub(super) view: &'a V,
    pub(super) terms: &'a Terms<'a>,
    pub(super) slots: BTreeMap<EntityId, Slot>,
    aliases: BTreeMap<EntityId, EntityId>,
    nothing: BTreeSet<EntityId>,
    /// By folder, the nodes that the commit made, moved or revived in it.
    pub(super) children: BTreeMap<EntityId, BTreeSet<EntityId>>,
    pub(super) felled: BTreeMap<EntityId, Vec<Felled>>,
    pub(super) raised: BTreeMap<EntityId, (u32, Seq)>,
    pub(super) shields: BTreeMap<EntityId, Shield>,
    /// Whose names are to be settled, and the op that asked first.
    pub(super) named: BTreeMap<EntityId, usize>,
    /// New nodes that are not made, and what stands for them.
    pub(super) merged: BTreeMap<EntityId, EntityId>,
    pub(super) taken: BTreeMap<(EntityId, NameKey), EntityId>,
    pub(super) looked: BTreeMap<(EntityId, NameKey), Option<EntityId>>,
    /// The first number of a conflict copy's name that may be free yet.
    pub(super) numbered: BTreeMap<(EntityId, NameKey), u32>,
    pub(super) revisions: Vec<Revision>,
    pub(super) stuck: Vec<Stuck<V::Error>>,
    pub(super) nodes_added: u64,
    pub(super) bytes_added: u64,
    /// The op that is being decided.
    pub(super) op: usize,
    /// Characters of the longest path that it asked for.
    pub(super) path_chars: usize,
    events: u32,
}

impl<'a, V: TreeView> Working<'a, V> {
    pub(super) const fn new(view: &'a V, terms: &'a Terms<'a>) -> Self {
        Self {
            view,
            terms,
            slots: BTreeMap::new(),
            aliases: BTreeMap::new(),
            nothing: BTreeSet::new(),
            children: BTreeMap::new(),
            felled: BTreeMap::new(),
            raised: BTreeMap::new(),
            shields: BTreeMap::new(),
            named: BTreeMap::new(),
            merged: BTreeMap::new(),
            taken: BTreeMap::new(),
            looked: BTreeMap::new(),
            numbered: BTreeMap::new(),
            revisions: Vec::new(),
            stuck: Vec::new(),
            nodes_added: 0,
            bytes_added: 0,
            op: 0,
            path_chars: 0,
            events: 0,
        }
    }

    /// The stamp of what this commit changes.
    pub(super) const fn stamp(&self) -> Stamp {
        Stamp { seq: self.terms.seq, by: self.terms.replica }
    }

    pub(super) const fn event(&mut self) -> u32 {
        self.events += 1;
        self.events
    }

    /// Loads the node under an id, or what stands for it; `None` when there is none.
    pub(super) fn find(&mut self, id: EntityId) -> Asked<Option<EntityId>, V> {
        if self.slots.contains_key(&id) {
            return Ok(Some(id));
        }
        if let Some(of) = self.aliases.get(&id) {
            return Ok(Some(*of));
        }
        if self.nothing.contains(&id) {
            return Ok(None);
        }
        match self.view.node(id).map_err(Stuck::View)? {
            Found::Node(node) => {
                let slot =
                    Slot { now: (*node).clone(), before: Some(*node), origin: Origin::Old, said: None, touched: false };
                self.slots.insert(id, slot);
                Ok(Some(id))
            }
            Found::Nothing => {
                self.nothing.insert(id);
                Ok(None)
            }
            Found::Alias(of) => {
                // What stands for a node is never itself stood for.
                if !self.slots.contains_key(&of) {
                    let Found::Node(node) = self.view.node(of).map_err(Stuck::View)? else {
                        self.nothing.insert(id);
                        return Ok(None);
                    };
                    let before = Some((*node).clone());
                    self.slots.insert(of, Slot { now: *node, before, origin: Origin::Old, said: None, touched: false });
                }
                self.aliases.insert(id, of);
                Ok(Some(of))
            }
        }
    }

    /// A node that is there.
    pub(super) fn slot(&mut self, id: EntityId) -> Asked<&mut Slot, V> {
        if self.find(id)? != Some(id) {
            return Err(Stuck::Damaged(id));
        }
        self.slots.get_mut(&id).ok_or(Stuck::Damaged(id))
    }

    /// The folders above a node as the tree is now, the nearest first.
    pub(super) fn above(&mut self, id: EntityId) -> Asked<Vec<EntityId>, V> {
        self.walk(id, |slot| slot.now.parent)
    }

    /// The same as the tree was before; none for a node that was not.
    pub(super) fn above_before(&mut self, id: EntityId) -> Asked<Vec<EntityId>, V> {
        self.walk(id, |slot| slot.before.as_ref().and_then(|before| before.parent))
    }

    fn walk(&mut self, id: EntityId, parent: impl Fn(&Slot) -> Option<EntityId>) -> Asked<Vec<EntityId>, V> {
        let mut above = Vec::new();
        let mut next = parent(self.slot(id)?);
        while let Some(folder) = next {
            if above.len() > TREE_DEPTH_MAX {
                return Err(Stuck::Damaged(id));
            }
            above.push(folder);
            next = parent(self.slot(folder)?);
        }
        Ok(above)
    }

    /// Whether a node is `folder` or below it, as the tree is now.
    pub(super) fn is_within(&mut self, id: EntityId, folder: EntityId) -> Asked<bool, V> {
        Ok(id == folder || self.above(id)?.contains(&folder))
    }

    /// The group in which a node is dead now; `None` if it lives.
    pub(super) fn dead(&mut self, id: EntityId) -> Asked<Option<Seq>, V> {
        let slot = self.slot(id)?;
        let (mut dead, since) = (slot.now.dead, slot.said.unwrap_or(0));
        if self.felled.is_empty() && self.raised.is_empty() {
            return Ok(dead);
        }
        for (at, revives) in self.events_over(id)? {
            if at <= since {
                continue;
            }
            dead = match (dead, revives) {
                (None, None) => Some(self.terms.seq),
                (Some(group), Some(revived)) if group == revived => None,
                (dead, _) => dead,
            };
        }
        Ok(dead)
    }

    /// What happened to the folders around a node and so to it, in order: a death, or the group that came back.
    fn events_over(&mut self, id: EntityId) -> Asked<Vec<(u32, Option<Seq>)>, V> {
        let mut path = vec![id];
        path.extend(self.above_before(id)?);
        let group = self.slot(id)?.before.as_ref().and_then(|before| before.dead);
        let mut events = Vec::new();
        let mut together = group.is_some();
        for (depth, folder) in path.iter().enumerate() {
            together = together && self.slot(*folder)?.before.as_ref().and_then(|before| before.dead) == group;
            if let (true, Some((at, revived))) = (together, self.raised.get(folder)) {
                events.push((*at, Some(*revived)));
            }
            for felled in self.felled.get(folder).into_iter().flatten() {
                let whole = path[..depth].iter().any(|below| felled.whole.contains(below));
                if depth > 0 && !whole && !felled.kept.contains(&id) {
                    events.push((felled.at, None));
                }
            }
        }
        events.sort_unstable();
        Ok(events)
    }

    /// Whether a node came back with the whole group it died in.
    pub(super) fn is_raised(&mut self, id: EntityId) -> Asked<bool, V> {
        Ok(!self.raised.is_empty() && self.events_over(id)?.iter().any(|(_, revives)| revives.is_some()))
    }

    /// Says of one node that it lives or in which group it is dead.
    pub(super) fn say(&mut self, id: EntityId, dead: Option<Seq>) -> Asked<(), V> {
        let at = self.event();
        let slot = self.slot(id)?;
        (slot.said, slot.now.dead) = (Some(at), dead);
        Ok(())
    }

    /// Brings a folder and those above it back, without what was in them.
    pub(super) fn revive_bare(&mut self, id: EntityId) -> Asked<(), V> {
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(group) = self.dead(id)? else { break };
            self.say(id, None)?;
            let slot = self.slot(id)?;
            if slot.origin == Origin::Old {
                slot.origin = Origin::Bare(group);
            }
            slot.touched = true;
            next = slot.now.parent;
            self.place(id, next);
        }
        Ok(())
    }

    /// Has a node's name settled at the end.
    pub(super) fn place(&mut self, id: EntityId, parent: Option<EntityId>) {
        if let Some(parent) = parent {
            self.children.entry(parent).or_default().insert(id);
            self.named.entry(id).or_insert(self.op);
        }
    }

    pub(super) fn shield(&mut self, id: EntityId, shield: Shield) {
        let old = self.shields.entry(id).or_insert(shield);
        *old = shield.max(*old);
    }

    /// Puts a new node into the tree.
    pub(super) fn insert(&mut self, id: EntityId, node: Node) {
        let at = self.event();
        let parent = node.parent;
        self.nothing.remove(&id);
        self.slots.insert(id, Slot { before: None, now: node, origin: Origin::New, said: Some(at), touched: true });
        self.nodes_added += 1;
        self.place(id, parent);
    }
}
