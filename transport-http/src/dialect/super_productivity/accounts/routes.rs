//! The account routes: bodies in, the reference server's answers out.
//!
//! What must always hold: an answer that would tell who is known is one fixed text; a mail is sent after the answer is
//! decided.
//!
//! Next: `register`, `login`, `reset`, `magic`, `delete` do what is asked.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{delete, post};
use serde_json::{Value, json};

use super::super::answer::{Refused, json_text};
use super::fields::Fields;
use super::login::{Login, SignedIn};
use super::mailed::Returned;
use super::{Account, mail, page};
use crate::dialect::super_productivity::SuperProductivity;
use crate::server::env;

/// Characters of a password that somebody chooses.
const PASSWORD_CHARS_MIN: usize = 12;

pub(super) type Answer = Result<Response, Refused>;

/// The routes of this file, and the page that mails lead to.
pub(crate) fn router() -> Router<SuperProductivity> {
    let router = Router::new()
        .route("/api/register", post(register))
        .route("/api/verify-email", post(verify_email))
        .route("/api/login", post(login))
        .route("/api/forgot-password", post(forgot_password))
        .route("/api/reset-password", post(reset_password))
        .route("/api/login/magic-link", post(magic_link))
        .route("/api/login/magic-link/verify", post(magic_login))
        .route("/api/replace-token", post(replace_token))
        .route("/api/account", delete(delete_account))
        .merge(page::router());
    #[cfg(feature = "passkeys")]
    let router = router.merge(super::passkey::router());
    router
}

/// Any JSON object.
pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    json_text(status, body.to_string().into())
}

pub(super) fn message(status: StatusCode, text: &str) -> Answer {
    Ok(answer(status, &json!({ "message": text })))
}

fn refuse(status: StatusCode, text: &str) -> Answer {
    Err(Refused::error(status, text))
}

pub(super) fn signed_in(who: &SignedIn) -> Answer {
    let body = json!({ "token": who.token, "user": { "id": who.id, "email": who.email } });
    Ok(answer(StatusCode::OK, &body))
}

async fn register(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let (email, password) = (fields.email(), fields.password(PASSWORD_CHARS_MIN));
    fields.terms();
    fields.checked()?;
    let accounts = state.accounts();
    if let Some(letter) = accounts.register(&email, &password, env::env()?).await? {
        mail::post(&accounts.mailer, letter);
    }
    message(StatusCode::CREATED, "Registration successful. Please check your email to verify your account.")
}

async fn verify_email(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let token = fields.token();
    fields.checked()?;
    match state.accounts().verify_email(&token, env::env()?).await? {
        Returned::Fits => message(StatusCode::OK, "Email verified successfully"),
        Returned::Expired => refuse(StatusCode::BAD_REQUEST, "Verification token has expired"),
        Returned::Unknown => refuse(StatusCode::BAD_REQUEST, "Invalid verification token"),
    }
}

async fn login(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let (email, password) = (fields.email(), fields.password(1));
    fields.checked()?;
    match state.accounts().login(&email, &password, env::env()?).await? {
        Login::In(who) => signed_in(&who),
        Login::Wrong => refuse(StatusCode::UNAUTHORIZED, "Invalid credentials"),
        Login::Unverified => refuse(StatusCode::UNAUTHORIZED, "Email not verified"),
        Login::Locked => refuse(
            StatusCode::UNAUTHORIZED,
            "Account temporarily locked due to too many failed login attempts. Please try again later.",
        ),
    }
}

async fn forgot_password(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let email = fields.email();
    fields.checked()?;
    let accounts = state.accounts();
    if let Some(letter) = accounts.forgot_password(&email, env::env()?).await? {
        mail::post(&accounts.mailer, letter);
    }
    message(StatusCode::OK, "If this address has an account, a link to set a new password is on its way.")
}

async fn reset_password(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let (token, password) = (fields.token(), fields.password(PASSWORD_CHARS_MIN));
    fields.checked()?;
    match state.accounts().reset_password(&token, &password, env::env()?).await? {
        Returned::Fits => message(StatusCode::OK, "Password reset successfully"),
        Returned::Expired => refuse(StatusCode::BAD_REQUEST, "Reset token has expired"),
        Returned::Unknown => refuse(StatusCode::BAD_REQUEST, "Invalid reset token"),
    }
}

async fn magic_link(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let email = fields.email();
    fields.checked()?;
    let accounts = state.accounts();
    if let Some(letter) = accounts.magic_link(&email, env::env()?).await? {
        mail::post(&accounts.mailer, letter);
    }
    message(StatusCode::OK, "If this address has an account, a link to sign in is on its way.")
}

async fn magic_login(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let token = fields.token();
    fields.checked()?;
    match state.accounts().magic_login(&token, env::env()?).await? {
        Some(who) => signed_in(&who),
        None => refuse(StatusCode::UNAUTHORIZED, "Invalid or expired login link"),
    }
}

async fn replace_token(State(state): State<SuperProductivity>, account: Account) -> Answer {
    match state.accounts().replace_token(account.id, env::env()?).await? {
        Some(who) => {
            state.notify().revoked(account.log).await;
            signed_in(&who)
        }
        None => refuse(StatusCode::UNAUTHORIZED, "Invalid token"),
    }
}

async fn delete_account(State(state): State<SuperProductivity>, account: Account) -> Answer {
    state.accounts().delete(account.id, env::env()?).await?;
    state.notify().revoked(account.log).await;
    state.forget(account.id);
    Ok(answer(StatusCode::OK, &json!({ "success": true })))
}
