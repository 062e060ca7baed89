//! Reply to response.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use syncline::call::{ErrorCode, Purged, Refusal, Reply};
use syncline::wire::json::{
    AcknowledgedJson, CommittedJson, DevicesJson, GroupMadeJson, GroupsJson, LinkMadeJson, LinksJson, LogJson,
    LogsJson, ManifestKeptJson, NeedsJson, NodesJson, PageJson, PurgedJson, PushedJson, RestorePointsJson,
    RestoredJson, RevisionsJson, ScansJson, SharedJson, SnapshotJson, TokenJson, TokensJson, TreeTermsJson, UsageJson,
};
use syncline::wire::{BINARY_MEDIA_TYPE, JSON_MEDIA_TYPE, WireError, binary};

use super::form::Form;
use super::problem::problem;

/// The response to an answered call.
pub(super) fn write(reply: &Reply, form: Form) -> Response {
    written(reply, form).unwrap_or_else(|error| {
        problem(&Refusal::new(ErrorCode::Internal, format!("the answer does not write: {error}")))
    })
}

fn written(reply: &Reply, form: Form) -> Result<Response, WireError> {
    match (reply, form) {
        (Reply::Pushed(pushed), Form::Binary) => Ok(bytes(binary::encode_pushed(pushed))),
        (Reply::Pushed(pushed), Form::Json) => json(StatusCode::OK, &PushedJson::of(pushed)?),
        (Reply::Pulled(page), Form::Binary) => Ok(bytes(binary::encode_page(page))),
        (Reply::Pulled(page), Form::Json) => json(StatusCode::OK, &PageJson::of(page)?),
        (Reply::Snapshot(Some(snapshot)), Form::Binary) => Ok(bytes(binary::encode_snapshot(snapshot))),
        (Reply::Snapshot(Some(snapshot)), Form::Json) => json(StatusCode::OK, &SnapshotJson::of(snapshot)?),
        (Reply::Log { log, bounds, created }, _) => {
            let status = if *created { StatusCode::CREATED } else { StatusCode::OK };
            json(status, &LogJson::of(*log, bounds, *created))
        }
        (Reply::Logs(logs), _) => json(StatusCode::OK, &LogsJson::of(logs)),
        (Reply::RestorePoints(points), _) => json(StatusCode::OK, &RestorePointsJson::of(points)),
        (Reply::Restored { seq, end }, _) => json(StatusCode::OK, &RestoredJson { seq: *seq, end: *end }),
        (Reply::Acknowledged { stable, devices }, _) => {
            json(StatusCode::OK, &AcknowledgedJson { stable: *stable, devices: *devices })
        }
        (Reply::Devices(holders), _) => json(StatusCode::OK, &DevicesJson::of(holders)),
        (Reply::Needs(needs), _) => json(StatusCode::OK, &NeedsJson::of(needs)),
        (Reply::BlobUsage(usage), _) => json(StatusCode::OK, &UsageJson::of(usage)),
        (Reply::Scans { policy, scans }, _) => json(StatusCode::OK, &ScansJson::of(*policy, scans)),
        (Reply::ManifestKept(kept), _) => json(StatusCode::OK, &ManifestKeptJson::of(kept)),
        (Reply::Committed(committed), _) => json(StatusCode::OK, &CommittedJson::of(committed)),
        (Reply::Nodes(page), _) => json(StatusCode::OK, &NodesJson::of(page)),
        (Reply::Revisions(revisions), _) => json(StatusCode::OK, &RevisionsJson::of(revisions)),
        (Reply::Purged(Purged { nodes, more }), _) => json(StatusCode::OK, &PurgedJson { nodes: *nodes, more: *more }),
        (Reply::Shared(shared), _) => json(StatusCode::OK, &SharedJson::of(shared)),
        (Reply::TreeTerms(terms), _) => json(StatusCode::OK, &TreeTermsJson::of(terms)),
        (Reply::GroupMade(id), _) => json(StatusCode::CREATED, &GroupMadeJson { id: *id }),
        (Reply::Groups(groups), _) => json(StatusCode::OK, &GroupsJson::of(groups)),
        (Reply::Tokens(tokens), _) => json(StatusCode::OK, &TokensJson::of(tokens)),
        (Reply::LinkMade { id, token }, _) => {
            json(StatusCode::CREATED, &LinkMadeJson { id: *id, token: token.to_string() })
        }
        (Reply::Links(links), _) => json(StatusCode::OK, &LinksJson::of(links)),
        (Reply::Token { id, bearer }, _) => {
            json(StatusCode::CREATED, &TokenJson { id: *id, token: bearer.to_string() })
        }
        (Reply::Done | Reply::SnapshotKept | Reply::Snapshot(None), _) => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(WireError::Json("an answer without a form".into())),
    }
}

/// A JSON response.
pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Result<Response, WireError> {
    Ok(with_type(status, serde_json::to_vec(body)?.into(), JSON_MEDIA_TYPE))
}

fn bytes(body: Bytes) -> Response {
    with_type(StatusCode::OK, body, BINARY_MEDIA_TYPE)
}

pub(super) fn with_type(status: StatusCode, body: Bytes, media_type: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response()
}
