//! A write set → rows, inside a transaction that is already open.
//!
//! What must hold: nothing is added to a log whose stored ops contradict its row; ids of pruned ops stay known where a
//! rule does not say otherwise.

use rusqlite::params;
use syncline::decide::{Forget, LogWrites, WriteSet};
use syncline::id::LogKey;
use syncline::oplog::{EntityKey, LogBounds, LoggedOp, Snapshot};
use syncline::seq::Seq;

use crate::db::Db;
use crate::error::Outcome;
use crate::rows::{self, LogRow};
use crate::tree;

/// Writes everything and says roughly how many bytes that was. `rows` are the scope's, as this transaction read them.
pub(crate) fn write(db: &Db, rows: &[(LogKey, Option<LogRow>)], writes: &WriteSet) -> Outcome<usize> {
    let mut size = 0;
    for log in &writes.logs {
        let row = rows.iter().find(|(key, _)| *key == log.log).and_then(|(_, row)| row.as_ref());
        if let Some(row) = row.filter(|_| (!log.ops.is_empty() || log.rewind.is_some()) && !log.erase) {
            row.check_tip(db, log.log)?;
        }
        let mut id = row.map(|row| row.id);
        if log.erase
            && let Some(gone) = id.take()
        {
            erase(db, gone)?;
        }
        if let Some(bounds) = &log.bounds {
            let known = row.filter(|row| id.is_some() && row.bounds == *bounds);
            let id = match known {
                Some(row) => row.id,
                None => write_bounds(db, log.log, id, bounds)?,
            };
            size += write_log(db, id, log)?;
        }
    }
    Ok(size)
}

fn write_bounds(db: &Db, log: LogKey, id: Option<i64>, bounds: &LogBounds) -> Outcome<i64> {
    let bytes = bounds.to_bytes();
    if let Some(id) = id {
        db.run("UPDATE log SET bounds = ?2 WHERE id = ?1", params![id, &bytes[..]])?;
        return Ok(id);
    }
    db.run(
        "INSERT INTO log (bucket, log, bounds) VALUES (?1, ?2, ?3)",
        params![log.bucket.as_bytes(), log.log.as_bytes(), &bytes[..]],
    )?;
    Ok(db.connection().last_insert_rowid())
}

fn write_log(db: &Db, id: i64, log: &LogWrites) -> Outcome<usize> {
    let mut size = 0;
    if let Some(seq) = log.rewind {
        cut_back(db, id, seq)?;
    }
    for logged in &log.ops {
        size += logged.op.bytes().len();
        insert_op(db, id, logged)?;
    }
    forget(db, id, &log.forget)?;
    for (key, head) in &log.heads {
        let body = head.to_bytes();
        size += body.len();
        db.run(
            "INSERT INTO head (log, collection, entity, body) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (log, collection, entity) DO UPDATE SET body = excluded.body",
            params![id, key.collection.as_str().as_bytes(), key.entity.as_bytes(), &body[..]],
        )?;
    }
    for (key, holder) in &log.slots {
        match holder {
            None => db.run("DELETE FROM slot WHERE log = ?1 AND name = ?2", params![id, &key.0[..]])?,
            Some(entity) => db.run(
                "INSERT INTO slot (log, name, collection, entity) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (log, name) DO UPDATE SET collection = excluded.collection, entity = excluded.entity",
                params![id, &key.0[..], entity.collection.as_str().as_bytes(), entity.entity.as_bytes()],
            )?,
        };
    }
    size += tree::write(db, id, &log.tree)?;
    for receipt in &log.receipts {
        size += receipt.answer.len();
        db.run(
            "INSERT INTO receipt (log, request, fingerprint, answer, at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (log, request)
             DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer, at = excluded.at",
            params![
                id,
                receipt.request.as_bytes(),
                receipt.fingerprint.as_bytes(),
                &receipt.answer[..],
                rows::number(receipt.at.ms())?
            ],
        )?;
    }
    if let Some(snapshot) = &log.snapshot {
        size += snapshot.payload.bytes().len();
        write_snapshot(db, id, snapshot)?;
    }
    if let Some(seq) = log.prune_before {
        if log.forget_pruned {
            forget_pruned(db, id, seq)?;
        } else {
            prune(db, id, seq)?;
        }
    }
    if let Some(time) = log.receipts_before {
        db.run("DELETE FROM receipt WHERE log = ?1 AND at < ?2", params![id, rows::number(time.ms())?])?;
    }
    Ok(size)
}

