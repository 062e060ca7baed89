//! This server as a relying party: its name, its questions, and its judgement of what comes back.
//!
//! What must always hold: the origin that a browser signs is the one people open, to the letter, and no other site's; a
//! key's counter only rises, so that of a copied key one of the two is refused; and of what an authenticator attests only
//! its key is kept.
//!
//! Next: `given` reads what comes back.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use syncline::call::{ErrorCode, Refusal};
use syncline::time::Timestamp;
use url::{Host, Url};
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{
    AttestationFormat, AuthenticationState, Credential, ParsedAttestation, RegistrationState, UserVerificationPolicy,
};

use super::PasskeyError;
use super::given::{Made, Used};
use crate::dialect::super_productivity::accounts::record::Passkey;

/// How long a browser lets its person think: a hint to it, and no more.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A fresh challenge.
pub(in super::super) struct Minted {
    pub(super) challenge: Vec<u8>,
    /// What the browser is given.
    pub(super) options: Value,
    /// What is wanted back to judge the answer.
    pub(super) state: Value,
}

/// The relying party.
#[derive(Debug)]
pub(in super::super) struct Party(WebauthnCore);

impl Party {
    /// The party that a public address makes; `None` when no browser would take it for one: it needs a name, not a
    /// number, and TLS unless it is this machine.
    pub(in super::super) fn new(public_url: &str) -> Option<Self> {
        let url = Url::parse(public_url).ok()?;
        let Some(Host::Domain(name)) = url.host() else { return None };
        let here = name == "localhost" || name.ends_with(".localhost");
        if url.scheme() != "https" && !(here && url.scheme() == "http") {
            return None;
        }
        let origin = Url::parse(&url.origin().ascii_serialization()).ok()?;
        Some(Self(WebauthnCore::new_unsafe_experts_only(name, name, vec![origin], TIMEOUT, Some(false), Some(false))))
    }

    /// Asks for a new passkey; none of `known` will do.
    pub(super) fn offer(&self, user: &[u8], name: &str, known: &[Passkey]) -> Result<Minted, PasskeyError> {
        let ids = known.iter().filter_map(|passkey| URL_SAFE_NO_PAD.decode(&passkey.id).ok()).collect();
        let asked = self.0.new_challenge_register_builder(user, name, name).map_err(bug)?;
        // The device must find the key by itself: a question names none, else it would tell who has one.
        let asked = asked.require_resident_key(true).exclude_credentials(Some(ids));
        let asked = asked.user_verification_policy(UserVerificationPolicy::Preferred);
        let (offer, state) = self.0.generate_challenge_register(asked).map_err(bug)?;
        let challenge = offer.public_key.challenge.clone();
        let mut options = value(&offer.public_key)?;
        options["extensions"] = json!({ "credProps": true });
        Ok(Minted { challenge, options, state: value(&state)? })
    }

    /// Asks for a use of a passkey, whichever the device has for this server.
    pub(super) fn question(&self) -> Result<Minted, PasskeyError> {
        let preferred = Some(UserVerificationPolicy::Preferred);
        let asked = self.0.new_challenge_authenticate_builder(Vec::new(), preferred).map_err(bug)?;
        // Keys move: one that was bound to a device may be backed up later.
        let asked = asked.allow_backup_eligible_upgrade(true);
        let (question, state) = self.0.generate_challenge_authenticate(asked).map_err(bug)?;
        let challenge = question.public_key.challenge.clone();
        let mut options = value(&question.public_key)?;
        if let Some(options) = options.as_object_mut() {
            options.remove("allowCredentials");
        }
        Ok(Minted { challenge, options, state: value(&state)? })
    }

    /// The passkey that answers an offer.
    pub(super) fn made(&self, made: &Made, state: Value, now: Timestamp) -> Result<Passkey, PasskeyError> {
        let state: RegistrationState = kept(state)?;
        let refused = |error: WebauthnError| {
            tracing::info!(%error, "a new passkey is refused");
            PasskeyError::Credential
        };
        let mut credential = self.0.register_credential(&made.credential, &state, None).map_err(refused)?;
        if credential.cred_id != made.credential.raw_id {
            return Err(PasskeyError::Credential);
        }
        credential.attestation = ParsedAttestation::default();
        credential.attestation_format = AttestationFormat::None;
        let id = text(&credential.cred_id);
        Ok(Passkey { id, made_at: now, used_at: None, key: value(&credential)? })
    }

    /// The passkey as it is after this use of it; `None` when that is not a use of it.
    pub(super) fn used(
        &self,
        used: &Used,
        state: &Value,
        passkey: &Passkey,
        now: Timestamp,
    ) -> Result<Option<Passkey>, PasskeyError> {
        let state: AuthenticationState = kept(state.clone())?;
        let mut credential: Credential = kept(passkey.key.clone())?;
        let result = match self.0.authenticate_single_credential(&used.credential, &state, &credential) {
            Ok(result) => result,
            Err(error) => {
                tracing::info!(%error, "a use of a passkey is refused");
                return Ok(None);
            }
        };
        credential.counter = result.counter();
        credential.backup_state = result.backup_state();
        credential.backup_eligible |= result.backup_eligible();
        Ok(Some(Passkey { used_at: Some(now), key: value(&credential)?, ..passkey.clone() }))
    }
}

/// A credential's id as text.
pub(super) fn text(id: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(id)
}

fn value<T: Serialize>(of: &T) -> Result<Value, PasskeyError> {
    serde_json::to_value(of).map_err(|_| Refusal::new(ErrorCode::Internal, "a passkey does not write").into())
}

fn kept<T: DeserializeOwned>(state: Value) -> Result<T, PasskeyError> {
    serde_json::from_value(state).map_err(|_| Refusal::new(ErrorCode::LogDamaged, "a passkey does not read").into())
}

#[allow(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn bug(error: WebauthnError) -> PasskeyError {
    Refusal::new(ErrorCode::Internal, format!("no challenge could be made: {error}")).into()
}
