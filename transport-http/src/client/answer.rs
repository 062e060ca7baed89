//! Response to reply.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;
use syncline::call::{ErrorCode, Purged, Refusal, Reply};
use syncline::client::CallError;
use syncline::wire::json::{
    AcknowledgedJson, CommittedJson, DevicesJson, GroupMadeJson, GroupsJson, LinkMadeJson, LinksJson, LogJson,
    LogsJson, ManifestKeptJson, NeedsJson, NodesJson, PageJson, ProblemJson, PurgedJson, PushedJson, RestorePointsJson,
    RestoredJson, RevisionsJson, ScansJson, SharedJson, SnapshotJson, TokenJson, TokensJson, TreeTermsJson, UsageJson,
};
use syncline::wire::{BINARY_MEDIA_TYPE, WireError, binary};

use crate::PROBLEM_MEDIA_TYPE;
use crate::route::Route;

/// A response as far as it matters.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) media_type: String,
    /// What the `Retry-After` header says.
    pub(super) retry_after: Option<Duration>,
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
        Route::DeleteLog
        | Route::RevokeToken
        | Route::RevokeLink
        | Route::DeleteGroup
        | Route::JoinGroup
        | Route::LeaveGroup
        | Route::Grant
        | Route::EndGrant
        | Route::SetScanning
        | Route::ReleaseBlob
        | Route::RescanBlob => Reply::Done,
        Route::CreateGroup => {
            let GroupMadeJson { id } = json(&answer.body)?;
            Reply::GroupMade(id)
        }
        Route::Groups => Reply::Groups(json::<GroupsJson>(&answer.body)?.read()),
        Route::Tokens => Reply::Tokens(json::<TokensJson>(&answer.body)?.read()),
        Route::MakeLink => {
            let LinkMadeJson { id, token } = json(&answer.body)?;
            Reply::LinkMade { id, token: token.parse().map_err(|error| WireError::Json(format!("{error}")))? }
        }
        Route::Links => Reply::Links(json::<LinksJson>(&answer.body)?.read()),
        Route::Scans => {
            let (policy, scans) = json::<ScansJson>(&answer.body)?.read();
            Reply::Scans { policy, scans }
        }
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
        Route::ReserveBlobs => Reply::Needs(json::<NeedsJson>(&answer.body)?.read()),
        Route::BlobUsage | Route::SetBlobQuota => Reply::BlobUsage(json::<UsageJson>(&answer.body)?.read()),
        Route::KeepManifest => Reply::ManifestKept(json::<ManifestKeptJson>(&answer.body)?.read()?),
        Route::Commit => Reply::Committed(json::<CommittedJson>(&answer.body)?.read()?),
        Route::PurgeTrash => {
            let PurgedJson { nodes, more } = json(&answer.body)?;
            Reply::Purged(Purged { nodes, more })
        }
        Route::Nodes | Route::Node | Route::Children | Route::Leaves | Route::Trash => {
            Reply::Nodes(json::<NodesJson>(&answer.body)?.read()?)
        }
        Route::Revisions => Reply::Revisions(json::<RevisionsJson>(&answer.body)?.read()),
        Route::ShareFolder => Reply::Shared(json::<SharedJson>(&answer.body)?.read()?),
        Route::TreeTerms | Route::SetTreeTerms => Reply::TreeTerms(json::<TreeTermsJson>(&answer.body)?.read()),
        Route::MintToken | Route::RotateToken => {
            let TokenJson { id, token } = json(&answer.body)?;
            let bearer = token.parse().map_err(|error| WireError::Json(format!("{error}")))?;
            Reply::Token { id, bearer }
        }
        _ => return Err(WireError::Json("a route without a reply".into())),
    })
}

pub(super) fn refused(answer: &Answer) -> CallError {
    let problem = (answer.media_type == PROBLEM_MEDIA_TYPE).then(|| json::<ProblemJson>(&answer.body));
    let wait_ms = answer.retry_after.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    if let Some(refusal) = problem.and_then(Result::ok).and_then(ProblemJson::read) {
        let said = refusal.retry_after_ms.is_some();
        return CallError::Refused(if said { refusal } else { refusal.with_retry_after(wait_ms) });
    }
    let status = answer.status;
    match status {
        429 | 503 if status == 429 || wait_ms > 0 => {
            let detail = format!("status {status} from something in between");
            CallError::Refused(Refusal::new(ErrorCode::Busy, detail).with_retry_after(wait_ms))
        }
        // A proxy in between gave up; the server may have gone on.
        408 | 502..=504 => CallError::Interrupted(format!("status {status} from something in between").into()),
        _ => CallError::Protocol(format!("status {status} without a problem document this build knows")),
    }
}

/// The wait that the headers of an answer ask for.
pub(super) fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    retry_after(header(RETRY_AFTER), header(DATE))
}

/// The value of a `Retry-After` header (RFC 9110 10.2.3): seconds, or a date, which is read against the answer's own
/// `Date`, for this device's clock may be off.
fn retry_after(value: Option<&str>, date: Option<&str>) -> Option<Duration> {
    let value = value?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let (until, now) = (httpdate::parse_http_date(value).ok()?, httpdate::parse_http_date(date?).ok()?);
    until.duration_since(now).ok()
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireError> {
    Ok(serde_json::from_slice(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, media_type: &str, retry_after: Option<u64>, body: &'static str) -> Answer {
        let retry_after = retry_after.map(Duration::from_secs);
        Answer { status, media_type: media_type.into(), retry_after, body: Bytes::from_static(body.as_bytes()) }
    }

    fn wait(answer: &Answer) -> Option<u32> {
        match read(Route::Pull, answer) {
            Err(CallError::Refused(refusal)) => refusal.retry_after_ms.map(std::num::NonZero::get),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_wait_that_a_header_asks_for_is_kept_whoever_sent_it() {
        assert_eq!(wait(&answer(429, "text/html", Some(7), "slow down")), Some(7_000));
        assert_eq!(wait(&answer(429, "text/html", None, "slow down")), None);
        assert_eq!(wait(&answer(503, "text/plain", Some(30), "")), Some(30_000));
        assert!(matches!(read(Route::Pull, &answer(503, "", None, "")), Err(CallError::Interrupted(_))));
        let problem = r#"{"type":"about:blank","title":"x","status":503,"code":"BUSY","advice":"retry","detail":"x"}"#;
        assert_eq!(wait(&answer(503, PROBLEM_MEDIA_TYPE, Some(3), problem)), Some(3_000));
    }

    #[test]
    fn a_date_is_read_against_the_answers_own_clock() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after(Some("120"), None), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(Some("Sun, 06 Nov 1994 08:50:07 GMT"), date), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(Some("Sun, 06 Nov 1994 08:49:07 GMT"), date), None, "that time is over");
        for junk in ["", "-1", "soon", "4294967296", "1.5"] {
            assert_eq!(retry_after(Some(junk), date), None, "{junk}");
        }
        assert_eq!(retry_after(Some("Sun, 06 Nov 1994 08:50:07 GMT"), None), None);
    }
}
