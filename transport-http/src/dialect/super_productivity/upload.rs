//! `POST /api/sync/ops`: a batch of operations, one result each, and what others wrote meanwhile.
//!
//! What must hold: one operation never fails another; a retry is answered as what it is, whether it names its request
//! or not; an unknown code is data lost on a device, so whatever nobody foresaw is `INTERNAL_ERROR`, which devices
//! repeat.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use syncline::call::{ErrorCode, Refusal};
use syncline::digest::Digest;
use syncline::id::RequestId;
use syncline::limits;
use syncline::oplog::{LogBounds, Op};
use syncline::seq::Seq;

use super::SuperProductivity;
use super::accounts::Account;
use super::answer::{Refused, json_text};
use super::log::Log;
use super::op::WireOp;
use super::validate::{self, Fields, Rejection};
use super::verdict::{self, Outcome};
use super::{body, commuting, devices, download, names, quota};
use crate::server::env;

/// Operations in one upload.
const OPS_MAX: usize = 100;
/// What others wrote, at most.
const PIGGYBACK_MAX: usize = 500;

/// The frame of an upload.
#[derive(Debug)]
struct Asked<'a> {
    ops: Vec<&'a RawValue>,
    client: String,
    known: Option<f64>,
    request: Option<String>,
}

impl<'a> Asked<'a> {
    fn of(text: &'a [u8], headers: &HeaderMap) -> Result<Self, Refused> {
        let whole: &RawValue = serde_json::from_slice(text).map_err(|_| body::malformed(headers))?;
        let fields: Fields<'a> =
            serde_json::from_str(whole.get()).map_err(|_| Refused::invalid("", "Expected an object"))?;
        let ops = fields.get("ops").and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
        let ops = ops.ok_or_else(|| Refused::invalid("ops", "Expected an array"))?;
        if ops.is_empty() {
            return Err(Refused::invalid("ops", "Expected at least 1 operation"));
        }
        if ops.len() > OPS_MAX {
            let error = format!("Too many operations (max {OPS_MAX})");
            let body = json!({ "error": error, "errorCode": "PAYLOAD_TOO_LARGE", "maxOpsPerBatch": OPS_MAX });
            return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, body));
        }
        let known: Option<serde_json::Number> = validate::read(&fields, "lastKnownServerSeq")
            .map_err(|()| Refused::invalid("lastKnownServerSeq", "Expected a number"))?;
        let request: Option<String> =
            validate::read(&fields, "requestId").map_err(|()| Refused::invalid("requestId", "Expected a string"))?;
        if request.as_deref().is_some_and(|id| id.is_empty() || id.encode_utf16().count() > 64) {
            return Err(Refused::invalid("requestId", "Expected 1 to 64 characters"));
        }
        let known = known.map(|known| known.as_f64().unwrap_or(0.0));
        Ok(Self { ops, client: client(&fields)?, known, request })
    }
}

/// The uploading device.
pub(super) fn client(fields: &Fields) -> Result<String, Refused> {
    let client: Option<String> = validate::read(fields, "clientId").ok().flatten();
    client
        .filter(|client| validate::is_client_id(client))
        .ok_or_else(|| Refused::invalid("clientId", "Expected 1 to 255 of letters, digits, _ and -"))
}

/// One operation on its way.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) state: Result<Box<(WireOp, Op)>, Rejection>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OpResult<'a> {
    op_id: &'a str,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

/// `POST /api/sync/ops`.
pub(super) async fn post(State(sp): State<SuperProductivity>, account: Account, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    let answered = answer(&sp, &account, &parts.headers, &mut body).await;
    answered.unwrap_or_else(|refused| refused.into_response())
}

