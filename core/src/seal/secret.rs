//! The secret of one key epoch: 256 bits that every device of a log holds and no server ever sees.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::{Zeroize as _, Zeroizing};

use super::recipe::KeyRecipe;

/// The secret of one key epoch. Wiped when dropped; never printed; compared in constant time.
#[derive(Clone)]
pub struct LogSecret(Zeroizing<[u8; 32]>);

/// Why no secret can be made of a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Nothing to make it of.
    #[error("the passphrase is empty")]
    Empty,
    /// The derivation needs more memory than there is, or the passphrase has four gigabytes.
    #[error("the key cannot be derived: not enough memory, or too long a passphrase")]
    Derivation,
}

impl LogSecret {
    /// The secret with these bytes, which were drawn at random. The caller's copy is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) const fn of(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The bytes, to be kept where the device keeps its secrets.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What Argon2id makes of a passphrase.
pub(super) fn stretched(passphrase: &str, recipe: &KeyRecipe) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    let (memory, passes, lanes) = recipe.costs();
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(|_| SecretError::Derivation)?;
    let mut key = Zeroizing::new([0; 32]);
    let made = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
        passphrase.as_bytes(),
        recipe.salt(),
        &mut key[..],
    );
    if made.is_err() {
        key.zeroize();
        return Err(SecretError::Derivation);
    }
    Ok(key)
}

impl PartialEq for LogSecret {
    fn eq(&self, other: &Self) -> bool {
        use ctutils::CtEq as _;
        self.0.ct_eq(&other.0).to_bool()
    }
}

impl Eq for LogSecret {}

impl std::fmt::Debug for LogSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogSecret(…)")
    }
}
