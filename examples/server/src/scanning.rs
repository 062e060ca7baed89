//! Showing blobs to a scanner: a round over the logs of the operator's bucket every few seconds.
//!
//! What must hold: a scanner that is away is asked again, forever, and said to be away once; nothing it misses is lost, for
//! what waits is in the store.

use std::time::Duration;

use syncline::access::Caller;
use syncline::call::{Call, ErrorCode, Refusal, Reply};
use syncline::id::{BucketId, LogKey};
use syncline::limits;
use syncline::server::Server;
use syncline::store::Scanner;

use crate::operate::env;

/// How long a blob waits at most before it is first shown, when nothing else is to do.
const PAUSE: Duration = Duration::from_secs(5);
/// Blobs of one step.
const STEP: usize = 100;

/// Shows blobs to the scanner for as long as the server runs.
pub(crate) async fn scan(server: &Server, scanner: &dyn Scanner, bucket: BucketId) {
    let mut away = false;
    loop {
        match round(server, scanner, bucket).await {
            Ok(()) => {
                if std::mem::take(&mut away) {
                    tracing::info!("the scanner is back");
                }
            }
            Err(refusal) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%refusal, "blobs are not scanned now; they wait");
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn round(server: &Server, scanner: &dyn Scanner, bucket: BucketId) -> Result<(), Refusal> {
    let operator = Caller::operator(bucket);
    let mut after = None;
    loop {
        let call = Call::Logs { after, limit: limits::LIST_ITEMS_MAX };
        let Reply::Logs(logs) = server.handle(&operator, call, env()?).await? else { return Ok(()) };
        for log in &logs {
            match scan_log(server, scanner, LogKey { bucket, log: log.log }).await {
                // It was deleted meanwhile.
                Err(refusal) if refusal.code == ErrorCode::LogNotFound => {}
                scanned => scanned?,
            }
        }
        after = logs.last().map(|log| log.log);
        if logs.len() < limits::LIST_ITEMS_MAX {
            return Ok(());
        }
    }
}

async fn scan_log(server: &Server, scanner: &dyn Scanner, log: LogKey) -> Result<(), Refusal> {
    let mut from = None;
    loop {
        let (done, next) = server.scan_blobs(log, scanner, from, STEP, env()?).await?;
        if let Some(fault) = &done.fault {
            tracing::warn!(log = %log.log, failed = done.failed, fault, "blobs could not be scanned; they wait");
        }
        if done.judged > 0 {
            tracing::info!(log = %log.log, judged = done.judged, "blobs were scanned");
        }
        from = next;
        if !done.more {
            return Ok(());
        }
    }
}