async fn answer(
    sp: &SuperProductivity,
    account: &Account,
    headers: &HeaderMap,
    body: &mut axum::body::Body,
) -> Result<Response, Refused> {
    let text = body::read(headers, body, body::Limits::OPS).await?;
    let asked = Asked::of(&text, headers)?;
    sp.admit_upload(account)?;
    let log = Log::new(sp, account);
    let now = env::now();
    let items: Vec<Item> = asked.ops.iter().map(|raw| item(raw, &asked.client, now)).collect();
    let runs = runs(&items);
    let requests = requests(&asked, &items, &runs);
    // A retry whose answer is remembered needs no room.
    let remembered = match requests.first().copied().flatten() {
        Some(request) => log.is_remembered(request).await?,
        None => false,
    };
    let before = if remembered { None } else { quota::gate(&log, account, text.len()).await? };
    let (outcomes, replayed) = push(sp, &log, &items, &runs, &requests).await;
    devices::touch(&log, &asked.client, now).await;
    let mut out = b"{\"results\":".to_vec();
    let results: Vec<OpResult> =
        items.iter().zip(&outcomes).map(|(item, outcome)| OpResult { op_id: &item.id, outcome }).collect();
    out.extend(serde_json::to_vec(&results).unwrap_or_default());
    let mut rest = serde_json::Map::new();
    let bounds = bounds_after(&log, before, &items, &outcomes).await?;
    if let Some(latest) = only_own(&asked, &bounds, &outcomes) {
        rest.insert("latestSeq".into(), json!(latest));
    } else {
        piggyback(&log, &asked, bounds.now.as_ref(), &mut out, &mut rest).await?;
    }
    if replayed {
        rest.insert("deduplicated".into(), json!(true));
    }
    download::append(&mut out, rest);
    Ok(json_text(StatusCode::OK, out.into()))
}

fn item(raw: &RawValue, client: &str, now: syncline::Timestamp) -> Item {
    let Ok(fields) = serde_json::from_str::<Fields>(raw.get()) else {
        return Item { id: String::new(), state: Err(Rejection::new("INVALID_OP_ID", "Operation is not an object")) };
    };
    let sealed = validate::operation(&fields, client, now)
        .and_then(|op| op.seal(false).map(|sealed| Box::new((op, sealed))).map_err(Rejection::from));
    Item { id: validate::id_of(&fields), state: sealed }
}

/// Operations that go to the engine in one push: a full state goes alone, and no push is larger than one may be.
fn runs(items: &[Item]) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    let (mut bytes, mut closed) = (0, true);
    for (index, item) in items.iter().enumerate() {
        let Ok(op) = &item.state else { continue };
        let (alone, size) = (op.1.full_state().is_some(), op.1.bytes().len());
        match runs.last_mut().filter(|_| !closed && !alone && bytes + size <= limits::BATCH_BYTES_MAX) {
            Some(run) => {
                run.push(index);
                bytes += size;
            }
            None => {
                runs.push(vec![index]);
                bytes = size;
            }
        }
        closed = alone;
    }
    runs
}

/// The names of the pushes, when the upload has one. Bound to what is pushed: the same name with other operations is
/// another request.
fn requests(asked: &Asked, items: &[Item], runs: &[Vec<usize>]) -> Vec<Option<RequestId>> {
    let digests = |run: &Vec<usize>| -> Vec<Digest> {
        run.iter().filter_map(|index| items[*index].state.as_ref().ok()).map(|op| op.1.digest()).collect()
    };
    let named = |(number, run)| asked.request.as_ref().map(|id| names::request(id, number, &digests(run)));
    runs.iter().enumerate().map(named).collect()
}

async fn push(
    sp: &SuperProductivity,
    log: &Log<'_>,
    items: &[Item],
    runs: &[Vec<usize>],
    requests: &[Option<RequestId>],
) -> (Vec<Outcome>, bool) {
    let rejected = |item: &Item| match &item.state {
        Ok(_) => Outcome::internal("Transaction rolled back: please retry"),
        Err(rejection) => Outcome::rejected(rejection.clone()),
    };
    let mut outcomes: Vec<Outcome> = items.iter().map(rejected).collect();
    let mut replayed = !runs.is_empty();
    for (run, request) in runs.iter().zip(requests) {
        let ops: Vec<&(WireOp, Op)> = run.iter().filter_map(|at| items[*at].state.as_deref_ok()).collect();
        match push_run(sp, log, &ops, *request).await {
            Ok((judged, again)) => {
                replayed &= again;
                run.iter().zip(judged).for_each(|(index, outcome)| outcomes[*index] = outcome);
            }
            Err(refusal) => {
                replayed = false;
                tracing::warn!(%refusal, "an upload is not stored");
                run.iter().for_each(|index| outcomes[*index] = Outcome::of_refusal(&refusal));
            }
        }
    }
    (outcomes, replayed)
}

/// A reference to what was sealed, without the rejection.
trait DerefOk {
    fn as_deref_ok(&self) -> Option<&(WireOp, Op)>;
}

