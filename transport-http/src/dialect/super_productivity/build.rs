//! States built on the server: `GET /api/sync/snapshot`, restore points, and the state at a seq.
//!
//! What must hold: a state at a seq depends on the operations up to it and on nothing else, kept states least of all;
//! ciphertext is refused by name, never spread out as if it were an object.

use std::io::{Read as _, Write as _};

use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline::VectorClock;
use syncline::limits::{FULL_STATE_BYTES_MAX, PAGE_OPS_MAX};
use syncline::oplog::{LogBounds, Payload, Snapshot};
use syncline::seq::{Anchor, Seq};

use super::SuperProductivity;
use super::accounts::Account;
use super::answer::{Refused, json_of};
use super::log::Log;
use super::op::{OpType, WireOp};
use super::query;
use super::replay::{STATE_BYTES_MAX, State, Stop};
use crate::server::env;

/// Operations one request replays at most.
const OPS_MAX: u64 = 100_000;
/// Operations that make it worth keeping what was built.
const WORTH_KEEPING_OPS: u64 = 100;
/// The schema version of states built here.
const SCHEMA_VERSION: u32 = 1;

/// A kept state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    state: Value,
    pub(super) generated_at: u64,
    schema_version: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Built {
    state: Value,
    server_seq: Seq,
    generated_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<u32>,
}

/// `GET /api/sync/snapshot`.
pub(super) async fn newest(Shared(sp): Shared<SuperProductivity>, account: Account) -> Response {
    let log = Log::new(&sp, &account);
    let answered = async {
        let Some(bounds) = log.bounds().await? else {
            return Ok((Value::Object(serde_json::Map::new()), Seq::ZERO));
        };
        let state = at(&log, &bounds, bounds.last).await?;
        Ok::<_, Refused>((state, bounds.last))
    };
    answer(answered.await, Some(SCHEMA_VERSION))
}

/// `GET /api/sync/restore/{seq}`.
pub(super) async fn restore(
    Shared(sp): Shared<SuperProductivity>,
    account: Account,
    Path(target): Path<String>,
) -> Response {
    let log = Log::new(&sp, &account);
    let answered = async {
        let bad = |error: &str| Refused::error(StatusCode::BAD_REQUEST, error);
        let target = query::leading_number(&target)
            .filter(|seq| *seq >= 1)
            .ok_or_else(|| bad("Invalid serverSeq parameter (must be a positive integer)"))?;
        let bounds = log.bounds().await?;
        let latest = bounds.as_ref().map_or(Seq::ZERO, |bounds| bounds.last);
        let exceeds = || bad(&format!("Target sequence {target} exceeds latest sequence {latest}"));
        let (Some(seq), Some(bounds)) = (Seq::new(target).filter(|seq| *seq <= latest), &bounds) else {
            return Err(exceeds());
        };
        Ok((at(&log, bounds, seq).await?, seq))
    };
    answer(answered.await, None)
}

fn answer(built: Result<(Value, Seq), Refused>, schema_version: Option<u32>) -> Response {
    match built {
        Ok((state, server_seq)) => json_of(&Built { state, server_seq, generated_at: env::now().ms(), schema_version }),
        Err(refused) => refused.into_response(),
    }
}

/// `GET /api/sync/restore-points`.
pub(super) async fn points(
    Shared(sp): Shared<SuperProductivity>,
    account: Account,
    RawQuery(query): RawQuery,
) -> Response {
    let log = Log::new(&sp, &account);
    listed(&log, &query.unwrap_or_default()).await.unwrap_or_else(|refused| refused.into_response())
}

async fn listed(log: &Log<'_>, query: &str) -> Result<Response, Refused> {
    let limit = match query::fields(query).get("limit") {
        None => 30,
        Some(text) => query::leading_number(text)
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| (1..=100).contains(limit))
            .ok_or_else(|| Refused::error(StatusCode::BAD_REQUEST, "Invalid limit parameter (must be 1-100)"))?,
    };
    let mut listed = Vec::new();
    if let Some(bounds) = log.bounds().await? {
        for point in log.restore_points(&bounds).await?.into_iter().take(limit) {
            let (kind, description) = OpType::described(point.hlc.counter);
            listed.push(json!({
                "serverSeq": point.seq,
                "timestamp": point.hlc.ms,
                "type": kind,
                "clientId": log.client_of(point.replica).await?,
                "description": description,
            }));
        }
    }
    Ok(json_of(&json!({ "restorePoints": listed })))
}

