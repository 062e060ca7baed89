//! What the app's devices do to a payload before a server sees it: AES-256-GCM under a key that Argon2id makes of the
//! password, `salt[16] ‖ iv[12] ‖ ciphertext ‖ tag[16]` in base64; the old form without a salt is still read.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const SALT: usize = 16;
const IV: usize = 12;

/// What Argon2id makes of the password; made once per salt and process, because it is meant to be slow.
pub(crate) fn key(password: &str, salt: [u8; SALT]) -> [u8; 32] {
    type Keys = Mutex<HashMap<(String, [u8; SALT]), [u8; 32]>>;
    static KEYS: OnceLock<Keys> = OnceLock::new();
    let mut keys = KEYS.get_or_init(Keys::default).lock().expect("no panic holds it");
    *keys.entry((password.to_owned(), salt)).or_insert_with(|| {
        let params = Params::new(65_536, 3, 1, Some(32)).expect("good parameters");
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.as_bytes(), &salt, &mut key)
            .expect("a key");
        key
    })
}

/// The key of the old form: PBKDF2-HMAC-SHA256, 1000 rounds, the password as its own salt.
fn old_key(password: &str) -> [u8; 32] {
    pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, 32>(password.as_bytes(), password.as_bytes(), 1_000)
}

fn cipher(key: [u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(key))
}

fn sealed(password: &str, salt: [u8; SALT], iv: [u8; IV], text: &str) -> String {
    let mut out = [&salt[..], &iv].concat();
    let ciphertext = cipher(key(password, salt)).encrypt(&Nonce::from(iv), text.as_bytes()).expect("encrypted");
    out.extend(ciphertext);
    STANDARD.encode(out)
}

/// A payload as it goes to the server. The process has one salt, and every payload an iv of its own.
pub(crate) fn encrypt(password: &str, payload: &Value) -> Value {
    static OURS: OnceLock<[u8; SALT]> = OnceLock::new();
    let salt = *OURS.get_or_init(random);
    Value::String(sealed(password, salt, random(), &payload.to_string()))
}

/// The payload of a ciphertext; `None` with a wrong password or damaged bytes.
pub(crate) fn decrypt(password: &str, payload: &Value) -> Option<Value> {
    let bytes = STANDARD.decode(payload.as_str()?).ok()?;
    let text = new_form(password, &bytes).or_else(|| opened(old_key(password), &bytes))?;
    serde_json::from_slice(&text).ok()
}

fn new_form(password: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let (salt, rest) = bytes.split_first_chunk::<SALT>()?;
    if rest.len() < IV + 16 {
        return None;
    }
    opened(key(password, *salt), rest)
}

fn opened(key: [u8; 32], bytes: &[u8]) -> Option<Vec<u8>> {
    let (iv, ciphertext) = bytes.split_first_chunk::<IV>()?;
    cipher(key).decrypt(&Nonce::from(*iv), ciphertext).ok()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("random bytes");
    bytes
}

fn counting(from: u8) -> [u8; IV] {
    std::array::from_fn(|index| from + u8::try_from(index).expect("small"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first vector of the contract, byte for byte.
#[test]
fn a_payload_is_encrypted_as_the_app_does() {
    let salt: [u8; SALT] = std::array::from_fn(|index| u8::try_from(index).expect("small"));
    let password = "correct horse battery staple";
    assert_eq!(hex(&key(password, salt)), "0d1a3c6523c8f06e4e0af9c515aa5b5448cfebd6838f2d52c3d8b6ef8ddc3c2e");
    let text = sealed(password, salt, counting(0xa0), r#"{"title":"Zoë ✓"}"#);
    assert_eq!(text, "AAECAwQFBgcICQoLDA0OD6ChoqOkpaanqKmqq/FUrE0Jaf9kQqw+8oBJ5JT689jolfJKjTRQYuGNLEMipzbR8g==");
    assert_eq!(decrypt(password, &text.into()), Some(serde_json::json!({"title": "Zoë ✓"})));
}

/// The second vector of the contract: a password beyond ASCII.
#[test]
fn a_password_beyond_ascii_makes_the_same_key_as_in_the_app() {
    let salt: [u8; SALT] = std::array::from_fn(|index| 0xff - u8::try_from(index).expect("small"));
    assert_eq!(hex(&key("pässwörd", salt)), "3e9316e28057f444a8e3601514be7088eea0f9f78751618925617b0df89534c5");
    let text = sealed("pässwörd", salt, counting(0xa0), "{}");
    assert_eq!(text, "//79/Pv6+fj39vX08/Lx8KChoqOkpaanqKmqq+E7ANmO6KICq3z+ioy8WUDrWg==");
    assert_eq!(decrypt("pässwörd", &text.into()), Some(serde_json::json!({})));
}

/// The third vector of the contract.
#[test]
fn a_payload_of_the_old_form_is_still_read() {
    assert_eq!(hex(&old_key("legacy-pass")), "fc65b21ff45507bf05f6082da67308f9a3d2fdb9542ef3a4cdd271ea3afe54da");
    let text = Value::from("oKGio6Slpqeoqaqr72g8LnQqSdiX7zRWVJbpnkJw5GwthYY=");
    assert_eq!(decrypt("legacy-pass", &text), Some(serde_json::json!({"a": 1})));
    assert_eq!(decrypt("another", &text), None);
}
