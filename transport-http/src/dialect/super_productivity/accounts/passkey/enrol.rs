//! New passkeys: with a new account, and one more for the account that asks.
//!
//! What must always hold: the answer to a registration is the same whether the address is new, waiting or taken; the
//! passkey that counts is the one sent with the mail that was answered, and nothing sent before it; and a credential is
//! one account's only.
//!
//! Next: `enter`.

use serde_json::Value;
use syncline::call::Refusal;
use syncline::time::Env;

use super::challenge::Asked;
use super::given::Made;
use super::{Accounts, PasskeyError};
use crate::dialect::super_productivity::accounts::mail::Letter;
use crate::dialect::super_productivity::accounts::mailed::{self, Purpose};
use crate::dialect::super_productivity::accounts::record::{AccountRecord, Change, NewAccount, Passkey};

/// Passkeys of one account.
pub(super) const PASSKEYS_MAX: usize = 16;

impl Accounts {
    /// The passkey that somebody made for `asked`, judged; its challenge is used.
    pub(super) async fn passkey_made(&self, asked: &Asked, given: &Value, env: Env) -> Result<Passkey, PasskeyError> {
        let party = self.party()?;
        let made = Made::read(given).ok_or(PasskeyError::Credential)?;
        let state = self.challenges().take(asked, &made.challenge, env).await?;
        party.made(&made, state, env.now)
    }

    /// Makes an account whose address is to be proved; the mail for it, unless the address is proved already.
    pub(super) async fn register_passkey(
        &self,
        email: &str,
        given: &Value,
        env: Env,
    ) -> Result<Option<Letter>, PasskeyError> {
        let passkey = self.passkey_made(&Asked::Register(email.to_owned()), given, env).await?;
        let (secret, kept) = Purpose::Verify.mint(&env);
        let holder = self.records.by_passkey(&passkey.id).await?;
        let id = match self.records.by_email(email).await? {
            _ if holder.as_ref().is_some_and(|holder| holder.email != email) => None,
            None => {
                let new = NewAccount {
                    email: email.to_owned(),
                    password: None,
                    passkeys: vec![passkey],
                    verified: false,
                    verify: Some(kept),
                    quota_bytes: self.quota_bytes,
                };
                self.records.create(new, env).await?.map(|record| record.id)
            }
            Some(waiting) => {
                let id = waiting.id;
                let changed = self.records.change(id, env, |record| {
                    if record.verified || record.deleting {
                        return Change::Nothing(None);
                    }
                    // Whoever sent what waits here until now may be somebody else.
                    record.password = None;
                    record.passkeys = vec![passkey.clone()];
                    record.verify = Some(kept.clone());
                    Change::Keep(Some(id))
                });
                changed.await?.flatten()
            }
        };
        Ok(id.map(|id| self.verification_letter(email, &mailed::token(id, &secret))))
    }

    /// What a browser needs to make one more passkey for an account.
    pub(super) async fn passkey_addition(&self, id: u64, env: Env) -> Result<Value, PasskeyError> {
        let party = self.party()?;
        let account = self.alive(id).await?.ok_or(PasskeyError::SignIn)?;
        if account.passkeys.len() >= PASSKEYS_MAX {
            return Err(PasskeyError::Full);
        }
        let user = env.bytes32("passkey user");
        let offer = || party.offer(&user, &account.email, &account.passkeys);
        self.challenges().ask(&Asked::Add(id), env, offer).await
    }

    /// Adds a passkey to an account.
    pub(super) async fn add_passkey(&self, id: u64, given: &Value, env: Env) -> Result<(), PasskeyError> {
        let passkey = self.passkey_made(&Asked::Add(id), given, env).await?;
        if self.records.by_passkey(&passkey.id).await?.is_some() {
            return Err(PasskeyError::Credential);
        }
        let added = self.records.change(id, env, |record| {
            if record.deleting {
                return Change::Nothing(Err(PasskeyError::SignIn));
            }
            if record.passkeys.len() >= PASSKEYS_MAX {
                return Change::Nothing(Err(PasskeyError::Full));
            }
            record.passkeys.push(passkey.clone());
            Change::Keep(Ok(()))
        });
        added.await?.unwrap_or(Err(PasskeyError::SignIn))
    }

    pub(super) async fn alive(&self, id: u64) -> Result<Option<AccountRecord>, Refusal> {
        Ok(self.records.by_id(id).await?.filter(|record| !record.deleting))
    }
}