/// The state at a seq that the log has.
async fn at(log: &Log<'_>, bounds: &LogBounds, target: Seq) -> Result<Value, Refused> {
    // Whoever comes second finds what the first one kept.
    let _building = log.memory().building(log.key).await;
    let (mut state, from) = base(log, bounds, target).await?;
    if target.get() - from.get() > OPS_MAX {
        return Err(failed("Too many operations to replay"));
    }
    let mut cursor = from;
    let mut anchor = None;
    while cursor < target {
        let wanted = usize::try_from(target.get() - cursor.get()).unwrap_or(usize::MAX);
        let page = log.page(cursor, wanted.min(PAGE_OPS_MAX)).await?;
        if page.ops.is_empty() {
            return Err(failed("Operations are missing"));
        }
        for op in page.ops.iter().take_while(|op| op.seq <= target) {
            let wire = op.op.read().ok().as_ref().and_then(WireOp::of);
            let wire = wire.ok_or_else(|| failed("A stored operation does not read"))?;
            state.apply(&wire).map_err(|stop| refuse(stop, op.seq))?;
            cursor = op.seq;
        }
        anchor = page.next.anchor.filter(|_| page.next.seq == target);
    }
    let state = state.into_value();
    if let Some(anchor) = anchor.filter(|_| target == bounds.last && target.get() - from.get() >= WORTH_KEEPING_OPS) {
        keep(log, target, anchor, &state).await;
    }
    Ok(state)
}

fn failed(error: &str) -> Refused {
    Refused::error(StatusCode::INTERNAL_SERVER_ERROR, error)
}

fn refuse(stop: Stop, seq: Seq) -> Refused {
    match stop {
        Stop::Encrypted => {
            let error = format!("ENCRYPTED_OPS_NOT_SUPPORTED: operation {seq} is end-to-end encrypted");
            let body = json!({ "error": error, "errorCode": "ENCRYPTED_OPS_NOT_SUPPORTED" });
            Refused::new(StatusCode::BAD_REQUEST, body)
        }
        Stop::TooLarge => failed("State too large"),
    }
}

/// The newest place at or before `target` that replay may begin at, and the state there.
async fn base(log: &Log<'_>, bounds: &LogBounds, target: Seq) -> Result<(State, Seq), Refused> {
    let points = log.restore_points(bounds).await?;
    let full = points.iter().map(|point| point.seq).find(|seq| *seq <= target);
    if bounds.snapshot > Seq::ZERO
        && let Some(kept) = log.server().kept_snapshot(log.key, target).await?
        && full.is_none_or(|full| full < kept.seq)
        && let Some(read) = unpack(&kept.payload)
        && read.schema_version == SCHEMA_VERSION
    {
        return Ok((State::from_value(read.state), kept.seq));
    }
    let from = full.map_or(Seq::ZERO, Seq::before);
    if from < bounds.first.before() {
        let error = format!("Target sequence {target} is older than the oldest operation that is kept");
        return Err(Refused::error(StatusCode::BAD_REQUEST, &error));
    }
    Ok((State::new(), from))
}

/// A kept state as it was stored.
pub(super) fn unpack(payload: &Payload) -> Option<Kept> {
    let mut text = Vec::new();
    let most = u64::try_from(STATE_BYTES_MAX).unwrap_or(u64::MAX).saturating_mul(2);
    GzDecoder::new(&payload.bytes()[..]).take(most).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

async fn keep(log: &Log<'_>, seq: Seq, anchor: Anchor, state: &Value) {
    let kept = Kept { state: state.clone(), generated_at: env::now().ms(), schema_version: SCHEMA_VERSION };
    let packed = tokio::task::spawn_blocking(move || {
        let text = serde_json::to_vec(&kept).ok()?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&text).ok()?;
        encoder.finish().ok()
    });
    let Ok(Some(packed)) = packed.await else { return };
    if packed.len() > FULL_STATE_BYTES_MAX {
        return;
    }
    // Sealed: its form is the dialect's own, the engine does not look into it.
    let payload = Payload::Sealed(Bytes::from(packed));
    log.keep(Snapshot { seq, anchor, clock: VectorClock::new(), schema_version: SCHEMA_VERSION, payload }).await;
}
