//! What becomes of a tree → rows.
//!
//! Changes are applied in their order, neighbours of one kind by one statement, lives and deaths together.
//! The names of siblings may meet in between; the database looks at them when it commits. The rest of what must hold is
//! looked at once all is written, where it was: a rule's fault is told, and nothing stays of it.
//!
//! Next: `folders` for lives and deaths.

use std::collections::BTreeMap;

use syncline::decide::TreeWrites;
use syncline::store::{StoreError, StoreErrorKind};
use syncline::tree::{Change, Node, Revision};
use syncline::{EntityId, limits};

use super::folders::folders;
use super::rows::{ContentArrays, ids, kind_columns, numbers, reason_column};
use crate::error::{Failure, Phase, classify, fault};
use crate::pool::Lease;
use crate::rows::{millis, number};
use crate::transact::TRANSACT;
use crate::write::send;

/// The number of nodes that lived.
const PURGES: &str = "\
WITH RECURSIVE below(id) AS (
 SELECT unnest($2::bytea[])
 UNION
 SELECT c.id FROM below, LATERAL (SELECT id FROM node WHERE log = $1 AND parent = below.id OFFSET 0) c
), gone AS (
 DELETE FROM node USING below WHERE node.log = $1 AND node.id = below.id RETURNING node.dead
), aliases AS (
 DELETE FROM node_alias USING below WHERE node_alias.log = $1 AND node_alias.stands = below.id
), revisions AS (
 DELETE FROM revision USING below WHERE revision.log = $1 AND revision.node = below.id
)
SELECT count(*) FROM gone WHERE dead IS NULL";

const ALIASES: &str = "\
INSERT INTO node_alias (log, id, stands) SELECT $1, * FROM unnest($2::bytea[], $3::bytea[])
ON CONFLICT (log, id) DO UPDATE SET stands = excluded.stands";

/// A node of another kind is left as it is, and so not counted.
const UPSERT: &str = "\
INSERT INTO node (log, id, parent, name, name_key, kind, mount, blob, bytes, manifest, modified_at, executable, attributes,
 content_seq, content_by, parent_seq, parent_by, name_seq, name_by, created, dead, conflict_of)
SELECT $1, * FROM unnest($2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bytea[], $8::bytea[],
 $9::bigint[], $10::bytea[], $11::bigint[], $12::boolean[], $13::bytea[], $14::bigint[], $15::bytea[], $16::bigint[],
 $17::bytea[], $18::bigint[], $19::bytea[], $20::bigint[], $21::bigint[], $22::bytea[])
ON CONFLICT (log, id) DO UPDATE SET parent = excluded.parent, name = excluded.name, name_key = excluded.name_key,
 blob = excluded.blob, bytes = excluded.bytes, manifest = excluded.manifest, modified_at = excluded.modified_at,
 executable = excluded.executable, attributes = excluded.attributes, content_seq = excluded.content_seq,
 content_by = excluded.content_by, parent_seq = excluded.parent_seq, parent_by = excluded.parent_by,
 name_seq = excluded.name_seq, name_by = excluded.name_by, created = excluded.created, dead = excluded.dead,
 conflict_of = excluded.conflict_of
WHERE node.kind = excluded.kind AND node.mount IS NOT DISTINCT FROM excluded.mount";

/// How much of what was written, of what is above it and of what it was below is no tree: all of that hangs on the one root,
/// which lives; a parent is a folder, lives if its children do and died no earlier than they; no path is too deep.
const DAMAGES: &str = "\
WITH RECURSIVE up(id, parent, kind, dead) AS (
 SELECT n.* FROM unnest($2::bytea[]) q(id),
 LATERAL (SELECT id, parent, kind, dead FROM node WHERE log = $1 AND id = q.id LIMIT 1) n
 UNION
 SELECT n.* FROM up,
 LATERAL (SELECT id, parent, kind, dead FROM node WHERE log = $1 AND id = up.parent LIMIT 1) n
), down(id, kind, dead, depth) AS (
 SELECT id, kind, dead, 0::bigint FROM up WHERE parent IS NULL
 UNION ALL
 SELECT up.id, up.kind, up.dead, down.depth + 1 FROM down JOIN up ON up.parent = down.id
 WHERE down.kind = 1 AND down.depth < $4 AND (down.dead IS NULL OR up.dead <= down.dead)
)
SELECT (SELECT count(*) FROM up) - (SELECT count(*) FROM down)
 + (SELECT 1 - count(*) FROM node WHERE log = $1 AND parent IS NULL AND dead IS NULL)
 + (SELECT count(*) FROM unnest($3::bytea[]) q(id),
  LATERAL (SELECT dead FROM node WHERE log = $1 AND id = q.id LIMIT 1) n,
  LATERAL (
   (SELECT FROM node WHERE log = $1 AND parent = q.id AND live_key IS NOT NULL AND n.dead IS NOT NULL LIMIT 1)
   UNION ALL
   (SELECT FROM node WHERE log = $1 AND parent = q.id AND dead > n.dead LIMIT 1)
  ) inside)";

