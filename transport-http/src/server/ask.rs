//! Request to call: path, query and body, each refused when it holds anything unknown.

use axum::body::Body;
use axum::extract::{Query, RawPathParams};
use axum::http::request::Parts;
use bytes::Bytes;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use syncline::call::{Call, ErrorCode, Refusal};
use syncline::id::LogId;
use syncline::limits;
use syncline::oplog::Part;
use syncline::wire::json::{
    AcknowledgeJson, CommitJson, CreateGroupJson, MakeLinkJson, MintTokenJson, NamedJson, NewTermsJson, PushJson,
    QuotaJson, ReserveJson, RestoreJson, RotateKeysJson, ScanningJson, ShareJson, SnapshotJson, UndoRestoreJson,
};
use syncline::wire::{WireError, binary};

use super::body;
use super::form::{Form, unsupported};
use super::options::ServerOptions;
use super::problem::{malformed, no_such_route};
use super::query::{
    CreateQuery, LimitQuery, LinksQuery, LogsQuery, NoQuery, PartQuery, PullQuery, ScansQuery, SeenQuery,
};
use super::{groups, tree};
use crate::route::Route;

/// Bodies larger than this are parsed where blocking is allowed.
const INLINE_BYTES_MAX: usize = 256 << 10;

/// The call a request stands for.
pub(super) async fn read(
    route: Route,
    params: &RawPathParams,
    parts: &Parts,
    body: &mut Body,
    options: &ServerOptions,
) -> Result<Call, Refusal> {
    if !route.takes_body() {
        return if body.is_end_stream() {
            bodiless(route, params, parts)
        } else {
            Err(malformed("this call takes no body"))
        };
    }
    // Everything that is known before the body is judged before it is read.
    let part = match route {
        Route::Push => query::<PartQuery>(parts)?.part,
        _ => {
            let NoQuery {} = query(parts)?;
            None
        }
    };
    let log =
        if matches!(route, Route::MintToken | Route::CreateGroup) { LogId::SYSTEM } else { param(params, "log")? };
    let form = Form::given(&parts.headers)?;
    if form == Form::Binary && !route.speaks_binary() {
        return Err(unsupported());
    }
    let most = if route == Route::Commit { limits::COMMIT_BODY_BYTES_MAX } else { usize::MAX };
    let bytes = body::read(body, &parts.headers, options, most).await?;
    if bytes.len() <= INLINE_BYTES_MAX {
        return Ok(partly(part, parse(route, form, log, bytes)?));
    }
    let parsed = tokio::task::spawn_blocking(move || parse(route, form, log, bytes)).await;
    let parsed = parsed
        .unwrap_or_else(|_| Err(Refusal::new(ErrorCode::Internal, "the server met a bug while reading the body")));
    Ok(partly(part, parsed?))
}

/// The call, for a reader of everything or of a part.
fn partly(part: Option<Part>, call: Call) -> Call {
    match part {
        None => call,
        Some(part) => Call::Partly { part, call: Box::new(call) },
    }
}

fn bodiless(route: Route, params: &RawPathParams, parts: &Parts) -> Result<Call, Refusal> {
    let log = || param::<LogId>(params, "log");
    let plain = || query::<NoQuery>(parts);
    Ok(match route {
        Route::CreateLog => {
            let CreateQuery { sealing } = query(parts)?;
            Call::CreateLog { log: log()?, sealing: sealing.unwrap_or_default() }
        }
        Route::LogStatus => {
            plain()?;
            Call::Status(log()?)
        }
        Route::Devices => {
            plain()?;
            Call::Devices(log()?)
        }
        Route::GetSnapshot => {
            let PartQuery { part } = query(parts)?;
            partly(part, Call::GetSnapshot(log()?))
        }
        Route::RotateToken
        | Route::Tokens
        | Route::Groups
        | Route::DeleteGroup
        | Route::JoinGroup
        | Route::LeaveGroup
        | Route::Grant
        | Route::EndGrant => return groups::read(route, params, parts),
        Route::RevokeToken => {
            plain()?;
            Call::RevokeToken(param(params, "id")?)
        }
        Route::DeleteLog => Call::DeleteLog { log: log()?, seen: query::<SeenQuery>(parts)?.cursor() },
        Route::Logs => {
            let LogsQuery { after, limit } = query(parts)?;
            Call::Logs { after, limit: limit.unwrap_or(limits::LIST_ITEMS_MAX) }
        }
        Route::Pull => {
            let asked: PullQuery = query(parts)?;
            let call = Call::Pull { log: log()?, cursor: asked.cursor(), limit: asked.page()? };
            partly(asked.part, call)
        }
        Route::BlobUsage => {
            plain()?;
            Call::BlobUsage(log()?)
        }
        Route::Scans => {
            let ScansQuery { after, limit } = query(parts)?;
            Call::Scans { log: log()?, after, limit: limit.unwrap_or(limits::LIST_ITEMS_MAX) }
        }
        Route::ReleaseBlob => {
            plain()?;
            Call::ReleaseBlob { log: log()?, blob: param(params, "blob")? }
        }
        Route::RescanBlob => {
            plain()?;
            Call::RescanBlob { log: log()?, blob: param(params, "blob")? }
        }
        Route::Links => {
            let LinksQuery { after, limit } = query(parts)?;
            Call::Links { log: log()?, after, limit: limit.unwrap_or(limits::LIST_ITEMS_MAX) }
        }
        Route::RevokeLink => {
            plain()?;
            Call::RevokeLink { log: log()?, link: param(params, "link")? }
        }
        Route::RestorePoints => {
            let LimitQuery { limit } = query(parts)?;
            Call::RestorePoints { log: log()?, limit: limit.unwrap_or(limits::LIST_ITEMS_MAX) }
        }
        _ => return tree::read(route, params, parts),
    })
}

