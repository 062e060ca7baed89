//! Listings of nodes and revisions, each by one statement.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use syncline::limits::REVISIONS_READ_MAX;
use syncline::store::{NodePage, NodeQuery, StoreError, StoreErrorKind};
use syncline::tree::{Node, Revision};
use syncline::{EntityId, LogKey, Seq};

use super::rows::{ids, node, node_columns, revision, revision_columns};
use crate::error::{Failure, Phase, classify, new};
use crate::pool::Lease;
use crate::read::{Reader, Statement, count, of_log};
use crate::rows::{self, Columns, number};
use crate::transact::TRANSACT;

const NODES: &str = "nodes";

/// The bounds, and nodes: 0 bounds, 1 a node, 2 bounds told by a replica.
macro_rules! nodes {
    ($page:literal) => {
        concat!(
            "WITH this AS (SELECT id, bounds FROM log WHERE bucket = $1 AND log = $2) \
             SELECT CASE WHEN pg_is_in_recovery() THEN 2 ELSE 0 END, this.bounds, ",
            node_columns!(),
            " FROM this LEFT JOIN node n ON false UNION ALL SELECT 1, NULL, ",
            node_columns!(),
            " FROM (",
            $page,
            ") n"
        )
    };
}

/// No id is shorter than 16 bytes, so all of them come after the empty one.
const ALL: &str =
    nodes!("SELECT * FROM node WHERE log = (SELECT id FROM this) AND id > $3 ORDER BY id LIMIT (SELECT $4::bigint)");

const CHILDREN: &str = nodes!(
    "SELECT * FROM node WHERE log = (SELECT id FROM this) AND parent = $5 AND live_key > $3 \
     ORDER BY live_key LIMIT (SELECT $4::bigint)"
);

const TRASH: &str = nodes!(
    "SELECT gone.* FROM node gone \
     LEFT JOIN LATERAL (SELECT dead FROM node WHERE log = gone.log AND id = gone.parent LIMIT 1) above ON true \
     WHERE gone.log = (SELECT id FROM this) AND gone.dead IS NOT NULL AND gone.id > $3 \
     AND gone.dead IS DISTINCT FROM above.dead ORDER BY gone.id LIMIT (SELECT $4::bigint)"
);

const ONE: &str = nodes!(
    "SELECT * FROM node WHERE log = (SELECT id FROM this) AND id = $3 \
     UNION ALL \
     SELECT stands.* FROM node_alias JOIN node stands ON stands.log = node_alias.log AND stands.id = node_alias.stands \
     WHERE node_alias.log = (SELECT id FROM this) AND node_alias.id = $3 LIMIT (SELECT least($4::bigint, 1))"
);

const LEAVES: &str = nodes!(
    "SELECT leaf.* FROM ( \
      WITH RECURSIVE below(id) AS ( \
       SELECT $3::bytea \
       UNION ALL \
       SELECT inside.id FROM below, \
       LATERAL (SELECT id FROM node WHERE log = (SELECT id FROM this) AND parent = below.id OFFSET 0) inside \
      ) SELECT id FROM below \
     ) below, LATERAL (SELECT * FROM node WHERE log = (SELECT id FROM this) AND id = below.id LIMIT 1) leaf \
     WHERE NOT EXISTS (SELECT FROM node WHERE log = (SELECT id FROM this) AND parent = below.id) \
     LIMIT (SELECT $4::bigint)"
);

enum Part {
    Bounds(Box<syncline::oplog::LogBounds>),
    Node(Box<(EntityId, Node)>),
}

