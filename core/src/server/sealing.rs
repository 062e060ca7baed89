//! A log's key epoch and what of a client's snapshot depends on it.

use super::{Server, refuse_store};
use crate::call::{ErrorCode, Refusal, Reply};
use crate::decide::{self, Offered, Reads, Rotated, Scope};
use crate::id::LogKey;
use crate::oplog::{RejectReason, Snapshot};
use crate::store::StoreExt;

impl Server {
    pub(super) async fn rotate_keys(&self, log: LogKey, from: u32) -> Result<Reply, Refusal> {
        let scope = Scope::log(log, Reads::default());
        let rotated = self.store.decide(scope, move |view| decide::rotate_keys(log, from, view)).await;
        match rotated.map_err(refuse_store)? {
            Rotated::Done(bounds) => Ok(Reply::Log { log: log.log, bounds, created: false }),
            Rotated::NoLog => Err(Refusal::new(ErrorCode::LogNotFound, "no such log")),
            Rotated::Forbidden => Err(refuse_payload(RejectReason::SealedForbidden)),
            Rotated::Moved { current } => {
                let detail = format!("the log is at key epoch {current}; it was to be raised from {from}");
                Err(Refusal::new(ErrorCode::KeyEpochMoved, detail))
            }
            Rotated::Damaged => Err(Refusal::new(ErrorCode::LogDamaged, "the log is damaged and takes no writes")),
        }
    }

    /// Keeps a client's snapshot, whose content was checked as far as it can be.
    pub(super) async fn take(&self, log: LogKey, snapshot: Snapshot) -> Result<Reply, Refusal> {
        let reads = Reads { anchors: vec![snapshot.seq], ..Reads::default() };
        let rule = move |view: &decide::View| decide::offer_snapshot(log, &snapshot, view);
        match self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)? {
            Offered::Taken => Ok(Reply::SnapshotKept),
            Offered::Gap(gap) => Err(Refusal::gap(gap, None)),
            Offered::Refused(reason) => Err(refuse_payload(reason)),
        }
    }
}

/// What is wrong with a payload, as a refusal of the whole call.
pub(super) fn refuse_payload(reason: RejectReason) -> Refusal {
    match reason {
        RejectReason::KeyEpochStale { current } | RejectReason::KeyEpochAhead { current } => {
            let detail = format!("the log is at key epoch {current}, and the payload is sealed under another");
            Refusal::new(ErrorCode::KeyEpochMoved, detail)
        }
        RejectReason::SealedRequired => Refusal::new(ErrorCode::SealingPolicy, "the log takes sealed payloads only"),
        _ => Refusal::new(ErrorCode::SealingPolicy, "the log takes no sealed payloads"),
    }
}
