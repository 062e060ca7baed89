//! Making an account, and proving its address.
//!
//! What must always hold: the answer to a registration, and the passwords hashed for it, are the same whether the
//! address is new, waiting or taken; and the password that counts is the one sent with the mail that was answered.
//!
//! Next: `login`.

use syncline::call::Refusal;
use syncline::time::Env;

use super::Accounts;
use super::mail::Letter;
use super::mailed::{self, Purpose, Returned};
use super::record::{Change, NewAccount};

impl Accounts {
    /// Makes an account whose address is to be proved; the mail for it, unless the address is proved already.
    pub(crate) async fn register(&self, email: &str, password: &str, env: Env) -> Result<Option<Letter>, Refusal> {
        let password = self.hashing.hash(password).await?;
        let (secret, kept) = Purpose::Verify.mint(&env);
        let id = match self.records.by_email(email).await? {
            None => {
                let new = NewAccount {
                    email: email.to_owned(),
                    password: Some(password),
                    passkeys: Vec::new(),
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
                    // An earlier link would confirm a password or passkey that somebody else may have chosen.
                    record.password = Some(password.clone());
                    record.passkeys.clear();
                    record.verify = Some(kept.clone());
                    Change::Keep(Some(id))
                });
                changed.await?.flatten()
            }
        };
        Ok(id.map(|id| self.verification_letter(email, &mailed::token(id, &secret))))
    }

    /// Takes the token of a verification mail; it is good once.
    pub(crate) async fn verify_email(&self, token: &str, env: Env) -> Result<Returned, Refusal> {
        let Some((id, secret)) = mailed::parse(token) else { return Ok(Returned::Unknown) };
        let checked = self.records.change(id, env, |record| {
            let checked = Purpose::Verify.check(record.verify.as_ref(), secret, env.now);
            if checked != Returned::Fits {
                return Change::Nothing(checked);
            }
            record.verified = true;
            record.verify = None;
            Change::Keep(checked)
        });
        Ok(checked.await?.unwrap_or(Returned::Unknown))
    }

    pub(super) fn verification_letter(&self, email: &str, token: &str) -> Letter {
        Letter {
            to: email.to_owned(),
            subject: "Confirm your address".into(),
            text: format!(
                "Somebody, probably you, made a sync account with this address. To confirm it, open\n\n\
                 {}/verify-email?token={token}\n\nwithin a day. If it was not you, do nothing.\n",
                self.public_url
            ),
        }
    }
}
