//! What decisions ask a tree.

use rusqlite::params;
use syncline::id::{EntityId, ReplicaId};
use syncline::seq::Seq;
use syncline::tree::{Found, NameKey, TreeView};

use super::{read_node, sql};
use crate::db::{Db, Next};
use crate::error::{Failed, Outcome};
use crate::rows;

/// Rows that are counted first, to find out which of two ways is the shorter; each time eight times as many.
const COUNTED_FIRST: i64 = 16;

/// The rows of one log's tree.
pub(crate) struct TreeRows<'a> {
    pub(crate) db: &'a Db,
    pub(crate) log: i64,
}

impl TreeRows<'_> {
    fn child_of(&self, parent: EntityId, dead: Seq, key: &NameKey) -> Outcome<Option<EntityId>> {
        let dead = rows::number(dead.get())?;
        let key = params![self.log, parent.as_bytes(), dead, key.as_str().as_bytes()];
        self.db.one(sql::CHILD, key, |row| Ok(EntityId::from_bytes(rows::fixed(row, 0)?)))
    }

    fn count(&self, sql: &'static str, params: impl rusqlite::Params) -> Outcome<i64> {
        let count = self.db.one(sql, params, |row| Ok(row.get(0)?))?;
        count.ok_or_else(|| Failed::fault("a count without a row"))
    }

    /// Whether fewer nodes changed after `after` than there are below `root`. Counts at most some eight times as many as
    /// the fewer of both.
    fn few_changed(&self, root: EntityId, after: i64) -> Outcome<bool> {
        let mut most = COUNTED_FIRST;
        loop {
            if self.count(sql::CHANGED_COUNT, params![self.log, after, most])? < most {
                return Ok(true);
            }
            if self.count(sql::BELOW_COUNT, params![self.log, root.as_bytes(), most])? < most {
                return Ok(false);
            }
            most = most.saturating_mul(8);
        }
    }
}

impl TreeView for TreeRows<'_> {
    type Error = Failed;

    fn node(&self, id: EntityId) -> Outcome<Found> {
        let key = params![self.log, id.as_bytes()];
        if let Some((_, node)) = self.db.one(sql::NODE, key, read_node)? {
            return Ok(Found::Node(Box::new(node)));
        }
        let of = self.db.one(sql::ALIAS, key, |row| Ok(EntityId::from_bytes(rows::fixed(row, 0)?)))?;
        Ok(of.map_or(Found::Nothing, Found::Alias))
    }

    fn child(&self, parent: EntityId, key: &NameKey) -> Outcome<Option<EntityId>> {
        self.child_of(parent, Seq::ZERO, key)
    }

    fn dead_child(&self, parent: EntityId, group: Seq, key: &NameKey) -> Outcome<Option<EntityId>> {
        if group == Seq::ZERO { Ok(None) } else { self.child_of(parent, group, key) }
    }

    fn changed_below(&self, root: EntityId, after: Seq, by: ReplicaId, limit: usize) -> Outcome<Vec<EntityId>> {
        let seq = rows::number(after.get())?;
        let sql = if self.few_changed(root, seq)? { sql::CHANGED_UP } else { sql::CHANGED_DOWN };
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.db.each(sql, params![self.log, seq, root.as_bytes()], |row| {
            let (id, node) = read_node(row)?;
            if node.is_news(after, by) {
                found.push(id);
            }
            Ok(if found.len() < limit { Next::More } else { Next::Stop })
        })?;
        Ok(found)
    }

    fn height(&self, folder: EntityId, limit: usize) -> Outcome<usize> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let height = self.count(sql::HEIGHT, params![self.log, folder.as_bytes(), most])?;
        Ok(usize::try_from(height).unwrap_or(0).min(limit))
    }
}
