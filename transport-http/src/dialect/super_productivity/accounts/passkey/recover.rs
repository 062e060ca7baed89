//! Lost passkeys: a mailed link makes a new one.
//!
//! What must always hold: asking says nothing about who is known; a link is good once and for an hour; and the new passkey
//! replaces all others, with every token and every other link there was.

use serde_json::{Value, json};
use syncline::call::Refusal;
use syncline::time::Env;

use super::challenge::Asked;
use super::{Accounts, PasskeyError};
use crate::dialect::super_productivity::accounts::mail::Letter;
use crate::dialect::super_productivity::accounts::mailed::{self, Purpose, Returned};
use crate::dialect::super_productivity::accounts::record::{AccountRecord, Change};

impl Accounts {
    /// The mail with which a new passkey can be made; none for an address that is not known, not proved, or has no
    /// passkey to lose.
    pub(super) async fn lost_passkey(&self, email: &str, env: Env) -> Result<Option<Letter>, PasskeyError> {
        self.party()?;
        let Some(known) = self.records.by_email(email).await? else { return Ok(None) };
        let (secret, kept) = Purpose::Recover.mint(&env);
        let changed = self.records.change(known.id, env, |record| {
            if record.deleting || !record.verified || record.passkeys.is_empty() {
                return Change::Nothing(false);
            }
            record.recover = Some(kept.clone());
            Change::Keep(true)
        });
        let token = mailed::token(known.id, &secret);
        Ok(changed.await?.unwrap_or(false).then(|| Letter {
            to: known.email,
            subject: "Make a new passkey".into(),
            text: format!(
                "Somebody, probably you, asked for a new passkey for your sync account. To make one, open\n\n\
                 {}/recover-passkey?token={token}\n\nwithin an hour. It replaces all others. If it was not you, do \
                 nothing.\n",
                self.public_url
            ),
        }))
    }

    /// What a browser needs to make the new passkey, and for which address.
    pub(super) async fn recovery_offer(&self, token: &str, env: Env) -> Result<Value, PasskeyError> {
        let party = self.party()?;
        let (account, _) = self.opened(token, env).await?.ok_or(PasskeyError::Link)?;
        let user = env.bytes32("passkey user");
        let offer = || party.offer(&user, &account.email, &[]);
        let options = self.challenges().ask(&Asked::Recover(account.id), env, offer).await?;
        Ok(json!({ "email": account.email, "options": options }))
    }

    /// Makes the new passkey the only one.
    pub(super) async fn recover_passkey(&self, token: &str, given: &Value, env: Env) -> Result<(), PasskeyError> {
        self.party()?;
        let (account, secret) = self.opened(token, env).await?.ok_or(PasskeyError::Link)?;
        let passkey = self.passkey_made(&Asked::Recover(account.id), given, env).await?;
        let holder = self.records.by_passkey(&passkey.id).await?;
        if holder.is_some_and(|holder| holder.id != account.id) {
            return Err(PasskeyError::Credential);
        }
        let changed = self.records.change(account.id, env, |record| {
            if !opens(record, secret, env) {
                return Change::Nothing(Err(PasskeyError::Link));
            }
            record.passkeys = vec![passkey.clone()];
            record.token_version += 1;
            (record.recover, record.reset, record.magic) = (None, None, None);
            Change::Keep(Ok(()))
        });
        changed.await?.unwrap_or(Err(PasskeyError::Link))
    }

    /// The account of a link, and its secret.
    async fn opened<'a>(&self, token: &'a str, env: Env) -> Result<Option<(AccountRecord, &'a str)>, Refusal> {
        let Some((id, secret)) = mailed::parse(token) else { return Ok(None) };
        let found = self.alive(id).await?.filter(|record| opens(record, secret, env));
        Ok(found.map(|record| (record, secret)))
    }
}

fn opens(record: &AccountRecord, secret: &str, env: Env) -> bool {
    !record.deleting && Purpose::Recover.check(record.recover.as_ref(), secret, env.now) == Returned::Fits
}
