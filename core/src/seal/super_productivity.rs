//! Super Productivity's own payload format, for clients that speak to its devices. Nothing else here uses it.
//!
//! A payload is `salt[16] ‖ iv[12] ‖ ciphertext ‖ tag[16]` in standard base64: AES-256-GCM without associated data, under the
//! key that Argon2id makes of the password and the salt (parameters as for our own passphrases). An older form without salt is
//! still read: `iv ‖ ciphertext ‖ tag`, under PBKDF2-HMAC-SHA256 with 1000 rounds and the password as its own salt.
//!
//! What must hold: the app reads what is written here and the other way round; no text makes a reader panic. What it cannot
//! give: the format binds a payload to nothing, and a wrong password looks like tampering.

use std::collections::BTreeMap;

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hkdf::hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::recipe::KeyRecipe;
use super::secret::{SecretError, stretched};
use crate::limits;
use crate::time::Env;

const SALT: usize = 16;
const IV: usize = 12;
const TAG: usize = 16;
const LEGACY_ROUNDS: u32 = 1_000;

type Key = Zeroizing<[u8; 32]>;

/// Seals and opens payloads under one password. Wiped when dropped; prints nothing of it.
#[derive(Clone)]
pub struct PasswordCodec {
    password: Zeroizing<String>,
    /// Making a key is dear by intention, so those made are kept, up to a number: an op may name any salt.
    keys: BTreeMap<[u8; SALT], Key>,
    legacy: Option<Key>,
}

/// Why a payload does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Not base64, or too short to be a payload.
    #[error("not a payload in this format")]
    Malformed,
    /// Another password, or not the bytes that were sealed; the format cannot tell.
    #[error("the password is wrong or the payload was changed")]
    Refused,
    /// No key can be made of the password.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl PasswordCodec {
    /// The codec of a password.
    ///
    /// # Errors
    /// [`SecretError::Empty`].
    pub fn new(password: &str) -> Result<Self, SecretError> {
        if password.is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(Self { password: Zeroizing::new(password.to_owned()), keys: BTreeMap::new(), legacy: None })
    }

    /// Seals a text under a salt. The app uses one salt for all it writes in a run; each new one costs an Argon2id.
    ///
    /// # Errors
    /// [`PasswordError::Secret`].
    pub fn seal(&mut self, salt: [u8; SALT], text: &str, env: &Env) -> Result<String, PasswordError> {
        let key = self.key(salt)?;
        let iv = iv(&key, &env.bytes32("super productivity iv"), text);
        sealed(&key, salt, iv, text)
    }

    /// Opens a payload of either form.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn open(&mut self, payload: &str) -> Result<Bytes, PasswordError> {
        let bytes = BASE64.decode(payload).map_err(|_| PasswordError::Malformed)?;
        if bytes.len() < IV + TAG {
            return Err(PasswordError::Malformed);
        }
        if let Some((salt, rest)) = bytes.split_first_chunk::<SALT>()
            && rest.len() >= IV + TAG
        {
            let key = self.key(*salt)?;
            if let Ok(text) = opened(&key, rest) {
                return Ok(text);
            }
        }
        opened(self.legacy(), &bytes)
    }

    fn key(&mut self, salt: [u8; SALT]) -> Result<Key, PasswordError> {
        if let Some(key) = self.keys.get(&salt) {
            return Ok(key.clone());
        }
        let key = stretched(&self.password, &KeyRecipe::new(salt))?;
        if self.keys.len() >= limits::PASSWORD_KEYS_KEPT {
            self.keys.clear();
        }
        self.keys.insert(salt, key.clone());
        Ok(key)
    }

    fn legacy(&mut self) -> &Key {
        let password = self.password.as_bytes();
        self.legacy.get_or_insert_with(|| {
            Zeroizing::new(pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, password, LEGACY_ROUNDS))
        })
    }
}

impl std::fmt::Debug for PasswordCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordCodec").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// Fresh for every text; entropy that repeats repeats it only for the same text.
fn iv(key: &Key, entropy: &[u8; 32], text: &str) -> [u8; IV] {
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(&key[..]);
    let mut hmac = Hmac::<Sha256>::new((&*block).into());
    hmac.update(b"syncline/super-productivity/iv");
    hmac.update(entropy);
    hmac.update(text.as_bytes());
    let mut iv = [0; IV];
    iv.copy_from_slice(&hmac.finalize().into_bytes()[..IV]);
    iv
}

