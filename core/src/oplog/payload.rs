//! What an op carries. JSON payloads keep their exact text and are checked before they are stored: [`check_json`](crate::json).

use bytes::Bytes;

/// An op's content in the form its author chose. Opaque to arbitration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Payload {
    /// JSON text (RFC 8259), kept to the byte.
    Json(Bytes),
    /// Any bytes.
    Plain(Bytes),
    /// Ciphertext: the server can neither read nor replay it.
    Sealed(Bytes),
}

impl Payload {
    /// The bytes, whatever their form.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Json(bytes) | Self::Plain(bytes) | Self::Sealed(bytes) => bytes,
        }
    }

    /// Whether only clients can read it.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }
}
