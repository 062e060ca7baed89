//! Whether a tree is still one after a write set.
//!
//! It was one before, so only what the changes touch is looked at: the nodes they name, the folders those are in, and
//! what came back with a folder. What must hold afterwards is what [`MemoryTree::check`](syncline::tree::MemoryTree) says.

use std::collections::BTreeMap;

use rusqlite::params;
use syncline::id::EntityId;
use syncline::limits::TREE_DEPTH_MAX;
use syncline::seq::Seq;
use syncline::tree::{Change, Node, TreeView as _};

use super::write::list;
use super::{NO_PARENT, TreeRows, read_node, sql};
use crate::db::Db;
use crate::error::{Failed, Outcome};
use crate::rows;

/// What must be known of the tree before it changes.
pub(super) struct Before {
    /// Of folders that go elsewhere: the folders that were above.
    depths: BTreeMap<EntityId, usize>,
}

impl Before {
    /// Looks at the nodes as they were.
    pub(super) fn look(db: &Db, log: i64, changes: &[Change]) -> Outcome<Self> {
        let mut depths = BTreeMap::new();
        let is_new = db.one(sql::ANY, params![log], |_| Ok(()))?.is_none();
        if is_new && !matches!(changes, [Change::Node { node, .. }, ..] if **node == Node::root(node.name_stamp)) {
            return Err(Failed::fault("a tree that is not there is changed"));
        }
        for (number, change) in changes.iter().enumerate() {
            let Change::Node { id, node } = change else { continue };
            let old = db.one(sql::NODE, params![log, id.as_bytes()], read_node)?.map(|(_, old)| old);
            let was_root = old.as_ref().map_or(is_new && number == 0, |old| old.parent.is_none());
            let other_kind = old.as_ref().is_some_and(|old| old.kind != node.kind);
            if was_root != node.parent.is_none() || other_kind || node.kind.has_content() != node.content.is_some() {
                return Err(Failed::fault(format!("node {id} becomes another thing than it was")));
            }
            if node.is_folder() && old.is_some_and(|old| old.parent != node.parent) {
                depths.insert(*id, depth(db, log, *id)?);
            }
        }
        Ok(Self { depths })
    }

    /// Looks at what may no longer hold.
    pub(super) fn check(&self, db: &Db, log: i64, changes: &[Change]) -> Outcome<()> {
        for change in changes {
            match change {
                Change::Node { id, .. } => {
                    self.place(db, log, *id)?;
                    around(db, log, *id)?;
                }
                Change::Tombstone { root, group, kept, whole } => {
                    around(db, log, *root)?;
                    let stay = list(kept.iter().chain(whole));
                    none(db, sql::KEPT_IN_DEAD, params![log, stay], "what is kept lives in a dead folder")?;
                    let group = rows::number(group.get())?;
                    none(db, sql::DIED_LATER, params![log, group], "a node died after its folder")?;
                }
                Change::Revive { root, .. } => {
                    around(db, log, *root)?;
                    let twice = "two that come back have one name";
                    none(db, sql::TWICE_BELOW, params![log, root.as_bytes()], twice)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a node is at a place that is not below itself, and what is below it not too deep.
    fn place(&self, db: &Db, log: i64, id: EntityId) -> Outcome<()> {
        let now = depth(db, log, id)?;
        let too_deep = || Failed::fault(format!("node {id} is below itself, or too deep"));
        let room = TREE_DEPTH_MAX.checked_sub(now).ok_or_else(too_deep)?;
        if self.depths.get(&id).is_some_and(|before| *before < now) {
            let height = TreeRows { db, log }.height(id, room + 1)?;
            return if height > room { Err(too_deep()) } else { Ok(()) };
        }
        Ok(())
    }
}

/// How many folders are above; one too many when there are too many.
fn depth(db: &Db, log: i64, id: EntityId) -> Outcome<usize> {
    let most = i64::try_from(TREE_DEPTH_MAX + 1).unwrap_or(i64::MAX);
    let found = db.one(sql::DEPTH, params![log, id.as_bytes(), most], |row| Ok(row.get::<_, i64>(0)?))?;
    Ok(usize::try_from(found.unwrap_or(0)).unwrap_or(usize::MAX))
}

/// Whether a node, its folder and what is in it fit each other.
fn around(db: &Db, log: i64, id: EntityId) -> Outcome<()> {
    let fault = db.one(sql::AROUND, params![log, id.as_bytes()], |row| {
        let (root, dead) = (rows::blob(row, 0)? == NO_PARENT, rows::seq(row, 1)?);
        let folder: Option<bool> = row.get(2)?;
        let above = if folder.is_some() { rows::seq(row, 3)? } else { Seq::ZERO };
        let [twice, lives_in_it, died_later_in_it]: [bool; 3] = [row.get(4)?, row.get(5)?, row.get(6)?];
        let lives = dead == Seq::ZERO;
        Ok(match folder {
            None if !root => Some("the parent of a node is not there"),
            None if !lives => Some("the root is not in its place"),
            Some(false) => Some("the parent of a node is no folder"),
            _ if lives && above != Seq::ZERO => Some("a node lives in a dead folder"),
            _ if !lives && above != Seq::ZERO && above < dead => Some("a node died after its folder"),
            _ if lives && twice => Some("two live siblings have one name"),
            _ if !lives && (lives_in_it || died_later_in_it) => Some("a node outlived its folder"),
            _ => None,
        })
    })?;
    fault.flatten().map_or(Ok(()), |fault| Err(Failed::fault(format!("{fault}: {id}"))))
}

fn none(db: &Db, sql: &'static str, params: impl rusqlite::Params, fault: &str) -> Outcome<()> {
    if db.one(sql, params, |_| Ok(()))?.is_some() { Err(Failed::fault(fault)) } else { Ok(()) }
}
