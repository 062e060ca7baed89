//! A write set → rows. One statement for what every upload writes, one more for each rarer kind.

use syncline::decide::{Forget, LogWrites};
use syncline::oplog::Snapshot;

use crate::error::{Failure, Phase, classify, fault};
use crate::pool::Lease;
use crate::rows::{clock_bytes, millis, number, payload_form};
use crate::transact::{Locked, TRANSACT};
use crate::tree;

/// Ops, heads, receipts and the log's row, whatever their number.
const WRITE: &str = "\
WITH new_op AS (
 INSERT INTO op (log, seq, op, digest, anchor, accepted_at, batch_rest, bytes)
 SELECT $1, * FROM unnest($3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bigint[], $8::bigint[], $9::bytea[])
), new_head AS (
 INSERT INTO head (log, collection, entity, head) SELECT $1, * FROM unnest($10::text[], $11::bytea[], $12::bytea[])
 ON CONFLICT (log, collection, entity) DO UPDATE SET head = excluded.head
), new_receipt AS (
 INSERT INTO receipt (log, request, fingerprint, answer, at)
 SELECT $1, * FROM unnest($13::bytea[], $14::bytea[], $15::bytea[], $16::bigint[])
 ON CONFLICT (log, request) DO UPDATE
 SET fingerprint = excluded.fingerprint, answer = excluded.answer, at = excluded.at
)
UPDATE log SET bounds = $2 WHERE id = $1";

const ERASE: &str = "\
WITH a AS (DELETE FROM op WHERE log = $1), b AS (DELETE FROM op_past WHERE log = $1),
c AS (DELETE FROM head WHERE log = $1), d AS (DELETE FROM slot WHERE log = $1),
e AS (DELETE FROM receipt WHERE log = $1), f AS (DELETE FROM node WHERE log = $1),
g AS (DELETE FROM node_alias WHERE log = $1), h AS (DELETE FROM revision WHERE log = $1)
DELETE FROM snapshot WHERE log = $1";

const REWIND: &str = "\
WITH a AS (DELETE FROM op WHERE log = $1 AND seq > $2)
DELETE FROM snapshot WHERE log = $1 AND seq > $2";

const FORGET: &str = "\
DELETE FROM head USING unnest($2::text[], $3::bytea[]) gone(collection, entity)
WHERE head.log = $1 AND head.collection = gone.collection AND head.entity = gone.entity";

const SLOTS: &str = "\
INSERT INTO slot (log, slot, collection, entity) SELECT $1, * FROM unnest($2::bytea[], $3::text[], $4::bytea[])
ON CONFLICT (log, slot) DO UPDATE SET collection = excluded.collection, entity = excluded.entity";

const SNAPSHOT: &str = "\
INSERT INTO snapshot (log, seq, anchor, clock, schema_version, form, payload) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (log) DO UPDATE SET seq = excluded.seq, anchor = excluded.anchor, clock = excluded.clock,
 schema_version = excluded.schema_version, form = excluded.form, payload = excluded.payload";

const PRUNE: &str = "\
WITH gone AS (DELETE FROM op WHERE log = $1 AND seq < $2 RETURNING log, op, seq, digest)
INSERT INTO op_past (log, op, seq, digest) SELECT log, op, seq, digest FROM gone";

const FORGET_PRUNED: &str = "\
WITH past AS (DELETE FROM op_past WHERE log = $1)
DELETE FROM op WHERE log = $1 AND seq < $2";

/// Sends one statement; the number of rows of its last part.
macro_rules! send {
    ($lease:expr, $sql:expr $(, $value:expr)*) => {
        sqlx::query($sql)$(.bind($value))*
            .persistent($lease.prepared())
            .execute($lease.counted())
            .await
            .map_err(|error| classify(TRANSACT, Phase::Work, error))?
            .rows_affected()
    };
}
pub(crate) use send;

/// Writes to one locked log.
pub(crate) async fn write(lease: &mut Lease, log: &mut Locked, writes: &LogWrites) -> Result<(), Failure> {
    if writes.erase
        && let Some(id) = log.id
    {
        send!(lease, ERASE, id);
    }
    let Some(bounds) = &writes.bounds else {
        if let Some(id) = log.id.take() {
            send!(lease, "DELETE FROM log WHERE id = $1", id);
        }
        return Ok(());
    };
    let bounds = bounds.to_bytes();
    let id = match log.id {
        Some(id) => id,
        None => make(lease, log, &bounds).await?,
    };
    if let Some(seq) = writes.rewind {
        send!(lease, REWIND, id, number(seq));
    }
    forget(lease, id, &writes.forget).await?;
    write_rows(lease, id, &bounds, writes).await?;
    write_slots(lease, id, writes).await?;
    tree::write(lease, id, &writes.tree).await?;
    if let Some(snapshot) = &writes.snapshot {
        write_snapshot(lease, id, snapshot).await?;
    }
    if let Some(seq) = writes.prune_before {
        if writes.forget_pruned {
            send!(lease, FORGET_PRUNED, id, number(seq));
        } else {
            send!(lease, PRUNE, id, number(seq));
        }
    }
    if let Some(time) = writes.receipts_before {
        send!(lease, "DELETE FROM receipt WHERE log = $1 AND at < $2", id, millis(time));
    }
    Ok(())
}

