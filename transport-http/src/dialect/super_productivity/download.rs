//! `GET /api/sync/ops`: what is new since a seq, starting at the newest full state when the reader is behind it.
//!
//! What must hold: the work does not grow with history. What the full state hides is known by one clock that the log
//! keeps, never by reading what is hidden.

use std::collections::BTreeMap;
use std::io::Write as _;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::json;
use syncline::call::{ErrorCode, Refusal};
use syncline::id::ReplicaId;
use syncline::limits;
use syncline::oplog::LogBounds;
use syncline::seq::Seq;
use syncline::time::Timestamp;

use super::SuperProductivity;
use super::accounts::Account;
use super::answer::{Refused, json_text};
use super::log::{Log, is_numeric_gap};
use super::{devices, names, op, query, validate};
use crate::server::env;

/// Pages read for one answer at most, when much of the log is the reader's own.
const PAGES_MAX: usize = 24;
const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1_000;

/// An operation as it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) seq: Seq,
    accepted_at: Timestamp,
    /// Its JSON.
    text: Bytes,
}

/// Ops of a log that somebody else wrote.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) ops: Vec<Kept>,
    /// The end of the log, read together with the last of the ops; when reading was cut off, how far it came.
    pub(super) latest: Seq,
    /// Whether there is more after the last of them.
    pub(super) more: bool,
}

/// Reads up to `limit` ops after a seq that `exclude` did not write.
pub(super) async fn read(
    log: &Log<'_>,
    bounds: &LogBounds,
    after: Seq,
    limit: usize,
    exclude: Option<ReplicaId>,
) -> Result<Reading, Refusal> {
    let mut reading = Reading { ops: Vec::new(), latest: bounds.last, more: false };
    let mut at = after.max(bounds.first.before());
    if at >= bounds.last {
        return Ok(reading);
    }
    for _ in 0..PAGES_MAX {
        let wanted = if exclude.is_some() { limits::PAGE_OPS_MAX } else { limit };
        let page = match log.page(at, wanted).await {
            Ok(page) => page,
            // Pruned or deleted since the bounds were read: the next cycle sees it.
            Err(refusal) if is_numeric_gap(refusal.code) => return Ok(reading),
            Err(refusal) => return Err(refusal),
        };
        reading.latest = page.end;
        for logged in page.ops {
            at = logged.seq;
            let text = op::text(&logged.op).ok_or_else(|| damaged(at))?;
            if exclude.is_some_and(|own| op::author(&text).is_some_and(|author| author == own)) {
                continue;
            }
            if reading.ops.len() == limit {
                reading.more = true;
                return Ok(reading);
            }
            reading.ops.push(Kept { seq: at, accepted_at: logged.accepted_at, text });
        }
        reading.more = page.more;
        // A page that ended early because its ops are large is an answer; only own ops are read past.
        if !page.more || exclude.is_none() || reading.ops.len() == limit {
            return Ok(reading);
        }
    }
    reading.latest = at;
    // A page that holds nothing and promises more is taken for a broken server. What was read past is the reader's own:
    // it is told that the log ends here, and asks on from here.
    reading.more &= !reading.ops.is_empty();
    Ok(reading)
}

/// Where reading starts for a device at `since`: at the newest full state when it is behind that.
pub(super) fn start(bounds: &LogBounds, since: Seq) -> Seq {
    match &bounds.full_state {
        Some(mark) if since < mark.seq => mark.seq.before(),
        _ => since,
    }
}

/// Writes the ops as `[{"serverSeq":…,"op":…,"receivedAt":…}]`.
pub(super) fn write_ops(out: &mut Vec<u8>, ops: &[Kept]) {
    out.reserve(ops.iter().map(|op| op.text.len() + 80).sum::<usize>());
    out.push(b'[');
    for (index, op) in ops.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to memory cannot fail.
        let _ = write!(out, "{comma}{{\"serverSeq\":{},\"op\":", op.seq);
        out.extend_from_slice(&op.text);
        let _ = write!(out, ",\"receivedAt\":{}}}", op.accepted_at.ms());
    }
    out.push(b']');
}

fn damaged(seq: Seq) -> Refusal {
    Refusal::new(ErrorCode::LogDamaged, format!("op {seq} is not one of this dialect"))
}

/// What a download asks for.
#[derive(Debug, PartialEq)]
struct Asked {
    since: u64,
    limit: usize,
    exclude: Option<String>,
}

impl Asked {
    fn of(query: &str) -> Result<Self, Refused> {
        let fields = query::fields(query);
        let since = fields.get("sinceSeq").and_then(|text| query::number(text)).filter(|since| *since >= 0.0);
        let since = since.ok_or_else(|| Refused::invalid("sinceSeq", "Expected a non-negative integer"))?;
        let limit = match fields.get("limit") {
            None => LIMIT_DEFAULT,
            Some(text) => (1..=LIMIT_MAX)
                .find(|limit| query::number(text) == u32::try_from(*limit).ok().map(f64::from))
                .ok_or_else(|| Refused::invalid("limit", "Expected an integer from 1 to 1000"))?,
        };
        let exclude = fields.get("excludeClient").cloned();
        if exclude.as_deref().is_some_and(|client| !validate::is_client_id(client)) {
            return Err(Refused::invalid("excludeClient", "Invalid client ID"));
        }
        Ok(Self { since: query::whole(since), limit, exclude })
    }
}