impl DerefOk for Result<Box<(WireOp, Op)>, Rejection> {
    fn as_deref_ok(&self) -> Option<&(WireOp, Op)> {
        self.as_ref().ok().map(AsRef::as_ref)
    }
}

async fn push_run(
    sp: &SuperProductivity,
    log: &Log<'_>,
    ops: &[&(WireOp, Op)],
    request: Option<RequestId>,
) -> Result<(Vec<Outcome>, bool), Refusal> {
    log.keep_names(ops.iter().flat_map(|(wire, _)| wire.long_names()).collect()).await?;
    let sealed = || ops.iter().map(|(_, op)| op.clone()).collect();
    let pushed = match log.push(sealed(), request).await {
        Err(refusal) if refusal.code == ErrorCode::RequestIdReused => log.push(sealed(), None).await?,
        other => other?,
    };
    let mut outcomes = Vec::with_capacity(ops.len());
    let mut last = None;
    for ((wire, op), judged) in ops.iter().zip(pushed.verdicts) {
        let judged = commuting::judged(log, wire, judged).await?;
        last = last.max(judged.seq());
        outcomes.push(verdict::outcome(log, &sp.settings().stale_code, wire, op, &judged).await?);
    }
    if let Some((wire, last)) = ops.first().zip(last) {
        sp.notify().written(log.key, last, names::replica(&wire.0.client_id)).await;
    }
    Ok((outcomes, pushed.replayed))
}

/// The log as an upload left it.
#[derive(Debug)]
struct After {
    /// Its end before the upload, when that was read.
    before: Option<Seq>,
    now: Option<LogBounds>,
}

/// The bounds after the upload: those before it with its own ops added, as long as these say enough.
async fn bounds_after(
    log: &Log<'_>,
    before: Option<LogBounds>,
    items: &[Item],
    outcomes: &[Outcome],
) -> Result<After, Refusal> {
    let full_state = items.iter().any(|item| item.state.as_deref_ok().is_some_and(|(_, op)| op.full_state().is_some()));
    let (Some(mut bounds), false) = (before, full_state) else {
        return Ok(After { before: None, now: log.bounds().await? });
    };
    let before = Some(bounds.last);
    let own = outcomes.iter().filter_map(|outcome| outcome.server_seq).max();
    bounds.last = own.map_or(bounds.last, |own| own.max(bounds.last));
    Ok(After { before, now: Some(bounds) })
}

/// Where the log ends, when the device had everything before its upload and nobody wrote in between: then there is
/// nothing to read back.
fn only_own(asked: &Asked<'_>, after: &After, outcomes: &[Outcome]) -> Option<Seq> {
    let (before, now) = (after.before?, after.now.as_ref()?.last);
    let known = asked.known.map(|known| super::query::whole(known.max(0.0).floor()));
    if known.is_some_and(|known| known != before.get()) {
        return None;
    }
    let own = outcomes.iter().filter(|outcome| outcome.server_seq.is_some_and(|seq| seq > before)).count();
    (u64::try_from(own).ok()? == now.get() - before.get()).then_some(now)
}

/// What others wrote since the cursor the device named, and where the log ends.
async fn piggyback(
    log: &Log<'_>,
    asked: &Asked<'_>,
    bounds: Option<&LogBounds>,
    out: &mut Vec<u8>,
    rest: &mut serde_json::Map<String, serde_json::Value>,
) -> Result<(), Refused> {
    let mut latest = bounds.map_or(Seq::ZERO, |bounds| bounds.last);
    if let (Some(known), Some(bounds)) = (asked.known, bounds) {
        let since = if known <= 0.0 { 0 } else { super::query::whole(known.floor()) };
        let since = download::start(bounds, Seq::new(since).unwrap_or(Seq::MAX));
        let own = Some(names::replica(&asked.client));
        let reading = download::read(log, bounds, since, PIGGYBACK_MAX, own).await?;
        latest = reading.latest;
        if !reading.ops.is_empty() {
            out.extend_from_slice(b",\"newOps\":");
            download::write_ops(out, &reading.ops);
        }
        let cut = reading.ops.last().is_some_and(|last| last.seq < latest);
        if reading.ops.len() == PIGGYBACK_MAX && cut {
            rest.insert("hasMorePiggyback".into(), json!(true));
        }
    }
    rest.insert("latestSeq".into(), json!(latest));
    Ok(())
}
