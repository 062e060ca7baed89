//! What a decision asked for → its view, in one statement per log and round, and those of [`tree`](crate::tree).
//!
//! Every key is looked up through a unique index of its own (`LATERAL … LIMIT 1`), so that a plan made while a table
//! was small is still the right one when it is large.

use syncline::decide::{KnownOp, Reads, Receipt, SlotKey, View};
use syncline::limits;
use syncline::oplog::{Gap, Head, LogBounds};
use syncline::store::{StoreError, StoreErrorKind};
use syncline::{OpId, RequestId};

use crate::error::{Failure, Phase, classify, corrupt, new};
use crate::pool::Lease;
use crate::rows::{self, Columns};
use crate::transact::{Locked, TRANSACT};
use crate::tree;

/// Whether the last op is the one that the bounds end with. Checked before anything is put after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tip {
    Unread,
    Sound,
    Broken,
}

impl Tip {
    /// A log that keeps no op has none to check.
    pub(crate) fn of(bounds: &LogBounds) -> Self {
        if bounds.last == bounds.first.before() { Self::Sound } else { Self::Unread }
    }
}

/// Kind, key, second key, name, number, value, second value.
const READ: &str = "\
SELECT 0, k, NULL::bytea, NULL::text, found.seq, found.digest, NULL::bytea FROM unnest($2::bytea[]) k,
LATERAL (SELECT seq, digest FROM op WHERE log = $1 AND op = k
 UNION ALL SELECT seq, digest FROM op_past WHERE log = $1 AND op = k LIMIT 1) found
UNION ALL
SELECT 1, e, NULL, c, NULL, found.head, NULL FROM unnest($3::text[], $4::bytea[]) q(c, e),
LATERAL (SELECT head FROM head WHERE log = $1 AND collection = c AND entity = e LIMIT 1) found
UNION ALL
SELECT 2, k, found.entity, found.collection, NULL, NULL, NULL FROM unnest($5::bytea[]) k,
LATERAL (SELECT collection, entity FROM slot WHERE log = $1 AND slot = k LIMIT 1) found
UNION ALL
SELECT 3, k, NULL, NULL, found.at, found.fingerprint, found.answer FROM unnest($6::bytea[]) k,
LATERAL (SELECT fingerprint, answer, at FROM receipt WHERE log = $1 AND request = k LIMIT 1) found
UNION ALL
SELECT 4, NULL, NULL, NULL, n, found.anchor, NULL FROM unnest($7::bigint[]) n,
LATERAL (SELECT anchor FROM op WHERE log = $1 AND seq = n LIMIT 1) found";

/// Reads into the view. Nothing is sent when there is nothing to find.
pub(crate) async fn load(lease: &mut Lease, log: &mut Locked, reads: Reads, view: &mut View) -> Result<(), Failure> {
    let into = view.log_mut(log.key);
    if into.asked.len() + reads.len() > limits::DECISION_READS_MAX {
        return Err(new(StoreErrorKind::Runaway, TRANSACT).because("too many reads").into());
    }
    if let (Some(id), Some(bounds)) = (log.id, &log.bounds)
        && (reads.len() > reads.tree.len() + reads.revisions.len() || log.tip == Tip::Unread)
    {
        for row in fetch(lease, id, &reads, bounds).await? {
            let columns = Columns::of(&row, TRANSACT);
            if columns.get::<i32>(0)? == 4 && columns.seq(4)? == bounds.last && log.tip == Tip::Unread {
                log.tip = if columns.anchor(5)? == bounds.tip { Tip::Sound } else { Tip::Broken };
            }
            put(&columns, &reads, into)?;
        }
        // The row was asked for: one that did not come is not there.
        if log.tip == Tip::Unread {
            log.tip = Tip::Broken;
        }
        for seq in &reads.anchors {
            if let Some(anchor) = Gap::anchor_from_bounds(*seq, bounds) {
                into.anchors.insert(*seq, anchor);
            }
        }
    }
    match log.id {
        Some(id) if !reads.tree.is_empty() => tree::load(lease, id, &reads.tree, &mut into.tree).await?,
        Some(_) => {}
        None => reads.tree.iter().for_each(|read| into.tree.answer_empty(read.clone())),
    }
    match log.id {
        Some(id) if !reads.revisions.is_empty() => {
            let mut asked = reads.revisions.clone();
            asked.sort_unstable();
            asked.dedup();
            tree::oldest_revisions(lease, id, &asked, &mut into.revisions).await?;
        }
        _ => into.revisions.extend(reads.revisions.iter().map(|node| (*node, Vec::new()))),
    }
    into.asked.add(reads);
    Ok(())
}

async fn fetch(
    lease: &mut Lease,
    id: i64,
    reads: &Reads,
    bounds: &LogBounds,
) -> Result<Vec<sqlx::postgres::PgRow>, Failure> {
    let mut anchors: Vec<i64> = reads.anchors.iter().copied().map(rows::number).collect();
    if !reads.anchors.contains(&bounds.last) {
        anchors.push(rows::number(bounds.last));
    }
    sqlx::query(READ)
        .bind(id)
        .bind(reads.ops.iter().map(|op| &op.as_bytes()[..]).collect::<Vec<_>>())
        .bind(reads.heads.iter().map(|key| key.collection.as_str()).collect::<Vec<_>>())
        .bind(reads.heads.iter().map(|key| &key.entity.as_bytes()[..]).collect::<Vec<_>>())
        .bind(reads.slots.iter().map(|key| &key.0[..]).collect::<Vec<_>>())
        .bind(reads.receipts.iter().map(|request| &request.as_bytes()[..]).collect::<Vec<_>>())
        .bind(anchors)
        .persistent(lease.prepared())
        .fetch_all(lease.counted())
        .await
        .map_err(|error| classify(TRANSACT, Phase::Work, error))
}

fn put(columns: &Columns<'_>, reads: &Reads, into: &mut syncline::decide::LogView) -> Result<(), StoreError> {
    match columns.get::<i32>(0)? {
        0 => {
            let known = KnownOp { seq: columns.seq(4)?, digest: columns.digest(5)? };
            into.ops.insert(OpId::from_bytes(columns.fixed(1)?), known);
        }
        1 => {
            let head = Head::from_bytes(columns.bytes(5)?);
            let head = head.map_err(|error| corrupt(TRANSACT, "a head").caused_by(error))?;
            into.heads.insert(columns.entity_key(3, 1)?, head);
        }
        2 => {
            into.slots.insert(SlotKey(columns.bytes(1)?), columns.entity_key(3, 2)?);
        }
        3 => {
            let request = RequestId::from_bytes(columns.fixed(1)?);
            let (fingerprint, answer) = (columns.digest(5)?, columns.bytes(6)?);
            into.receipts.insert(request, Receipt { request, fingerprint, answer, at: columns.time(4)? });
        }
        _ => {
            let seq = columns.seq(4)?;
            if reads.anchors.contains(&seq) {
                into.anchors.insert(seq, columns.anchor(5)?);
            }
        }
    }
    Ok(())
}
