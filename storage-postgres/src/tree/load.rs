//! Questions about a tree → answers, whatever their number in one statement; one or two more for folders that are deleted
//! or go deeper.
//!
//! What must hold: everything that was asked is answered, and every node comes with its path to the root.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgRow;
use syncline::EntityId;
use syncline::store::StoreError;
use syncline::tree::{Found, Loaded, Node, TreeRead};

use super::changed::changed_below;
use super::rows::{ids, node, node_columns, numbers};
use crate::error::{Failure, Phase, classify, corrupt};
use crate::pool::Lease;
use crate::rows::Columns;
use crate::transact::TRANSACT;

/// Which answer, the place of its question, an id, what stands for it, and a node.
///
/// 0 a child, 1 a dead child, 2 an alias, 3 a node that was asked for or is above one.
const TREE: &str = concat!(
    "\
WITH RECURSIVE child AS (
 SELECT q.place, found.id FROM unnest($3::bytea[], $4::bytea[]) WITH ORDINALITY q(parent, key, place),
 LATERAL (SELECT id FROM node WHERE log = $1 AND parent = q.parent AND live_key = q.key LIMIT 1) found
), dead_child AS (
 SELECT q.place, found.id FROM unnest($5::bytea[], $6::bigint[], $7::bytea[]) WITH ORDINALITY q(parent, died, key, place),
 LATERAL (SELECT id FROM node WHERE log = $1 AND parent = q.parent AND dead = q.died AND name_key = q.key
  ORDER BY id LIMIT 1) found
), alias AS (
 SELECT q.id, found.stands FROM unnest($2::bytea[]) q(id),
 LATERAL (SELECT stands FROM node_alias WHERE log = $1 AND id = q.id LIMIT 1) found
), path(id) AS (
 (SELECT unnest($2::bytea[]) UNION ALL SELECT stands FROM alias UNION ALL SELECT id FROM child
  UNION ALL SELECT id FROM dead_child)
 UNION
 SELECT above.parent FROM path,
 LATERAL (SELECT parent FROM node WHERE log = $1 AND id = path.id LIMIT 1) above WHERE above.parent IS NOT NULL
), answer AS (
 SELECT 0 AS part, place, id, NULL::bytea AS stands FROM child
 UNION ALL SELECT 1, place, id, NULL FROM dead_child
 UNION ALL SELECT 2, 0, id, stands FROM alias
 UNION ALL SELECT 3, 0, id, NULL FROM path
)
SELECT answer.part, answer.place, answer.id, answer.stands, ",
    node_columns!(),
    " FROM answer LEFT JOIN LATERAL (
 SELECT * FROM node WHERE log = $1 AND id = answer.id AND answer.part = 3 LIMIT 1
) n ON true"
);

/// Levels below folders, each with the place of its question. Folders lead down; what else is in them is one level more.
const HEIGHT: &str = "\
WITH RECURSIVE below(place, id, depth, most) AS (
 SELECT place, folder, 0::bigint, most FROM unnest($2::bytea[], $3::bigint[]) WITH ORDINALITY q(folder, most, place)
 UNION ALL
 SELECT b.place, c.id, b.depth + 1, b.most FROM below b,
 LATERAL (SELECT id FROM node WHERE log = $1 AND parent = b.id AND kind = 1 OFFSET 0) c WHERE b.depth + 1 < b.most
)
SELECT b.place, max(least(b.most, b.depth + CASE WHEN c.inside THEN 1 ELSE 0 END)) FROM below b
LEFT JOIN LATERAL (SELECT true AS inside FROM node WHERE log = $1 AND parent = b.id LIMIT 1) c ON true GROUP BY b.place";

/// The questions by kind, each with what it binds.
#[derive(Default)]
struct Questions<'q> {
    nodes: Vec<EntityId>,
    children: Vec<&'q TreeRead>,
    dead_children: Vec<&'q TreeRead>,
    changed: Vec<&'q TreeRead>,
    heights: Vec<&'q TreeRead>,
}

/// Answers questions about the tree of a log that exists.
pub(crate) async fn load(lease: &mut Lease, log: i64, reads: &[TreeRead], into: &mut Loaded) -> Result<(), Failure> {
    let mut asked = Questions::default();
    // Ops ask apart from each other, and often the same.
    for read in reads.iter().collect::<BTreeSet<_>>() {
        match read {
            TreeRead::Node(id) => asked.nodes.push(*id),
            TreeRead::Child { .. } => asked.children.push(read),
            TreeRead::DeadChild { .. } => asked.dead_children.push(read),
            TreeRead::ChangedBelow { .. } => asked.changed.push(read),
            TreeRead::Height { .. } => asked.heights.push(read),
        }
    }
    if !asked.changed.is_empty() {
        for (read, found) in changed_below(lease, log, &asked.changed).await? {
            asked.nodes.extend(&found);
            into.set_changed(read, found);
        }
    }
    if !asked.heights.is_empty() {
        heights(lease, log, &asked.heights, into).await?;
    }
    if asked.nodes.is_empty() && asked.children.is_empty() && asked.dead_children.is_empty() {
        return Ok(());
    }
    let rows = fetch(lease, log, &asked).await?;
    put(&rows, &asked, into)?;
    Ok(())
}

