//! Forgotten passwords.
//!
//! What must always hold: asking says nothing about who is known; a link is good once; and a new password ends every
//! token and every other link there was.
//!
//! Next: `magic` signs in without a password.

use syncline::call::Refusal;
use syncline::time::Env;

use super::Accounts;
use super::mail::Letter;
use super::mailed::{self, Purpose, Returned};
use super::record::Change;

impl Accounts {
    /// The mail with which a password can be set anew; none for an unknown address.
    pub(crate) async fn forgot_password(&self, email: &str, env: Env) -> Result<Option<Letter>, Refusal> {
        let Some(known) = self.records.by_email(email).await? else { return Ok(None) };
        let (secret, kept) = Purpose::Reset.mint(&env);
        let changed = self.records.change(known.id, env, |record| {
            if record.deleting {
                return Change::Nothing(false);
            }
            record.reset = Some(kept.clone());
            Change::Keep(true)
        });
        let token = mailed::token(known.id, &secret);
        Ok(changed.await?.unwrap_or(false).then(|| Letter {
            to: known.email,
            subject: "Set a new password".into(),
            text: format!(
                "Somebody, probably you, asked for a new password for your sync account. To set one, open\n\n\
                 {}/reset-password?token={token}\n\nwithin an hour. If it was not you, do nothing.\n",
                self.public_url
            ),
        }))
    }

    /// Sets a password with the token of such a mail.
    pub(crate) async fn reset_password(&self, token: &str, password: &str, env: Env) -> Result<Returned, Refusal> {
        let Some((id, secret)) = mailed::parse(token) else { return Ok(Returned::Unknown) };
        let known = self.records.by_id(id).await?.filter(|record| !record.deleting);
        let checked = Purpose::Reset.check(known.and_then(|record| record.reset).as_ref(), secret, env.now);
        if checked != Returned::Fits {
            return Ok(checked);
        }
        let password = self.hashing.hash(password).await?;
        let changed = self.records.change(id, env, |record| {
            let checked = Purpose::Reset.check(record.reset.as_ref(), secret, env.now);
            if checked != Returned::Fits || record.deleting {
                return Change::Nothing(checked);
            }
            record.password = Some(password.clone());
            if !record.verified {
                // Whoever read the mail has the address; whoever sent a passkey for it may not.
                record.verified = true;
                record.passkeys.clear();
            }
            record.token_version += 1;
            record.failures = 0;
            record.locked_until = None;
            (record.verify, record.reset, record.magic, record.recover) = (None, None, None, None);
            Change::Keep(checked)
        });
        Ok(changed.await?.unwrap_or(Returned::Unknown))
    }
}
