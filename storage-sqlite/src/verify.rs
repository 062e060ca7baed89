//! What is looked at before a file is trusted: when it is opened, and again after a commit failed.

use syncline::id::{BucketId, LogId, LogKey};
use syncline::oplog::LogBounds;

use crate::db::{Db, Next};
use crate::error::{Failed, Outcome};
use crate::rows::{LogRow, bytes, fixed};

/// Files up to this size are checked page by page when they are opened; it takes about 0.1 s.
const CHECKED_BYTES_MAX: i64 = 64 << 20;

/// Whether the file's pages make sense, as far as can be told quickly.
pub(crate) fn structure(db: &Db) -> Outcome<()> {
    let pages: i64 = db.connection().query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let page_bytes: i64 = db.connection().query_row("PRAGMA page_size", [], |row| row.get(0))?;
    if pages.saturating_mul(page_bytes) > CHECKED_BYTES_MAX {
        return Ok(());
    }
    let found: String = db.connection().query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(Failed::corrupt(found)) }
}

/// The logs whose stored ops contradict their row. Each takes no more writes; all others are served.
pub(crate) fn contradictions(db: &Db) -> Outcome<Vec<LogKey>> {
    let mut found = Vec::new();
    db.each("SELECT id, bucket, log, bounds FROM log ORDER BY bucket, log", [], |row| {
        let log = LogKey { bucket: BucketId::from_bytes(fixed(row, 1)?), log: LogId::from_bytes(fixed(row, 2)?) };
        let checked = LogBounds::from_bytes(bytes(row, 3)?).map_err(Failed::from);
        match checked.and_then(|bounds| LogRow { id: row.get(0)?, bounds }.check_tip(db, log)) {
            Ok(()) => {}
            Err(failed) if failed.kind() == syncline::store::StoreErrorKind::Corrupt => found.push(log),
            Err(failed) => return Err(failed),
        }
        Ok(Next::More)
    })?;
    Ok(found)
}
