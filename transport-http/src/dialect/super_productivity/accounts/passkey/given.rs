//! Credentials as a browser hands them over: the JSON forms of WebAuthn, as far as anything of ours depends on them.
//!
//! What must always hold: what does not read is refused and no more; hints that we do not use (transports, extension
//! outputs) are not even looked at, so a browser that sends new ones is not locked out.
//!
//! Next: `party` verifies them.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use webauthn_rs_core::proto::{
    AuthenticatorAssertionResponseRaw, AuthenticatorAttestationResponseRaw, PublicKeyCredential,
    RegisterPublicKeyCredential,
};

/// Bytes of a credential's id at most (WebAuthn level 2, 6.5.1).
const ID_BYTES_MAX: usize = 1_023;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A new credential.
pub(super) struct Made {
    pub(super) credential: RegisterPublicKeyCredential,
    /// The challenge that it says it answers.
    pub(super) challenge: Vec<u8>,
}

/// A use of a credential.
pub(super) struct Used {
    pub(super) credential: PublicKeyCredential,
    /// The challenge that it says it answers.
    pub(super) challenge: Vec<u8>,
}

impl Made {
    /// Reads one; `None` when it is none.
    pub(super) fn read(given: &Value) -> Option<Self> {
        let (id, raw_id, response) = parts(given)?;
        let client_data_json = bytes(response, "clientDataJSON")?;
        let challenge = challenge(&client_data_json)?;
        let attestation_object = bytes(response, "attestationObject")?;
        let response = AuthenticatorAttestationResponseRaw { attestation_object, client_data_json, transports: None };
        let type_ = "public-key".to_owned();
        let credential = RegisterPublicKeyCredential { id, raw_id, response, type_, extensions: Default::default() };
        Some(Self { credential, challenge })
    }
}

impl Used {
    /// Reads one; `None` when it is none.
    pub(super) fn read(given: &Value) -> Option<Self> {
        let (id, raw_id, response) = parts(given)?;
        let client_data_json = bytes(response, "clientDataJSON")?;
        let challenge = challenge(&client_data_json)?;
        let response = AuthenticatorAssertionResponseRaw {
            authenticator_data: bytes(response, "authenticatorData")?,
            client_data_json,
            signature: bytes(response, "signature")?,
            user_handle: None,
        };
        let type_ = "public-key".to_owned();
        let credential = PublicKeyCredential { id, raw_id, response, extensions: Default::default(), type_ };
        Some(Self { credential, challenge })
    }
}

fn parts(given: &Value) -> Option<(String, Vec<u8>, &Value)> {
    let id = given.get("id")?.as_str()?.to_owned();
    let raw_id = BASE64.decode(&id).ok()?;
    let same = given.get("rawId").is_none_or(|raw| raw.as_str() == Some(&id));
    let fits = given.get("type")? == "public-key" && (1..=ID_BYTES_MAX).contains(&raw_id.len());
    (same && fits).then_some((id, raw_id, given.get("response")?))
}

fn bytes(response: &Value, field: &str) -> Option<Vec<u8>> {
    BASE64.decode(response.get(field)?.as_str()?).ok()
}

fn challenge(client_data: &[u8]) -> Option<Vec<u8>> {
    let client_data: Value = serde_json::from_slice(client_data).ok()?;
    BASE64.decode(client_data.get("challenge")?.as_str()?).ok()
}