async fn make(lease: &mut Lease, log: &mut Locked, bounds: &[u8]) -> Result<i64, Failure> {
    let id = sqlx::query_scalar("INSERT INTO log (bucket, log, bounds) VALUES ($1, $2, $3) RETURNING id")
        .bind(&log.key.bucket.as_bytes()[..])
        .bind(&log.key.log.as_bytes()[..])
        .bind(bounds)
        .persistent(lease.prepared())
        .fetch_one(lease.counted())
        .await
        .map_err(|error| classify(TRANSACT, Phase::Work, error))?;
    log.id = Some(id);
    Ok(id)
}

/// A statement of its own: the parts of one statement do not see what the others did, and a head may be forgotten
/// and written again.
async fn forget(lease: &mut Lease, id: i64, forget: &Forget) -> Result<(), Failure> {
    match forget {
        Forget::Heads(gone) if !gone.is_empty() => {
            let collections: Vec<&str> = gone.iter().map(|key| key.collection.as_str()).collect();
            let entities: Vec<&[u8]> = gone.iter().map(|key| &key.entity.as_bytes()[..]).collect();
            send!(lease, FORGET, id, collections, entities);
        }
        Forget::Nothing | Forget::Heads(_) => {}
        Forget::AllHeads => {
            send!(lease, "DELETE FROM head WHERE log = $1", id);
        }
    }
    Ok(())
}

async fn write_rows(lease: &mut Lease, id: i64, bounds: &[u8], writes: &LogWrites) -> Result<(), Failure> {
    let (ops, heads, receipts) = (&writes.ops, &writes.heads, &writes.receipts);
    let anchors: Vec<[u8; 48]> = ops.iter().map(|logged| logged.anchor.to_bytes()).collect();
    let op_ids: Vec<[u8; 16]> = ops.iter().map(|logged| *logged.op.id().as_bytes()).collect();
    let digests: Vec<[u8; 32]> = ops.iter().map(|logged| *logged.op.digest().as_bytes()).collect();
    let encoded: Vec<bytes::Bytes> = heads.iter().map(|(_, head)| head.to_bytes()).collect();
    let rows = send!(
        lease,
        WRITE,
        id,
        bounds,
        ops.iter().map(|logged| number(logged.seq)).collect::<Vec<_>>(),
        op_ids.iter().map(|id| &id[..]).collect::<Vec<_>>(),
        digests.iter().map(|digest| &digest[..]).collect::<Vec<_>>(),
        anchors.iter().map(|anchor| &anchor[..]).collect::<Vec<_>>(),
        ops.iter().map(|logged| millis(logged.accepted_at)).collect::<Vec<_>>(),
        ops.iter().map(|logged| i64::from(logged.batch_rest)).collect::<Vec<_>>(),
        ops.iter().map(|logged| &logged.op.bytes()[..]).collect::<Vec<_>>(),
        heads.iter().map(|(key, _)| key.collection.as_str()).collect::<Vec<_>>(),
        heads.iter().map(|(key, _)| &key.entity.as_bytes()[..]).collect::<Vec<_>>(),
        encoded.iter().map(|head| &head[..]).collect::<Vec<_>>(),
        receipts.iter().map(|receipt| &receipt.request.as_bytes()[..]).collect::<Vec<_>>(),
        receipts.iter().map(|receipt| &receipt.fingerprint.as_bytes()[..]).collect::<Vec<_>>(),
        receipts.iter().map(|receipt| &receipt.answer[..]).collect::<Vec<_>>(),
        receipts.iter().map(|receipt| millis(receipt.at)).collect::<Vec<_>>()
    );
    if rows == 1 { Ok(()) } else { Err(fault(TRANSACT, "the locked row of a log went away").into()) }
}

async fn write_slots(lease: &mut Lease, id: i64, writes: &LogWrites) -> Result<(), Failure> {
    let taken: Vec<_> = writes.slots.iter().filter_map(|(slot, holder)| Some((slot, holder.as_ref()?))).collect();
    if !taken.is_empty() {
        let slots: Vec<&[u8]> = taken.iter().map(|(slot, _)| &slot.0[..]).collect();
        let collections: Vec<&str> = taken.iter().map(|(_, holder)| holder.collection.as_str()).collect();
        let entities: Vec<&[u8]> = taken.iter().map(|(_, holder)| &holder.entity.as_bytes()[..]).collect();
        send!(lease, SLOTS, id, slots, collections, entities);
    }
    let left = writes.slots.iter().filter(|(_, holder)| holder.is_none());
    let left: Vec<&[u8]> = left.map(|(slot, _)| &slot.0[..]).collect();
    if !left.is_empty() {
        send!(lease, "DELETE FROM slot WHERE log = $1 AND slot = ANY($2::bytea[])", id, left);
    }
    Ok(())
}

async fn write_snapshot(lease: &mut Lease, id: i64, snapshot: &Snapshot) -> Result<(), Failure> {
    let form = payload_form(TRANSACT, &snapshot.payload)?;
    let (anchor, clock) = (snapshot.anchor.to_bytes(), clock_bytes(&snapshot.clock));
    send!(
        lease,
        SNAPSHOT,
        id,
        number(snapshot.seq),
        &anchor[..],
        &clock[..],
        i64::from(snapshot.schema_version),
        form,
        &snapshot.payload.bytes()[..]
    );
    Ok(())
}