fn forget(db: &Db, id: i64, forget: &Forget) -> Outcome<()> {
    let one = |key: &EntityKey| {
        db.run(
            "DELETE FROM head WHERE log = ?1 AND collection = ?2 AND entity = ?3",
            params![id, key.collection.as_str().as_bytes(), key.entity.as_bytes()],
        )
    };
    match forget {
        Forget::Nothing => Ok(()),
        Forget::Heads(gone) => gone.iter().try_for_each(|key| one(key).map(drop)),
        Forget::AllHeads => db.run("DELETE FROM head WHERE log = ?1", params![id]).map(drop),
    }
}

fn insert_op(db: &Db, id: i64, logged: &LoggedOp) -> Outcome<()> {
    let seq = rows::number(logged.seq.get())?;
    let inserted = db.run(
        "INSERT INTO op (log, seq, op_id, digest, anchor, accepted_at, batch_rest, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            id,
            seq,
            logged.op.id().as_bytes(),
            logged.op.digest().as_bytes(),
            logged.anchor.hash.as_bytes(),
            rows::number(logged.accepted_at.ms())?,
            i64::from(logged.batch_rest),
            &logged.op.bytes()[..]
        ],
    );
    inserted.map(|_| ())
}

fn write_snapshot(db: &Db, id: i64, snapshot: &Snapshot) -> Outcome<()> {
    let clock = rows::clock_bytes(&snapshot.clock);
    let (form, payload) = (rows::form(&snapshot.payload)?, snapshot.payload.bytes());
    let schema = snapshot.schema_version;
    let digest = rows::snapshot_digest(snapshot.seq, &snapshot.anchor, &clock, schema, form, payload);
    db.run(
        "INSERT OR REPLACE INTO snapshot (log, seq, anchor, clock, schema_version, form, payload, digest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            id,
            rows::number(snapshot.seq.get())?,
            snapshot.anchor.hash.as_bytes(),
            &clock[..],
            i64::from(schema),
            form,
            &payload[..],
            digest.as_bytes()
        ],
    )?;
    Ok(())
}

fn cut_back(db: &Db, id: i64, to: Seq) -> Outcome<()> {
    let to = rows::number(to.get())?;
    db.run("DELETE FROM op WHERE log = ?1 AND seq > ?2", params![id, to])?;
    db.run("DELETE FROM snapshot WHERE log = ?1 AND seq > ?2", params![id, to])?;
    Ok(())
}

fn prune(db: &Db, id: i64, before: Seq) -> Outcome<()> {
    let before = rows::number(before.get())?;
    db.run(
        "INSERT INTO op_past (log, op_id, seq, digest)
         SELECT log, op_id, seq, digest FROM op WHERE log = ?1 AND seq < ?2",
        params![id, before],
    )?;
    db.run("DELETE FROM op WHERE log = ?1 AND seq < ?2", params![id, before])?;
    Ok(())
}

fn forget_pruned(db: &Db, id: i64, before: Seq) -> Outcome<()> {
    db.run("DELETE FROM op_past WHERE log = ?1", params![id])?;
    db.run("DELETE FROM op WHERE log = ?1 AND seq < ?2", params![id, rows::number(before.get())?])?;
    Ok(())
}

fn erase(db: &Db, id: i64) -> Outcome<()> {
    const ALL: [&str; 10] = [
        "DELETE FROM node WHERE log = ?1",
        "DELETE FROM alias WHERE log = ?1",
        "DELETE FROM revision WHERE log = ?1",
        "DELETE FROM op WHERE log = ?1",
        "DELETE FROM op_past WHERE log = ?1",
        "DELETE FROM head WHERE log = ?1",
        "DELETE FROM slot WHERE log = ?1",
        "DELETE FROM receipt WHERE log = ?1",
        "DELETE FROM snapshot WHERE log = ?1",
        "DELETE FROM log WHERE id = ?1",
    ];
    ALL.iter().try_for_each(|sql| db.run(sql, params![id]).map(|_| ()))
}
