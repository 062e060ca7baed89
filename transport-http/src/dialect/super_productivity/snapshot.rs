//! `POST /api/sync/snapshot`: a whole state as one operation.
//!
//! What must hold: of two devices that seed an account at the same moment one wins, and the other is told by whom; a
//! retry that names its operation is answered with the place it already has.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use serde_json::value::RawValue;
use syncline::call::Refusal;
use syncline::oplog::{ConflictReason, Op, RejectReason, Verdict};
use syncline::seq::Seq;

use super::SuperProductivity;
use super::accounts::Account;
use super::answer::{Refused, json_of};
use super::log::Log;
use super::op::{OpType, WireOp};
use super::validate::{self, Fields, Rejection, read};
use super::verdict::{self, Outcome};
use super::{body, devices, names, quota, upload};
use crate::server::env;

const ACTION: &str = "[SP_ALL] Load(import) all data";

/// What a snapshot upload asks for.
#[derive(Debug)]
struct Asked<'a> {
    fields: Fields<'a>,
    state: &'a RawValue,
    client: String,
    initial: bool,
    clean_slate: bool,
    op_id: Option<String>,
    op_type: OpType,
}

impl<'a> Asked<'a> {
    fn of(text: &'a [u8], headers: &HeaderMap) -> Result<Self, Refused> {
        let whole: &RawValue = serde_json::from_slice(text).map_err(|_| body::malformed(headers))?;
        let fields: Fields<'a> =
            serde_json::from_str(whole.get()).map_err(|_| Refused::invalid("", "Expected an object"))?;
        let state = fields.get("state").copied().ok_or_else(|| Refused::invalid("state", "Required"))?;
        let reason: Option<String> = read(&fields, "reason").ok().flatten();
        let reason = reason.filter(|reason| ["initial", "recovery", "migration"].contains(&reason.as_str()));
        let reason = reason.ok_or_else(|| Refused::invalid("reason", "Expected initial, recovery or migration"))?;
        let client = upload::client(&fields)?;
        let op_id: Option<String> =
            read(&fields, "opId").map_err(|()| Refused::invalid("opId", "Expected a string"))?;
        if op_id.as_deref().is_some_and(|id| !is_uuid(id)) {
            return Err(Refused::invalid("opId", "Expected a UUID"));
        }
        let wrong = |()| Refused::invalid("snapshotOpType", "Expected SYNC_IMPORT, BACKUP_IMPORT or REPAIR");
        let op_type = read::<OpType>(&fields, "snapshotOpType").map_err(wrong)?.unwrap_or(OpType::SyncImport);
        if !op_type.is_full_state() {
            return Err(wrong(()));
        }
        let clean_slate = read::<bool>(&fields, "isCleanSlate")
            .map_err(|()| Refused::invalid("isCleanSlate", "Expected a boolean"))?
            .unwrap_or(false);
        if clean_slate && op_id.is_none() {
            return Err(Refused::invalid("isCleanSlate", "Needs opId"));
        }
        for (field, boolean) in [("isPayloadEncrypted", true), ("schemaVersion", false)] {
            let fits = fields.get(field).is_none_or(|raw| {
                let first = raw.get().as_bytes().first().copied().unwrap_or_default();
                if boolean { matches!(first, b't' | b'f') } else { first == b'-' || first.is_ascii_digit() }
            });
            if !fits {
                return Err(Refused::invalid(field, "Wrong type"));
            }
        }
        if fields.get("vectorClock").is_none_or(|raw| !raw.get().starts_with('{')) {
            return Err(Refused::invalid("vectorClock", "Expected an object"));
        }
        // Whoever asks for a clean slate knows that something is there; a repair mends what is there, and wipes nothing.
        let initial = reason == "initial" && !clean_slate;
        let clean_slate = clean_slate && op_type != OpType::Repair;
        Ok(Self { state, client, initial, clean_slate, op_id, op_type, fields })
    }

    /// The operation that holds the state, checked like any other.
    fn operation(&self, id: String, now: syncline::Timestamp) -> Result<(WireOp, Op), Rejection> {
        let one = || serde_json::Number::from(1);
        let schema_version = match self.fields.get("schemaVersion") {
            None => one(),
            Some(_) => validate::schema_version(&self.fields)?,
        };
        let vector_clock = validate::clock(&self.fields)?;
        validate::check_payload(self.state, self.op_type)?;
        let (sync_import_reason, repair_base_server_seq) = validate::extensions(&self.fields)?;
        let wire = WireOp {
            id,
            client_id: self.client.clone(),
            action_type: ACTION.to_owned(),
            op_type: self.op_type,
            entity_type: "ALL".to_owned(),
            entity_id: None,
            entity_ids: None,
            payload: self.state.to_owned(),
            vector_clock,
            timestamp: now.ms(),
            schema_version,
            is_payload_encrypted: read(&self.fields, "isPayloadEncrypted").ok().flatten().unwrap_or(false),
            sync_import_reason,
            repair_base_server_seq,
        };
        let sealed = wire.seal(self.initial)?;
        Ok((wire, sealed))
    }
}

