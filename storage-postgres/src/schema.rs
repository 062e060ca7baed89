//! The tables, as numbered steps that are applied once and never changed.
//!
//! What must hold: any number of servers may start at once on an empty schema; a step that was applied with another
//! text, or one that this version does not know, refuses the store instead of guessing.

use sqlx::{AssertSqlSafe, Row as _};
use syncline::Digest;
use syncline::store::{StoreError, StoreErrorKind};

use crate::error::{Failure, Phase, classify, new};
use crate::pool::{Lease, Pool};

const CONNECT: &str = "connect";

/// Step n is the n-th, from 1.
const STEPS: &[&str] = &[include_str!("../schema/0001_tables.sql"), include_str!("../schema/0002_tree.sql")];

/// Serialises migrations of one schema, whoever runs them.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('syncline/schema/' || current_schema(), 0))";

/// Brings the schema to this version.
pub(crate) async fn migrate(pool: &Pool) -> Result<(), StoreError> {
    let mut lease = pool.take(CONNECT).await.map_err(Failure::into_error)?;
    refuse_replica(&mut lease).await?;
    // Without a transaction first: once migrated, a server needs no right to make tables.
    let present = tables_exist(&mut lease).await?;
    let mut steps = if present { pending(&applied(&mut lease).await?)? } else { STEPS };
    if !steps.is_empty() {
        run(&mut lease, "BEGIN").await?;
        run(&mut lease, LOCK).await?;
        if !tables_exist(&mut lease).await? {
            run(&mut lease, "CREATE TABLE syncline_schema (step INT PRIMARY KEY, digest BYTEA NOT NULL)").await?;
        }
        // Another server may have been here while we waited.
        steps = pending(&applied(&mut lease).await?)?;
        for (index, step) in STEPS.iter().enumerate().skip(STEPS.len() - steps.len()) {
            run(&mut lease, step).await?;
            let digest = Digest::of(&[step.as_bytes()]);
            let note = format!("INSERT INTO syncline_schema VALUES ({}, decode('{digest}', 'hex'))", index + 1);
            run(&mut lease, &note).await?;
        }
        run(&mut lease, "COMMIT").await?;
    }
    lease.give_back();
    Ok(())
}

/// Reads from a replica are stale, and a reader that was told "nothing new" would believe it.
async fn refuse_replica(lease: &mut Lease) -> Result<(), StoreError> {
    let row = fetch(lease, "SELECT pg_is_in_recovery()").await?;
    let replica = row.first().and_then(|row| row.try_get::<bool, _>(0).ok());
    if replica == Some(false) { Ok(()) } else { Err(unsupported("this server is a read replica; name the primary")) }
}

/// By a scan of the catalog: `to_regclass` may answer from a cache that does not know what another server made while
/// this one waited for the lock.
async fn tables_exist(lease: &mut Lease) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT EXISTS (SELECT FROM pg_tables \
                       WHERE schemaname = current_schema() AND tablename = 'syncline_schema')";
    let rows = fetch(lease, SQL).await?;
    Ok(rows.first().and_then(|row| row.try_get::<bool, _>(0).ok()) == Some(true))
}

async fn applied(lease: &mut Lease) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows = fetch(lease, "SELECT digest FROM syncline_schema ORDER BY step").await?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| classify(CONNECT, Phase::Work, error).into_error())).collect()
}

/// The steps still to run.
fn pending(applied: &[Vec<u8>]) -> Result<&'static [&'static str], StoreError> {
    let Some((known, pending)) = STEPS.split_at_checked(applied.len()) else {
        return Err(unsupported("the schema was made by a newer version"));
    };
    let same =
        known.iter().zip(applied).all(|(step, digest)| Digest::of(&[step.as_bytes()]).as_bytes()[..] == digest[..]);
    if same { Ok(pending) } else { Err(unsupported("the schema was made by other steps than this version's")) }
}

fn unsupported(why: &'static str) -> StoreError {
    new(StoreErrorKind::Unsupported, CONNECT).because(why)
}

async fn run(lease: &mut Lease, sql: &str) -> Result<(), StoreError> {
    fetch(lease, sql).await.map(|_| ())
}

async fn fetch(lease: &mut Lease, sql: &str) -> Result<Vec<sqlx::postgres::PgRow>, StoreError> {
    let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    query.fetch_all(lease.counted()).await.map_err(|error| classify(CONNECT, Phase::Work, error).into_error())
}
