//! Answers as the dialect writes them: JSON objects with an `error` text and, where clients look for one, a code.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use syncline::call::{Advice, ErrorCode, Refusal};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// A request that is not answered as asked: a status and a body.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    body: Value,
}

impl Refused {
    pub(super) const fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body }
    }

    /// `{"error": …}` alone.
    pub(super) fn error(status: StatusCode, error: &str) -> Self {
        Self::new(status, json!({ "error": error }))
    }

    /// A request that does not fit its schema.
    pub(super) fn invalid(path: &str, message: &str) -> Self {
        let issue = json!({ "path": [path], "message": message });
        Self::new(StatusCode::BAD_REQUEST, json!({ "error": "Validation failed", "details": [issue] }))
    }

    /// What their HTTP library itself says.
    pub(super) fn library(status: StatusCode, code: &str, message: &str) -> Self {
        let error = status.canonical_reason().unwrap_or_default();
        Self::new(status, json!({ "statusCode": status.as_u16(), "code": code, "error": error, "message": message }))
    }

    /// What the server says around the routes, before or instead of them.
    pub(super) fn around(refusal: &Refusal) -> Self {
        match refusal.code {
            ErrorCode::Timeout | ErrorCode::OutcomeUnknown => Self::timeout(),
            ErrorCode::HeadTooLarge => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                Self::library(status, "HPE_HEADER_OVERFLOW", "Exceeded maximum allowed HTTP header size")
            }
            code if code.status() < 500 && code.advice() != Advice::Retry => {
                let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST);
                Self::error(status, &refusal.detail)
            }
            _ => Self::busy(),
        }
    }

    /// Nobody did wrong: the same request may succeed.
    fn busy() -> Self {
        Self::error(StatusCode::SERVICE_UNAVAILABLE, "Server busy, please retry")
    }

    /// A request that did not come to its end in time. No status of 4xx: what a client could not upload then counts
    /// as refused for good.
    pub(super) fn timeout() -> Self {
        Self::error(StatusCode::SERVICE_UNAVAILABLE, "Request timeout, please retry")
    }
}

impl From<Refusal> for Refused {
    /// Only what nobody could have asked better arrives here: a failing store, or a bug.
    fn from(refusal: Refusal) -> Self {
        if let Some(source) = &refusal.source {
            tracing::error!(code = refusal.code.name(), error = %source, "the store failed");
        } else {
            tracing::error!(code = refusal.code.name(), detail = %refusal.detail, "the engine refused");
        }
        let busy = matches!(
            refusal.code,
            ErrorCode::Busy
                | ErrorCode::Unavailable
                | ErrorCode::Timeout
                | ErrorCode::OutcomeUnknown
                | ErrorCode::ShuttingDown
                | ErrorCode::StorageFull
        );
        if busy { Self::busy() } else { Self::error(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error") }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        json_text(self.status, self.body.to_string().into())
    }
}

/// A JSON response. Unset fields of the value are absent, because its type says so.
pub(super) fn json_of<T: Serialize>(body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(text) => json_text(StatusCode::OK, text.into()),
        Err(error) => {
            tracing::error!(%error, "an answer does not write");
            Refused::error(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error").into_response()
        }
    }
}

/// A JSON response from its text.
pub(super) fn json_text(status: StatusCode, text: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], text).into_response()
}
