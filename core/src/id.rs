//! Identifiers: one 16-byte newtype for every kind of thing that has a name.
//!
//! An id is compared and ordered as bytes, in core and in every store, so that no locale or collation
//! can reorder it. Its text form is the hyphenated lower-case UUID of RFC 9562; ids of foreign systems
//! (a Super Productivity client id, say) are mapped onto these at the wire edge and never reach core.
//!
//! Ids are names, never authority and never order: where order matters there is [`Seq`](crate::Seq).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text was not a hyphenated UUID of 36 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 36 characters in the form 01234567-89ab-cdef-0123-456789abcdef")]
pub struct IdError;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id made of these 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// The tenant boundary: identities, quota and audit belong to exactly one bucket.
    BucketId;
    /// One totally ordered log inside a bucket: a user's dataset, a vault, a document space, a channel.
    LogId;
    /// One op, for ever: minted by its author, never reused.
    OpId;
    /// What an op is about, unique within its collection.
    EntityId;
    /// One copy of a log that authors ops; the key in vector clocks.
    ReplicaId;
    /// One client request, kept on retries so that a retry has no second effect.
    RequestId;
    /// One upload that may be continued, until it is a blob.
    UploadId;
    /// Who holds a bearer token.
    TokenId;
    /// One public link.
    LinkId;
    /// A group of those who hold tokens.
    GroupId;
}

impl BucketId {
    /// The bucket of a reference server that was told no other: `00000000-0000-7000-8000-000000000001`.
    pub const DEFAULT: Self = Self([0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]);
}

impl EntityId {
    /// The entity that a name stands for, on every device: a version 8 UUID (RFC 9562, 5.8) of the first 16 bytes of
    /// `SHA-256("syncline/entity/v1" ‖ 0 ‖ name)`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(uuid8(b"syncline/entity/v1\0", name))
    }
}

fn uuid8(what: &[u8], name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&crate::digest::Digest::of(&[what, name.as_bytes()]).as_bytes()[..16]);
    bytes[6] = 0x80 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    bytes
}

impl LogId {
    /// The log that a name stands for: as [`EntityId::named`], with `log` for `entity`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(uuid8(b"syncline/log/v1\0", name))
    }

    /// The bucket's own log of system entities (tokens now; devices, grants and audit later).
    pub const SYSTEM: Self = Self([0; 16]);
}

impl ReplicaId {
    /// The server itself, as the author of the full-state op that a restore makes.
    pub const SERVER: Self = Self([0; 16]);
}

/// Names one log: which bucket, which log in it. Orders by bucket, then log; transactions lock in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    /// The tenant.
    pub bucket: BucketId,
    /// The log inside it.
    pub log: LogId,
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.log)
    }
}

/// `Uuid` also reads the simple, braced and URN forms; one name has one spelling here.
fn parse(text: &str) -> Result<[u8; 16], IdError> {
    if text.len() != 36 {
        return Err(IdError);
    }
    uuid::Uuid::try_parse(text).map(uuid::Uuid::into_bytes).map_err(|_| IdError)
}
