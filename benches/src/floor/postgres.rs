//! The bare loop over sqlx: one transaction of four round trips, whole-batch statements, on the server's settings.

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection, Row as _};
use syncline::oplog::Op;

use super::entity;

const TABLES: &str = "\
CREATE TABLE bare_log (id BIGINT PRIMARY KEY, last BIGINT NOT NULL) WITH (fillfactor = 50);
INSERT INTO bare_log VALUES (1, 0), (2, 0);
CREATE TABLE bare_op (log BIGINT NOT NULL, seq BIGINT NOT NULL, op BYTEA NOT NULL, entity BYTEA NOT NULL,
 accepted_at BIGINT NOT NULL, bytes BYTEA NOT NULL, PRIMARY KEY (log, seq), UNIQUE (log, op));
CREATE INDEX bare_by_entity ON bare_op (log, entity, seq);";

const READ: &str = "\
SELECT 0, k, found.seq, NULL::bytea FROM unnest($2::bytea[]) k,
LATERAL (SELECT seq FROM bare_op WHERE log = $1 AND op = k LIMIT 1) found
UNION ALL
SELECT 1, e, found.seq, found.bytes FROM unnest($3::bytea[]) e,
LATERAL (SELECT seq, bytes FROM bare_op WHERE log = $1 AND entity = e ORDER BY seq DESC LIMIT 1) found";

const WRITE: &str = "\
WITH new AS (
 INSERT INTO bare_op (log, seq, op, entity, accepted_at, bytes)
 SELECT $1, * FROM unnest($3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bytea[])
)
UPDATE bare_log SET last = $2 WHERE id = $1";

const BLIND: &str = "\
WITH counter AS (UPDATE bare_log SET last = last + $2 WHERE id = $1 RETURNING last)
INSERT INTO bare_op (log, seq, op, entity, accepted_at, bytes)
SELECT $1, counter.last - $2 + n, o, e, a, b
FROM counter, unnest($3::bytea[], $4::bytea[], $5::bigint[], $6::bytea[]) WITH ORDINALITY AS t(o, e, a, b, n)";

/// A table with three indexes and a counter.
#[derive(Debug)]
pub struct Bare {
    connection: PgConnection,
}

impl Bare {
    /// Makes the tables.
    ///
    /// # Errors
    /// The server's.
    pub async fn create(url: &str) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::raw_sql(TABLES).execute(&mut connection).await?;
        Ok(Self { connection })
    }

    /// Appends a batch: lock, read, write, commit.
    ///
    /// # Errors
    /// The server's, or when an op is there already.
    pub async fn append(&mut self, ops: &[Op]) -> anyhow::Result<u64> {
        const LOG: i64 = 1;
        let connection = &mut self.connection;
        let lock = "BEGIN; SELECT last FROM bare_log WHERE id = 1 FOR UPDATE";
        let locked = sqlx::raw_sql(lock).fetch_all(&mut *connection).await?;
        let last: i64 = locked.iter().find(|row| row.len() == 1).context("no counter")?.try_get(0)?;
        let ids: Vec<&[u8]> = ops.iter().map(|op| &op.bytes()[1..17]).collect();
        let entities: Vec<&[u8]> = ops.iter().map(entity).collect();
        let found = sqlx::query(READ).bind(LOG).bind(&ids).bind(&entities).fetch_all(&mut *connection).await?;
        for row in &found {
            let (kind, seq): (i32, i64) = (row.try_get(0)?, row.try_get(2)?);
            anyhow::ensure!(kind == 1 && seq <= last, "not a new op");
        }
        let count = i64::try_from(ops.len())?;
        sqlx::query(WRITE)
            .bind(LOG)
            .bind(last + count)
            .bind((last + 1..=last + count).collect::<Vec<_>>())
            .bind(&ids)
            .bind(&entities)
            .bind(times(ops))
            .bind(bytes(ops))
            .execute(&mut *connection)
            .await?;
        sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
        Ok(ops.len() as u64)
    }

    /// Appends a batch in one statement, without having looked at anything: the least there is.
    ///
    /// # Errors
    /// The server's.
    pub async fn append_blindly(&mut self, ops: &[Op]) -> anyhow::Result<u64> {
        const LOG: i64 = 2;
        sqlx::query(BLIND)
            .bind(LOG)
            .bind(i64::try_from(ops.len())?)
            .bind(ops.iter().map(|op| &op.bytes()[1..17]).collect::<Vec<_>>())
            .bind(ops.iter().map(entity).collect::<Vec<_>>())
            .bind(times(ops))
            .bind(bytes(ops))
            .execute(&mut self.connection)
            .await?;
        Ok(ops.len() as u64)
    }
}

fn times(ops: &[Op]) -> Vec<i64> {
    ops.iter().map(|op| op.hlc().ms.ms().cast_signed()).collect()
}

fn bytes(ops: &[Op]) -> Vec<&[u8]> {
    ops.iter().map(|op| &op.bytes()[..]).collect()
}

/// Reads our adapter's table: a page of whole rows, with every value in memory of its own, and nothing checked.
///
/// # Errors
/// The server's.
pub async fn page(connection: &mut PgConnection, after: u64, ops: usize) -> anyhow::Result<Vec<Row>> {
    let rows = sqlx::query_as(
        "SELECT seq, digest, anchor, accepted_at, batch_rest, bytes FROM op WHERE log = 1 AND seq > $1
         ORDER BY seq LIMIT $2",
    );
    Ok(rows.bind(after.cast_signed()).bind(i64::try_from(ops)?).fetch_all(connection).await?)
}

/// Seq, digest, anchor, time, rest of the batch, bytes.
pub type Row = (i64, Vec<u8>, Vec<u8>, i64, i64, Vec<u8>);
