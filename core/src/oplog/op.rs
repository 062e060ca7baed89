//! The op: the immutable unit that a replica authors and a log orders.
//!
//! An [`Op`] is made only by [`Draft::seal`], holds its canonical bytes and their digest, and cannot be changed.
//! A store keeps those bytes and gives them back; whatever a server adds (seq, anchor, time of acceptance) stands
//! beside them in a [`LoggedOp`].

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::draft::{Draft, DraftError};
use super::payload::Payload;
use crate::clock::VectorClock;
use crate::digest::Digest;
use crate::id::{EntityId, OpId, ReplicaId};
use crate::limits;
use crate::seq::{Anchor, Cursor, Seq};
use crate::time::{Hlc, Timestamp};

/// The name of a class of entities that share one conflict policy: 1 to 64 characters of `A–Z a–z 0–9 . _ -`.
/// Names that begin with `sys.` belong to the engine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collection(Arc<str>);

/// Why a collection name cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectionError {
    /// Empty or too long.
    #[error("a collection name has 1 to {max} characters, this one has {0}", max = limits::COLLECTION_BYTES_MAX)]
    Length(usize),
    /// A character outside the alphabet.
    #[error("a collection name holds only letters, digits, '.', '_' and '-'")]
    Character,
}

impl Collection {
    /// Checks a name.
    ///
    /// # Errors
    /// When the length or a character is not allowed.
    pub fn new(name: &str) -> Result<Self, CollectionError> {
        if name.is_empty() || name.len() > limits::COLLECTION_BYTES_MAX {
            return Err(CollectionError::Length(name.chars().count()));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !name.bytes().all(allowed) {
            return Err(CollectionError::Character);
        }
        Ok(Self(name.into()))
    }

    /// A collection of the engine; callers pass a literal of the right form.
    pub(crate) fn system(name: &'static str) -> Self {
        debug_assert!(Self::new(name).is_ok_and(|collection| collection.is_system()));
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether only the engine writes it.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.0.starts_with("sys.")
    }
}

impl FromStr for Collection {
    type Err = CollectionError;

    fn from_str(name: &str) -> Result<Self, CollectionError> {
        Self::new(name)
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collection({})", self.0)
    }
}

impl Serialize for Collection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Collection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

/// Names one entity of a log. Orders by collection, then id, as bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey {
    /// The class it belongs to.
    pub collection: Collection,
    /// Which one.
    pub entity: EntityId,
}

/// What an op is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "an op is about entities or about the whole log")]
pub enum Subject {
    /// The log as a whole: full-state ops.
    Log,
    /// One entity, and others of the same collection that the op touches too. It is accepted for all or for none.
    Entity {
        /// The first entity.
        key: EntityKey,
        /// Further entities, sorted, without the first.
        also: Vec<EntityId>,
    },
}

impl Subject {
    /// Every entity the op touches, the first one first.
    pub fn keys(&self) -> impl Iterator<Item = EntityKey> + '_ {
        let (first, also) = match self {
            Self::Log => (None, [].as_slice()),
            Self::Entity { key, also } => (Some(key), also.as_slice()),
        };
        first.into_iter().flat_map(move |key| {
            std::iter::once(key.clone())
                .chain(also.iter().map(|entity| EntityKey { collection: key.collection.clone(), entity: *entity }))
        })
    }
}

/// What an op does. Codes above the known ones are kept and relayed without being understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpKind {
    /// Makes an entity.
    Create,
    /// Changes an entity.
    Update,
    /// Removes an entity; its head becomes a tombstone.
    Delete,
    /// Puts an entity elsewhere.
    Move,
    /// Changes several entities at once.
    Batch,
    /// Replaces the state of the whole log.
    FullState(FullStateKind),
    /// A kind from a newer author, by its code.
    Other(u8),
}

/// Why a full state was written (seed 001: initial, recovery, migration; seed 004: repair).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FullStateKind {
    /// The first content of a log. Refused once a log has any full state: of two seeders, one wins.
    Initial,
    /// A backup or an import that replaces what is there, or a restore made by the server.
    Recovery,
    /// A client mended its state; valid only for the exact position it was computed from.
    Repair,
}

impl OpKind {
    /// The code in canonical bytes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Update => 2,
            Self::Delete => 3,
            Self::Move => 4,
            Self::Batch => 5,
            Self::FullState(FullStateKind::Initial) => 16,
            Self::FullState(FullStateKind::Recovery) => 17,
            Self::FullState(FullStateKind::Repair) => 18,
            Self::Other(code) => code,
        }
    }

    /// The kind of a code; every code is a kind.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Create,
            2 => Self::Update,
            3 => Self::Delete,
            4 => Self::Move,
            5 => Self::Batch,
            16 => Self::FullState(FullStateKind::Initial),
            17 => Self::FullState(FullStateKind::Recovery),
            18 => Self::FullState(FullStateKind::Repair),
            other => Self::Other(other),
        }
    }
}

/// What must hold for an op to be accepted: the `If-None-Match: *` and `If-Match` of an op (RFC 9110, 13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_enums, reason = "the arbitration table is exhaustive over these")]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// The entity does not exist, or was deleted.
    Absent,
    /// The entity's head has this version. For a full-state op: the log's last seq is this.
    Version(Seq),
}

