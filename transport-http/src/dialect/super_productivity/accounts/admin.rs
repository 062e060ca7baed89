//! Accounts for their operator: `/v1/admin/super-productivity/accounts`, in the engine's own manner.
//!
//! What must always hold: every route asks for the operator's token before it looks at anything; answers are ours, with
//! refusals as problem documents.
//!
//! Next: `syncline-ctl account` asks these.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use syncline::access::Access;
use syncline::call::{ErrorCode, Refusal};
use syncline::limits::LIST_ITEMS_MAX;

use super::super::answer::Refused;
use super::fields::Fields;
use super::record::{AccountRecord, NewAccount};
use crate::dialect::super_productivity::{SuperProductivity, devices};
use crate::server::problem::problem;
use crate::server::{Authenticator, bearer, env};

/// Characters of a password that an operator sets.
const PASSWORD_CHARS_MIN: usize = 12;

/// The routes, for whoever holds an operator's token of the bucket.
pub(crate) fn router(state: &SuperProductivity, authenticator: Arc<dyn Authenticator>) -> Router<SuperProductivity> {
    let guarded = (state.clone(), authenticator);
    Router::new()
        .route("/v1/admin/super-productivity/accounts", get(list).post(create))
        .route("/v1/admin/super-productivity/accounts/{id}", delete(remove))
        .route("/v1/admin/super-productivity/accounts/{id}/data", delete(clear))
        .route("/v1/admin/super-productivity/accounts/{id}/token", post(token))
        .route("/v1/admin/super-productivity/accounts/{id}/devices", get(list_devices))
        .route_layer(from_fn_with_state(guarded, operator_only))
}

async fn operator_only(
    State((state, authenticator)): State<(SuperProductivity, Arc<dyn Authenticator>)>,
    request: Request,
    next: Next,
) -> Response {
    match permit(&state, &*authenticator, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => problem(&refusal),
    }
}

async fn permit(
    state: &SuperProductivity,
    authenticator: &dyn Authenticator,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let caller = authenticator.authenticate(&bearer(headers)?, env::now()).await?;
    if caller.bucket == state.bucket() && caller.access == Access::Admin && caller.logs.is_none() {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::Forbidden, "accounts are for the operator of their bucket"))
}

/// A refusal of either kind: ours, or that of a body that does not fit.
enum Refuse {
    Ours(Refusal),
    Body(Refused),
}

impl From<Refusal> for Refuse {
    fn from(refusal: Refusal) -> Self {
        Self::Ours(refusal)
    }
}

impl From<Refused> for Refuse {
    fn from(refused: Refused) -> Self {
        Self::Body(refused)
    }
}

impl IntoResponse for Refuse {
    fn into_response(self) -> Response {
        match self {
            Self::Ours(refusal) => problem(&refusal),
            Self::Body(refused) => refused.into_response(),
        }
    }
}

type Answer = Result<Response, Refuse>;

fn shown(record: &AccountRecord) -> Value {
    json!({
        "id": record.id,
        "email": record.email,
        "verified": record.verified,
        "deleting": record.deleting,
        "quota_bytes": record.quota_bytes,
        "created_at": record.created_at,
    })
}

fn not_found() -> Refusal {
    Refusal::new(ErrorCode::LogNotFound, "no such account")
}

/// The account of a path, by number or address.
async fn find(state: &SuperProductivity, who: &str) -> Result<AccountRecord, Refusal> {
    let records = &state.accounts().records;
    let found = match who.parse() {
        Ok(id) => records.by_id(id).await?,
        Err(_) => records.by_email(&who.trim().to_lowercase()).await?,
    };
    found.ok_or_else(not_found)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

async fn list(State(state): State<SuperProductivity>, Query(page): Query<Page>) -> Answer {
    let limit = page.limit.unwrap_or(LIST_ITEMS_MAX);
    if limit == 0 || limit > LIST_ITEMS_MAX {
        let detail = format!("a listing has 1 to {LIST_ITEMS_MAX} items");
        return Err(Refusal::new(ErrorCode::LimitOutOfRange, detail).into());
    }
    let found = state.accounts().records.list(page.after, limit).await?;
    let accounts: Vec<Value> = found.iter().map(shown).collect();
    Ok(Json(json!({ "accounts": accounts })).into_response())
}

async fn create(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let email = fields.email();
    let password = fields.has("password").then(|| fields.password(PASSWORD_CHARS_MIN));
    let quota = fields.number("quota_bytes");
    fields.checked()?;
    let accounts = state.accounts();
    let password = match password {
        Some(password) => Some(accounts.hashing.hash(&password).await?),
        None => None,
    };
    let quota_bytes = quota.unwrap_or(accounts.quota_bytes);
    // The operator vouches for the address.
    let new = NewAccount { email, password, passkeys: Vec::new(), verified: true, verify: None, quota_bytes };
    let Some(record) = accounts.records.create(new, env::env()?).await? else {
        return Err(Refused::error(StatusCode::CONFLICT, "the address has an account already").into());
    };
    let who = accounts.signed_in(&record, env::env()?);
    Ok((StatusCode::CREATED, Json(json!({ "account": shown(&record), "token": who.token }))).into_response())
}

async fn remove(State(state): State<SuperProductivity>, Path(who): Path<String>) -> Answer {
    let record = find(&state, &who).await?;
    state.accounts().delete(record.id, env::env()?).await?;
    state.forget(record.id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn clear(State(state): State<SuperProductivity>, Path(who): Path<String>) -> Answer {
    let record = find(&state, &who).await?;
    let accounts = state.accounts();
    accounts.erase(accounts.records.log(record.id), env::env()?).await?;
    state.forget(record.id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn token(State(state): State<SuperProductivity>, Path(who): Path<String>) -> Answer {
    let record = find(&state, &who).await?;
    let who = state.accounts().signed_in(&record, env::env()?);
    Ok(Json(json!({ "token": who.token })).into_response())
}

async fn list_devices(State(state): State<SuperProductivity>, Path(who): Path<String>) -> Answer {
    let account = state.accounts().account(find(&state, &who).await?);
    Ok(devices::list(State(state), account).await)
}

impl SuperProductivity {
    /// Forgets what this process remembers of an account whose data is gone.
    pub(super) fn forget(&self, account: u64) {
        self.memory().forget(self.accounts().records.log(account));
        self.limits().forget_uploads(account);
    }
}