const ROOTS: &str = "SELECT count(*) FROM node WHERE log = $1 AND parent IS NULL";

const REVISIONS: &str = "\
INSERT INTO revision (log, node, seq, blob, bytes, manifest, modified_at, executable, attributes, by, accepted_at, base,
 reason)
SELECT $1, * FROM unnest($2::bytea[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bytea[], $7::bigint[], $8::boolean[],
 $9::bytea[], $10::bytea[], $11::bigint[], $12::bigint[], $13::bigint[])
ON CONFLICT (log, node, seq) DO UPDATE SET blob = excluded.blob, bytes = excluded.bytes, manifest = excluded.manifest,
 modified_at = excluded.modified_at, executable = excluded.executable, attributes = excluded.attributes, by = excluded.by,
 accepted_at = excluded.accepted_at, base = excluded.base, reason = excluded.reason";

const FORGET: &str = "\
DELETE FROM revision USING unnest($2::bytea[], $3::bigint[]) gone(node, seq)
WHERE revision.log = $1 AND revision.node = gone.node AND revision.seq = gone.seq";

/// Writes to the tree of one locked log. Revisions first: those of a node that is purged go with it.
pub(crate) async fn write(lease: &mut Lease, log: i64, writes: &TreeWrites) -> Result<(), Failure> {
    if !writes.revisions.is_empty() {
        remember(lease, log, &writes.revisions).await?;
    }
    if !writes.forgotten.is_empty() {
        let seqs = numbers(writes.forgotten.iter().map(|(_, seq)| *seq));
        send!(lease, FORGET, log, ids(writes.forgotten.iter().map(|(id, _)| id)), seqs);
    }
    if let Some(Change::Node { node, .. }) = writes.changes.first()
        && node.parent.is_none()
        && **node != Node::root(node.name_stamp)
        && scalar(lease, sqlx::query_scalar(ROOTS).bind(log)).await? == 0
    {
        return Err(none("its root is none").into());
    }
    for run in writes.changes.chunk_by(|one, next| kind(one) == kind(next)) {
        apply(lease, log, run).await.map_err(second_root)?;
    }
    if writes.changes.is_empty() { Ok(()) } else { check(lease, log, &writes.changes).await }
}

/// Looks at what must hold of a tree where these changes could have broken it.
async fn check(lease: &mut Lease, log: i64, changes: &[Change]) -> Result<(), Failure> {
    let (mut written, mut dead) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Node { id, node } => {
                written.push(id);
                dead.extend(node.dead.map(|_| id));
            }
            Change::Tombstone { kept, whole, .. } => written.extend(kept.iter().chain(whole)),
            Change::Revive { root, .. } => written.push(root),
            _ => {}
        }
    }
    let depth = i64::try_from(limits::TREE_DEPTH_MAX).unwrap_or(i64::MAX);
    let damages = sqlx::query_scalar(DAMAGES).bind(log).bind(ids(written)).bind(ids(dead)).bind(depth);
    match scalar(lease, damages).await? {
        0 => Ok(()),
        damages => Err(none(&format!("{damages} nodes have no place in it")).into()),
    }
}

/// What is applied by one statement.
fn kind(change: &Change) -> Option<std::mem::Discriminant<Change>> {
    let folders = matches!(change, Change::Tombstone { .. } | Change::Revive { .. });
    (!folders).then(|| std::mem::discriminant(change))
}

/// Changes of one kind.
async fn apply(lease: &mut Lease, log: i64, run: &[Change]) -> Result<(), Failure> {
    let (mut aliases, mut nodes, mut purged) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for change in run {
        match change {
            Change::Tombstone { .. } | Change::Revive { .. } => return folders(lease, log, run).await,
            Change::Alias { new, of } => drop(aliases.insert(new, of)),
            Change::Node { id, node } => drop(nodes.insert(*id, &**node)),
            Change::Purge { root } => purged.push(root),
            _ => return Err(fault(TRANSACT, "a change that this adapter does not know").into()),
        }
    }
    if !aliases.is_empty() {
        send!(lease, ALIASES, log, ids(aliases.keys().copied()), ids(aliases.values().copied()));
    }
    if !nodes.is_empty() {
        put(lease, log, &nodes).await?;
    }
    if !purged.is_empty() && scalar(lease, sqlx::query_scalar(PURGES).bind(log).bind(ids(purged))).await? != 0 {
        return Err(none("what is to be purged lives").into());
    }
    Ok(())
}

