//! What this device wants of nodes: which bytes are here, which files are left alone, and what they are called here.

use std::collections::{HashMap, HashSet};

use syncline::EntityId;
use syncline::files::{Abilities, Wanted};
use syncline::tree::{Kind, MemoryTree};

use crate::journal::Pin;

pub(super) struct Wants<'a> {
    pub(super) pins: &'a HashMap<EntityId, Pin>,
    pub(super) tree: &'a MemoryTree,
    /// Those that a program has open and says so.
    pub(super) waits: HashSet<EntityId>,
    pub(super) abilities: Abilities,
    /// There is a view that shows what is not here: only what is pinned is brought by itself.
    pub(super) shows: bool,
}

impl Wants<'_> {
    /// A node's own pin, or that of the nearest folder that has one.
    fn pin(&self, id: EntityId) -> Option<Pin> {
        if self.pins.is_empty() {
            return None;
        }
        let mut above = std::iter::successors(Some(id), |id| self.tree.get(*id).and_then(|node| node.parent));
        above.find_map(|id| self.pins.get(&id)).copied()
    }

    /// A view shows placeholders of files; links are as small as one.
    fn can_be_away(&self, id: EntityId) -> bool {
        self.tree.get(id).is_none_or(|node| node.kind == Kind::File)
    }
}

impl Wanted for Wants<'_> {
    fn here(&self, id: EntityId) -> bool {
        match self.pin(id) {
            Some(Pin::Pinned) => true,
            _ if self.shows => !self.can_be_away(id),
            pin => pin != Some(Pin::OnlineOnly),
        }
    }

    fn stays(&self, id: EntityId) -> bool {
        self.here(id) || self.pin(id) != Some(Pin::OnlineOnly)
    }

    fn waits(&self, id: EntityId) -> bool {
        self.waits.contains(&id)
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }
}