fn is_uuid(text: &str) -> bool {
    // Ids of the engine are UUIDs in their one spelling; theirs may be in capitals.
    text.to_ascii_lowercase().parse::<syncline::OpId>().is_ok()
}

/// `POST /api/sync/snapshot`.
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
    let text = body::read(headers, body, body::Limits::SNAPSHOT).await?;
    let asked = Asked::of(&text, headers)?;
    let (log, world) = (Log::new(sp, account), env::env()?);
    let id = asked.op_id.clone().unwrap_or_else(|| syncline::OpId::from_bytes(world.uuid7("snapshot")).to_string());
    let (wire, op) = match asked.operation(id, world.now) {
        Ok(made) => made,
        Err(rejection) => return Ok(json_of(&Outcome::rejected(rejection))),
    };
    // A retry of what is stored needs no room.
    if asked.op_id.is_some()
        && let Some(seq) = repeated(&log, &wire, &op).await?
    {
        return Ok(json_of(&Outcome::accepted(seq)));
    }
    if asked.clean_slate {
        // What is there goes away with it: a full account can be emptied like this.
        quota::gate_of_empty(account, text.len())?;
    } else {
        quota::gate(&log, account, text.len()).await?;
    }
    log.keep_names(wire.long_names().collect()).await?;
    let pushed = match log.push(vec![op.clone()], None).await {
        Ok(pushed) => pushed,
        Err(refusal) => {
            tracing::warn!(%refusal, "a state is not stored");
            return Ok(json_of(&Outcome::of_refusal(&refusal)));
        }
    };
    devices::touch(&log, &asked.client, world.now).await;
    let Some(verdict) = pushed.verdicts.first() else {
        return Ok(json_of(&Outcome::internal("Transaction rolled back: please retry")));
    };
    match verdict {
        Verdict::Accepted { seq } => {
            sp.notify().written(log.key, *seq, names::replica(&asked.client)).await;
            if asked.clean_slate {
                wipe_before(&log, *seq).await;
            }
            Ok(json_of(&Outcome::accepted(*seq)))
        }
        Verdict::Conflict { reason: ConflictReason::AlreadySeeded, .. } => Err(seeded(&log).await?),
        Verdict::Rejected { reason: RejectReason::OpIdReused } => match repeated(&log, &wire, &op).await? {
            Some(seq) => Ok(json_of(&Outcome::accepted(seq))),
            None => Ok(json_of(&verdict::outcome(&log, "", &wire, &op, verdict).await?)),
        },
        Verdict::Duplicate { seq } => Ok(json_of(&Outcome::accepted(*seq))),
        other => Ok(json_of(&verdict::outcome(&log, &sp.settings().stale_code, &wire, &op, other).await?)),
    }
}

/// Where the operation is stored already. Its time is the server's own, so it says nothing.
async fn repeated(log: &Log<'_>, wire: &WireOp, op: &Op) -> Result<Option<Seq>, Refusal> {
    let Some(known) = log.known(op.id()).await? else { return Ok(None) };
    let Some(there) = log.op_at(known.seq).await? else { return Ok(Some(known.seq)) };
    let first = there.op.read().ok().as_ref().and_then(WireOp::of);
    let same = first.is_some_and(|first| {
        let sealed = first.is_payload_encrypted && wire.is_payload_encrypted;
        first.same_frame(wire) && (sealed || first.payload.get() == wire.payload.get())
    });
    Ok(same.then_some(known.seq))
}

/// A clean slate: what came before is gone, the numbering goes on. Somebody who pruned first did the same.
async fn wipe_before(log: &Log<'_>, seq: Seq) {
    if let Err(refusal) = log.server().prune(log.key, seq).await {
        tracing::warn!(%refusal, "what a clean slate replaces is kept until the next clean-up");
    }
}

async fn seeded(log: &Log<'_>) -> Result<Refused, Refusal> {
    let mark = log.bounds().await?.and_then(|bounds| bounds.full_state);
    let there = match mark {
        Some(mark) => log.op_at(mark.seq).await?,
        None => None,
    };
    let existing = there.and_then(|there| there.op.read().ok().as_ref().and_then(WireOp::of)).map(|wire| wire.id);
    let mut body = json!({
        "error": "SYNC_IMPORT_EXISTS",
        "errorCode": "SYNC_IMPORT_EXISTS",
        "message": "A SYNC_IMPORT already exists. Download and merge with the existing data instead.",
    });
    if let Some(existing) = existing {
        body["existingImportId"] = existing.into();
    }
    Ok(Refused::new(StatusCode::CONFLICT, body))
}
