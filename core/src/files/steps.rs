//! What the server has and the folder has not yet, as steps.
//!
//! Folders and moves from the top, for then where something goes is there already; then what is gone, from the bottom; then
//! files. Who is in the way and will leave is moved aside first. What must hold: a node of which the folder has something to
//! say is left alone until the server has heard it; who is in the way and is not known is left alone too.

use std::collections::{HashMap, HashSet};

use super::abilities::Abilities;
use super::held::{Base, Body, Held};
use super::plan::Wanted;
use super::recognize::{Local, Place};
use super::step::{ASIDE, Step, aside};
use crate::id::EntityId;
use crate::tree::{Kind, MemoryTree, Node};

/// Steps, and what is held without any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Steps {
    pub(super) steps: Vec<Step>,
    /// Nodes that are not wanted here: they are held without being brought.
    pub(super) hold: Vec<(EntityId, Held)>,
    /// Nodes whose path would be longer than the device can hold.
    pub(super) too_long: Vec<EntityId>,
    /// Held nodes that are going to be taken away.
    pub(super) removed: usize,
}

/// Says what is to be done.
pub(super) fn steps(
    remote: &MemoryTree,
    base: &Base,
    local: &Local,
    busy: &HashSet<EntityId>,
    wanted: &dyn Wanted,
) -> Steps {
    let mut room = Room {
        remote,
        base,
        local,
        busy,
        abilities: wanted.abilities(),
        taken: HashMap::new(),
        places: HashMap::new(),
        out: Steps::default(),
    };
    for (id, place) in &local.nodes {
        room.taken.insert((place.parent, place.at.clone()), *id);
        room.places.insert(*id, (place.parent, place.at.clone()));
    }
    let doubles = local.doubles.iter();
    let mut writes = Vec::new();
    let mut open = vec![base.root()];
    while !open.is_empty() {
        let mut next = Vec::new();
        for folder in open {
            let there = folder == base.root() || room.places.contains_key(&folder);
            for (id, node) in remote.children(folder, None, usize::MAX) {
                room.bring(id, node, folder, there, wanted, &mut writes);
                if node.is_folder() {
                    next.push(id);
                }
            }
        }
        open = next;
    }
    room.remove();
    let mut out = room.out;
    out.steps.extend(writes);
    for (entry, of) in doubles {
        let Some(node) = remote.get(*of).filter(|_| !busy.contains(of) && local.nodes.contains_key(of)) else {
            continue;
        };
        if node.is_folder() {
            out.steps.push(Step::Merge { entry: *entry, into: *of });
        } else {
            out.steps.push(Step::RemoveDouble { entry: *entry, of: *of });
        }
    }
    out
}

struct Room<'a> {
    remote: &'a MemoryTree,
    base: &'a Base,
    local: &'a Local,
    busy: &'a HashSet<EntityId>,
    abilities: Abilities,
    /// Who is where, after the steps so far.
    taken: HashMap<(EntityId, String), EntityId>,
    places: HashMap<EntityId, (EntityId, String)>,
    out: Steps,
}

