//! Reads: each answered by one statement, and so from one consistent view of the store.
//!
//! What must hold: no read loads more than about a page, whatever the log holds.

use std::cmp::Ordering;
use std::time::Duration;

use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use syncline::oplog::{Collection, EntityKey, Gap, Head, LogBounds, LoggedOp, Snapshot};
use syncline::store::{HeadPage, LogPage, LogSummary, PageLimit, StoreError, StoreErrorKind};
use syncline::{Anchor, BucketId, EntityId, LogId, LogKey, Seq};
use tokio::time::timeout;

use crate::error::{Failure, Phase, classify, corrupt, new};
use crate::pool::Pool;
use crate::rows::{self, Columns, number};
use crate::transact::simple;

const OPS: &str = "ops_after";

/// The bounds, the op at the cursor, and the ops after it up to a number.
///
/// A row is a kind and what belongs to it: 0 bounds, 1 the op at the cursor, 2 an op, 3 bounds told by a replica.
///
/// The cursor and the number of ops come by `SELECT`, so that the server cannot plan for their values. A plan for them
/// always looks cheaper than the one for any values, and so it would be made anew at every call. Not knowing the number
/// also has it expect a tenth of the log, and reading in the key's order look good while a table is still small.
macro_rules! ops_after {
    ($ops:literal) => {
        concat!(
            "\
WITH this AS (SELECT id, bounds FROM log WHERE bucket = $1 AND log = $2)
SELECT CASE WHEN pg_is_in_recovery() THEN 3 ELSE 0 END, 0::bigint, NULL::bytea, NULL::bytea, 0::bigint, 0::bigint,
 bounds FROM this
UNION ALL
SELECT 1, op.seq, NULL, op.anchor, 0, 0, NULL FROM this JOIN op ON op.log = this.id AND op.seq = $3
UNION ALL
",
            $ops
        )
    };
}

/// Each op that is no larger than its share of the page: when all of them are, the page holds them all. A running sum
/// would cost the server as much again as reading the rows.
const OPS_AFTER: &str = ops_after!(
    "\
SELECT 2, seq, digest, anchor, accepted_at, batch_rest, CASE WHEN octet_length(bytes) <= $5 THEN bytes END FROM (
 SELECT * FROM op WHERE log = (SELECT id FROM this) AND seq > (SELECT $3::bigint)
  ORDER BY seq LIMIT (SELECT $4::bigint)
) next"
);

/// Ops up to a sum of bytes, one at least. A payload that is not on the page is never fetched: its length is known
/// without it.
const LARGE_OPS_AFTER: &str = ops_after!(
    "\
SELECT 2, seq, digest, anchor, accepted_at, batch_rest, bytes FROM (
 SELECT seq, digest, anchor, accepted_at, batch_rest, bytes,
  sum(octet_length(bytes)) OVER held AS held, row_number() OVER held AS place
 FROM (
  SELECT * FROM op WHERE log = (SELECT id FROM this) AND seq > (SELECT $3::bigint)
  ORDER BY seq LIMIT (SELECT $4::bigint)
 ) next
 WINDOW held AS (ORDER BY seq ROWS UNBOUNDED PRECEDING)
) page WHERE held <= $5 OR place = 1"
);

const HEADS: &str = "\
SELECT head.collection, head.entity, head.head FROM head
WHERE head.log = (SELECT id FROM log WHERE bucket = $1 AND log = $2) AND head.collection = $3 AND head.entity > $4
ORDER BY head.entity LIMIT $5";

const SNAPSHOT: &str = "\
SELECT seq, anchor, clock, schema_version, form, payload FROM snapshot
WHERE log = (SELECT id FROM log WHERE bucket = $1 AND log = $2) AND seq <= $3";

const LOGS: &str = "SELECT log, bounds FROM log WHERE bucket = $1 AND log > $2 ORDER BY log LIMIT $3";

pub(crate) type Statement = Query<'static, Postgres, PgArguments>;

/// How to run reads.
#[derive(Debug)]
pub(crate) struct Reader<'s> {
    pub(crate) pool: &'s Pool,
    pub(crate) limit: Duration,
    /// Behind a pooler, parse and execution of one statement meet the same backend only inside a transaction.
    pub(crate) in_transaction: bool,
}

