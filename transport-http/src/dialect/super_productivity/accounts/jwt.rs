//! Tokens of accounts: JSON Web Tokens (RFC 7519) with HS256 (RFC 7515), and nothing else.
//!
//! What must always hold: only HS256 is ever read, whatever the header of a token says, so there is no algorithm to
//! confuse; the signature is compared in constant time and before anything in the token is believed; and a token says
//! who asks, never what it may do: that stands in the account's record.
//!
//! Next: `mod` turns a verified token into an [`Account`](super::Account).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use syncline::time::Timestamp;

/// Characters of a secret at least.
pub(crate) const SECRET_CHARS_MIN: usize = 32;
/// How long a token holds: 7 days.
const VALID_S: u64 = 7 * 24 * 60 * 60;
/// Bytes of a token at most: ours have about 250, and nobody is to make us decode a megabyte.
const TOKEN_BYTES_MAX: usize = 4_096;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claims {
    /// The account.
    pub(crate) user_id: u64,
    /// Its address when the token was made.
    pub(crate) email: String,
    /// Which generation of the account's tokens this one is of.
    #[serde(default)]
    pub(crate) token_version: u64,
    /// Made at, seconds since 1970.
    pub(crate) iat: u64,
    /// Holds until, seconds since 1970.
    pub(crate) exp: u64,
}

impl Claims {
    /// Claims that hold for 7 days from `now`.
    pub(crate) fn new(user_id: u64, email: &str, token_version: u64, now: Timestamp) -> Self {
        let iat = now.ms() / 1_000;
        Self { user_id, email: email.to_owned(), token_version, iat, exp: iat + VALID_S }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    /// Extensions that a reader must understand. We understand none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// What signs and verifies.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    /// `None` when the secret is too short to be one.
    pub(crate) fn new(secret: &str) -> Option<Self> {
        if secret.chars().count() < SECRET_CHARS_MIN {
            return None;
        }
        Hmac::new_from_slice(secret.as_bytes()).ok().map(Self)
    }

    /// The token that says this.
    pub(crate) fn sign(&self, claims: &Claims) -> String {
        let header = Header { alg: "HS256".into(), typ: Some("JWT".into()), crit: None };
        // Strings and numbers: writing them cannot fail.
        let part = |json: Result<Vec<u8>, _>| URL_SAFE_NO_PAD.encode(json.unwrap_or_default());
        let message = format!("{}.{}", part(serde_json::to_vec(&header)), part(serde_json::to_vec(claims)));
        let signature = self.0.clone().chain_update(&message).finalize().into_bytes();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What a token says, when it was signed with this key and holds `now`.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.0.clone().chain_update(message).verify_slice(&signature).ok()?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header.alg != "HS256" || header.crit.is_some() {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        (now.ms() / 1_000 < claims.exp).then_some(claims)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_ms(seconds * 1_000).unwrap()
    }

    fn signed(header: &str, claims: &str, secret: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&message).finalize();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes()))
    }

    #[test]
    fn a_secret_below_32_characters_is_refused() {
        assert!(Key::new(&"x".repeat(31)).is_none());
        assert!(Key::new(&"x".repeat(32)).is_some());
    }

    #[test]
    fn a_token_is_what_any_other_implementation_makes_of_the_same_claims() {
        let key = Key::new(SECRET).unwrap();
        let claims = Claims { user_id: 7, email: "a@b.c".into(), token_version: 2, iat: 1, exp: 9 };
        // Made with another language's HMAC over the same bytes.
        let theirs = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VySWQiOjcsImVtYWlsIjoiYUBiLmMiLCJ0b2tlblZlcnNpb24iOj\
                      IsImlhdCI6MSwiZXhwIjo5fQ.mNgIFpvhYyP7DrAmL8KIJlXXRzl4qRIoAeLgCLsY1IE";
        assert_eq!(key.sign(&claims), theirs);
        assert_eq!(key.verify(theirs, at(8)), Some(claims));
    }

    #[test]
    fn a_token_ends_at_its_second() {
        let key = Key::new(SECRET).unwrap();
        let token = key.sign(&Claims::new(1, "a@b.c", 0, at(1_000)));
        assert!(key.verify(&token, at(1_000 + VALID_S - 1)).is_some());
        assert!(key.verify(&token, at(1_000 + VALID_S)).is_none());
    }

    #[test]
    fn a_missing_token_version_is_zero() {
        let token = signed(r#"{"alg":"HS256"}"#, r#"{"userId":1,"email":"a@b.c","iat":1,"exp":9}"#, SECRET);
        assert_eq!(Key::new(SECRET).unwrap().verify(&token, at(5)).unwrap().token_version, 0);
    }

    #[test]
    fn nothing_but_our_own_hs256_is_believed() {
        let key = Key::new(SECRET).unwrap();
        let claims = r#"{"userId":1,"email":"a@b.c","iat":1,"exp":9}"#;
        let good = signed(r#"{"alg":"HS256","typ":"JWT"}"#, claims, SECRET);
        assert!(key.verify(&good, at(5)).is_some());
        let none = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims));
        let (message, signature) = good.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        let flipped = format!("{message}.{other}{}", &signature[1..]);
        let bad = [
            signed(r#"{"alg":"none"}"#, claims, SECRET),
            signed(r#"{"alg":"HS512"}"#, claims, SECRET),
            signed(r#"{"alg":"RS256"}"#, claims, SECRET),
            signed(r#"{"alg":"HS256","crit":["b64"]}"#, claims, SECRET),
            signed(r#"{"alg":"HS256"}"#, claims, "another secret of at least 32 chars"),
            signed(r#"{"alg":"HS256"}"#, r#"{"userId":"1","email":"a","iat":1,"exp":9}"#, SECRET),
            signed(r#"{"alg":"HS256"}"#, r#"{"userId":-1,"email":"a","iat":1,"exp":9}"#, SECRET),
            signed(r#"{"alg":"HS256"}"#, "not json", SECRET),
            none,
            flipped,
            String::new(),
            ".".into(),
            "..".into(),
            "a.b.c.d".into(),
            "x".repeat(1 << 20),
        ];
        for token in bad {
            assert_eq!(key.verify(&token, at(5)), None, "{}", &token[..token.len().min(80)]);
        }
    }
}
