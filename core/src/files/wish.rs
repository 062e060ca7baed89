//! What the folder wants of the server: the ops that say what was done in it.
//!
//! New folders, then moves from the top, then deletes of the topmost nodes that are gone, then new files and contents: the
//! order that [`tree::Commit`](crate::tree::Commit) asks for. What must hold: what could not be read says nothing, nor does what
//! may change in a moment.

use std::collections::HashSet;

use super::held::{Base, Body, Fingerprint, Held};
use super::issue::{About, Issues};
use super::recognize::{Local, Place};
use super::scan::What;
use super::seen::Remote;
use crate::id::EntityId;
use crate::seq::Seq;
use crate::tree::{Content, Kind, Reason, To, TreeOp};

/// An op, and what the device holds once the server took it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a pair")]
pub struct Wish {
    /// What is asked for.
    pub op: TreeOp,
    /// What becomes of it.
    pub becomes: Becomes,
}

/// What a device holds once an op was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "settling looks at each")]
pub enum Becomes {
    /// A node at this place.
    Made {
        /// The folder.
        parent: EntityId,
        /// The name there.
        at: String,
        /// How it looks.
        print: Fingerprint,
        /// Its content.
        content: Option<Content>,
    },
    /// A node with this content.
    Filled {
        /// How it looks.
        print: Fingerprint,
        /// The content.
        content: Content,
    },
    /// A node at another place.
    Moved {
        /// The folder.
        parent: EntityId,
        /// The name there.
        at: String,
    },
    /// Neither it nor what is below it.
    Gone,
}

/// What is wanted, and what has to be read first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wishes {
    pub(super) wishes: Vec<Wish>,
    /// Entries of the scan.
    pub(super) unread: Vec<usize>,
    /// Nodes about which the folder has something to say that the server has not heard.
    pub(super) busy: HashSet<EntityId>,
    /// Held nodes that are going to be deleted.
    pub(super) deleted: usize,
}

/// Says what the folder wants.
pub(super) fn wishes(
    remote: Remote<'_>,
    base: &Base,
    local: &Local,
    issues: &Issues,
    mint: &mut dyn FnMut() -> EntityId,
) -> Wishes {
    let mut found = Wishes::default();
    let (mut folders, mut moves, mut files, mut into) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // New entries that cannot be made, and held ones that cannot be moved.
    let (mut blocked, mut stuck) = (HashSet::new(), HashSet::new());
    let mut places: Vec<(&EntityId, &Place)> = local.nodes.iter().collect();
    // Those of one folder beside each other, and the first names first: so it is the same each time.
    places.sort_unstable_by(|(a, one), (b, two)| (one.depth, one.entry, a).cmp(&(two.depth, two.entry, b)));
    for (id, place) in places {
        if local.still.contains(id) {
            found.busy.insert(*id);
            match base.get(*id) {
                None => drop(blocked.insert(*id)),
                Some(held) if (held.parent, &held.at) != (place.parent, &place.at) => drop(stuck.insert(*id)),
                Some(_) => {}
            }
            continue;
        }
        let Some(held) = base.get(*id) else {
            found.busy.insert(*id);
            if blocked.contains(&place.parent) || issues.blocks(About::Make, place) {
                blocked.insert(*id);
            } else if place.what != What::Folder && place.content.is_none() {
                found.unread.push(place.entry);
            } else {
                into.push(place.parent);
                match place.what {
                    What::Folder => folders.push((place.depth, create(*id, place))),
                    _ => files.push(create(*id, place)),
                }
            }
            continue;
        };
        if (held.parent, &held.at) != (place.parent, &place.at) {
            found.busy.insert(*id);
            if blocked.contains(&place.parent) || issues.blocks(About::Move, place) {
                stuck.insert(*id);
            } else {
                into.push(place.parent);
                moves.push(moved(*id, held, place, remote.seen(base, *id)));
            }
        }
        if place.what != What::Folder && held.print != Some(place.print) {
            found.busy.insert(*id);
            match place.content {
                None => found.unread.push(place.entry),
                Some(_) if issues.blocks(About::Fill, place) => {}
                Some(content) => {
                    files.push(filled(*id, held, place, content, remote.seen(base, *id), mint()));
                }
            }
        }
    }
    // The server has forgotten a folder that something is in: it is made anew, and those that it is in.
    for mut folder in into {
        while remote.tree.get(folder).is_none() && base.get(folder).is_some() && !found.busy.contains(&folder) {
            let Some(place) = local.nodes.get(&folder) else { break };
            found.busy.insert(folder);
            folders.push((place.depth, create(folder, place)));
            folder = place.parent;
        }
    }
    folders.sort_by_key(|(depth, _)| *depth);
    let folders = folders.into_iter().map(|(_, wish)| wish);
    let mut gone: Vec<EntityId> = Vec::new();
    // From the top, and from those whose folder is not held any more.
    let tops = base.iter().filter(|(_, held)| held.parent == base.root() || base.get(held.parent).is_none());
    let mut open: Vec<EntityId> = tops.map(|(id, _)| id).collect();
    while let Some(id) = open.pop() {
        let Some(held) = base.get(id) else { continue };
        let below = if local.misses(id, held.body) { base.below(id) } else { Vec::new() };
        // What is not here was not deleted here: its folder goes entry by entry, and so does one that something cannot leave.
        let goes = |id: &EntityId| {
            let is_here = base.get(*id).is_some_and(|held| held.body == Body::Here);
            is_here && !local.unknown.contains(id) && !stuck.contains(id) && !local.still.contains(id)
        };
        if below.is_empty() || !below.iter().all(goes) {
            open.extend(base.inside(id).map(|(_, id)| id));
            if !below.is_empty() {
                found.busy.insert(id);
            }
            continue;
        }
        found.deleted += below.iter().filter(|id| !local.nodes.contains_key(id)).count();
        found.busy.extend(below);
        if remote.tree.get(id).is_some_and(|node| node.dead.is_none()) {
            gone.push(id);
        }
    }
    gone.sort_unstable();
    let deletes = gone
        .into_iter()
        .map(|id| Wish { op: TreeOp::Delete { node: id, seen: remote.seen_below(base, id) }, becomes: Becomes::Gone });
    found.wishes = folders.chain(moves).chain(deletes).chain(files).collect();
    found
}

fn create(node: EntityId, place: &Place) -> Wish {
    let kind = match place.what {
        What::File { .. } => Kind::File,
        What::Folder => Kind::Folder,
        What::Symlink => Kind::Symlink,
    };
    let (parent, at, print, content) = (place.parent, place.at.clone(), place.print, place.content);
    Wish {
        op: TreeOp::Create { node, parent, name: at.clone(), kind, content },
        becomes: Becomes::Made { parent, at, print, content },
    }
}

fn moved(node: EntityId, held: &Held, place: &Place, seen: Seq) -> Wish {
    let parent = (held.parent != place.parent).then_some(To { value: place.parent, base: held.parent_seq });
    let name = (held.at != place.at).then(|| To { value: place.at.clone(), base: held.name_seq });
    Wish {
        op: TreeOp::Move { node, parent, name, seen },
        becomes: Becomes::Moved { parent: place.parent, at: place.at.clone() },
    }
}

fn filled(node: EntityId, held: &Held, place: &Place, content: Content, seen: Seq, copy: EntityId) -> Wish {
    Wish {
        op: TreeOp::Put { node, content, base: held.content_seq, seen, copy, reason: Reason::Put },
        becomes: Becomes::Filled { print: place.print, content },
    }
}
