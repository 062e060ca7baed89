//! What readers ask a tree.

use rusqlite::{Params, params};
use syncline::id::{EntityId, LogKey};
use syncline::limits::REVISIONS_READ_MAX;
use syncline::seq::Seq;
use syncline::store::{NodePage, NodeQuery};
use syncline::tree::{Found, Revision, TreeView as _};

use super::{TreeRows, read_node, sql};
use crate::db::{Db, Next};
use crate::error::{Failed, Outcome};
use crate::rows::{self, LogRow};

/// Nodes of a log's tree and where the log ends.
pub(crate) fn nodes(db: &Db, log: LogKey, asked: &NodeQuery, limit: usize) -> Outcome<NodePage> {
    let Some(LogRow { id, bounds }) = LogRow::find(db, log)? else { return Ok(NodePage::default()) };
    let after = |after: &Option<EntityId>| after.map_or_else(Vec::new, |after| after.as_bytes().to_vec());
    let most = number(limit.saturating_add(1));
    let mut page = match asked {
        NodeQuery::All { after: last } => page(db, sql::ALL, params![id, after(last), most]),
        NodeQuery::Trash { after: last } => page(db, sql::TRASH, params![id, after(last), most]),
        NodeQuery::Children { of, after } => {
            let after = after.as_ref().map_or("", |name| name.as_str()).as_bytes();
            page(db, sql::CHILDREN, params![id, of.as_bytes(), after, most])
        }
        NodeQuery::Leaves { of } => page(db, sql::LEAVES, params![id, of.as_bytes(), most]),
        NodeQuery::One(node) => {
            let found = TreeRows { db, log: id }.node(*node)?;
            let node = if let Found::Alias(of) = found { of } else { *node };
            page(db, sql::NODE, params![id, node.as_bytes()])
        }
    }?;
    if matches!(asked, NodeQuery::Leaves { .. }) {
        page.nodes.sort_unstable_by_key(|(id, _)| *id);
    }
    page.more = page.nodes.len() > limit;
    page.nodes.truncate(limit);
    page.end = Some(bounds.end());
    Ok(page)
}

fn page(db: &Db, sql: &'static str, params: impl Params) -> Outcome<NodePage> {
    let mut page = NodePage::default();
    db.each(sql, params, |row| {
        page.nodes.push(read_node(row)?);
        Ok(Next::More)
    })?;
    Ok(page)
}

/// The contents that a file had after `after`, oldest first.
pub(crate) fn revisions(db: &Db, log: LogKey, node: EntityId, after: Seq, limit: usize) -> Outcome<Vec<Revision>> {
    match LogRow::find(db, log)? {
        Some(LogRow { id, .. }) => behind(db, id, node, after, limit),
        None => Ok(Vec::new()),
    }
}

/// What a decision is told of a file's history.
pub(crate) fn oldest_revisions(db: &Db, log: i64, node: EntityId) -> Outcome<Vec<Revision>> {
    behind(db, log, node, Seq::ZERO, REVISIONS_READ_MAX)
}

fn behind(db: &Db, log: i64, node: EntityId, after: Seq, limit: usize) -> Outcome<Vec<Revision>> {
    let mut found = Vec::new();
    let params = params![log, node.as_bytes(), rows::number(after.get())?, number(limit)];
    db.each(sql::REVISIONS, params, |row| {
        let revision = Revision::from_bytes(rows::bytes(row, 1)?)?;
        if (revision.node, revision.seq) != (node, rows::seq(row, 0)?) {
            return Err(Failed::corrupt(format!("a revision of node {node} is another's")));
        }
        found.push(revision);
        Ok(Next::More)
    })?;
    Ok(found)
}

fn number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