/// An op's canonical bytes and their digest: what is stored, sent and hashed. Not yet read, so that moving ops about
/// costs what moving bytes costs.
#[derive(Clone, PartialEq, Eq)]
pub struct OpBytes {
    bytes: Bytes,
    digest: Digest,
}

/// Stored bytes are not the bytes that were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes of an op do not fit their digest")]
pub struct CorruptOp;

impl OpBytes {
    /// The fixed part every op begins with: format, then op id.
    const ID: std::ops::Range<usize> = 1..17;

    fn new(bytes: Bytes) -> Self {
        let digest = Digest::of(&[&bytes]);
        Self { bytes, digest }
    }

    /// Bytes read back from a store, checked against the digest kept beside them.
    ///
    /// # Errors
    /// When they do not fit each other.
    pub fn stored(bytes: Bytes, digest: Digest) -> Result<Self, CorruptOp> {
        let op = Self::new(bytes);
        if op.digest == digest && op.bytes.len() > Self::ID.end { Ok(op) } else { Err(CorruptOp) }
    }

    /// The op's id, without reading the rest.
    #[must_use]
    pub fn id(&self) -> OpId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.bytes[Self::ID]);
        OpId::from_bytes(id)
    }

    /// The canonical bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// SHA-256 of the canonical bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Reads the op.
    ///
    /// # Errors
    /// When the bytes are not an op that this version knows.
    pub fn read(&self) -> Result<Op, DraftError> {
        Op::made_of(Draft::decode(&self.bytes)?, self.clone())
    }
}

impl fmt::Debug for OpBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpBytes({} bytes, {})", self.bytes.len(), self.digest)
    }
}

/// An authored op. Equal ops have equal bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Op {
    draft: Draft,
    raw: OpBytes,
}

impl Op {
    /// Only [`Draft::seal`] calls this, with the canonical bytes of a draft it has checked.
    pub(super) fn sealed(draft: Draft, bytes: Bytes) -> Self {
        Self { draft, raw: OpBytes::new(bytes) }
    }

    /// Reads an op from its canonical bytes.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Draft::seal`] would make.
    pub fn decode(bytes: Bytes) -> Result<Self, DraftError> {
        let draft = Draft::decode(&bytes)?;
        Self::made_of(draft, OpBytes::new(bytes))
    }

    /// Decoding refuses every second spelling, so bytes that decode need not be made again.
    fn made_of(draft: Draft, raw: OpBytes) -> Result<Self, DraftError> {
        draft.check()?;
        Ok(Self { draft, raw })
    }

    /// Its canonical bytes with their digest.
    #[must_use]
    pub const fn raw(&self) -> &OpBytes {
        &self.raw
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> OpId {
        self.draft.id
    }

    /// Its author.
    #[must_use]
    pub const fn replica(&self) -> ReplicaId {
        self.draft.replica
    }

    /// What it is about.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.draft.subject
    }

    /// What it does.
    #[must_use]
    pub const fn kind(&self) -> OpKind {
        self.draft.kind
    }

    /// What its author had seen, itself included.
    #[must_use]
    pub const fn clock(&self) -> &VectorClock {
        &self.draft.clock
    }

    /// When its author says it was written.
    #[must_use]
    pub const fn hlc(&self) -> Hlc {
        self.draft.hlc
    }

    /// The author's schema version.
    #[must_use]
    pub const fn schema_version(&self) -> u32 {
        self.draft.schema_version
    }

    /// What must hold for it to be accepted.
    #[must_use]
    pub const fn precondition(&self) -> Precondition {
        self.draft.precondition
    }

    /// Its content.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.draft.payload
    }

    /// All its fields, to make another draft from.
    #[must_use]
    pub const fn draft(&self) -> &Draft {
        &self.draft
    }

    /// The author's counter this op took, 0 when the clock does not name its author.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.draft.clock.get(self.draft.replica)
    }

    /// The full-state kind, when it is one.
    #[must_use]
    pub const fn full_state(&self) -> Option<FullStateKind> {
        match self.draft.kind {
            OpKind::FullState(kind) => Some(kind),
            _ => None,
        }
    }

    /// Its canonical bytes: what is stored, sent and hashed.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        self.raw.bytes()
    }

    /// SHA-256 of the canonical bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.raw.digest
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Op")
            .field("id", &self.draft.id)
            .field("replica", &self.draft.replica)
            .field("kind", &self.draft.kind)
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

/// An op with what the log added when it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a store's row; adapters build it")]
pub struct LoggedOp {
    /// Its place in the log.
    pub seq: Seq,
    /// The log's running hash after it.
    pub anchor: Anchor,
    /// The server's wall clock when it was accepted.
    pub accepted_at: Timestamp,
    /// How many ops of the same atomic batch follow. A page may end inside a batch; a reader that applies
    /// batches whole waits until it has an op with 0 here.
    pub batch_rest: u32,
    /// The op itself, as its author sealed it.
    pub op: OpBytes,
}

impl LoggedOp {
    /// The position of a reader that has applied everything up to this op.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        Cursor { seq: self.seq, anchor: Some(self.anchor) }
    }
}
