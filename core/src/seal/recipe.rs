//! How a passphrase becomes the secret of a key epoch, to the number, so that it does again on the next device and in the
//! next version.
//!
//! A recipe is text of the form `$argon2id$v=19$m=65536,t=3,p=1$<salt>`, the salt in base64 without padding (the PHC string
//! format without a hash). It is no secret; an application keeps it where its devices find it. What must hold: whoever can
//! change it makes guesses no cheaper, and the device that follows it no poorer than a gigabyte and a minute.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use super::secret::{LogSecret, SecretError, stretched};
use crate::limits;

/// A salt, and how dear a guess is: Argon2id (RFC 9106), version 0x13.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRecipe {
    salt: [u8; 16],
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Text that is no recipe, or one that is too cheap or too dear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// Not of the form, or another algorithm or version.
    #[error("not a recipe for a key")]
    Malformed,
    /// Less than [`limits::PASSPHRASE_MEMORY_KIB`], [`limits::PASSPHRASE_PASSES`] or [`limits::PASSPHRASE_LANES`], or more
    /// than [`limits::PASSPHRASE_MEMORY_KIB_MAX`], [`limits::PASSPHRASE_PASSES_MAX`] or
    /// [`limits::PASSPHRASE_LANES_MAX`].
    #[error("{what} is {given}, which is not within {min} and {max}")]
    OutOfRange {
        /// Which cost: `m`, `t` or `p`.
        what: &'static str,
        /// What it says.
        given: u32,
        /// At least.
        min: u32,
        /// At most.
        max: u32,
    },
}

impl KeyRecipe {
    /// Today's costs with a salt that was drawn at random, once per log and epoch.
    #[must_use]
    pub const fn new(salt: [u8; 16]) -> Self {
        let (memory_kib, passes, lanes) =
            (limits::PASSPHRASE_MEMORY_KIB, limits::PASSPHRASE_PASSES, limits::PASSPHRASE_LANES);
        Self { salt, memory_kib, passes, lanes }
    }

    /// The secret that a passphrase stands for. The passphrase counts as its UTF-8 bytes; who takes it from several
    /// keyboards brings it into one normal form first. Takes a tenth of a second by intention: call it where waiting is
    /// allowed.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn secret(&self, passphrase: &str) -> Result<LogSecret, SecretError> {
        if passphrase.is_empty() {
            return Err(SecretError::Empty);
        }
        stretched(passphrase, self).map(LogSecret::of)
    }

    pub(super) const fn salt(&self) -> &[u8; 16] {
        &self.salt
    }

    /// Memory in KiB, passes, lanes.
    pub(super) const fn costs(&self) -> (u32, u32, u32) {
        (self.memory_kib, self.passes, self.lanes)
    }
}

impl std::fmt::Display for KeyRecipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (memory, passes, lanes) = self.costs();
        write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes}${}", BASE64.encode(self.salt))
    }
}

impl std::str::FromStr for KeyRecipe {
    type Err = RecipeError;

    fn from_str(text: &str) -> Result<Self, RecipeError> {
        const BAD: RecipeError = RecipeError::Malformed;
        let (costs, salt) = text.strip_prefix("$argon2id$v=19$").and_then(|rest| rest.split_once('$')).ok_or(BAD)?;
        let mut costs = costs.split(',');
        let mut cost = |what: &'static str, min: u32, max: u32| {
            let value = costs.next().and_then(|cost| cost.strip_prefix(what)?.strip_prefix('=')).ok_or(BAD)?;
            // One spelling only: no sign, no leading zero.
            let given: u32 = value.parse().ok().filter(|given: &u32| given.to_string() == value).ok_or(BAD)?;
            if (min..=max).contains(&given) {
                Ok(given)
            } else {
                Err(RecipeError::OutOfRange { what, given, min, max })
            }
        };
        let memory_kib = cost("m", limits::PASSPHRASE_MEMORY_KIB, limits::PASSPHRASE_MEMORY_KIB_MAX)?;
        let passes = cost("t", limits::PASSPHRASE_PASSES, limits::PASSPHRASE_PASSES_MAX)?;
        let lanes = cost("p", limits::PASSPHRASE_LANES, limits::PASSPHRASE_LANES_MAX)?;
        if costs.next().is_some() {
            return Err(BAD);
        }
        let salt = BASE64.decode(salt).ok().and_then(|salt| salt.try_into().ok()).ok_or(BAD)?;
        Ok(Self { salt, memory_kib, passes, lanes })
    }
}
