//! Which form a body is in, and which form its answer should be in.

use axum::http::{HeaderMap, header};
use syncline::call::{ErrorCode, Refusal};
use syncline::wire::{BINARY_MEDIA_TYPE, JSON_MEDIA_TYPE};

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Binary,
}

impl Form {
    /// Of a request's body.
    pub(super) fn given(headers: &HeaderMap) -> Result<Self, Refusal> {
        let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if is(value, JSON_MEDIA_TYPE) {
            return Ok(Self::Json);
        }
        if is(value, BINARY_MEDIA_TYPE) {
            return Ok(Self::Binary);
        }
        Err(unsupported())
    }

    /// Of the reply: binary for a peer that names it, JSON for everybody else.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let binary = ranges.flat_map(|value| value.split(',')).any(|range| is(range, BINARY_MEDIA_TYPE));
        if binary { Self::Binary } else { Self::Json }
    }
}

fn is(value: &str, media_type: &str) -> bool {
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

pub(super) fn unsupported() -> Refusal {
    let detail = format!("a body is {JSON_MEDIA_TYPE} or, for ops and snapshots, {BINARY_MEDIA_TYPE}");
    Refusal::new(ErrorCode::UnsupportedMediaType, detail)
}
