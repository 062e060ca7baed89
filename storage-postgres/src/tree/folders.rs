//! Lives and deaths of whole folders → rows, whatever their number in one statement.
//!
//! What must hold: what a death reaches is what lived when it came, so where there are lives too each has its place in the
//! order. A death that comes behind another reaches beyond what that one took; the rules keep whatever lives there back from
//! both.

use std::collections::BTreeSet;

use syncline::tree::Change;
use syncline::{EntityId, Seq};

use super::rows::ids;
use crate::error::{Failure, Phase, classify};
use crate::pool::Lease;
use crate::rows::number;
use crate::transact::TRANSACT;
use crate::write::send;

/// Deaths. Those with the same place are one: they keep nothing back.
const TOMBSTONES: &str = "\
WITH RECURSIVE kept AS (SELECT * FROM unnest($5::bigint[], $6::bytea[]) k(place, id)),
whole AS (SELECT * FROM unnest($7::bigint[], $8::bytea[]) w(place, id)),
reached(place, died, id) AS (
 SELECT q.place, q.died, q.id FROM unnest($2::bigint[], $3::bigint[], $4::bytea[]) q(place, died, id),
 LATERAL (SELECT dead FROM node WHERE log = $1 AND id = q.id LIMIT 1) root
 WHERE root.dead IS NULL AND NOT EXISTS (SELECT FROM whole WHERE whole.place = q.place AND whole.id = q.id)
 UNION
 SELECT r.place, r.died, c.id FROM reached r,
 LATERAL (SELECT id FROM node WHERE log = $1 AND parent = r.id AND live_key IS NOT NULL OFFSET 0) c
 WHERE NOT EXISTS (SELECT FROM whole WHERE whole.place = r.place AND whole.id = c.id)
), gone AS (
 SELECT r.id, min(r.died) AS died FROM reached r
 WHERE NOT EXISTS (SELECT FROM kept WHERE kept.place = r.place AND kept.id = r.id) GROUP BY r.id
)
UPDATE node SET dead = gone.died FROM gone WHERE node.log = $1 AND node.id = gone.id";

/// Lives.
const REVIVALS: &str = "\
WITH RECURSIVE back(id, died) AS (
 SELECT q.id, q.died FROM unnest($2::bytea[], $3::bigint[]) q(id, died),
 LATERAL (SELECT dead FROM node WHERE log = $1 AND id = q.id LIMIT 1) root WHERE root.dead = q.died
 UNION
 SELECT c.id, back.died FROM back,
 LATERAL (SELECT id FROM node WHERE log = $1 AND parent = back.id AND dead = back.died OFFSET 0) c
)
UPDATE node SET dead = NULL FROM back WHERE node.log = $1 AND node.id = back.id";

/// Both, each with its place: a death goes through what lived and what was back by then.
const MIXED: &str = "\
WITH RECURSIVE kept AS (SELECT * FROM unnest($5::bigint[], $6::bytea[]) k(place, id)),
whole AS (SELECT * FROM unnest($7::bigint[], $8::bytea[]) w(place, id)),
back(place, died, id) AS (
 SELECT q.place, q.died, q.id FROM unnest($9::bigint[], $10::bigint[], $11::bytea[]) q(place, died, id),
 LATERAL (SELECT dead FROM node WHERE log = $1 AND id = q.id LIMIT 1) root WHERE root.dead = q.died
 UNION
 SELECT b.place, b.died, c.id FROM back b,
 LATERAL (SELECT id FROM node WHERE log = $1 AND parent = b.id AND dead = b.died OFFSET 0) c
), reached(place, died, id) AS (
 SELECT q.place, q.died, q.id FROM unnest($2::bigint[], $3::bigint[], $4::bytea[]) q(place, died, id)
 CROSS JOIN LATERAL (SELECT dead FROM node WHERE log = $1 AND id = q.id LIMIT 1) root
 LEFT JOIN back b ON b.id = q.id AND b.place < q.place
 WHERE (root.dead IS NULL OR b.id IS NOT NULL)
 AND NOT EXISTS (SELECT FROM whole WHERE whole.place = q.place AND whole.id = q.id)
 UNION
 SELECT r.place, r.died, c.id FROM reached r
 CROSS JOIN LATERAL (SELECT id, dead FROM node WHERE log = $1 AND parent = r.id OFFSET 0) c
 LEFT JOIN back b ON b.id = c.id AND b.place < r.place
 WHERE (c.dead IS NULL OR b.id IS NOT NULL)
 AND NOT EXISTS (SELECT FROM whole WHERE whole.place = r.place AND whole.id = c.id)
), gone AS (
 SELECT r.id, min(r.died) AS died FROM reached r
 WHERE NOT EXISTS (SELECT FROM kept WHERE kept.place = r.place AND kept.id = r.id) GROUP BY r.id
), after AS (
 SELECT id, died FROM gone
 UNION ALL
 SELECT DISTINCT id, NULL::bigint FROM back WHERE NOT EXISTS (SELECT FROM gone WHERE gone.id = back.id)
)
UPDATE node SET dead = after.died FROM after WHERE node.log = $1 AND node.id = after.id";

