//! What this device wants of nodes: which bytes are here, which files are left alone, and what they are called here.

use std::collections::{HashMap, HashSet};

use syncline::EntityId;
use syncline::files::{Abilities, Wanted};
use syncline::tree::MemoryTree;

use crate::journal::Pin;

pub(super) struct Wants<'a> {
    pub(super) pins: &'a HashMap<EntityId, Pin>,
    pub(super) tree: &'a MemoryTree,
    /// Those that a program has open and says so.
    pub(super) waits: HashSet<EntityId>,
    pub(super) abilities: Abilities,
}

impl Wanted for Wants<'_> {
    /// A node's own pin, or that of the nearest folder that has one.
    fn here(&self, id: EntityId) -> bool {
        if self.pins.is_empty() {
            return true;
        }
        let mut above = std::iter::successors(Some(id), |id| self.tree.get(*id).and_then(|node| node.parent));
        above.find_map(|id| self.pins.get(&id)).is_none_or(|pin| *pin != Pin::OnlineOnly)
    }

    fn waits(&self, id: EntityId) -> bool {
        self.waits.contains(&id)
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }
}