impl Reader<'_> {
    pub(crate) async fn ops_after(&self, log: LogKey, after: Seq, limit: PageLimit) -> Result<LogPage, StoreError> {
        let (ops, bytes) = (limit.ops_max(), limit.bytes_max());
        let statement = |sql, bytes| move || of_log(sql, log).bind(number(after)).bind(count(ops)).bind(count(bytes));
        let parts = self.fetch(OPS, statement(OPS_AFTER, bytes / ops), read_part).await?;
        if let Some(page) = put_together(parts, after)? {
            return Ok(page);
        }
        let parts = self.fetch(OPS, statement(LARGE_OPS_AFTER, bytes), read_part).await?;
        put_together(parts, after)?.ok_or_else(|| corrupt(OPS, "an op without bytes"))
    }

    pub(crate) async fn heads(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        const OPERATION: &str = "heads";
        // No id is shorter than 16 bytes, so all of them come after the empty one.
        let after: &[u8] = match after.map(|key| (key.collection.cmp(collection), &key.entity)) {
            Some((Ordering::Greater, _)) => return Ok(HeadPage { heads: Vec::new(), more: false }),
            Some((Ordering::Equal, entity)) => entity.as_bytes(),
            Some((Ordering::Less, _)) | None => &[],
        };
        let statement = || {
            let most = count(limit.saturating_add(1));
            of_log(HEADS, log).bind(collection.as_str().to_owned()).bind(after.to_vec()).bind(most)
        };
        let read = |row: &PgRow| {
            let columns = Columns::of(row, OPERATION);
            let head = Head::from_bytes(columns.bytes(2)?);
            let head = head.map_err(|error| corrupt(OPERATION, "a head").caused_by(error))?;
            let entity = EntityId::from_bytes(columns.fixed(1)?);
            Ok((EntityKey { collection: collection.clone(), entity }, head))
        };
        let mut heads = self.fetch(OPERATION, statement, read).await?;
        let more = heads.len() > limit;
        heads.truncate(limit);
        Ok(HeadPage { heads, more })
    }

    pub(crate) async fn snapshot(&self, log: LogKey, at: Seq) -> Result<Option<Snapshot>, StoreError> {
        const OPERATION: &str = "snapshot";
        let read = |row: &PgRow| Columns::of(row, OPERATION).snapshot();
        let found = self.fetch(OPERATION, || of_log(SNAPSHOT, log).bind(number(at)), read).await?;
        Ok(found.into_iter().next())
    }

    pub(crate) async fn logs(
        &self,
        bucket: BucketId,
        after: Option<LogId>,
        limit: usize,
    ) -> Result<Vec<LogSummary>, StoreError> {
        const OPERATION: &str = "logs";
        let statement = || {
            let after = after.map_or_else(Vec::new, |log| log.as_bytes().to_vec());
            sqlx::query(LOGS).bind(*bucket.as_bytes()).bind(after).bind(count(limit))
        };
        let read = |row: &PgRow| {
            let columns = Columns::of(row, OPERATION);
            let bounds = rows::bounds(OPERATION, columns.bytes(1)?)?;
            Ok(LogSummary { log: LogId::from_bytes(columns.fixed(0)?), bounds })
        };
        self.fetch(OPERATION, statement, read).await
    }

    /// A connection that died while it was idle is replaced once; a read leaves no trace, so it may run again.
    ///
    /// Each row is read as it arrives: to keep all of them and read them afterwards costs half as much again.
    pub(crate) async fn fetch<T: Send + Unpin>(
        &self,
        operation: &'static str,
        make: impl Fn() -> Statement + Sync,
        read: impl Fn(&PgRow) -> Result<T, StoreError> + Send + Sync,
    ) -> Result<Vec<T>, StoreError> {
        let answer = match self.attempt(operation, make(), &read).await {
            Err(Failure::Lost(_)) => {
                self.pool.forget_idle();
                self.attempt(operation, make(), &read).await
            }
            other => other,
        };
        answer.map_err(Failure::into_error)?.into_iter().collect()
    }

    async fn attempt<T: Send + Unpin>(
        &self,
        operation: &'static str,
        statement: Statement,
        read: impl Fn(&PgRow) -> Result<T, StoreError> + Send + Sync,
    ) -> Result<Vec<Result<T, StoreError>>, Failure> {
        let mut lease = self.pool.take(operation).await?;
        let work = async {
            if self.in_transaction {
                simple(&mut lease, "BEGIN READ ONLY", Phase::Work).await?;
            }
            let told = |error| classify(operation, Phase::Work, error);
            let statement = statement.persistent(lease.prepared());
            let answer = statement.map(|row| read(&row)).fetch_all(lease.counted()).await.map_err(told)?;
            if self.in_transaction {
                simple(&mut lease, "COMMIT", Phase::Work).await?;
            }
            Ok::<_, Failure>(answer)
        };
        let answer =
            timeout(self.limit, work).await.map_err(|_| Failure::Fatal(new(StoreErrorKind::Timeout, operation)))??;
        lease.give_back();
        Ok(answer)
    }
}

/// One row of the answer to [`OPS_AFTER`].
enum Part {
    Bounds(LogBounds),
    Anchor(Anchor),
    Op(LoggedOp),
    LeftOut,
}

fn read_part(row: &PgRow) -> Result<Part, StoreError> {
    let columns = Columns::of(row, OPS);
    match columns.get::<i32>(0)? {
        0 => rows::bounds(OPS, columns.bytes(6)?).map(Part::Bounds),
        1 => columns.anchor(3).map(Part::Anchor),
        2 if columns.is_null(6)? => Ok(Part::LeftOut),
        2 => columns.logged_op(1).map(Part::Op),
        _ => Err(new(StoreErrorKind::Unsupported, OPS).because("this server is a read replica")),
    }
}

/// `None` when an op was left out for its size.
fn put_together(parts: Vec<Part>, after: Seq) -> Result<Option<LogPage>, StoreError> {
    let mut page = LogPage { bounds: None, anchor: None, ops: Vec::with_capacity(parts.len()) };
    for part in parts {
        match part {
            Part::Bounds(bounds) => page.bounds = Some(bounds),
            Part::Anchor(anchor) => page.anchor = Some(anchor),
            Part::Op(logged) => page.ops.push(logged),
            Part::LeftOut => return Ok(None),
        }
    }
    page.ops.sort_unstable_by_key(|logged| logged.seq);
    if let Some(bounds) = &page.bounds {
        page.anchor = Gap::anchor_from_bounds(after, bounds).or(page.anchor);
    }
    Ok(Some(page))
}

pub(crate) fn of_log(sql: &'static str, log: LogKey) -> Statement {
    sqlx::query(sql).bind(*log.bucket.as_bytes()).bind(*log.log.as_bytes())
}

pub(crate) fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