fn sealed(key: &Key, salt: [u8; SALT], iv: [u8; IV], text: &str) -> Result<String, PasswordError> {
    let mut out = [&salt[..], &iv, text.as_bytes()].concat();
    let tag = Aes256Gcm::new((&**key).into())
        .encrypt_inout_detached(&Nonce::from(iv), &[], (&mut out[SALT + IV..]).into())
        .map_err(|_| PasswordError::Malformed)?;
    out.extend_from_slice(&tag);
    Ok(BASE64.encode(out))
}

fn opened(key: &Key, bytes: &[u8]) -> Result<Bytes, PasswordError> {
    let (iv, rest) = bytes.split_first_chunk::<IV>().ok_or(PasswordError::Malformed)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(PasswordError::Malformed)?;
    let mut text = ciphertext.to_vec();
    Aes256Gcm::new((&**key).into())
        .decrypt_inout_detached(&Nonce::from(*iv), &[], text.as_mut_slice().into(), &Tag::from(*tag))
        .map_err(|_| PasswordError::Refused)?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn salt(at: impl Fn(u8) -> u8) -> [u8; SALT] {
        std::array::from_fn(|index| at(u8::try_from(index).unwrap()))
    }

    fn env(number: u8) -> Env {
        Env { now: crate::Timestamp::default(), entropy: [number; 32] }
    }

    fn hex(key: &Key) -> String {
        key.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Made by the contract's authors and read by the app's own code.
    #[test]
    fn the_vectors_of_the_contract_are_written_and_read_to_the_byte() {
        let iv = std::array::from_fn(|index| 0xa0 + u8::try_from(index).unwrap());
        let vectors = [
            (
                "correct horse battery staple",
                salt(|index| index),
                "0d1a3c6523c8f06e4e0af9c515aa5b5448cfebd6838f2d52c3d8b6ef8ddc3c2e",
                r#"{"title":"Zoë ✓"}"#,
                "AAECAwQFBgcICQoLDA0OD6ChoqOkpaanqKmqq/FUrE0Jaf9kQqw+8oBJ5JT689jolfJKjTRQYuGNLEMipzbR8g==",
            ),
            (
                "pässwörd",
                salt(|index| 0xff - index),
                "3e9316e28057f444a8e3601514be7088eea0f9f78751618925617b0df89534c5",
                "{}",
                "//79/Pv6+fj39vX08/Lx8KChoqOkpaanqKmqq+E7ANmO6KICq3z+ioy8WUDrWg==",
            ),
        ];
        for (password, salt, key, text, payload) in vectors {
            let mut codec = PasswordCodec::new(password).unwrap();
            assert_eq!(hex(&codec.key(salt).unwrap()), key);
            assert_eq!(sealed(&codec.key(salt).unwrap(), salt, iv, text).unwrap(), payload);
            assert_eq!(codec.open(payload).unwrap(), text);
        }
        let mut codec = PasswordCodec::new("legacy-pass").unwrap();
        assert_eq!(hex(codec.legacy()), "fc65b21ff45507bf05f6082da67308f9a3d2fdb9542ef3a4cdd271ea3afe54da");
        assert_eq!(codec.open("oKGio6Slpqeoqaqr72g8LnQqSdiX7zRWVJbpnkJw5GwthYY=").unwrap(), r#"{"a":1}"#);
    }

    #[test]
    fn a_changed_payload_or_another_password_is_refused_and_no_text_harms() {
        let mut codec = PasswordCodec::new("secret").unwrap();
        let payload = codec.seal([7; SALT], "{}", &env(1)).unwrap();
        assert_eq!(codec.open(&payload).unwrap(), "{}");
        assert_ne!(codec.seal([7; SALT], "[]", &env(1)).unwrap()[..38], payload[..38], "the same iv twice");
        assert_ne!(codec.seal([7; SALT], "{}", &env(2)).unwrap(), payload);
        assert_eq!(PasswordCodec::new("other").unwrap().open(&payload), Err(PasswordError::Refused));
        assert_eq!(PasswordCodec::new("").map(drop), Err(SecretError::Empty));
        let bytes = BASE64.decode(&payload).unwrap();
        // The salt's own bytes are left out: each would cost a key.
        for at in SALT..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(codec.open(&BASE64.encode(changed)), Err(PasswordError::Refused), "byte {at}");
        }
        for malformed in ["", "?", "AAAA", "AAECAw", &payload[1..], &BASE64.encode([0; IV + TAG - 1])] {
            assert_eq!(codec.open(malformed), Err(PasswordError::Malformed), "{malformed}");
        }
        for short in [IV + TAG, SALT + IV + TAG - 1] {
            assert_eq!(codec.open(&BASE64.encode(vec![0; short])), Err(PasswordError::Refused), "{short} bytes");
        }
        assert!(!format!("{codec:?}").contains("secret"));
    }
}
