//! What the folder and the server have alike without having told each other: taken over, so that nobody tells it again.
//!
//! Two devices make the same change; a step was done and the device died before it wrote that down; somebody copied the files
//! by hand. What must hold: nothing is taken over that is not in the folder and at the server alike.
//!
//! Next: `plan`.

use super::held::{Base, Body, Held};
use super::recognize::{Local, Place, name_of};
use super::step::ASIDE;
use crate::id::EntityId;
use crate::tree::{MemoryTree, Node};

/// Takes over what is alike; gives the nodes that are held otherwise now, or no longer.
#[must_use]
pub fn agree(base: &mut Base, local: &Local, remote: &MemoryTree) -> Vec<EntityId> {
    let mut changed = Vec::new();
    let gone: Vec<EntityId> =
        base.iter().filter(|(id, held)| is_gone(*id, held, local, remote)).map(|(id, _)| id).collect();
    for id in gone {
        base.drop_one(id);
        changed.push(id);
    }
    // Folders before what is in them: who is held is held in a folder that is.
    let mut places: Vec<(&EntityId, &Place)> = local.nodes.iter().collect();
    places.sort_unstable_by_key(|(id, place)| (place.depth, **id));
    for (id, place) in places {
        // Moved aside by a device that died before it wrote that down.
        if let Some(held) = base.get(*id).filter(|held| held.at != place.at && place.at.starts_with(ASIDE)) {
            base.hold(*id, Held { parent: place.parent, at: place.at.clone(), ..held.clone() });
            changed.push(*id);
        }
        let Some(node) = remote.get(*id).filter(|node| node.dead.is_none()) else { continue };
        let held = match base.get(*id) {
            Some(held) => refreshed(held, Some(place), node),
            None => adopted(place, node),
        };
        if let Some(held) = held.filter(|held| base.get(*id) != Some(held)) {
            base.hold(*id, held);
            changed.push(*id);
        }
    }
    let elsewhere: Vec<EntityId> =
        base.iter().filter(|(id, _)| !local.nodes.contains_key(id)).map(|(id, _)| id).collect();
    for id in elsewhere {
        let (Some(held), Some(node)) = (base.get(id), remote.get(id)) else { continue };
        let fresh = refreshed(held, None, node).filter(|fresh| node.dead.is_none() && fresh != held);
        if let Some(fresh) = fresh {
            base.hold(id, fresh);
            changed.push(id);
        }
    }
    changed.extend(base.drop_displaced());
    changed
}

/// Neither the folder nor the server has it.
fn is_gone(id: EntityId, held: &Held, local: &Local, remote: &MemoryTree) -> bool {
    let lives = remote.get(id).is_some_and(|node| node.dead.is_none());
    !lives && !local.nodes.contains_key(&id) && !local.unknown.contains(&id) && {
        // A placeholder goes with its node; what was here was deleted on both sides.
        held.body == Body::Elsewhere || local.misses(id, held.body)
    }
}

/// A node that lies here without ever having been brought.
fn adopted(place: &Place, node: &Node) -> Option<Held> {
    let is_same = match (node.content, place.content) {
        (None, _) => !node.kind.has_content(),
        (Some(theirs), Some(ours)) => theirs.is_same(&ours),
        (Some(_), None) => false,
    };
    let at_home = node.parent == Some(place.parent);
    (is_same && at_home).then(|| {
        let held = Held::of(node, place.parent, place.at.clone(), Some(place.print));
        Held { name: name_of(&place.at).unwrap_or_else(|| node.name.clone()), ..held }
    })
}

/// A held node with what both sides agree on by now.
fn refreshed(held: &Held, place: Option<&Place>, node: &Node) -> Option<Held> {
    let mut held = held.clone();
    if let Some(place) = place {
        let moved = (&place.parent, &place.at) != (&held.parent, &held.at);
        let name = name_of(&place.at);
        if moved && node.parent == Some(place.parent) && name.as_ref() == Some(&node.name) {
            (held.parent, held.at, held.name) = (place.parent, place.at.clone(), node.name.clone());
        }
        if held.print != Some(place.print) {
            let alike = |other: Option<_>| match (place.content, other) {
                (Some(ours), Some(theirs)) => ours.is_same(&theirs),
                (ours, theirs) => ours.is_none() && theirs.is_none(),
            };
            if alike(node.content) || alike(held.content) {
                held.content = if alike(node.content) { node.content } else { held.content };
                (held.print, held.body) = (Some(place.print), Body::Here);
            }
        }
    }
    if node.parent == Some(held.parent) {
        held.parent_seq = node.parent_stamp.seq;
    }
    if node.name == held.name {
        held.name_seq = node.name_stamp.seq;
    }
    match (held.content, node.content) {
        (Some(ours), Some(theirs)) if ours.is_same(&theirs) || held.body == Body::Elsewhere => {
            (held.content, held.content_seq) = (Some(theirs), node.content_stamp.seq);
        }
        _ => {}
    }
    Some(held)
}
