//! Accounts: who asks. Addresses, passwords, tokens, and the mails that prove an address.
//!
//! What must always hold: a request acts for the account whose token it carries, looked up on every request, so that a
//! revoked token is dead on every server at once; nothing that matters lives in this process; and no answer or time
//! tells a stranger which addresses are known, except where the protocol itself says so.
//!
//! Next: [`Account`] is what handlers take; `record` is what is kept; `routes` what is answered; `passkey`, behind a
//! feature of its own, what stands in for passwords.

pub(crate) mod admin;
mod delete;
mod fields;
pub(crate) mod jwt;
mod login;
mod magic;
mod mail;
mod mailed;
mod page;
#[cfg(feature = "passkeys")]
mod passkey;
mod record;
mod register;
mod reset;
mod routes;
pub(crate) mod test_routes;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use syncline::call::Refusal;
use syncline::id::{BucketId, LogKey};
use syncline::server::Server;
use syncline::time::Timestamp;

pub use crate::password::PasswordCost;
pub use mail::{Letter, LogMailer, MailError, Mailer, SmtpMailer};
pub(crate) use routes::router;

use super::SuperProductivity;
use super::answer::Refused;
use super::settings::{Settings, SettingsError};
use crate::password::Hashing;
use crate::server::env;
use jwt::Key;
use record::{AccountRecord, Records};

/// The account that asks: a handler that takes it is reached with a valid token only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Its number.
    pub(crate) id: u64,
    /// Its address, lower case.
    pub(crate) email: String,
    /// The log that holds its ops.
    pub(crate) log: LogKey,
    /// Bytes it may store.
    pub(crate) quota_bytes: u64,
}

/// Why nobody can be said to ask.
#[derive(Debug)]
pub(crate) enum AuthError {
    /// No bearer token at all.
    Missing,
    /// Not one that holds now.
    Invalid,
    /// It cannot be said now.
    Failed(Box<Refusal>),
}

impl From<AuthError> for Refused {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing => Self::error(StatusCode::UNAUTHORIZED, "Missing or invalid Authorization header"),
            AuthError::Invalid => Self::error(StatusCode::UNAUTHORIZED, "Invalid token"),
            AuthError::Failed(refusal) => (*refusal).into(),
        }
    }
}

impl From<Refusal> for AuthError {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(Box::new(refusal))
    }
}

impl FromRequestParts<SuperProductivity> for Account {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &SuperProductivity) -> Result<Self, Refused> {
        let token = bearer(&parts.headers).ok_or(AuthError::Missing)?;
        Ok(state.accounts().authenticate(token, env::now()).await?)
    }
}

/// What stands after `Bearer `.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// The accounts of the dialect.
#[derive(Debug)]
pub(crate) struct Accounts {
    server: Server,
    records: Records,
    key: Key,
    hashing: Hashing,
    mailer: Arc<dyn Mailer>,
    /// This server as browsers know it; `None` when its public address is none that they make passkeys for.
    #[cfg(feature = "passkeys")]
    party: Option<passkey::Party>,
    /// Where links in mails lead, without a slash at the end.
    public_url: String,
    quota_bytes: u64,
}

impl Accounts {
    /// # Errors
    /// When a setting cannot be.
    pub(crate) fn new(server: Server, bucket: BucketId, settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            records: Records::new(server.clone(), bucket),
            server,
            key: Key::new(&settings.token_secret).ok_or(SettingsError::Secret)?,
            hashing: Hashing::new(settings.password_cost).ok_or(SettingsError::PasswordCost)?,
            mailer: Arc::clone(&settings.mailer),
            #[cfg(feature = "passkeys")]
            party: passkey::Party::new(&settings.public_url),
            public_url: settings.public_url.trim_end_matches('/').to_owned(),
            quota_bytes: settings.quota_bytes,
        })
    }

    fn account(&self, record: AccountRecord) -> Account {
        let log = self.records.log(record.id);
        Account { id: record.id, email: record.email, log, quota_bytes: record.quota_bytes }
    }

    /// Accounts by number, after one.
    pub(crate) async fn listed(&self, after: u64, limit: usize) -> Result<Vec<Account>, Refusal> {
        let account = |record: AccountRecord| Account {
            id: record.id,
            log: self.records.log(record.id),
            email: record.email,
            quota_bytes: record.quota_bytes,
        };
        Ok(self.records.list(after, limit).await?.into_iter().map(account).collect())
    }

    /// The log of a new account.
    #[cfg(test)]
    pub(crate) async fn made_for_test(&self, now: Timestamp) -> LogKey {
        let (email, quota_bytes) = ("a@b.c".to_owned(), 1 << 20);
        let new = record::NewAccount {
            email,
            password: None,
            passkeys: Vec::new(),
            verified: true,
            verify: None,
            quota_bytes,
        };
        let env = syncline::time::Env { now, entropy: [3; 32] };
        let made = self.records.create(new, env).await.expect("a store that works").expect("a new address");
        self.records.log(made.id)
    }

    /// The account of a token.
    pub(crate) async fn authenticate(&self, token: &str, now: Timestamp) -> Result<Account, AuthError> {
        let claims = self.key.verify(token, now).ok_or(AuthError::Invalid)?;
        let record = self.records.by_id(claims.user_id).await?.ok_or(AuthError::Invalid)?;
        if record.deleting || record.token_version != claims.token_version {
            return Err(AuthError::Invalid);
        }
        Ok(self.account(record))
    }
}
