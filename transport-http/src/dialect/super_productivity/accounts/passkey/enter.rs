//! Signing in with a passkey.
//!
//! What must always hold: the signature is judged inside the compare and swap that moves the counter, so of two uses that
//! carry the same count one is refused, on whichever servers they arrive; and the account is the key's own.
//!
//! Next: `recover` for who lost it.

use serde_json::Value;
use syncline::time::Env;

use super::challenge::Asked;
use super::given::Used;
use super::{Accounts, PasskeyError};
use crate::dialect::super_productivity::accounts::login::SignedIn;
use crate::dialect::super_productivity::accounts::record::Change;

impl Accounts {
    /// Signs in with a passkey that answers a question for `email`.
    pub(super) async fn passkey_login(&self, email: &str, given: &Value, env: Env) -> Result<SignedIn, PasskeyError> {
        let party = self.party()?;
        let used = Used::read(given).ok_or(PasskeyError::SignIn)?;
        let state = self.challenges().take(&Asked::SignIn(email.to_owned()), &used.challenge, env).await?;
        let id = super::party::text(&used.credential.raw_id);
        let holder = self.records.by_passkey(&id).await?.ok_or(PasskeyError::SignIn)?;
        let entered = self.records.change(holder.id, env, |record| {
            if record.deleting {
                return Change::Nothing(Err(PasskeyError::SignIn));
            }
            let Some(at) = record.passkeys.iter().position(|passkey| passkey.id == id) else {
                return Change::Nothing(Err(PasskeyError::SignIn));
            };
            match party.used(&used, &state, &record.passkeys[at], env.now) {
                Err(error) => Change::Nothing(Err(error)),
                Ok(None) => Change::Nothing(Err(PasskeyError::SignIn)),
                Ok(Some(_)) if !record.verified => Change::Nothing(Err(PasskeyError::Unverified)),
                Ok(Some(passkey)) => {
                    record.passkeys[at] = passkey;
                    Change::Keep(Ok(self.signed_in(record, env)))
                }
            }
        });
        entered.await?.unwrap_or(Err(PasskeyError::SignIn))
    }
}
