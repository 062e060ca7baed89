//! Draft → op: the only way to make one. Parse, don't validate: what has become an [`Op`] needs no second check.
//!
//! Canonical bytes of an op, version 1 (see [`codec`](crate::codec) for the primitives):
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format version, 1 |
//! | 16 | op id |
//! | 16 | replica |
//! | 1 | kind ([`OpKind::code`]) |
//! | 1 | subject: 0 the log; 1 an entity, then: length + collection name, 16 entity, count + 16 each for further entities (sorted) |
//! | varint + 17… | clock: count, then replica (16) and counter (varint) in replica order |
//! | varint, varint | hlc: ms, counter |
//! | varint | schema version |
//! | 1 | precondition: 0 none, 1 absent, 2 version, then varint seq |
//! | 1 | payload form: 0 JSON, 1 plain, 2 sealed |
//! | varint + n | payload |

use bytes::Bytes;

use super::op::{Collection, EntityKey, Op, OpKind, Precondition, Subject};
use super::payload::Payload;
use crate::clock::VectorClock;
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{OpId, ReplicaId};
use crate::json::{JsonFault, check_json};
use crate::limits;
use crate::seq::Seq;
use crate::time::{Hlc, Timestamp};

const FORMAT: u8 = 1;

/// The fields of an op before it is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "an author fills in every field; a new one must be a decision")]
pub struct Draft {
    /// Minted by the author (a UUIDv7 by habit), never reused.
    pub id: OpId,
    /// The author.
    pub replica: ReplicaId,
    /// What it is about.
    pub subject: Subject,
    /// What it does.
    pub kind: OpKind,
    /// What the author had seen, with its own counter already advanced for this op.
    pub clock: VectorClock,
    /// The author's hybrid logical clock.
    pub hlc: Hlc,
    /// 1 to [`limits::SCHEMA_VERSION_MAX`].
    pub schema_version: u32,
    /// What must hold for it to be accepted.
    pub precondition: Precondition,
    /// Its content.
    pub payload: Payload,
}

