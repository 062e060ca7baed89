//! The passkey routes: bodies in, the reference server's answers out.
//!
//! What must always hold: an answer that would tell who is known is one fixed text; a mail is sent after the answer is
//! decided. `/api/account/passkey/*` are ours: the reference server has no way to a second passkey.
//!
//! Next: `enrol`, `enter` and `recover` do what is asked.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use super::PasskeyError;
use crate::dialect::super_productivity::SuperProductivity;
use crate::dialect::super_productivity::accounts::fields::Fields;
use crate::dialect::super_productivity::accounts::routes::{Answer, answer, message, signed_in};
use crate::dialect::super_productivity::accounts::{Account, mail};
use crate::dialect::super_productivity::answer::Refused;
use crate::server::env;

/// The routes of this file.
pub(in super::super) fn router() -> Router<SuperProductivity> {
    Router::new()
        .route("/api/register/passkey/options", post(offer))
        .route("/api/register/passkey/verify", post(register))
        .route("/api/login/passkey/options", post(question))
        .route("/api/login/passkey/verify", post(login))
        .route("/api/recover/passkey", post(lost))
        .route("/api/recover/passkey/options", post(recovery_offer))
        .route("/api/recover/passkey/complete", post(recover))
        .route("/api/account/passkey/options", post(addition))
        .route("/api/account/passkey/verify", post(add))
}

fn bad(error: PasskeyError) -> Refused {
    error.refused(StatusCode::BAD_REQUEST)
}

fn unknown(error: PasskeyError) -> Refused {
    error.refused(StatusCode::UNAUTHORIZED)
}

async fn offer(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let email = fields.email();
    fields.terms();
    fields.checked()?;
    let options = state.accounts().passkey_offer(&email, env::env()?).await.map_err(bad)?;
    Ok(answer(StatusCode::OK, &options))
}

async fn register(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let (email, credential) = (fields.email(), fields.object("credential"));
    fields.checked()?;
    let accounts = state.accounts();
    if let Some(letter) = accounts.register_passkey(&email, &credential, env::env()?).await.map_err(bad)? {
        mail::post(&accounts.mailer, letter);
    }
    message(StatusCode::CREATED, "Registration successful. Please check your email to verify your account.")
}

async fn question(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let email = fields.email();
    fields.checked()?;
    let options = state.accounts().passkey_question(&email, env::env()?).await.map_err(bad)?;
    Ok(answer(StatusCode::OK, &options))
}

async fn login(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let (email, credential) = (fields.email(), fields.object("credential"));
    fields.checked()?;
    let who = state.accounts().passkey_login(&email, &credential, env::env()?).await.map_err(unknown)?;
    signed_in(&who)
}

async fn lost(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let email = fields.email();
    fields.checked()?;
    let accounts = state.accounts();
    if let Some(letter) = accounts.lost_passkey(&email, env::env()?).await.map_err(bad)? {
        mail::post(&accounts.mailer, letter);
    }
    message(StatusCode::OK, "If an account with that email exists, a recovery link has been sent.")
}

async fn recovery_offer(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let token = fields.token();
    fields.checked()?;
    let offer = state.accounts().recovery_offer(&token, env::env()?).await.map_err(bad)?;
    Ok(answer(StatusCode::OK, &offer))
}

async fn recover(State(state): State<SuperProductivity>, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let (token, credential) = (fields.token(), fields.object("credential"));
    fields.checked()?;
    state.accounts().recover_passkey(&token, &credential, env::env()?).await.map_err(bad)?;
    message(StatusCode::OK, "Passkey has been reset successfully. You can now log in with your new passkey.")
}

async fn addition(State(state): State<SuperProductivity>, account: Account) -> Answer {
    let options = state.accounts().passkey_addition(account.id, env::env()?).await.map_err(bad)?;
    Ok(answer(StatusCode::OK, &options))
}

async fn add(State(state): State<SuperProductivity>, account: Account, headers: HeaderMap, body: Body) -> Answer {
    let mut fields = Fields::read(&headers, body).await?;
    let credential = fields.object("credential");
    fields.checked()?;
    state.accounts().add_passkey(account.id, &credential, env::env()?).await.map_err(bad)?;
    message(StatusCode::CREATED, "Passkey added")
}
