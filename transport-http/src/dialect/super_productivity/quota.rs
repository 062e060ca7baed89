//! The quota gate: what an account stores, and what is given up when an upload would not fit.
//!
//! Usage is a sum that the log keeps; nothing is counted. When there is no room, the oldest full states go with
//! everything before them, as long as one stays: a device that was behind starts from that one.

use axum::http::StatusCode;
use serde_json::json;
use syncline::call::{ErrorCode, Refusal};
use syncline::oplog::LogBounds;
use syncline::seq::Seq;

use super::accounts::Account;
use super::answer::Refused;
use super::log::Log;

/// Times that others may prune at the same moment before this gives up.
const RACES_MAX: usize = 8;

/// Bytes an account stores.
pub(super) async fn usage(log: &Log<'_>, bounds: Option<&LogBounds>) -> Result<u64, Refusal> {
    let Some(bounds) = bounds else { return Ok(0) };
    Ok(bounds.bytes + kept_bytes(log, bounds.snapshot).await?)
}

async fn kept_bytes(log: &Log<'_>, at: Seq) -> Result<u64, Refusal> {
    if at == Seq::ZERO {
        return Ok(0);
    }
    if let Some((_, bytes)) = log.memory().kept_bytes.get(&log.key).filter(|(seq, _)| *seq == at) {
        return Ok(bytes);
    }
    let kept = log.server().kept_snapshot(log.key, Seq::MAX).await?;
    let bytes = kept.as_ref().map_or(0, |kept| kept.payload.bytes().len() as u64);
    log.memory().kept_bytes.put(log.key, (at, bytes));
    Ok(bytes)
}

/// What had to go.
#[derive(Debug, Default)]
struct Cleanup {
    bytes: u64,
    points: u64,
    ops: u64,
}

/// Makes sure that `size` more bytes fit, or refuses. The log's bounds as they are then.
pub(super) async fn gate(log: &Log<'_>, account: &Account, size: usize) -> Result<Option<LogBounds>, Refused> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    let mut cleanup = Cleanup::default();
    let mut races = 0;
    loop {
        let bounds = log.bounds().await?;
        let used = usage(log, bounds.as_ref()).await?;
        if used.saturating_add(size) <= account.quota_bytes {
            return Ok(bounds);
        }
        let points = match &bounds {
            Some(bounds) => log.restore_points(bounds).await?,
            None => Vec::new(),
        };
        let (Some(oldest), true) = (points.last(), points.len() >= 2) else {
            return Err(full(used, account.quota_bytes, &cleanup));
        };
        match log.server().prune(log.key, oldest.seq.next().unwrap_or(Seq::MAX)).await {
            Ok(pruned) => {
                cleanup.bytes += pruned.bytes;
                cleanup.ops += pruned.ops;
                cleanup.points += 1;
            }
            Err(refusal) if refusal.code == ErrorCode::LogMoved && races < RACES_MAX => races += 1,
            Err(refusal) => return Err(refusal.into()),
        }
    }
}

/// Admits an upload of `size` bytes that replaces everything the account stores.
pub(super) fn gate_of_empty(account: &Account, size: usize) -> Result<(), Refused> {
    if u64::try_from(size).is_ok_and(|size| size <= account.quota_bytes) {
        return Ok(());
    }
    Err(full(0, account.quota_bytes, &Cleanup::default()))
}

fn full(used: u64, quota: u64, cleanup: &Cleanup) -> Refused {
    let body = json!({
        "error": "Storage quota exceeded",
        "errorCode": "STORAGE_QUOTA_EXCEEDED",
        "storageUsedBytes": used,
        "storageQuotaBytes": quota,
        "autoCleanupAttempted": true,
        "cleanupStats": {
            "freedBytes": cleanup.bytes,
            "deletedRestorePoints": cleanup.points,
            "deletedOps": cleanup.ops,
        },
    });
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, body)
}
