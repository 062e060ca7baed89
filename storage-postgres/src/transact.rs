//! One decision in one transaction: lock, read, decide, write, commit.
//!
//! What must hold:
//! - READ COMMITTED, and the log's row is locked *before* anything else is read: a statement sees what was committed
//!   when it began, so what a statement reads beside the lock it waited for may be stale. The row itself is not:
//!   Postgres reads it again after the wait.
//! - A log that does not exist has no row to lock; its makers queue at an advisory lock of the transaction instead,
//!   then look again. So a transaction that writes nothing leaves nothing.
//! - How many statements a transaction takes depends on which kinds of things are written, never on how many.
//! - All settings are `SET LOCAL`: the next transaction may meet another backend.
//!
//! Next: [`load`](crate::load) reads for a view, [`write`](crate::write) writes a write set, [`tree`](crate::tree) both for
//! files.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};
use syncline::decide::{Decision, Reads, Scope, Step, View, WriteSet};
use syncline::oplog::LogBounds;
use syncline::store::{StoreError, StoreErrorKind};
use syncline::{Digest, LogKey, limits};
use tokio::time::{sleep, timeout};

use crate::error::{Failure, Phase, classify, corrupt, fault, new};
use crate::load::{self, Tip};
use crate::pool::{Lease, Pool};
use crate::rows;
use crate::write;

pub(crate) const TRANSACT: &str = "transact";

/// Attempts at one transaction that loses races or connections. With whole jitter up to half a second, eight keep a
/// caller waiting for about a second.
const ATTEMPTS_MAX: u32 = 8;
const PAUSE_MS_FIRST: u64 = 10;
const PAUSE_MS_MAX: u64 = 500;

/// A log of the scope, locked.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) key: LogKey,
    /// Its row, when it exists.
    pub(crate) id: Option<i64>,
    pub(crate) bounds: Option<LogBounds>,
    pub(crate) tip: Tip,
}

pub(crate) async fn transact(
    pool: &Pool,
    limit: Duration,
    scope: &Scope,
    decision: &Decision,
) -> Result<bool, StoreError> {
    let mut attempt = 1;
    loop {
        match once(pool, limit, scope, decision).await {
            Ok(committed) => return Ok(committed),
            Err(Failure::Fatal(error)) => return Err(error),
            Err(failure) if attempt == ATTEMPTS_MAX => return Err(failure.into_error()),
            Err(Failure::Race(_)) => sleep(pause(attempt)).await,
            Err(Failure::Lost(_)) => pool.forget_idle(),
        }
        attempt += 1;
    }
}

/// Whole jitter: anything up to a bound that doubles.
fn pause(attempt: u32) -> Duration {
    let bound = (PAUSE_MS_FIRST << attempt).min(PAUSE_MS_MAX);
    Duration::from_millis(RandomState::new().hash_one(attempt) % bound)
}

async fn once(pool: &Pool, limit: Duration, scope: &Scope, decision: &Decision) -> Result<bool, Failure> {
    let mut lease = pool.take(TRANSACT).await?;
    // A lease that is dropped closes its connection, and the server rolls back.
    let too_long = |kind| Failure::Fatal(new(kind, TRANSACT));
    let worked = timeout(limit, work(&mut lease, limit, scope, decision))
        .await
        .map_err(|_| too_long(StoreErrorKind::Timeout))?;
    match worked {
        Ok(true) => {
            let committed = timeout(limit, simple(&mut lease, "COMMIT", Phase::Commit)).await;
            committed.map_err(|_| too_long(StoreErrorKind::OutcomeUnknown))??;
            lease.give_back();
            Ok(true)
        }
        Ok(false) => {
            undo(lease, limit).await;
            Ok(false)
        }
        Err(failure @ Failure::Lost(_)) => Err(failure),
        Err(failure) => {
            undo(lease, limit).await;
            Err(failure)
        }
    }
}

/// Keeps the connection when the server says that it is clean again.
async fn undo(mut lease: Lease, limit: Duration) {
    if let Ok(Ok(_)) = timeout(limit, simple(&mut lease, "ROLLBACK", Phase::Work)).await {
        lease.give_back();
    }
}

