//! What browsers are told: which other sites may ask (CORS), and what a page of ours may do.
//!
//! What must always hold: a site that is not on the list gets no header that lets it read an answer; every answer
//! carries the security headers.
//!
//! Next: `limits` counts who asks.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use syncline::call::{Advice, Refusal};

use super::SuperProductivity;
use super::answer::Refused;
use crate::server::{Asked, Wording};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE, OPTIONS");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Content-Encoding, X-Expected-Rev, X-Force-Overwrite, X-Requested-With",
);
/// How long a browser keeps the answer to a preflight: a day.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Set on every answer.
const SECURITY: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), "none"),
];

/// Around every request.
pub(super) async fn guard(State(state): State<SuperProductivity>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    dress(&state, origin.as_ref(), preflight, response.headers_mut());
    response
}

/// Adds what every answer carries.
fn dress(state: &SuperProductivity, origin: Option<&HeaderValue>, preflight: bool, headers: &mut HeaderMap) {
    // A cache must not give one site what another was allowed.
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let own = &state.settings().cors_origins;
    if let Some(origin) = origin.filter(|origin| own.iter().any(|own| own.as_bytes() == *origin)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// What the server refuses around the dialect's routes, as these do. A client keeps what it has not uploaded when the
/// text says to retry: that of a state it takes for refused for good otherwise.
impl Wording for SuperProductivity {
    fn refuse(&self, asked: &Asked, refusal: &Refusal) -> Option<Response> {
        let path = asked.uri.path();
        if path != "/health" && path != "/api" && !path.starts_with("/api/") {
            return None;
        }
        let mut response = Refused::around(refusal).into_response();
        let headers = response.headers_mut();
        if refusal.code.advice() == Advice::Retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        dress(self, asked.origin.as_ref(), false, headers);
        Some(response)
    }
}
