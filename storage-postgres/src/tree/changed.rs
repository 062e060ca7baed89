//! What others changed below a folder since somebody looked.
//!
//! Two ways lead there: from what changed since up to the folders above it, and from the folder down. The first is taken
//! where no more than [`CHANGES_MOST`] nodes changed, which is nearly always, however large the folder is; else the second,
//! which ends when it has found enough.

use std::collections::BTreeMap;

use syncline::EntityId;
use syncline::tree::TreeRead;

use super::load::question;
use super::rows::{ids, numbers};
use crate::error::{Failure, Phase, classify};
use crate::pool::Lease;
use crate::rows::Columns;
use crate::transact::TRANSACT;

/// Changed nodes from which one looks at the folder instead.
const CHANGES_MOST: i64 = 10_000;

/// The place of a question and a node for it. A place 0 says that there are too many changes to go this way.
const UPWARDS: &str = "\
WITH RECURSIVE asked AS MATERIALIZED (
 SELECT * FROM unnest($2::bytea[], $3::bigint[], $4::bytea[]) WITH ORDINALITY q(root, since, reader, place)
), news AS MATERIALIZED (
 SELECT id, parent, content_seq, content_by, parent_seq, parent_by, name_seq, name_by FROM node
 WHERE log = $1 AND changed > (SELECT min(since) FROM asked) AND dead IS NULL
 ORDER BY changed LIMIT (SELECT $5::bigint)
), above(id, parent) AS (
 SELECT id, parent FROM news WHERE (SELECT count(*) FROM news) < $5
 UNION
 SELECT n.id, n.parent FROM above,
 LATERAL (SELECT id, parent FROM node WHERE log = $1 AND id = above.parent LIMIT 1) n
), under(place, id) AS (
 SELECT place, root FROM asked
 UNION
 SELECT under.place, above.id FROM under JOIN above ON above.parent = under.id
)
SELECT asked.place, news.id FROM under JOIN news ON news.id = under.id JOIN asked ON asked.place = under.place
WHERE news.id <> asked.root AND (content_seq > since AND content_by <> reader
 OR parent_seq > since AND parent_by <> reader OR name_seq > since AND name_by <> reader)
UNION ALL
SELECT 0, NULL FROM (SELECT count(*) AS found FROM news) all_news WHERE found >= $5";

const DOWNWARDS: &str = "\
SELECT q.place, found.id
FROM unnest($2::bytea[], $3::bigint[], $4::bytea[], $5::bigint[]) WITH ORDINALITY q(root, since, reader, most, place),
LATERAL (
 WITH RECURSIVE below(id, news) AS (
  SELECT q.root, false
  UNION
  SELECT c.id, c.news FROM below, LATERAL (
   SELECT id, content_seq > q.since AND content_by <> q.reader OR parent_seq > q.since AND parent_by <> q.reader
    OR name_seq > q.since AND name_by <> q.reader AS news
   FROM node WHERE log = $1 AND parent = below.id AND live_key IS NOT NULL OFFSET 0
  ) c
 )
 SELECT id FROM below WHERE news LIMIT q.most
) found";

/// The answers to [`TreeRead::ChangedBelow`], one for each question.
pub(super) async fn changed_below(
    lease: &mut Lease,
    log: i64,
    asked: &[&TreeRead],
) -> Result<BTreeMap<TreeRead, Vec<EntityId>>, Failure> {
    let (mut roots, mut since, mut readers, mut most) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for read in asked {
        if let TreeRead::ChangedBelow { root, after, by, limit } = read {
            roots.push(root);
            since.push(*after);
            readers.push(&by.as_bytes()[..]);
            most.push(i64::try_from(*limit).unwrap_or(i64::MAX));
        }
    }
    let told = |error| classify(TRANSACT, Phase::Work, error);
    let (roots, since) = (ids(roots), numbers(since));
    let upwards = sqlx::query(UPWARDS).bind(log).bind(&roots).bind(&since).bind(&readers).bind(CHANGES_MOST);
    let mut rows = upwards.persistent(lease.prepared()).fetch_all(lease.counted()).await.map_err(told)?;
    let mut too_many = false;
    for row in &rows {
        too_many = too_many || Columns::of(row, TRANSACT).get::<i64>(0)? == 0;
    }
    if too_many {
        let downwards = sqlx::query(DOWNWARDS).bind(log).bind(&roots).bind(&since).bind(&readers).bind(most);
        rows = downwards.persistent(lease.prepared()).fetch_all(lease.counted()).await.map_err(told)?;
    }
    let mut found: BTreeMap<TreeRead, Vec<EntityId>> = asked.iter().map(|read| ((*read).clone(), Vec::new())).collect();
    for row in &rows {
        let columns = Columns::of(row, TRANSACT);
        let read = *question(asked, &columns, 0)?;
        let TreeRead::ChangedBelow { limit, .. } = read else { continue };
        let id = EntityId::from_bytes(columns.fixed(1)?);
        if let Some(list) = found.get_mut(read).filter(|list| list.len() < *limit) {
            list.push(id);
        }
    }
    Ok(found)
}
