//! A log's tree of files: nodes, aliases and revisions as rows.
//!
//! What must hold: no statement steps over rows of a log that have nothing to do with its answer, whatever the size of
//! the tree; whole folders die, come back and go in one statement each, and are never loaded; a write set whose tree
//! would be none is a fault.
//!
//! Next: `view` answers decisions, `list` readers, `write` and `check` are what a write set does, `sql` has the
//! statements.

mod check;
mod list;
mod sql;
mod view;
mod write;

pub(crate) use list::{nodes, oldest_revisions, revisions};
pub(crate) use view::TreeRows;
pub(crate) use write::write;

use rusqlite::Row;
use syncline::id::EntityId;
use syncline::tree::Node;

use crate::error::{Failed, Outcome};
use crate::rows;

/// Of what is above a root.
const NO_PARENT: &[u8] = &[];

/// A folder's id as it is stored.
fn parent_bytes(parent: Option<&EntityId>) -> &[u8] {
    parent.map_or(NO_PARENT, |parent| parent.as_bytes())
}

/// Columns: id, parent, dead, body.
fn read_node(row: &Row<'_>) -> Outcome<(EntityId, Node)> {
    let id = EntityId::from_bytes(rows::fixed(row, 0)?);
    let node = Node::from_bytes(rows::bytes(row, 3)?)?;
    if node.dead.is_some() || parent_bytes(node.parent.as_ref()) != rows::blob(row, 1)? {
        return Err(Failed::corrupt(format!("the columns of node {id} contradict it")));
    }
    let dead = Some(rows::seq(row, 2)?).filter(|dead| *dead != syncline::seq::Seq::ZERO);
    Ok((id, Node { dead, ..node }))
}