/// Why a draft cannot become an op.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// Too much content.
    #[error("the payload has {given} bytes, at most {max} are allowed")]
    PayloadTooLarge {
        /// Bytes given.
        given: usize,
        /// Bytes allowed for this kind of op.
        max: usize,
    },
    /// The payload says it is JSON and is not.
    #[error("the payload is {0}")]
    Json(#[from] JsonFault),
    /// Too many entities.
    #[error("the op touches {given} entities, at most {} are allowed", limits::OP_ENTITIES_MAX)]
    TooManyEntities {
        /// Entities given.
        given: usize,
    },
    /// The same entity twice, or, in bytes, out of order.
    #[error("the op names an entity twice or out of order")]
    RepeatedEntity,
    /// Full-state ops are about the log, every other known kind about entities.
    #[error("a full-state op is about the log and any other op about an entity")]
    WrongSubject,
    /// Out of range.
    #[error("the schema version is {given}, it must be 1 to {}", limits::SCHEMA_VERSION_MAX)]
    SchemaVersion {
        /// The version given.
        given: u32,
    },
    /// A precondition on no version at all.
    #[error("no entity ever has version 0; use the precondition absent")]
    VersionZero,
    /// The bytes are not an op.
    #[error("the op's bytes do not read: {0}")]
    Decode(#[from] DecodeError),
}

impl Draft {
    /// Checks the draft against every limit on a single op and fixes its bytes.
    ///
    /// # Errors
    /// The first limit or rule it breaks.
    pub fn seal(mut self) -> Result<Op, DraftError> {
        if let Subject::Entity { also, .. } = &mut self.subject {
            also.sort_unstable();
        }
        // One kind has one name: a known code written as another kind would read back as the known one.
        self.kind = OpKind::from_code(self.kind.code());
        self.check()?;
        let bytes = self.encode();
        Ok(Op::sealed(self, bytes))
    }

    /// Every limit and rule on a single op.
    pub(super) fn check(&self) -> Result<(), DraftError> {
        self.check_subject()?;
        self.check_payload()?;
        if self.schema_version == 0 || self.schema_version > limits::SCHEMA_VERSION_MAX {
            return Err(DraftError::SchemaVersion { given: self.schema_version });
        }
        if self.precondition == Precondition::Version(Seq::ZERO) {
            return Err(DraftError::VersionZero);
        }
        Ok(())
    }

    fn check_subject(&self) -> Result<(), DraftError> {
        let about_log = matches!(self.subject, Subject::Log);
        match self.kind {
            OpKind::FullState(_) if !about_log => return Err(DraftError::WrongSubject),
            OpKind::Create | OpKind::Update | OpKind::Delete | OpKind::Move | OpKind::Batch if about_log => {
                return Err(DraftError::WrongSubject);
            }
            _ => {}
        }
        if let Subject::Entity { key, also } = &self.subject {
            if also.len() + 1 > limits::OP_ENTITIES_MAX {
                return Err(DraftError::TooManyEntities { given: also.len() + 1 });
            }
            let repeated = also.windows(2).any(|pair| pair[0] >= pair[1]) || also.binary_search(&key.entity).is_ok();
            if repeated {
                return Err(DraftError::RepeatedEntity);
            }
        }
        Ok(())
    }

    fn check_payload(&self) -> Result<(), DraftError> {
        let full_state = matches!(self.kind, OpKind::FullState(_));
        let (bytes_max, nodes_max) = if full_state {
            (limits::FULL_STATE_BYTES_MAX, limits::FULL_STATE_JSON_NODES_MAX)
        } else {
            (limits::OP_PAYLOAD_BYTES_MAX, limits::JSON_NODES_MAX)
        };
        let given = self.payload.bytes().len();
        if given > bytes_max {
            return Err(DraftError::PayloadTooLarge { given, max: bytes_max });
        }
        if let Payload::Json(text) = &self.payload {
            check_json(text, nodes_max)?;
        }
        Ok(())
    }

    fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(160 + self.payload.bytes().len());
        self.encode_head(&mut out);
        out.u8(match self.payload {
            Payload::Json(_) => 0,
            Payload::Plain(_) => 1,
            Payload::Sealed(_) => 2,
        });
        out.bytes(self.payload.bytes());
        out.finish()
    }

    /// Everything before the payload: what an author says in the open, and binds what it seals to.
    pub(crate) fn encode_head(&self, out: &mut Writer) {
        out.u8(FORMAT);
        out.fixed(self.id.as_bytes());
        out.fixed(self.replica.as_bytes());
        out.u8(self.kind.code());
        match &self.subject {
            Subject::Log => out.u8(0),
            Subject::Entity { key, also } => {
                out.u8(1);
                out.bytes(key.collection.as_str().as_bytes());
                out.fixed(key.entity.as_bytes());
                out.len(also.len());
                also.iter().for_each(|entity| out.fixed(entity.as_bytes()));
            }
        }
        self.clock.encode(out);
        out.u64(self.hlc.ms.ms());
        out.u64(self.hlc.counter.into());
        out.u64(self.schema_version.into());
        match self.precondition {
            Precondition::None => out.u8(0),
            Precondition::Absent => out.u8(1),
            Precondition::Version(version) => {
                out.u8(2);
                out.u64(version.get());
            }
        }
    }

    pub(super) fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes.clone());
        let version = input.u8("an op's format")?;
        if version != FORMAT {
            return Err(DecodeError::Unknown { what: "an op's format", value: version.into() });
        }
        let draft = Self {
            id: OpId::from_bytes(input.fixed("an op id")?),
            replica: ReplicaId::from_bytes(input.fixed("a replica")?),
            kind: OpKind::from_code(input.u8("a kind")?),
            subject: decode_subject(&mut input)?,
            clock: VectorClock::decode(&mut input)?,
            hlc: decode_hlc(&mut input)?,
            schema_version: u32::try_from(input.u64("a schema version")?)
                .map_err(|_| DecodeError::NotCanonical("a schema version"))?,
            precondition: decode_precondition(&mut input)?,
            payload: decode_payload(&mut input)?,
        };
        input.finish()?;
        Ok(draft)
    }
}

fn decode_subject(input: &mut Reader) -> Result<Subject, DecodeError> {
    const WHAT: &str = "a subject";
    match input.u8(WHAT)? {
        0 => Ok(Subject::Log),
        1 => {
            let name = input.bytes("a collection")?;
            let name = std::str::from_utf8(&name).map_err(|_| DecodeError::NotCanonical("a collection"))?;
            let collection = Collection::new(name).map_err(|_| DecodeError::NotCanonical("a collection"))?;
            let key = EntityKey { collection, entity: input.entity()? };
            let count = input.count(16, WHAT)?;
            let also = (0..count).map(|_| input.entity()).collect::<Result<_, _>>()?;
            Ok(Subject::Entity { key, also })
        }
        other => Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
    }
}

fn decode_hlc(input: &mut Reader) -> Result<Hlc, DecodeError> {
    const WHAT: &str = "an hlc";
    let ms = Timestamp::from_ms(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?;
    let counter = u16::try_from(input.u64(WHAT)?).map_err(|_| DecodeError::NotCanonical(WHAT))?;
    Ok(Hlc { ms, counter })
}

fn decode_precondition(input: &mut Reader) -> Result<Precondition, DecodeError> {
    const WHAT: &str = "a precondition";
    match input.u8(WHAT)? {
        0 => Ok(Precondition::None),
        1 => Ok(Precondition::Absent),
        2 => {
            let seq = Seq::new(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?;
            Ok(Precondition::Version(seq))
        }
        other => Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
    }
}

fn decode_payload(input: &mut Reader) -> Result<Payload, DecodeError> {
    const WHAT: &str = "a payload form";
    let form = input.u8(WHAT)?;
    let bytes = input.bytes("a payload")?;
    match form {
        0 => Ok(Payload::Json(bytes)),
        1 => Ok(Payload::Plain(bytes)),
        2 => Ok(Payload::Sealed(bytes)),
        other => Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
    }
}