/// `GET /api/sync/ops`.
pub(super) async fn get(State(sp): State<SuperProductivity>, account: Account, RawQuery(query): RawQuery) -> Response {
    let answered = match Asked::of(&query.unwrap_or_default()) {
        Ok(asked) => answer(&Log::new(&sp, &account), &asked).await,
        Err(refused) => Err(refused),
    };
    answered.unwrap_or_else(|refused| refused.into_response())
}

async fn answer(log: &Log<'_>, asked: &Asked) -> Result<Response, Refused> {
    let bounds = log.bounds().await?;
    let since = Seq::new(asked.since).unwrap_or(Seq::MAX);
    // Newer clients name themselves; to them a device that only reads is there too.
    if let (Some(client), Some(_)) = (&asked.exclude, &bounds) {
        devices::touch(log, client, env::now()).await;
    }
    let exclude = asked.exclude.as_deref().map(names::replica);
    let reading = match &bounds {
        Some(bounds) => read(log, bounds, start(bounds, since), asked.limit, exclude).await?,
        None => Reading { ops: Vec::new(), latest: Seq::ZERO, more: false },
    };
    let mark = bounds.as_ref().and_then(|bounds| bounds.full_state.as_ref());
    let mut rest = serde_json::Map::new();
    rest.insert("hasMore".into(), json!(reading.more));
    rest.insert("latestSeq".into(), json!(reading.latest));
    if gap(since, bounds.as_ref(), reading.latest) {
        rest.insert("gapDetected".into(), json!(true));
    }
    if let Some(mark) = mark {
        rest.insert("latestSnapshotSeq".into(), json!(mark.seq));
        if since < mark.seq {
            let seen: BTreeMap<String, u64> = log.clock_of(&mark.seen).await?;
            rest.insert("snapshotVectorClock".into(), json!(seen));
        }
    }
    rest.insert("serverTime".into(), json!(env::now().ms()));
    rest.insert("capabilities".into(), json!({ "causalRepairSnapshots": true }));
    let mut out = b"{\"ops\":".to_vec();
    write_ops(&mut out, &reading.ops);
    append(&mut out, rest);
    Ok(json_text(StatusCode::OK, out.into()))
}

/// Closes a JSON object that was begun by hand with these further fields.
pub(super) fn append(out: &mut Vec<u8>, rest: serde_json::Map<String, serde_json::Value>) {
    let rest = serde_json::Value::Object(rest).to_string();
    out.push(b',');
    out.extend_from_slice(&rest.as_bytes()[1..]);
}

/// Whether what the reader has does not go on here. The fourth case of the original, a hole in the answer, is damage
/// that the engine refuses to serve.
fn gap(since: Seq, bounds: Option<&LogBounds>, latest: Seq) -> bool {
    if since == Seq::ZERO {
        return false;
    }
    let pruned = bounds.is_some_and(|bounds| bounds.first <= bounds.last && since < bounds.first.before());
    latest == Seq::ZERO || since > latest.max(bounds.map_or(Seq::ZERO, |bounds| bounds.last)) || pruned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Option<Asked> {
        Asked::of(query).ok()
    }

    #[test]
    fn since_is_a_whole_number_however_large_and_the_empty_text_is_zero() {
        let since = |query: &str| asked(query).map(|asked| asked.since);
        assert_eq!(since("sinceSeq=12&limit=500"), Some(12));
        assert_eq!(since("sinceSeq="), Some(0));
        assert_eq!(since("sinceSeq=4294967296"), Some(1 << 32));
        assert_eq!(since("sinceSeq=9007199254740993"), Some(1 << 53));
        assert!(since("sinceSeq=99999999999999999999999").is_some_and(|since| since > 1 << 62));
        for wrong in ["", "limit=1", "sinceSeq=-1", "sinceSeq=1.5", "sinceSeq=x", "sinceSeq=NaN", "sinceSeq=1e999"] {
            assert_eq!(since(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_1_to_1000() {
        let limit = |query: &str| asked(query).map(|asked| asked.limit);
        assert_eq!(limit("sinceSeq=0"), Some(500));
        assert_eq!(limit("sinceSeq=0&limit=1"), Some(1));
        assert_eq!(limit("sinceSeq=0&limit=1000"), Some(1_000));
        for wrong in ["0", "1001", "1.5", "", "-1", "many"] {
            assert_eq!(limit(&format!("sinceSeq=0&limit={wrong}")), None, "{wrong}");
        }
    }

    #[test]
    fn an_excluded_client_is_a_client_id() {
        assert_eq!(asked("sinceSeq=0&excludeClient=dev-A_1").unwrap().exclude.as_deref(), Some("dev-A_1"));
        assert!(asked("sinceSeq=0&excludeClient=a%20b").is_none());
        assert!(asked("sinceSeq=0&excludeClient=").is_none());
    }
}
