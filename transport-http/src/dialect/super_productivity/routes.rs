//! The sync routes, and an answer for routes that are not.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, delete, get, post};
use serde_json::json;

use super::SuperProductivity;
use super::answer::Refused;
use super::{build, devices, download, notify, snapshot, status, upload};

/// Routes under `/api/sync`, and `/health`.
pub(super) fn router() -> Router<SuperProductivity> {
    Router::new()
        .route("/api/sync/ops", post(upload::post).get(download::get))
        .route("/api/sync/snapshot", post(snapshot::post).get(build::newest))
        .route("/api/sync/status", get(status::get))
        .route("/api/sync/restore-points", get(build::points))
        .route("/api/sync/restore/{seq}", get(build::restore))
        .route("/api/sync/data", delete(status::delete))
        .route("/api/sync/devices", get(devices::list))
        .route("/api/sync/ws", get(notify::upgrade))
        .route("/health", get(status::health))
        // Bodies are counted where they are read.
        .layer(DefaultBodyLimit::disable())
}

/// The answer of routes that are not.
pub(super) fn nowhere() -> Router<SuperProductivity> {
    Router::new().route("/api", any(not_found)).route("/api/{*rest}", any(not_found))
}

/// A route that is not, or not for this method: they are not told apart.
pub(super) async fn not_found(method: Method, uri: Uri) -> Response {
    let message = format!("Route {method}:{uri} not found");
    let body = json!({ "message": message, "error": "Not Found", "statusCode": 404 });
    Refused::new(StatusCode::NOT_FOUND, body).into_response()
}