impl Room<'_> {
    /// Brings a node to where the server shows it.
    fn bring(
        &mut self,
        id: EntityId,
        node: &Node,
        parent: EntityId,
        there: bool,
        wanted: &dyn Wanted,
        writes: &mut Vec<Step>,
    ) {
        if self.busy.contains(&id) || self.local.unknown.contains(&id) || wanted.waits(id) || !there {
            return;
        }
        let Some(held) = self.base.get(id) else {
            self.bring_new(id, node, parent, wanted, writes);
            return;
        };
        let (mut parent, mut at) = (parent, held.at.clone());
        if lies_elsewhere(held, node) {
            at = wanted.name_here(id, node);
            if held.body == Body::Here && self.is_too_long(id, parent, &at) {
                // It stays where it is, and what is in it is synced all the same.
                (parent, at) = (held.parent, held.at.clone());
            } else if held.body == Body::Elsewhere {
                if !self.is_free_now(id, parent, &at) {
                    return;
                }
                self.out.hold.push((id, Held { print: None, ..Held::of(node, parent, at.clone(), None) }));
            } else if !self.settle(id, parent, &at) {
                return;
            }
        }
        let Some(content) = node.content else { return };
        let is_same = held.content.is_some_and(|ours| ours.is_same(&content));
        match held.body {
            // Newer bytes are not brought for nobody.
            Body::Here if !(wanted.here(id) || is_same && wanted.stays(id)) => {
                self.out.steps.push(Step::Evict { node: id });
            }
            Body::Here if !is_same => writes.push(Step::Write { node: id, parent, at, content, replaces: true }),
            Body::Elsewhere if wanted.here(id) => {
                writes.push(Step::Write { node: id, parent, at, content, replaces: false });
            }
            _ => {}
        }
    }

    fn bring_new(&mut self, id: EntityId, node: &Node, parent: EntityId, wanted: &dyn Wanted, writes: &mut Vec<Step>) {
        let at = wanted.name_here(id, node);
        if (!node.kind.has_content() || wanted.here(id)) && self.is_too_long(id, parent, &at) {
            return;
        }
        match (node.kind, node.content) {
            (Kind::Folder | Kind::Mount(_), _) if self.clear(parent, &at) => {
                self.put(id, parent, &at);
                self.out.steps.push(Step::MakeFolder { node: id, parent, at });
            }
            (Kind::File | Kind::Symlink, Some(_)) if !wanted.here(id) => {
                let free = self.is_free_now(id, parent, &at);
                self.out.hold.extend(free.then(|| (id, Held::of(node, parent, at, None))));
            }
            // Whoever is there now may be gone by then; if not, the step is left.
            (Kind::File | Kind::Symlink, Some(content)) if !self.is_foreign(parent, &at) => {
                writes.push(Step::Write { node: id, parent, at, content, replaces: false });
            }
            _ => {}
        }
    }

    /// Moves a node, if there is room for it.
    fn settle(&mut self, id: EntityId, parent: EntityId, at: &str) -> bool {
        if self.places.get(&id).is_some_and(|(folder, name)| (*folder, name.as_str()) == (parent, at)) {
            // It is there under this name already, which some devices cannot hold.
            self.out.steps.push(Step::Move { node: id, parent, at: at.to_owned() });
            return true;
        }
        if !self.clear(parent, at) {
            return false;
        }
        self.put(id, parent, at);
        self.out.steps.push(Step::Move { node: id, parent, at: at.to_owned() });
        true
    }

    /// Whether the device cannot hold a node at this place, or what is in it: then it is noted.
    fn is_too_long(&mut self, id: EntityId, parent: EntityId, at: &str) -> bool {
        if self.abilities.holds_every_path() {
            return false;
        }
        let (mut bytes, mut folder) = (at.len(), parent);
        while let Some((above, name)) = self.places.get(&folder) {
            (bytes, folder) = (bytes + name.len() + 1, *above);
        }
        let deepest = self.base.below(id).into_iter().skip(1).map(|inside| self.bytes_below(id, inside)).max();
        let is_too_long = bytes + deepest.unwrap_or(0) > self.abilities.path_bytes_max;
        self.out.too_long.extend(is_too_long.then_some(id));
        is_too_long
    }

    /// How many bytes the path of a held node has, behind that of a folder that it is in.
    fn bytes_below(&self, folder: EntityId, mut inside: EntityId) -> usize {
        let mut bytes = 0;
        while let Some(held) = self.base.get(inside).filter(|_| inside != folder) {
            (bytes, inside) = (bytes + held.at.len() + 1, held.parent);
        }
        bytes
    }

    fn put(&mut self, id: EntityId, parent: EntityId, at: &str) {
        let place = (parent, at.to_owned());
        if let Some(before) = self.places.insert(id, place.clone()) {
            self.taken.remove(&before);
        }
        self.taken.insert(place, id);
    }

    /// Whether nobody's bytes lie at a place before any step is done: who is held there without bytes would be taken for them.
    fn is_free_now(&self, id: EntityId, parent: EntityId, at: &str) -> bool {
        let is_here = |other: EntityId| other != id && self.base.get(other).is_none_or(|held| held.body == Body::Here);
        let taken = self.taken.get(&(parent, at.to_owned())).copied();
        !self.base.at(parent, at).into_iter().chain(taken).any(is_here)
    }

    /// Whether somebody is there who will not leave.
    fn is_foreign(&self, parent: EntityId, at: &str) -> bool {
        let there = self.taken.get(&(parent, at.to_owned()));
        there.is_some_and(|there| !self.leaves(*there, parent, at))
    }

    /// Whether a node will not be at this place.
    fn leaves(&self, id: EntityId, parent: EntityId, at: &str) -> bool {
        let Some(held) = self.base.get(id).filter(|_| !self.busy.contains(&id)) else { return false };
        match self.remote.get(id).filter(|node| node.dead.is_none()) {
            None => true,
            Some(node) => lies_elsewhere(held, node) && (node.parent != Some(parent) || node.name.as_str() != at),
        }
    }

    /// Makes room; `false` when who is there stays.
    fn clear(&mut self, parent: EntityId, at: &str) -> bool {
        let Some(there) = self.taken.get(&(parent, at.to_owned())).copied() else { return true };
        if !self.leaves(there, parent, at) {
            return false;
        }
        let aside = aside(there);
        self.put(there, parent, &aside);
        self.out.steps.push(Step::Move { node: there, parent, at: aside });
        true
    }

    /// Takes away what the server no longer shows, the deepest first.
    fn remove(&mut self) {
        let is_dead = |id: &EntityId| self.remote.get(*id).is_none_or(|node| node.dead.is_some());
        let depth = |id: &EntityId| self.local.nodes.get(id).map_or(0, |place: &Place| place.depth);
        let gone = self.base.iter().filter(|(id, _)| is_dead(id) && !self.busy.contains(id));
        let mut gone: Vec<(EntityId, &Held)> =
            gone.filter(|(id, held)| held.body == Body::Here && self.local.nodes.contains_key(id)).collect();
        gone.sort_unstable_by_key(|(id, _)| (std::cmp::Reverse(depth(id)), *id));
        self.out.removed = gone.len();
        // What is in a mount is another tree's: whoever follows that says when its folder can go.
        self.out.steps.extend(gone.into_iter().map(|(node, held)| match held.kind {
            Kind::Folder | Kind::Mount(_) => Step::RemoveFolder { node },
            _ => Step::Remove { node },
        }));
    }
}

/// Whether a node lies elsewhere than the server shows it.
fn lies_elsewhere(held: &Held, node: &Node) -> bool {
    node.parent != Some(held.parent) || node.name != held.name || held.at.starts_with(ASIDE)
}
