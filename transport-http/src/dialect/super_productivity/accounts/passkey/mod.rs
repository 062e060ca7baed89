//! Passkeys (WebAuthn level 2): signing in with a key that a device keeps, instead of a password.
//!
//! What must always hold: a challenge of ours is answered once, within five minutes, for what it was given for and for
//! whom, on whichever server; the key decides whose account opens, never the address that was typed; a passkey counts
//! only once its account's address was proved by the mail that went out with it; and no answer tells who is known.
//!
//! User verification is *preferred*, as on the reference server: a device that has a screen lock asks for it, one without
//! may be used; a passkey made with it is from then on believed only with it.
//!
//! Next: `party` is the library for it, `challenge` what is kept between question and answer, `enrol`, `enter` and
//! `recover` what is done, `routes` what is answered.

mod challenge;
mod enrol;
mod enter;
mod given;
mod party;
mod recover;
mod routes;

#[cfg(test)]
mod tests;

use axum::http::StatusCode;
use serde_json::Value;
use syncline::call::Refusal;
use syncline::time::Env;

pub(super) use party::Party;
pub(super) use routes::router;

use super::super::answer::Refused;
use super::Accounts;
use challenge::Asked;

/// Why an attempt goes no further.
#[derive(Debug)]
pub(super) enum PasskeyError {
    /// The server was not told the name under which browsers know it.
    Off,
    /// No challenge of ours, for somebody else, used, or too old.
    Challenge,
    /// Not a passkey that answers the challenge for this server.
    Credential,
    /// Not a passkey that opens an account.
    SignIn,
    /// The right passkey of an account whose address is not proved.
    Unverified,
    /// No link that holds now.
    Link,
    /// The account has as many as it may.
    Full,
    /// More people sign in than there is room for.
    Busy,
    /// It cannot be said now.
    Failed(Box<Refusal>),
}

impl PasskeyError {
    /// The reference server's words, under the route's own status.
    fn refused(self, status: StatusCode) -> Refused {
        let text = match self {
            Self::Off => {
                let text = "Passkeys are not set up: start the server with --sp-public-url https://NAME (or \
                            http://localhost), the address that people open.";
                return Refused::error(StatusCode::BAD_REQUEST, text);
            }
            Self::Challenge => "Challenge expired or not found. Please try again.",
            Self::Credential => "Passkey verification failed. Please try again.",
            Self::SignIn => "Authentication failed",
            Self::Unverified => "Email not verified",
            Self::Link => "Invalid or expired recovery token",
            Self::Full => "This account has as many passkeys as it can have.",
            Self::Busy => {
                return Refused::error(StatusCode::SERVICE_UNAVAILABLE, "Server busy, please retry");
            }
            Self::Failed(refusal) => return (*refusal).into(),
        };
        Refused::error(status, text)
    }
}

impl From<Refusal> for PasskeyError {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(Box::new(refusal))
    }
}

impl Accounts {
    fn party(&self) -> Result<&Party, PasskeyError> {
        self.party.as_ref().ok_or(PasskeyError::Off)
    }

    /// What a browser needs to sign in. Nobody is looked up, so there is nothing to tell who is known.
    pub(super) async fn passkey_question(&self, email: &str, env: Env) -> Result<Value, PasskeyError> {
        let party = self.party()?;
        self.challenges().ask(&Asked::SignIn(email.to_owned()), env, || party.question()).await
    }

    /// What a browser needs to make a passkey. Nobody is looked up either.
    pub(super) async fn passkey_offer(&self, email: &str, env: Env) -> Result<Value, PasskeyError> {
        let party = self.party()?;
        let user = env.bytes32("passkey user");
        self.challenges().ask(&Asked::Register(email.to_owned()), env, || party.offer(&user, email, &[])).await
    }
}
