//! Several trees on one device: one in a folder, and others mounted in it.
//!
//! What is moved from one tree's folder into another's is deleted in the one and new in the other, and the two have different
//! logs. The order makes it safe: it is told where it came from only once it is agreed on where it went. Nobody remembers
//! that a move is under way; it is seen, each time, by who a file is, so a device that is killed goes on. What must hold:
//! what was moved is never absent from both trees.
//!
//! A folder of a tree that was shared became a mount: what the device held of it, it holds of the other tree, so nothing is
//! brought again, and what was edited here and not yet told is an edit there.

use std::collections::HashSet;

use super::held::{Base, Body, Held, Identity};
use super::recognize::Local;
use super::scan::Scan;
use crate::id::{EntityId, LogId};
use crate::seq::Seq;
use crate::tree::{Kind, MemoryTree, Node};

/// Who is in a tree's folder and not agreed on there: new files and folders, and those that came over a border.
#[must_use]
pub fn arrivals(scan: &Scan, base: &Base) -> HashSet<Identity> {
    let held: HashSet<Identity> = base.iter().filter_map(|(_, held)| Some(held.print?.identity)).collect();
    scan.found.iter().map(|found| found.print.identity).filter(|identity| !held.contains(identity)).collect()
}

/// Whether the folder says that something is gone, which may have been moved into another tree's.
#[must_use]
pub fn misses_any(local: &Local, base: &Base) -> bool {
    base.iter().any(|(id, held)| held.print.is_some() && local.misses(id, held.body))
}

/// Takes nothing for deleted that is among the [`arrivals`] of another tree's folder; says how much that is. Its delete is
/// told once it is agreed on there. `None`: nobody knows what lies in the others, so nothing but a mount is taken for deleted,
/// which crosses no border.
pub fn hold_back(local: &mut Local, base: &Base, elsewhere: Option<&HashSet<Identity>>) -> usize {
    let moved = |held: &Held| match (elsewhere, held.print) {
        (None, _) => !matches!(held.kind, Kind::Mount(_)),
        (Some(elsewhere), print) => print.is_some_and(|print| elsewhere.contains(&print.identity)),
    };
    let gone = base.iter().filter(|(id, held)| local.misses(*id, held.body) && moved(held));
    let gone: Vec<EntityId> = gone.map(|(id, _)| id).collect();
    let count = gone.len();
    local.unknown.extend(gone);
    count
}

/// A held folder that was shared: a mount is in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what a device writes down")]
pub struct Carried {
    /// The folder.
    pub folder: EntityId,
    /// The mount, and how it is held from now on.
    pub mount: (EntityId, Held),
    /// The log that the folder became.
    pub log: LogId,
    /// What was held in it, as it is held of the other tree.
    pub held: Vec<(EntityId, Held)>,
}

/// Finds the folders that were shared since the device looked last. One in which something lies that lives elsewhere in its
/// own tree by now is left alone: it goes as any deleted folder does, and what it became is brought.
#[must_use]
pub fn carried(base: &Base, remote: &MemoryTree) -> Vec<Carried> {
    let mut found = Vec::new();
    for (id, mount) in remote.nodes() {
        let Kind::Mount(log) = mount.kind else { continue };
        if mount.dead.is_some() || base.get(id).is_some() {
            continue;
        }
        let group = Some(mount.created);
        let died = |id: EntityId| remote.get(id).is_some_and(|node| node.dead == group);
        let tops = base.iter().filter(|(id, held)| held.kind == Kind::Folder && died(*id) && !died(held.parent));
        let tops: Vec<(EntityId, &Held)> = tops.collect();
        let [(folder, top)] = tops[..] else { continue };
        let below: Vec<EntityId> = base.below(folder).into_iter().skip(1).collect();
        if below.iter().any(|id| remote.get(*id).is_some_and(|node| node.dead.is_none())) {
            continue;
        }
        let held =
            below.into_iter().filter_map(|id| Some((id, over(base.get(id)?, folder, base.root(), remote.get(id)))));
        let held = held.collect();
        found.push(Carried { folder, mount: (id, instead(top, mount)), log, held });
    }
    found
}

/// A node as it is held of the tree that it was shared into, where everything is from the first commit. What the device had
/// not seen the last of, it has not seen there.
fn over(held: &Held, folder: EntityId, root: EntityId, node: Option<&Node>) -> Held {
    let since = |seen: Seq, at: fn(&Node) -> Seq| {
        if node.is_some_and(|node| at(node) == seen) { Seq::FIRST } else { Seq::ZERO }
    };
    Held {
        parent: if held.parent == folder { root } else { held.parent },
        content_seq: since(held.content_seq, |node| node.content_stamp.seq),
        parent_seq: since(held.parent_seq, |node| node.parent_stamp.seq),
        name_seq: since(held.name_seq, |node| node.name_stamp.seq),
        ..held.clone()
    }
}

/// The mount, held where the folder is: it is that folder on the disk.
fn instead(folder: &Held, mount: &Node) -> Held {
    let since = |is_so: bool, seq: Seq| if is_so { seq } else { Seq::ZERO };
    Held {
        kind: mount.kind,
        content: None,
        content_seq: mount.content_stamp.seq,
        parent_seq: since(mount.parent == Some(folder.parent), mount.parent_stamp.seq),
        name_seq: since(mount.name == folder.name, mount.name_stamp.seq),
        body: Body::Here,
        ..folder.clone()
    }
}

impl Base {
    /// Takes over that a folder was shared; gives the nodes that are held otherwise than before, or no longer.
    pub fn carry(&mut self, carried: &Carried) -> Vec<EntityId> {
        let mut changed = self.below(carried.folder);
        changed.iter().for_each(|id| self.drop_one(*id));
        let (id, held) = &carried.mount;
        self.hold(*id, held.clone());
        changed.push(*id);
        changed
    }
}
