//! Refusals as problem documents (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use syncline::call::{Advice, ErrorCode, Refusal};
use syncline::wire::PROTOCOL_VERSIONS;
use syncline::wire::json::ProblemJson;

use crate::PROBLEM_MEDIA_TYPE;

/// The response that says no. What the store met goes to the log, never to the peer.
pub(crate) fn problem(refusal: &Refusal) -> Response {
    if let Some(source) = &refusal.source {
        tracing::error!(code = refusal.code.name(), error = %source, "the store failed");
    } else if refusal.code == ErrorCode::Internal {
        tracing::error!(detail = %refusal.detail, "a bug");
    } else {
        tracing::debug!(code = refusal.code.name(), detail = %refusal.detail, "refused");
    }
    let document = ProblemJson::of(refusal);
    let retry_after = document.retry_after_s;
    // A problem document is strings and numbers: writing it cannot fail.
    let mut response = serde_json::to_vec(&document).unwrap_or_default().into_response();
    *response.status_mut() = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
    if refusal.code.advice() == Advice::Retry {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after.unwrap_or(1)));
    }
    match refusal.code {
        ErrorCode::Unauthenticated => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        ErrorCode::LinkPassword => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("LinkPassword"));
        }
        ErrorCode::UpgradeRequired => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("syncline/1"));
        }
        // What is left of the body is not worth reading.
        ErrorCode::BodyTooSlow | ErrorCode::BodyTooLarge | ErrorCode::HeadTooLarge => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

pub(crate) fn no_such_route() -> Refusal {
    Refusal::new(ErrorCode::NoSuchRoute, "no such route")
}

pub(crate) fn method_not_allowed() -> Refusal {
    Refusal::new(ErrorCode::MethodNotAllowed, "the route exists, not for this method")
}

pub(crate) fn upgrade_required(given: &str) -> Refusal {
    let (oldest, newest) = (PROTOCOL_VERSIONS.start(), PROTOCOL_VERSIONS.end());
    let given: String = given.chars().take(20).collect();
    let detail = format!("this server speaks protocol versions {oldest} to {newest}, not {given}");
    Refusal::new(ErrorCode::UpgradeRequired, detail)
}

pub(crate) fn malformed(detail: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::Malformed, detail)
}
