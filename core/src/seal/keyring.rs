//! A log's keys by epoch: the newest seals, the older ones open what was sealed before the last rotation.

use std::collections::BTreeMap;

use ctutils::CtEq as _;
use hkdf::Hkdf;
use hkdf::hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::secret::LogSecret;

const SALT: &[u8] = b"syncline/seal/v1";

/// The keys of one log. Wiped when dropped; prints its epochs only.
#[derive(Clone, Default)]
pub struct LogKeyring {
    keys: BTreeMap<u32, EpochKey>,
}

/// What suite 1 needs of an epoch's secret.
#[derive(Clone)]
pub(super) struct EpochKey {
    pub(super) key: Zeroizing<[u8; 32]>,
    /// Stands in the open, so it is no secret.
    pub(super) commitment: [u8; 32],
    nonce_key: Zeroizing<[u8; 64]>,
}

/// Why a key does not go onto a keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// Epochs count from 1.
    #[error("key epochs count from 1")]
    EpochZero,
    /// An epoch has one key for ever; a new key is a new epoch.
    #[error("key epoch {0} has another key already")]
    EpochTaken(u32),
    /// The derivation refused its lengths, which are fixed: a bug.
    #[error("the keys of the epoch cannot be derived")]
    Derivation,
}

impl LogKeyring {
    /// A keyring without keys: it opens nothing and seals nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A keyring with the key of one epoch.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn with(epoch: u32, secret: &LogSecret) -> Result<Self, KeyringError> {
        let mut keyring = Self::new();
        keyring.add(epoch, secret)?;
        Ok(keyring)
    }

    /// Puts the key of an epoch onto the keyring; the same key twice is one.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn add(&mut self, epoch: u32, secret: &LogSecret) -> Result<(), KeyringError> {
        if epoch == 0 {
            return Err(KeyringError::EpochZero);
        }
        let key = EpochKey::derive(epoch, secret)?;
        match self.keys.get(&epoch) {
            Some(known) if !known.is(&key.commitment) => Err(KeyringError::EpochTaken(epoch)),
            Some(_) => Ok(()),
            None => {
                self.keys.insert(epoch, key);
                Ok(())
            }
        }
    }

    /// Takes a key off and wipes it. Whether it was there.
    pub fn forget(&mut self, epoch: u32) -> bool {
        self.keys.remove(&epoch).is_some()
    }

    /// Takes over the keys of epochs it has none of.
    pub fn join(&mut self, other: Self) {
        for (epoch, key) in other.keys {
            self.keys.entry(epoch).or_insert(key);
        }
    }

    /// The epoch that seals; `None` without keys.
    #[must_use]
    pub fn newest(&self) -> Option<u32> {
        self.keys.last_key_value().map(|(epoch, _)| *epoch)
    }

    /// The epochs it has keys of, ascending.
    pub fn epochs(&self) -> impl Iterator<Item = u32> + '_ {
        self.keys.keys().copied()
    }

    pub(super) fn key(&self, epoch: u32) -> Option<&EpochKey> {
        self.keys.get(&epoch)
    }
}

impl std::fmt::Debug for LogKeyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogKeyring").field("epochs", &self.keys.keys()).finish_non_exhaustive()
    }
}

impl EpochKey {
    fn derive(epoch: u32, secret: &LogSecret) -> Result<Self, KeyringError> {
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), secret.expose());
        let expand = |name: &[u8], out: &mut [u8]| {
            let info = [name, &epoch.to_be_bytes()].concat();
            hkdf.expand(&info, out).map_err(|_| KeyringError::Derivation)
        };
        let mut made = Self { key: Zeroizing::new([0; 32]), commitment: [0; 32], nonce_key: Zeroizing::new([0; 64]) };
        expand(b"key", &mut made.key[..])?;
        expand(b"commitment", &mut made.commitment)?;
        // A key of 32 bytes in a block of 64: what HMAC itself makes of a short key.
        expand(b"nonce", &mut made.nonce_key[..32])?;
        Ok(made)
    }

    /// Whether a commitment is this key's.
    pub(super) fn is(&self, commitment: &[u8; 32]) -> bool {
        self.commitment.ct_eq(commitment).to_bool()
    }

    /// The nonce of one message.
    pub(super) fn nonce(&self, entropy: &[u8; 32], bound: &[u8], frame: &[u8]) -> [u8; 24] {
        let mut hmac = Hmac::<Sha256>::new((&*self.nonce_key).into());
        hmac.update(entropy);
        hmac.update(&(bound.len() as u64).to_be_bytes());
        hmac.update(bound);
        hmac.update(frame);
        let mut nonce = [0; 24];
        nonce.copy_from_slice(&hmac.finalize().into_bytes()[..24]);
        nonce
    }
}
