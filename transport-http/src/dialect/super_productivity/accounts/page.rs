//! The one page of the dialect: where links in mails lead, and where a person gets the token that the app asks for.
//!
//! What must always hold: opening a link changes nothing (mail scanners open links); the page asks only this server,
//! runs no script but its own file, and shows answers as text.
//!
//! Next: `routes` answers what the page asks.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::dialect::super_productivity::SuperProductivity;

const HTML: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");

pub(super) fn router() -> Router<SuperProductivity> {
    Router::new()
        .route("/account", get(html))
        .route("/verify-email", get(html))
        .route("/reset-password", get(html))
        .route("/magic-login", get(html))
        .route("/recover-passkey", get(html))
        .route("/account.js", get(script))
}

async fn html() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], HTML)
}

async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)
}
