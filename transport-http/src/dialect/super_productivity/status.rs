//! `GET /api/sync/status`, `DELETE /api/sync/data` and `GET /health`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;
use syncline::oplog::LogBounds;
use syncline::seq::Seq;

use super::SuperProductivity;
use super::accounts::Account;
use super::answer::{Refused, json_of};
use super::log::Log;
use super::{build, devices, quota};
use crate::server::env;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    latest_seq: Seq,
    devices_online: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_age: Option<u64>,
    storage_used_bytes: u64,
    storage_quota_bytes: u64,
}

/// `GET /api/sync/status`.
pub(super) async fn get(State(sp): State<SuperProductivity>, account: Account) -> Response {
    let log = Log::new(&sp, &account);
    answer(&log, &account).await.unwrap_or_else(|refused| refused.into_response())
}

async fn answer(log: &Log<'_>, account: &Account) -> Result<Response, Refused> {
    let (bounds, now) = (log.bounds().await?, env::now());
    let devices = match bounds {
        Some(_) => devices::seen(log, now).await?,
        None => Vec::new(),
    };
    let made = match &bounds {
        Some(bounds) => newest_state(log, bounds).await?,
        None => None,
    };
    Ok(json_of(&Status {
        latest_seq: bounds.as_ref().map_or(Seq::ZERO, |bounds| bounds.last),
        devices_online: devices::online(&devices, now),
        snapshot_age: made.map(|made| now.ms().saturating_sub(made)),
        storage_used_bytes: quota::usage(log, bounds.as_ref()).await?,
        storage_quota_bytes: account.quota_bytes,
    }))
}

/// When the newest whole state was made: by a device, or by building it here.
async fn newest_state(log: &Log<'_>, bounds: &LogBounds) -> Result<Option<u64>, Refused> {
    let full = bounds.full_state.as_ref().map_or(Seq::ZERO, |mark| mark.seq);
    if bounds.snapshot > full {
        let kept = log.server().kept_snapshot(log.key, Seq::MAX).await?;
        return Ok(kept.and_then(|kept| build::unpack(&kept.payload)).map(|kept| kept.generated_at));
    }
    let points = log.restore_points(bounds).await?;
    Ok(points.first().map(|point| point.accepted_at.ms()))
}

/// `DELETE /api/sync/data`.
pub(super) async fn delete(State(sp): State<SuperProductivity>, account: Account) -> Response {
    match Log::new(&sp, &account).delete().await {
        Ok(()) => {
            sp.limits().forget_uploads(account.id);
            json_of(&json!({ "success": true }))
        }
        Err(refusal) => Refused::from(refusal).into_response(),
    }
}

/// `GET /health`.
pub(super) async fn health(State(sp): State<SuperProductivity>) -> Response {
    match sp.server().ready().await {
        Ok(()) => json_of(&json!({ "status": "ok", "db": "connected" })),
        Err(_) => {
            let body = json!({ "status": "error", "db": "disconnected", "message": "Database connection failed" });
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}
