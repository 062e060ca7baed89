//! Signing in with a password, and trading a token for a new one.
//!
//! What must always hold: each attempt hashes exactly one password; five wrong ones in a row close the account for a
//! quarter of an hour on every server; and while it is closed the right password opens nothing either.
//!
//! Next: `reset` for who forgot it.

use syncline::call::Refusal;
use syncline::time::Env;

use super::Accounts;
use super::jwt::Claims;
use super::record::{AccountRecord, Change};

/// Wrong passwords in a row that close an account.
pub(crate) const FAILURES_MAX: u32 = 5;
/// How long it stays closed: 15 minutes.
pub(crate) const LOCKED_MS: u64 = 15 * 60 * 1_000;

/// Somebody who is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedIn {
    pub(crate) token: String,
    pub(crate) id: u64,
    pub(crate) email: String,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    In(SignedIn),
    /// Unknown address or wrong password.
    Wrong,
    /// The right password for an address that is not proved.
    Unverified,
    /// Too many wrong passwords.
    Locked,
}

impl Accounts {
    /// Signs in with a password.
    pub(crate) async fn login(&self, email: &str, password: &str, env: Env) -> Result<Login, Refusal> {
        let known = self.records.by_email(email).await?.filter(|record| !record.deleting);
        let kept = known.as_ref().and_then(|record| record.password.clone());
        let fits = self.hashing.fits(password, kept.as_deref()).await?;
        let Some(known) = known else { return Ok(Login::Wrong) };
        let attempted = self.records.change(known.id, env, |record| {
            if record.deleting || record.password != kept {
                return Change::Nothing(Login::Wrong);
            }
            if record.locked_until.is_some_and(|until| env.now < until) {
                return Change::Nothing(Login::Locked);
            }
            if !fits {
                record.failures += 1;
                record.locked_until = None;
                if record.failures >= FAILURES_MAX {
                    record.failures = 0;
                    record.locked_until = Some(env.now.plus_ms(LOCKED_MS));
                }
                return Change::Keep(Login::Wrong);
            }
            if !record.verified {
                return Change::Nothing(Login::Unverified);
            }
            let signed_in = Login::In(self.signed_in(record, env));
            if record.failures == 0 && record.locked_until.is_none() {
                return Change::Nothing(signed_in);
            }
            record.failures = 0;
            record.locked_until = None;
            Change::Keep(signed_in)
        });
        Ok(attempted.await?.unwrap_or(Login::Wrong))
    }

    /// A new token for an account; all others of it are dead from then on.
    pub(crate) async fn replace_token(&self, id: u64, env: Env) -> Result<Option<SignedIn>, Refusal> {
        let replaced = self.records.change(id, env, |record| {
            if record.deleting {
                return Change::Nothing(None);
            }
            record.token_version += 1;
            Change::Keep(Some(self.signed_in(record, env)))
        });
        Ok(replaced.await?.flatten())
    }

    /// A token for an account as it is; others of it go on.
    pub(crate) fn signed_in(&self, record: &AccountRecord, env: Env) -> SignedIn {
        let claims = Claims::new(record.id, &record.email, record.token_version, env.now);
        SignedIn { token: self.key.sign(&claims), id: record.id, email: record.email.clone() }
    }
}
