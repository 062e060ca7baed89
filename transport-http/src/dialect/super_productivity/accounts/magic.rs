//! Signing in with a link that was mailed.
//!
//! What must always hold: a link is good once and for a quarter of an hour; and only a proved address gets one, else it
//! would confirm a password that somebody else chose.
//!
//! Next: `delete`.

use syncline::call::Refusal;
use syncline::time::Env;

use super::Accounts;
use super::login::SignedIn;
use super::mail::Letter;
use super::mailed::{self, Purpose, Returned};
use super::record::Change;

impl Accounts {
    /// The mail with a link that signs in; none for an address that is not known and proved.
    pub(crate) async fn magic_link(&self, email: &str, env: Env) -> Result<Option<Letter>, Refusal> {
        let Some(known) = self.records.by_email(email).await? else { return Ok(None) };
        let (secret, kept) = Purpose::Magic.mint(&env);
        let changed = self.records.change(known.id, env, |record| {
            if record.deleting || !record.verified {
                return Change::Nothing(false);
            }
            record.magic = Some(kept.clone());
            Change::Keep(true)
        });
        let token = mailed::token(known.id, &secret);
        Ok(changed.await?.unwrap_or(false).then(|| Letter {
            to: known.email,
            subject: "Your link to sign in".into(),
            text: format!(
                "To sign in to your sync account, open\n\n{}/magic-login?token={token}\n\nwithin 15 minutes. If it was \
                 not you who asked, do nothing.\n",
                self.public_url
            ),
        }))
    }

    /// Signs in with the token of such a mail.
    pub(crate) async fn magic_login(&self, token: &str, env: Env) -> Result<Option<SignedIn>, Refusal> {
        let Some((id, secret)) = mailed::parse(token) else { return Ok(None) };
        let changed = self.records.change(id, env, |record| {
            if record.deleting || Purpose::Magic.check(record.magic.as_ref(), secret, env.now) != Returned::Fits {
                return Change::Nothing(None);
            }
            record.magic = None;
            Change::Keep(Some(self.signed_in(record, env)))
        });
        Ok(changed.await?.flatten())
    }
}