/// Nodes of a log's tree with its end.
pub(crate) async fn nodes(
    reader: &Reader<'_>,
    log: LogKey,
    asked: &NodeQuery,
    limit: usize,
) -> Result<NodePage, StoreError> {
    let most = count(limit.saturating_add(1));
    let after = |after: &Option<EntityId>| after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let statement = || -> Statement {
        match asked {
            NodeQuery::All { after: id } => of_log(ALL, log).bind(after(id)).bind(most),
            NodeQuery::Trash { after: id } => of_log(TRASH, log).bind(after(id)).bind(most),
            NodeQuery::Leaves { of } => of_log(LEAVES, log).bind(of.as_bytes().to_vec()).bind(most),
            NodeQuery::One(id) => of_log(ONE, log).bind(id.as_bytes().to_vec()).bind(most),
            NodeQuery::Children { of, after } => {
                let key = after.as_ref().map_or_else(Vec::new, |key| key.as_str().as_bytes().to_vec());
                of_log(CHILDREN, log).bind(key).bind(most).bind(of.as_bytes().to_vec())
            }
        }
    };
    let mut page = NodePage::default();
    for part in reader.fetch(NODES, statement, read_part).await? {
        match part {
            Part::Bounds(bounds) => page.end = Some(bounds.end()),
            Part::Node(node) => page.nodes.push(*node),
        }
    }
    match asked {
        NodeQuery::Children { .. } => page.nodes.sort_by_cached_key(|(_, node)| node.name.key()),
        _ => page.nodes.sort_unstable_by_key(|(id, _)| *id),
    }
    page.more = page.nodes.len() > limit;
    page.nodes.truncate(limit);
    Ok(page)
}

fn read_part(row: &PgRow) -> Result<Part, StoreError> {
    let columns = Columns::of(row, NODES);
    match columns.get::<i32>(0)? {
        0 => rows::bounds(NODES, columns.bytes(1)?).map(|bounds| Part::Bounds(Box::new(bounds))),
        1 => node(&columns, 2).map(|node| Part::Node(Box::new(node))),
        _ => Err(new(StoreErrorKind::Unsupported, NODES).because("this server is a read replica")),
    }
}

/// What a decision is told of the histories of files, by one statement.
pub(crate) async fn oldest_revisions(
    lease: &mut Lease,
    log: i64,
    of: &[EntityId],
    into: &mut BTreeMap<EntityId, Vec<Revision>>,
) -> Result<(), Failure> {
    const OLDEST: &str = concat!(
        "SELECT ",
        revision_columns!(),
        ", q.place FROM unnest($2::bytea[]) WITH ORDINALITY q(of, place), \
         LATERAL (SELECT * FROM revision WHERE log = $1 AND node = q.of ORDER BY seq LIMIT (SELECT $3::bigint)) found \
         ORDER BY q.place, seq"
    );
    into.extend(of.iter().map(|of| (*of, Vec::new())));
    let rows = sqlx::query(OLDEST)
        .bind(log)
        .bind(ids(of))
        .bind(count(REVISIONS_READ_MAX))
        .persistent(lease.prepared())
        .fetch_all(lease.counted())
        .await
        .map_err(|error| classify(TRANSACT, Phase::Work, error))?;
    for row in &rows {
        let columns = Columns::of(row, TRANSACT);
        let place = usize::try_from(columns.get::<i64>(11)?).ok().and_then(|place| of.get(place.checked_sub(1)?));
        let node = *place.ok_or_else(|| columns.corrupt("an answer to nothing"))?;
        into.entry(node).or_default().push(revision(&columns, node)?);
    }
    Ok(())
}

/// The contents that a file had.
pub(crate) async fn revisions(
    reader: &Reader<'_>,
    log: LogKey,
    of: EntityId,
    after: Seq,
    limit: usize,
) -> Result<Vec<Revision>, StoreError> {
    const OPERATION: &str = "revisions";
    const REVISIONS: &str = concat!(
        "SELECT ",
        revision_columns!(),
        " FROM revision WHERE log = (SELECT id FROM log WHERE bucket = $1 AND log = $2) AND node = $3 AND seq > $4 \
         ORDER BY seq LIMIT (SELECT $5::bigint)"
    );
    let statement = || of_log(REVISIONS, log).bind(of.as_bytes().to_vec()).bind(number(after)).bind(count(limit));
    reader.fetch(OPERATION, statement, |row| revision(&Columns::of(row, OPERATION), of)).await
}
