//! Row ↔ type, and the point reads that transactions and pages share.
//!
//! What must hold: a value that does not read is a corrupt row with its name, never a default; running hashes are
//! stored without the origin, which stands once in the log's row.

use bytes::Bytes;
use rusqlite::{Row, params};
use syncline::clock::VectorClock;
use syncline::codec::{Reader, Writer};
use syncline::decide::{KnownOp, Receipt, SlotKey};
use syncline::digest::Digest;
use syncline::id::{EntityId, LogId, LogKey, OpId, RequestId};
use syncline::oplog::{Collection, EntityKey, Gap, Head, LogBounds, LoggedOp, OpBytes, Payload, Snapshot};
use syncline::seq::{Anchor, Origin, Seq};
use syncline::store::LogSummary;
use syncline::time::Timestamp;

use crate::db::Db;
use crate::error::{Failed, Outcome};

/// A log's row.
#[derive(Debug, Clone)]
pub(crate) struct LogRow {
    pub(crate) id: i64,
    pub(crate) bounds: LogBounds,
}

impl LogRow {
    pub(crate) fn find(db: &Db, log: LogKey) -> Outcome<Option<Self>> {
        db.one(
            "SELECT id, bounds FROM log WHERE bucket = ?1 AND log = ?2",
            params![log.bucket.as_bytes(), log.log.as_bytes()],
            |row| Ok(Self { id: row.get(0)?, bounds: LogBounds::from_bytes(bytes(row, 1)?)? }),
        )
    }

    /// Whether the last op stored is the one the log's row ends with.
    pub(crate) fn check_tip(&self, db: &Db, log: LogKey) -> Outcome<()> {
        if self.bounds.last == self.bounds.first.before() {
            return Ok(());
        }
        match self.stored_anchor(db, self.bounds.last)? {
            Some(anchor) if anchor == self.bounds.tip => Ok(()),
            Some(_) => {
                Err(Failed::corrupt(format!("op {} of log {log} is not the one its row names", self.bounds.last)))
            }
            None => Err(Failed::corrupt(format!("op {}, the last of log {log}, is missing", self.bounds.last))),
        }
    }

    /// The running hash at `seq`, where it is kept.
    pub(crate) fn anchor(&self, db: &Db, seq: Seq) -> Outcome<Option<Anchor>> {
        match Gap::anchor_from_bounds(seq, &self.bounds) {
            Some(anchor) => Ok(Some(anchor)),
            None => self.stored_anchor(db, seq),
        }
    }

    fn stored_anchor(&self, db: &Db, seq: Seq) -> Outcome<Option<Anchor>> {
        let origin = self.bounds.tip.origin;
        db.one("SELECT anchor FROM op WHERE log = ?1 AND seq = ?2", params![self.id, number(seq.get())?], |row| {
            anchor(row, 0, origin)
        })
    }

    /// Whether an op id was ever accepted. Where nothing was pruned there are no ids of pruned ops to ask.
    pub(crate) fn known(&self, db: &Db, id: OpId) -> Outcome<Option<KnownOp>> {
        let read = |row: &Row<'_>| Ok(KnownOp { seq: seq(row, 0)?, digest: digest(row, 1)? });
        let key = params![self.id, id.as_bytes()];
        let kept = db.one("SELECT seq, digest FROM op WHERE log = ?1 AND op_id = ?2", key, read)?;
        if kept.is_some() || self.bounds.first == Seq::FIRST {
            return Ok(kept);
        }
        db.one("SELECT seq, digest FROM op_past WHERE log = ?1 AND op_id = ?2", key, read)
    }

    pub(crate) fn head(&self, db: &Db, key: &EntityKey) -> Outcome<Option<Head>> {
        db.one(
            "SELECT body FROM head WHERE log = ?1 AND collection = ?2 AND entity = ?3",
            params![self.id, key.collection.as_str().as_bytes(), key.entity.as_bytes()],
            |row| Ok(Head::from_bytes(bytes(row, 0)?)?),
        )
    }

    pub(crate) fn slot(&self, db: &Db, key: &SlotKey) -> Outcome<Option<EntityKey>> {
        db.one(
            "SELECT collection, entity FROM slot WHERE log = ?1 AND name = ?2",
            params![self.id, &key.0[..]],
            |row| Ok(EntityKey { collection: collection(row, 0)?, entity: EntityId::from_bytes(fixed(row, 1)?) }),
        )
    }

    pub(crate) fn receipt(&self, db: &Db, request: RequestId) -> Outcome<Option<Receipt>> {
        db.one(
            "SELECT fingerprint, answer, at FROM receipt WHERE log = ?1 AND request = ?2",
            params![self.id, request.as_bytes()],
            |row| Ok(Receipt { request, fingerprint: digest(row, 0)?, answer: bytes(row, 1)?, at: timestamp(row, 2)? }),
        )
    }

    pub(crate) fn snapshot(&self, db: &Db, at: Seq) -> Outcome<Option<Snapshot>> {
        let origin = self.bounds.tip.origin;
        db.one(
            "SELECT seq, anchor, clock, schema_version, form, payload, digest FROM snapshot
             WHERE log = ?1 AND seq <= ?2",
            params![self.id, number(at.get())?],
            |row| read_snapshot(row, origin),
        )
    }
}

