//! Response to reply.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use syncline::call::Reply;
use syncline::client::CallError;
use syncline::wire::json::{
    AcknowledgedJson, DevicesJson, LogJson, LogsJson, PageJson, ProblemJson, PushedJson, RestorePointsJson,
    RestoredJson, SnapshotJson, TokenJson,
};
use syncline::wire::{BINARY_MEDIA_TYPE, WireError, binary};

use crate::PROBLEM_MEDIA_TYPE;
use crate::route::Route;

/// A response as far as it matters.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) media_type: String,
    pub(super) body: Bytes,
}

/// The reply of a response to a request on this route, or why there is none.
pub(super) fn read(route: Route, answer: &Answer) -> Result<Reply, CallError> {
    match answer.status {
        200..=299 => reply(route, answer).map_err(|error| CallError::Protocol(error.to_string())),
        _ => Err(refused(answer)),
    }
}

fn reply(route: Route, answer: &Answer) -> Result<Reply, WireError> {
    let body = || answer.body.clone();
    let is_binary = answer.media_type == BINARY_MEDIA_TYPE;
    Ok(match route {
        Route::CreateLog | Route::LogStatus | Route::RotateKeys => {
            let body: LogJson = json(&answer.body)?;
            let (log, created) = (body.log, body.created);
            Reply::Log { log, bounds: Box::new(body.read()?), created }
        }
        Route::Logs => Reply::Logs(json::<LogsJson>(&answer.body)?.read()?),
        Route::DeleteLog | Route::RevokeToken => Reply::Done,
        Route::PutSnapshot => Reply::SnapshotKept,
        Route::Push if is_binary => Reply::Pushed(binary::decode_pushed(body())?),
        Route::Push => Reply::Pushed(json::<PushedJson>(&answer.body)?.read()?),
        Route::Pull if is_binary => Reply::Pulled(binary::decode_page(body())?),
        Route::Pull => Reply::Pulled(json::<PageJson>(&answer.body)?.read()?),
        Route::GetSnapshot if answer.status == 204 => Reply::Snapshot(None),
        Route::GetSnapshot if is_binary => Reply::Snapshot(Some(Box::new(binary::decode_snapshot(body())?))),
        Route::GetSnapshot => Reply::Snapshot(Some(Box::new(json::<SnapshotJson>(&answer.body)?.read()?))),
        Route::RestorePoints => Reply::RestorePoints(json::<RestorePointsJson>(&answer.body)?.read()?),
        Route::Restore | Route::UndoRestore => {
            let RestoredJson { seq, end } = json(&answer.body)?;
            Reply::Restored { seq, end }
        }
        Route::Acknowledge => {
            let AcknowledgedJson { stable, devices } = json(&answer.body)?;
            Reply::Acknowledged { stable, devices }
        }
        Route::Devices => Reply::Devices(Box::new(json::<DevicesJson>(&answer.body)?.read())),
        Route::MintToken => {
            let TokenJson { id, token } = json(&answer.body)?;
            let bearer = token.parse().map_err(|error| WireError::Json(format!("{error}")))?;
            Reply::Token { id, bearer }
        }
        _ => return Err(WireError::Json("a route without a reply".into())),
    })
}

fn refused(answer: &Answer) -> CallError {
    let problem = (answer.media_type == PROBLEM_MEDIA_TYPE).then(|| json::<ProblemJson>(&answer.body));
    if let Some(refusal) = problem.and_then(Result::ok).and_then(ProblemJson::read) {
        return CallError::Refused(refusal);
    }
    let status = answer.status;
    match status {
        // A proxy in between gave up; the server may have gone on.
        408 | 502..=504 => CallError::Interrupted(format!("status {status} from something in between").into()),
        _ => CallError::Protocol(format!("status {status} without a problem document this build knows")),
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireError> {
    Ok(serde_json::from_slice(body)?)
}