fn parse(route: Route, form: Form, log: LogId, bytes: Bytes) -> Result<Call, Refusal> {
    let put = |snapshot| Call::PutSnapshot { log, snapshot: Box::new(snapshot) };
    let call = match (route, form) {
        (Route::Push, Form::Binary) => binary::decode_push(log, bytes).map(Call::Push),
        (Route::Push, Form::Json) => json::<PushJson>(&bytes).and_then(|push| push.read(log)).map(Call::Push),
        (Route::PutSnapshot, Form::Binary) => binary::decode_snapshot(bytes).map(put),
        (Route::PutSnapshot, Form::Json) => json::<SnapshotJson>(&bytes).and_then(SnapshotJson::read).map(put),
        (Route::Restore, _) => json::<RestoreJson>(&bytes).map(|RestoreJson { to, seen, request }| Call::Restore {
            log,
            to,
            seen,
            request,
        }),
        (Route::UndoRestore, _) => json::<UndoRestoreJson>(&bytes)
            .map(|UndoRestoreJson { seen, request }| Call::UndoRestore { log, seen, request }),
        (Route::RotateKeys, _) => {
            json::<RotateKeysJson>(&bytes).map(|RotateKeysJson { from }| Call::RotateKeys { log, from })
        }
        (Route::Acknowledge, _) => json::<AcknowledgeJson>(&bytes)
            .map(|AcknowledgeJson { replica, cursor }| Call::Acknowledge { log, replica, cursor }),
        (Route::ReserveBlobs, _) => json::<ReserveJson>(&bytes).map(|ReserveJson { blobs }| Call::Reserve {
            log,
            blobs: blobs.into_iter().map(|NamedJson { blob, size }| (blob, size)).collect(),
        }),
        (Route::SetBlobQuota, _) => {
            json::<QuotaJson>(&bytes).map(|QuotaJson { quota }| Call::SetBlobQuota { log, quota })
        }
        (Route::SetScanning, _) => {
            json::<ScanningJson>(&bytes).map(|ScanningJson { policy }| Call::SetScanning { log, policy })
        }
        (Route::Commit, _) => json::<CommitJson>(&bytes).and_then(|commit| commit.read(log)).map(Call::Commit),
        (Route::SetTreeTerms, _) => {
            json::<NewTermsJson>(&bytes).map(|terms| Call::SetTreeTerms { log, terms: terms.read() })
        }
        (Route::ShareFolder, _) => json::<ShareJson>(&bytes).map(|share| Call::ShareFolder(share.read(log))),
        (Route::MakeLink, _) => json::<MakeLinkJson>(&bytes).map(|new| Call::MakeLink(new.read(log))),
        (Route::CreateGroup, _) => {
            json::<CreateGroupJson>(&bytes).map(|CreateGroupJson { name }| Call::CreateGroup { name })
        }
        (Route::MintToken, _) => {
            json::<MintTokenJson>(&bytes).map(|MintTokenJson { name, access, logs, replica, expires_at }| {
                Call::MintToken { name, access, logs, replica, expires_at }
            })
        }
        _ => return Err(no_such_route()),
    };
    call.map_err(|error| refuse(&error))
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    Ok(serde_json::from_slice(bytes)?)
}

/// A body that does not read is the request's fault; an op that breaks a rule on single ops is that op's.
pub(super) fn refuse(error: &WireError) -> Refusal {
    let detail = error.to_string();
    match error {
        WireError::Op { index, .. } => Refusal::new(ErrorCode::OpInvalid, detail).at_op(*index),
        WireError::Commit(_) => Refusal::new(ErrorCode::BatchSize, detail),
        _ => malformed(detail),
    }
}

/// A path parameter.
pub(super) fn param<T: std::str::FromStr<Err: std::fmt::Display>>(
    params: &RawPathParams,
    name: &str,
) -> Result<T, Refusal> {
    let text = params.iter().find(|(found, _)| *found == name).map(|(_, text)| text).unwrap_or_default();
    text.parse().map_err(|error| malformed(format!("{name}: {error}")))
}

/// The query.
pub(super) fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, Refusal> {
    let Query(query) = Query::try_from_uri(&parts.uri).map_err(|error| malformed(error.body_text()))?;
    Ok(query)
}