/// Columns: seq, digest, anchor, accepted_at, batch_rest, body; the first and the last are read already.
pub(crate) fn logged_op(row: &Row<'_>, origin: Origin, seq: Seq, body: Bytes) -> Outcome<LoggedOp> {
    let op = OpBytes::stored(body, digest(row, 1)?).map_err(|error| Failed::corrupt(format!("op {seq}: {error}")))?;
    let batch_rest = u32::try_from(row.get::<_, i64>(4)?).map_err(|_| Failed::corrupt("a batch's rest"))?;
    Ok(LoggedOp { seq, anchor: anchor(row, 2, origin)?, accepted_at: timestamp(row, 3)?, batch_rest, op })
}

/// Columns: log, bounds.
pub(crate) fn summary(row: &Row<'_>) -> Outcome<LogSummary> {
    Ok(LogSummary { log: LogId::from_bytes(fixed(row, 0)?), bounds: LogBounds::from_bytes(bytes(row, 1)?)? })
}

/// The clock's own canonical bytes.
pub(crate) fn clock_bytes(clock: &VectorClock) -> Bytes {
    let mut out = Writer::with_capacity(64);
    clock.encode(&mut out);
    out.finish()
}

/// The number of a payload's form, as in an op's canonical bytes.
pub(crate) fn form(payload: &Payload) -> Outcome<i64> {
    match payload {
        Payload::Json(_) => Ok(0),
        Payload::Plain(_) => Ok(1),
        Payload::Sealed(_) => Ok(2),
        other => Err(Failed::fault(format!("a payload form this adapter does not know: {other:?}"))),
    }
}

/// Everything a snapshot says, so that a flipped bit in any of it is found.
pub(crate) fn snapshot_digest(
    seq: Seq,
    anchor: &Anchor,
    clock: &[u8],
    schema: u32,
    form: i64,
    payload: &[u8],
) -> Digest {
    let fixed = [seq.get().to_be_bytes(), u64::from(schema).to_be_bytes(), form.to_be_bytes()].concat();
    Digest::of(&[&fixed, anchor.hash.as_bytes(), &(clock.len() as u64).to_be_bytes(), clock, payload])
}

fn read_snapshot(row: &Row<'_>, origin: Origin) -> Outcome<Snapshot> {
    let (seq, anchor, clock) = (seq(row, 0)?, anchor(row, 1, origin)?, bytes(row, 2)?);
    let schema_version = u32::try_from(row.get::<_, i64>(3)?).map_err(|_| Failed::corrupt("a snapshot's schema"))?;
    let (form, payload) = (row.get::<_, i64>(4)?, bytes(row, 5)?);
    if snapshot_digest(seq, &anchor, &clock, schema_version, form, &payload) != digest(row, 6)? {
        return Err(Failed::corrupt("the bytes of a snapshot do not fit their digest"));
    }
    let mut input = Reader::new(clock);
    let clock = VectorClock::decode(&mut input)?;
    input.finish()?;
    let payload = match form {
        0 => Payload::Json(payload),
        1 => Payload::Plain(payload),
        2 => Payload::Sealed(payload),
        other => return Err(Failed::corrupt(format!("a snapshot of unknown form {other}"))),
    };
    Ok(Snapshot { seq, anchor, clock, schema_version, payload })
}

/// A `u64` of core as SQLite's integer.
pub(crate) fn number(value: u64) -> Outcome<i64> {
    i64::try_from(value).map_err(|_| Failed::fault("a number above 2^63 - 1"))
}

pub(crate) fn seq(row: &Row<'_>, column: usize) -> Outcome<Seq> {
    let value = u64::try_from(row.get::<_, i64>(column)?).ok();
    value.and_then(Seq::new).ok_or_else(|| Failed::corrupt("a seq below 0"))
}

pub(crate) fn bytes(row: &Row<'_>, column: usize) -> Outcome<Bytes> {
    Ok(Bytes::copy_from_slice(blob(row, column)?))
}

pub(crate) fn fixed<const N: usize>(row: &Row<'_>, column: usize) -> Outcome<[u8; N]> {
    let found = blob(row, column)?;
    found.try_into().map_err(|_| Failed::corrupt(format!("a value of {} bytes, not {N}", found.len())))
}

pub(crate) fn blob<'r>(row: &'r Row<'_>, column: usize) -> Outcome<&'r [u8]> {
    row.get_ref(column)?.as_blob().map_err(|_| Failed::corrupt(format!("column {column} is not bytes")))
}

fn digest(row: &Row<'_>, column: usize) -> Outcome<Digest> {
    fixed(row, column).map(Digest::from_bytes)
}

fn anchor(row: &Row<'_>, column: usize, origin: Origin) -> Outcome<Anchor> {
    Ok(Anchor { origin, hash: digest(row, column)? })
}

fn collection(row: &Row<'_>, column: usize) -> Outcome<Collection> {
    let name = std::str::from_utf8(blob(row, column)?).map_err(|_| Failed::corrupt("a collection's name"))?;
    Collection::new(name).map_err(Failed::corrupt)
}

fn timestamp(row: &Row<'_>, column: usize) -> Outcome<Timestamp> {
    let ms = u64::try_from(row.get::<_, i64>(column)?).ok();
    ms.and_then(Timestamp::from_ms).ok_or_else(|| Failed::corrupt("a time out of range"))
}