/// Lives or deaths as arrays.
#[derive(Default)]
struct Arrays<'c> {
    places: Vec<i64>,
    groups: Vec<i64>,
    roots: Vec<&'c [u8]>,
}

impl<'c> Arrays<'c> {
    fn push(&mut self, place: i64, group: Seq, root: &'c EntityId) {
        self.places.push(place);
        self.groups.push(number(group));
        self.roots.push(root.as_bytes());
    }
}

/// Ids with the place of the death that they are held back from.
#[derive(Default)]
struct Held<'c> {
    places: Vec<i64>,
    ids: Vec<&'c [u8]>,
}

impl<'c> Held<'c> {
    fn extend(&mut self, place: i64, held: &'c [EntityId]) {
        self.places.extend(std::iter::repeat_n(place, held.len()));
        self.ids.extend(ids(held));
    }
}

/// Applies lives and deaths, and nothing else. What a commit kills it does not bring back by its group, but who writes may:
/// that begins another statement.
pub(super) async fn folders(lease: &mut Lease, log: i64, run: &[Change]) -> Result<(), Failure> {
    let (mut begin, mut killed) = (0, BTreeSet::new());
    for (at, change) in run.iter().enumerate() {
        match change {
            Change::Tombstone { group, .. } => killed.extend([*group]),
            Change::Revive { group, .. } if killed.contains(group) => {
                apply(lease, log, &run[begin..at]).await?;
                begin = at;
                killed.clear();
            }
            _ => {}
        }
    }
    apply(lease, log, &run[begin..]).await
}

async fn apply(lease: &mut Lease, log: i64, run: &[Change]) -> Result<(), Failure> {
    let only_deaths = run.iter().all(|change| matches!(change, Change::Tombstone { .. }));
    let (mut dead, mut back) = (Arrays::default(), Arrays::default());
    let (mut kept_back, mut whole_back) = (Held::default(), Held::default());
    for (place, change) in (1..).zip(run) {
        match change {
            Change::Tombstone { root, group, kept, whole } => {
                let together = only_deaths && kept.is_empty() && whole.is_empty();
                let place = if together { 0 } else { place };
                dead.push(place, *group, root);
                kept_back.extend(place, kept);
                whole_back.extend(place, whole);
            }
            Change::Revive { root, group } => back.push(place, *group, root),
            _ => {}
        }
    }
    let (kept, whole) = (kept_back, whole_back);
    if only_deaths {
        let Arrays { places, groups, roots } = dead;
        send!(lease, TOMBSTONES, log, places, groups, roots, kept.places, kept.ids, whole.places, whole.ids);
    } else if dead.roots.is_empty() {
        send!(lease, REVIVALS, log, back.roots, back.groups);
    } else {
        let Arrays { places, groups, roots } = dead;
        send!(
            lease,
            MIXED,
            log,
            places,
            groups,
            roots,
            kept.places,
            kept.ids,
            whole.places,
            whole.ids,
            back.places,
            back.groups,
            back.roots
        );
    }
    Ok(())
}
