//! What becomes of a tree → rows.
//!
//! Changes are written in their order, with siblings of one name in between; then the trash's roots are found, and then
//! everything that may no longer hold is looked at. The number of statements depends on the number of changes alone.

use std::collections::BTreeSet;

use rusqlite::params;
use syncline::decide::TreeWrites;
use syncline::id::EntityId;
use syncline::seq::Seq;
use syncline::tree::{Change, Node, Revision};

use super::check::Before;
use super::{parent_bytes, read_node, sql};
use crate::db::Db;
use crate::error::{Failed, Outcome};
use crate::rows;

/// Writes everything and says roughly how many bytes that was.
pub(crate) fn write(db: &Db, log: i64, tree: &TreeWrites) -> Outcome<usize> {
    let mut size = 0;
    for revision in &tree.revisions {
        size += put_revision(db, log, revision)?;
    }
    for (node, seq) in &tree.forgotten {
        db.run(sql::FORGET_REVISION, params![log, node.as_bytes(), rows::number(seq.get())?])?;
    }
    if tree.changes.is_empty() {
        return Ok(size);
    }
    let before = Before::look(db, log, &tree.changes)?;
    let mut trash = Trash::default();
    for change in &tree.changes {
        size += apply(db, log, change, &mut trash)?;
    }
    trash.find(db, log)?;
    before.check(db, log, &tree.changes)?;
    Ok(size)
}

/// What died or came back, so that the roots of the trash may be others.
#[derive(Default)]
struct Trash {
    groups: BTreeSet<Seq>,
    nodes: BTreeSet<EntityId>,
    folders: BTreeSet<EntityId>,
}

impl Trash {
    fn find(self, db: &Db, log: i64) -> Outcome<()> {
        for group in self.groups {
            db.run(sql::TRASH_OF_GROUP, params![log, rows::number(group.get())?])?;
        }
        for node in self.nodes {
            db.run(sql::TRASH_OF_NODE, params![log, node.as_bytes()])?;
        }
        for folder in self.folders {
            db.run(sql::TRASH_OF_CHILDREN, params![log, folder.as_bytes()])?;
        }
        Ok(())
    }
}

fn apply(db: &Db, log: i64, change: &Change, trash: &mut Trash) -> Outcome<usize> {
    match change {
        Change::Tombstone { root, group, kept, whole } => {
            let group_number = rows::number(group.get())?;
            db.run(sql::TOMBSTONE, params![log, root.as_bytes(), group_number, list(whole), list(kept)])?;
            trash.groups.insert(*group);
            Ok((kept.len() + whole.len()) * 16)
        }
        Change::Revive { root, group } => {
            db.run(sql::REVIVE, params![log, root.as_bytes(), rows::number(group.get())?])?;
            Ok(0)
        }
        Change::Alias { new, of } => {
            db.run(sql::PUT_ALIAS, params![log, new.as_bytes(), of.as_bytes()])?;
            Ok(0)
        }
        Change::Node { id, node } => put_node(db, log, *id, node, trash),
        Change::Purge { root } => {
            let key = params![log, root.as_bytes()];
            if db.one(sql::LIVES_BELOW, key, |_| Ok(()))?.is_some() {
                return Err(Failed::fault(format!("node {root} is purged and something of it lives")));
            }
            sql::PURGE.iter().try_for_each(|sql| db.run(sql, key).map(drop))?;
            Ok(0)
        }
        other => Err(Failed::fault(format!("a change that this adapter does not know: {other:?}"))),
    }
}

fn put_node(db: &Db, log: i64, id: EntityId, node: &Node, trash: &mut Trash) -> Outcome<usize> {
    if node.is_folder() {
        let old = db.one(sql::NODE, params![log, id.as_bytes()], read_node)?;
        if old.is_some_and(|(_, old)| old.dead != node.dead) {
            trash.folders.insert(id);
        }
    }
    if node.dead.is_some() {
        trash.nodes.insert(id);
    }
    let stamps = [node.content_stamp, node.parent_stamp, node.name_stamp].map(|stamp| stamp.seq);
    let changed = stamps.into_iter().max().unwrap_or(Seq::ZERO);
    let body = Node { dead: None, ..node.clone() }.to_bytes();
    db.run(
        sql::PUT,
        params![
            log,
            id.as_bytes(),
            parent_bytes(node.parent.as_ref()),
            node.name.key().as_str().as_bytes(),
            i64::from(node.is_folder()),
            rows::number(node.dead.unwrap_or(Seq::ZERO).get())?,
            rows::number(changed.get())?,
            &body[..]
        ],
    )?;
    Ok(body.len())
}

fn put_revision(db: &Db, log: i64, revision: &Revision) -> Outcome<usize> {
    let body = revision.to_bytes();
    let seq = rows::number(revision.seq.get())?;
    db.run(sql::PUT_REVISION, params![log, revision.node.as_bytes(), seq, &body[..]])?;
    Ok(body.len())
}

/// Ids as a statement takes many of them: a JSON array of hexadecimal texts.
pub(super) fn list<'a>(ids: impl IntoIterator<Item = &'a EntityId>) -> String {
    let mut text = String::from("[");
    for id in ids {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('"');
        id.as_bytes().iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
        text.push('"');
    }
    text.push(']');
    text
}
