//! The app's own test-mode routes: accounts without mails, and a clean slate.
//!
//! What must always hold: they are there only when the server was started with them, and answer only peers on the same
//! machine, because whoever reaches them owns every account.
//!
//! Next: `routes` are those of everybody.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, post};
use serde_json::json;

use super::super::answer::Refused;
use super::fields::Fields;
use super::record::NewAccount;
use super::routes::answer;
use crate::dialect::super_productivity::SuperProductivity;
use crate::server::env;

/// Characters of a password at least; tests may be lazier than people.
const PASSWORD_CHARS_MIN: usize = 8;
/// Accounts looked up at once when all go.
const PAGE: usize = 100;

type Answer = Result<Response, Refused>;

pub(crate) fn router() -> Router<SuperProductivity> {
    Router::new()
        .route("/api/test/create-user", post(create_user))
        .route("/api/test/cleanup", post(cleanup))
        .route("/api/test/user/{id}", delete(delete_user))
        .route_layer(from_fn(loopback_only))
}

/// A peer that is not known is not on this machine.
async fn loopback_only(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback()) {
        return next.run(request).await;
    }
    Refused::error(StatusCode::FORBIDDEN, "Test routes answer this machine only").into_response()
}

async fn create_user(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let (email, password) = (fields.email(), fields.password(PASSWORD_CHARS_MIN));
    fields.checked()?;
    let accounts = state.accounts();
    let record = if let Some(known) = accounts.records.by_email(&email).await? {
        accounts.erase(accounts.records.log(known.id), env::env()?).await?;
        state.forget(known.id);
        known
    } else {
        let password = Some(accounts.hashing.hash(&password).await?);
        let quota_bytes = accounts.quota_bytes;
        let new = NewAccount { email, password, passkeys: Vec::new(), verified: true, verify: None, quota_bytes };
        let made = accounts.records.create(new, env::env()?).await?;
        made.ok_or_else(|| Refused::error(StatusCode::CONFLICT, "Created by somebody else at the same time"))?
    };
    let who = accounts.signed_in(&record, env::env()?);
    Ok(answer(StatusCode::CREATED, &json!({ "token": who.token, "userId": who.id, "email": who.email })))
}

async fn cleanup(State(state): State<SuperProductivity>) -> Answer {
    let accounts = state.accounts();
    let mut after = 0;
    loop {
        let page = accounts.records.list(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for record in page {
            accounts.delete(record.id, env::env()?).await?;
            state.forget(record.id);
        }
    }
    Ok(answer(StatusCode::OK, &json!({ "cleaned": true })))
}

async fn delete_user(State(state): State<SuperProductivity>, Path(id): Path<String>) -> Answer {
    let Ok(id) = id.parse() else { return Err(Refused::error(StatusCode::BAD_REQUEST, "Invalid user id")) };
    let accounts = state.accounts();
    if !accounts.delete(id, env::env()?).await? {
        return Err(Refused::error(StatusCode::NOT_FOUND, "User not found"));
    }
    state.forget(id);
    Ok(answer(StatusCode::OK, &json!({ "deleted": true })))
}