async fn put(lease: &mut Lease, log: i64, nodes: &BTreeMap<EntityId, &Node>) -> Result<(), Failure> {
    let all = || nodes.values();
    let mut kinds = (Vec::with_capacity(nodes.len()), Vec::with_capacity(nodes.len()));
    for node in all() {
        let (kind, mount) = kind_columns(&node.kind)?;
        if node.kind.has_content() != node.content.is_some() {
            return Err(none("a node's content is not of its kind").into());
        }
        kinds.0.push(kind);
        kinds.1.push(mount);
    }
    let content: ContentArrays<'_> = all().map(|node| node.content.as_ref()).collect();
    let keys: Vec<_> = all().map(|node| node.name.key()).collect();
    let maybe = |id: Option<&EntityId>| id.map(|id| id.as_bytes().to_vec());
    let rows = send!(
        lease,
        UPSERT,
        log,
        ids(nodes.keys()),
        all().map(|node| maybe(node.parent.as_ref())).collect::<Vec<_>>(),
        all().map(|node| node.name.as_str().as_bytes()).collect::<Vec<_>>(),
        keys.iter().map(|key| key.as_str().as_bytes()).collect::<Vec<_>>(),
        kinds.0,
        kinds.1,
        content.blob,
        content.bytes,
        content.manifest,
        content.modified_at,
        content.executable,
        content.attributes,
        numbers(all().map(|node| node.content_stamp.seq)),
        all().map(|node| &node.content_stamp.by.as_bytes()[..]).collect::<Vec<_>>(),
        numbers(all().map(|node| node.parent_stamp.seq)),
        all().map(|node| &node.parent_stamp.by.as_bytes()[..]).collect::<Vec<_>>(),
        numbers(all().map(|node| node.name_stamp.seq)),
        all().map(|node| &node.name_stamp.by.as_bytes()[..]).collect::<Vec<_>>(),
        numbers(all().map(|node| node.created)),
        all().map(|node| node.dead.map(number)).collect::<Vec<_>>(),
        all().map(|node| maybe(node.conflict_of.as_ref())).collect::<Vec<_>>()
    );
    if usize::try_from(rows) == Ok(nodes.len()) { Ok(()) } else { Err(none("a node changes its kind").into()) }
}

/// Of two of one seq, which a commit has that writes a file twice, the later one.
async fn remember(lease: &mut Lease, log: i64, revisions: &[Revision]) -> Result<(), Failure> {
    let revisions: BTreeMap<_, _> =
        revisions.iter().map(|revision| ((revision.node, revision.seq), revision)).collect();
    let all = || revisions.values();
    let content: ContentArrays<'_> = all().map(|revision| Some(&revision.content)).collect();
    let reasons = all().map(|revision| reason_column(revision.reason)).collect::<Result<Vec<_>, _>>()?;
    send!(
        lease,
        REVISIONS,
        log,
        ids(all().map(|revision| &revision.node)),
        numbers(all().map(|revision| revision.seq)),
        content.blob,
        content.bytes,
        content.manifest,
        content.modified_at,
        content.executable,
        content.attributes,
        all().map(|revision| &revision.by.as_bytes()[..]).collect::<Vec<_>>(),
        all().map(|revision| millis(revision.accepted_at)).collect::<Vec<_>>(),
        all().map(|revision| revision.base.map(number)).collect::<Vec<_>>(),
        reasons
    );
    Ok(())
}

type Scalar<'q> = sqlx::query::QueryScalar<'q, sqlx::Postgres, i64, sqlx::postgres::PgArguments>;

async fn scalar(lease: &mut Lease, query: Scalar<'_>) -> Result<i64, Failure> {
    let query = query.persistent(lease.prepared());
    query.fetch_one(lease.counted()).await.map_err(|error| classify(TRANSACT, Phase::Work, error))
}

fn none(why: &str) -> StoreError {
    fault(TRANSACT, format!("the tree would be none: {why}"))
}

/// What two rows contradict here is what is written, not what was stored: a second root. Names are looked at later.
fn second_root(failure: Failure) -> Failure {
    match failure {
        Failure::Fatal(error) if error.kind() == StoreErrorKind::Corrupt => {
            Failure::Fatal(none("it has a root already").caused_by(error))
        }
        other => other,
    }
}