/// Everything up to the commit. Whether there is something to commit.
async fn work(lease: &mut Lease, limit: Duration, scope: &Scope, decision: &Decision) -> Result<bool, Failure> {
    let mut locked = lock(lease, limit, scope).await?;
    let mut view = View::new();
    for (log, (_, reads)) in locked.iter_mut().zip(scope.parts()) {
        view.log_mut(log.key).bounds.clone_from(&log.bounds);
        load::load(lease, log, reads.clone(), &mut view).await?;
    }
    for _ in 0..limits::DECISION_ROUNDS_MAX {
        match decision(&view) {
            Step::Abort => return Ok(false),
            Step::Commit(writes) => {
                commit(lease, &mut locked, &view, &writes).await?;
                return Ok(true);
            }
            Step::Read(more) => {
                for (log, reads) in more {
                    let Some(log) = locked.iter_mut().find(|locked| locked.key == log) else {
                        return Err(fault(TRANSACT, "a read of a log outside the scope").into());
                    };
                    load::load(lease, log, reads, &mut view).await?;
                }
            }
        }
    }
    Err(new(StoreErrorKind::Runaway, TRANSACT).into())
}

async fn commit(lease: &mut Lease, locked: &mut [Locked], view: &View, writes: &WriteSet) -> Result<(), Failure> {
    writes.logs.iter().try_for_each(|log| view.check(log)).map_err(|what| fault(TRANSACT, what))?;
    for writes in &writes.logs {
        let Some(log) = locked.iter_mut().find(|locked| locked.key == writes.log) else {
            return Err(fault(TRANSACT, "writes to a log outside the scope").into());
        };
        if !writes.ops.is_empty() && !writes.erase {
            if log.tip == Tip::Unread {
                load::load(lease, log, Reads::default(), &mut View::new()).await?;
            }
            if log.tip == Tip::Broken {
                return Err(corrupt(TRANSACT, "the last op of a log is not the one its bounds end with").into());
            }
        }
        write::write(lease, log, writes).await?;
    }
    Ok(())
}

/// Begins and locks the logs one by one in key order, so that no two transactions wait for each other.
async fn lock(lease: &mut Lease, limit: Duration, scope: &Scope) -> Result<Vec<Locked>, Failure> {
    let ms = limit.as_millis();
    // What was promised must be on the disk, and a server that hangs must not hold a log for ever. Every row is found by
    // an index: a plan made when a table was small, and kept, must be right when it is large.
    let mut before = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = on; \
         SET LOCAL statement_timeout = {ms}; SET LOCAL idle_in_transaction_session_timeout = {ms}; \
         SET LOCAL enable_seqscan = off; "
    );
    let mut locked = Vec::with_capacity(scope.parts().len());
    for (key, _) in scope.parts() {
        let mut found = lock_row(lease, &before, *key).await?;
        if found.is_none() {
            let queue = format!("SELECT pg_advisory_xact_lock({}); ", queue_of(*key));
            found = lock_row(lease, &queue, *key).await?;
        }
        before.clear();
        let (id, bounds) = found.unzip();
        let tip = bounds.as_ref().map_or(Tip::Sound, Tip::of);
        locked.push(Locked { key: *key, id, bounds, tip });
    }
    Ok(locked)
}

/// One message for the whole: its statements each begin anew, so the lock sees what the one before it waited for.
async fn lock_row(lease: &mut Lease, before: &str, key: LogKey) -> Result<Option<(i64, LogBounds)>, Failure> {
    let (bucket, log) = (key.bucket.to_string(), key.log.to_string());
    let hex = |id: String| id.replace('-', "");
    let sql = format!(
        "{before}SELECT id, bounds FROM log WHERE bucket = decode('{}', 'hex') AND log = decode('{}', 'hex') FOR UPDATE",
        hex(bucket),
        hex(log)
    );
    let answer = simple(lease, &sql, Phase::Work).await?;
    let Some(row) = answer.iter().find(|row| row.len() == 2) else {
        return Ok(None);
    };
    let told = |error| classify(TRANSACT, Phase::Work, error);
    let bytes: Vec<u8> = row.try_get(1).map_err(told)?;
    let bounds = rows::bounds(TRANSACT, bytes.into())?;
    Ok(Some((row.try_get(0).map_err(told)?, bounds)))
}

/// Where the makers of a log queue. Logs that share a number only wait for each other.
fn queue_of(key: LogKey) -> i64 {
    let digest = Digest::of(&[b"syncline/log", key.bucket.as_bytes(), key.log.as_bytes()]);
    let mut number = [0; 8];
    number.copy_from_slice(&digest.as_bytes()[..8]);
    i64::from_be_bytes(number)
}

pub(crate) async fn simple(lease: &mut Lease, sql: &str, phase: Phase) -> Result<Vec<sqlx::postgres::PgRow>, Failure> {
    let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    query.fetch_all(lease.counted()).await.map_err(|error| classify(TRANSACT, phase, error))
}
