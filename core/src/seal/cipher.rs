//! Sealing and opening: the two functions everything here is for.

use bytes::Bytes;
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};

use super::context::SealContext;
use super::envelope::EnvelopeHead;
use super::frame;
use super::keyring::{EpochKey, LogKeyring};
use crate::limits::{ENVELOPE_BYTES, SEALED_FRAME_BYTES_MIN};
use crate::oplog::{JsonFault, Payload, check_json};
use crate::time::Env;

/// XChaCha20-Poly1305 with HKDF-SHA-256.
const SUITE: u8 = 1;
const COMMITMENT: usize = 32;
const NONCE: usize = 24;
const TAG: usize = 16;
/// Head and commitment: the open part that the tag covers. The nonce it covers anyway.
const OPEN: usize = EnvelopeHead::BYTES + COMMITMENT;

const _: () = assert!(OPEN + NONCE + TAG == ENVELOPE_BYTES);

/// Why a payload was not sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The keyring is empty.
    #[error("there is no key to seal with")]
    NoKey,
    /// The keyring has no key of this epoch.
    #[error("there is no key of epoch {0}")]
    UnknownEpoch(u32),
    /// It is sealed, and a second time would hide that from its reader.
    #[error("the payload is sealed already")]
    AlreadySealed,
    /// The payload says it is JSON and is not. Nobody could say so later.
    #[error("the payload is {0}")]
    Json(#[from] JsonFault),
    /// Padded and sealed it would be larger than its place allows.
    #[error("the payload would have {given} bytes once sealed, at most {max} are allowed")]
    TooLarge {
        /// Bytes it would have.
        given: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The cipher refused its lengths, which are checked: a bug.
    #[error("the cipher refused the payload")]
    Cipher,
}

/// Why a sealed payload was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not an envelope: plain, another program's, cut off; or, under a right tag, not what our sealers write.
    #[error("not an envelope of this engine")]
    Malformed,
    /// Sealed in a way this build does not know.
    #[error("sealed in a way this version does not know")]
    UnknownSuite,
    /// Sealed under an epoch that this keyring has no key of.
    #[error("there is no key of epoch {0}")]
    UnknownEpoch(u32),
    /// Sealed under another key of the same epoch: a mistyped passphrase, or another log's key. Says nothing against the
    /// payload.
    #[error("the key is not the one it was sealed with")]
    WrongKey,
    /// Sealed under this key, but not as it is now or not for this place.
    #[error("the payload was changed, or moved from another place, after it was sealed")]
    Tampered,
}

/// Seals a payload for its place under the newest key. The same arguments give the same envelope.
///
/// # Errors
/// [`SealError`].
pub fn seal(keyring: &LogKeyring, context: &SealContext, plain: &Payload, env: &Env) -> Result<Payload, SealError> {
    let epoch = keyring.newest().ok_or(SealError::NoKey)?;
    seal_under(keyring, epoch, context, plain, env)
}

/// Seals under the key of a given epoch: while a rotation is prepared, or for a log that stands at an older epoch.
///
/// # Errors
/// [`SealError`].
pub fn seal_under(
    keyring: &LogKeyring,
    epoch: u32,
    context: &SealContext,
    plain: &Payload,
    env: &Env,
) -> Result<Payload, SealError> {
    let key = keyring.key(epoch).ok_or(SealError::UnknownEpoch(epoch))?;
    let sizes = context.sizes();
    let given = frame::frame_len(plain.bytes().len()).saturating_add(ENVELOPE_BYTES);
    if given > sizes.bytes_max {
        return Err(SealError::TooLarge { given, max: sizes.bytes_max });
    }
    if let Payload::Json(text) = plain {
        check_json(text, sizes.nodes_max)?;
    }
    let mut sealed = Vec::with_capacity(given);
    sealed.extend_from_slice(&EnvelopeHead { suite: SUITE, epoch }.to_bytes());
    sealed.extend_from_slice(&key.commitment);
    let bound = context.bound_with(&sealed);
    sealed.extend_from_slice(&[0; NONCE]);
    frame::write(plain, &mut sealed).ok_or(SealError::AlreadySealed)?;
    let tag = encrypt(key, &bound, env, &mut sealed)?;
    sealed.extend_from_slice(&tag);
    Ok(Payload::Sealed(Bytes::from(sealed)))
}

/// Puts the nonce in its place and encrypts what follows it.
fn encrypt(key: &EpochKey, bound: &[u8], env: &Env, sealed: &mut [u8]) -> Result<Tag, SealError> {
    let (open, frame) = sealed.split_at_mut(OPEN + NONCE);
    let nonce = key.nonce(&env.bytes32("seal"), bound, frame);
    open[OPEN..].copy_from_slice(&nonce);
    let cipher = XChaCha20Poly1305::new((&*key.key).into());
    cipher.encrypt_inout_detached(&XNonce::from(nonce), bound, frame.into()).map_err(|_| SealError::Cipher)
}

/// Opens a payload in its place.
///
/// # Errors
/// [`OpenError`]; then nothing is known of what was sealed.
pub fn open(keyring: &LogKeyring, context: &SealContext, sealed: &Payload) -> Result<Payload, OpenError> {
    let Payload::Sealed(sealed) = sealed else { return Err(OpenError::Malformed) };
    let head = EnvelopeHead::read(sealed).ok_or(OpenError::Malformed)?;
    if head.suite != SUITE {
        return Err(OpenError::UnknownSuite);
    }
    if sealed.len() < ENVELOPE_BYTES + SEALED_FRAME_BYTES_MIN {
        return Err(OpenError::Malformed);
    }
    let key = keyring.key(head.epoch).ok_or(OpenError::UnknownEpoch(head.epoch))?;
    let (open, rest) = sealed.split_at(OPEN);
    let commitment: [u8; COMMITMENT] = chunk(&open[EnvelopeHead::BYTES..])?;
    if !key.is(&commitment) {
        return Err(OpenError::WrongKey);
    }
    let (nonce, rest) = rest.split_at(NONCE);
    let (ciphertext, tag) = rest.split_at(rest.len() - TAG);
    let mut frame = ciphertext.to_vec();
    let (nonce, tag) = (XNonce::from(chunk::<NONCE>(nonce)?), Tag::from(chunk::<TAG>(tag)?));
    XChaCha20Poly1305::new((&*key.key).into())
        .decrypt_inout_detached(&nonce, &context.bound_with(open), frame.as_mut_slice().into(), &tag)
        .map_err(|_| OpenError::Tampered)?;
    let plain = frame::read(&Bytes::from(frame)).ok_or(OpenError::Malformed)?;
    if let Payload::Json(text) = &plain {
        check_json(text, context.sizes().nodes_max).map_err(|_| OpenError::Malformed)?;
    }
    Ok(plain)
}

fn chunk<const N: usize>(bytes: &[u8]) -> Result<[u8; N], OpenError> {
    bytes.try_into().map_err(|_| OpenError::Malformed)
}
