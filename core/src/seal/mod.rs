//! End-to-end encryption: payloads that only clients can read, and what everybody else still knows of them.
//!
//! A client seals a payload under the newest key of its `LogKeyring` and binds it to everything else the op says; a
//! reader with the key opens it, or learns why it cannot. What must hold: no byte of an envelope and no field of its op
//! can be changed without being noticed; a wrong key is told apart from tampering before anything is called corrupt; no
//! bytes whatever make a reader panic; and a server without keys can tell under which epoch a payload was sealed.
//!
//! An envelope, to the byte; numbers are big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 3 | mark: `F5 53 4C`; no UTF-8 text begins so |
//! | 1 | suite: 1 |
//! | 4 | key epoch, from 1 |
//! | 32 | key commitment |
//! | 24 | nonce |
//! | n | ciphertext of the frame |
//! | 16 | tag |
//!
//! The first eight bytes are the same in every suite to come, so that a server can hold a log to its epoch without knowing
//! the suite. A sealed payload that does not begin so is *foreign*: some other program's ciphertext.
//!
//! Suite 1 is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03 over RFC 8439). From the 256-bit secret of an epoch, HKDF with
//! SHA-256 (RFC 5869; salt `syncline/seal/v1`) makes three values, each with the epoch behind its name: the `key`, the
//! `commitment` that stands in the open and is compared first, and the key of the `nonce`. The nonce is the beginning of an
//! HMAC over fresh entropy, what is bound and the frame: entropy that repeats repeats a nonce only for the same message.
//!
//! Bound as associated data: the first 40 bytes of the envelope; then, of an op, `syncline/seal/op/v1` and a zero, the
//! bucket, the log and the op's canonical bytes up to the payload (id, replica, kind, subject, clock, time, schema version,
//! precondition); of a snapshot, `syncline/seal/snapshot/v1` and a zero, bucket, log, seq, anchor, clock and schema version.
//!
//! The frame is the payload's form (0 JSON, 1 plain), its length as a varint, the payload, and zeros up to a Padmé length of
//! at least [`SEALED_FRAME_BYTES_MIN`](crate::limits::SEALED_FRAME_BYTES_MIN) (at most 12 % more; PURBs, PoPETs 2019).
//!
//! A secret is 32 random bytes, or what a `KeyRecipe` makes of a passphrase. Deletions are sealed like everything else, so
//! that nobody can forge one.
//!
//! Next: `decide` holds a log to its policy and epoch, `client` (its `sealing`) a device. `super_productivity` is another
//! program's format.

#[cfg(feature = "encryption")]
mod cipher;
#[cfg(feature = "encryption")]
mod context;
mod envelope;
#[cfg(feature = "encryption")]
mod frame;
#[cfg(feature = "encryption")]
mod keyring;
#[cfg(feature = "encryption")]
mod recipe;
#[cfg(feature = "encryption")]
mod secret;
#[cfg(feature = "encryption")]
pub mod super_productivity;

#[cfg(feature = "encryption")]
pub use cipher::{OpenError, SealError, open, seal, seal_under};
#[cfg(feature = "encryption")]
pub use context::SealContext;
pub use envelope::EnvelopeHead;
#[cfg(feature = "encryption")]
pub use keyring::{KeyringError, LogKeyring};
#[cfg(feature = "encryption")]
pub use recipe::{KeyRecipe, RecipeError};
#[cfg(feature = "encryption")]
pub use secret::{LogSecret, SecretError};