async fn fetch(lease: &mut Lease, log: i64, asked: &Questions<'_>) -> Result<Vec<PgRow>, Failure> {
    let (mut parents, mut keys) = (Vec::new(), Vec::new());
    let (mut dead_parents, mut groups, mut dead_keys) = (Vec::new(), Vec::new(), Vec::new());
    for read in asked.children.iter().chain(&asked.dead_children) {
        match read {
            TreeRead::Child { parent, key } => {
                parents.push(parent);
                keys.push(key.as_str().as_bytes());
            }
            TreeRead::DeadChild { parent, group, key } => {
                dead_parents.push(parent);
                groups.push(*group);
                dead_keys.push(key.as_str().as_bytes());
            }
            TreeRead::Node(_) | TreeRead::ChangedBelow { .. } | TreeRead::Height { .. } => {}
        }
    }
    sqlx::query(TREE)
        .bind(log)
        .bind(ids(&asked.nodes))
        .bind(ids(parents))
        .bind(keys)
        .bind(ids(dead_parents))
        .bind(numbers(groups))
        .bind(dead_keys)
        .persistent(lease.prepared())
        .fetch_all(lease.counted())
        .await
        .map_err(|error| classify(TRANSACT, Phase::Work, error))
}

fn put(rows: &[PgRow], asked: &Questions<'_>, into: &mut Loaded) -> Result<(), StoreError> {
    let mut children: BTreeMap<&TreeRead, EntityId> = BTreeMap::new();
    let mut aliases: BTreeMap<EntityId, EntityId> = BTreeMap::new();
    let mut nodes: BTreeMap<EntityId, Node> = BTreeMap::new();
    for row in rows {
        let columns = Columns::of(row, TRANSACT);
        match columns.get::<i32>(0)? {
            part @ (0 | 1) => {
                let questions = if part == 0 { &asked.children } else { &asked.dead_children };
                let read = *question(questions, &columns, 1)?;
                children.insert(read, EntityId::from_bytes(columns.fixed(2)?));
            }
            2 => {
                let (new, stands) = (columns.fixed(2)?, columns.fixed(3)?);
                aliases.insert(EntityId::from_bytes(new), EntityId::from_bytes(stands));
            }
            _ if columns.is_null(4)? => {}
            _ => nodes.extend([node(&columns, 4)?]),
        }
    }
    // The path of every node was asked for, so a folder that did not come is not there.
    let found: BTreeSet<EntityId> = nodes.keys().copied().collect();
    if nodes.values().any(|node| node.parent.is_some_and(|parent| !found.contains(&parent))) {
        return Err(corrupt(TRANSACT, "a node whose folder is not there"));
    }
    let stand_ins = aliases.values().copied().filter(|of| !found.contains(of));
    let missing: Vec<EntityId> =
        asked.nodes.iter().copied().chain(stand_ins).filter(|id| !found.contains(id)).collect();
    for id in missing {
        into.set(id, aliases.get(&id).map_or(Found::Nothing, |of| Found::Alias(*of)));
    }
    for (id, node) in nodes {
        into.set_node(id, node);
    }
    for read in asked.children.iter().chain(&asked.dead_children) {
        into.set_child((*read).clone(), children.get(read).copied());
    }
    Ok(())
}

async fn heights(lease: &mut Lease, log: i64, asked: &[&TreeRead], into: &mut Loaded) -> Result<(), Failure> {
    let (mut folders, mut most) = (Vec::new(), Vec::new());
    for read in asked {
        if let TreeRead::Height { folder, limit } = read {
            folders.push(folder);
            most.push(i64::try_from(*limit).unwrap_or(i64::MAX));
        }
    }
    let rows = sqlx::query(HEIGHT)
        .bind(log)
        .bind(ids(folders))
        .bind(most)
        .persistent(lease.prepared())
        .fetch_all(lease.counted())
        .await
        .map_err(|error| classify(TRANSACT, Phase::Work, error))?;
    for row in &rows {
        let columns = Columns::of(row, TRANSACT);
        let height = usize::try_from(columns.get::<i64>(1)?).map_err(|_| columns.corrupt("a height below 0"))?;
        into.set_height((*question(asked, &columns, 0)?).clone(), height);
    }
    Ok(())
}

/// The question that a row answers, which says its place from 1.
pub(super) fn question<'a, 'q>(
    asked: &'a [&'q TreeRead],
    columns: &Columns<'_>,
    column: usize,
) -> Result<&'a &'q TreeRead, StoreError> {
    let place = usize::try_from(columns.get::<i64>(column)?).ok().and_then(|place| asked.get(place.checked_sub(1)?));
    place.ok_or_else(|| columns.corrupt("an answer to nothing"))
}
