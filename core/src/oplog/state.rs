//! The state of a log at a seq, by replay, in a form with one spelling.
//!
//! Canonical bytes, version 1: the byte 1, a count, then per entity in key order: length + collection, 16 entity,
//! length + state. A plain full-state op and a server-made snapshot carry exactly this.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::change::Change;
use super::op::{Collection, EntityKey, LoggedOp, Op, OpKind, Subject};
use super::part::Part;
use super::payload::Payload;
use super::reducer::ReduceError;
use super::schema::Schema;
use crate::codec::{DecodeError, Reader, Writer};
use crate::json::check_json;
use crate::limits;
use crate::seq::Seq;

const FORMAT: u8 = 1;

/// The format byte and the largest count.
const HEAD_BYTES: usize = 11;

/// Bytes that one entity takes in canonical form.
fn encoded_len(key: &EntityKey, state: usize) -> usize {
    let name = key.collection.as_str().len();
    varint_len(name) + name + 16 + varint_len(state) + state
}

fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).unwrap_or(10)
}

/// Entity → state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogState {
    entities: BTreeMap<EntityKey, Vec<u8>>,
    bytes: usize,
}

/// Why a state cannot be replayed past an op. The op stays in the log and is relayed; it is not interpreted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayStop {
    /// Only clients can read it.
    #[error("op {0} is sealed; only a client that holds the key can replay it")]
    Sealed(Seq),
    /// A schema version or kind from a newer author.
    #[error("op {0} is of a kind or schema version this replica does not know")]
    Unknown(Seq),
    /// The reducer refused it.
    #[error("op {seq} does not apply: {reason}")]
    Unfit {
        /// Where.
        seq: Seq,
        /// Why.
        reason: ReduceError,
    },
    /// The state outgrew its limit.
    #[error("the state at op {seq} is larger than {} bytes", limits::REPLAY_BYTES_MAX)]
    TooLarge {
        /// Where.
        seq: Seq,
    },
    /// Too many ops for one call.
    #[error("{given} ops to replay, at most {} in one call", limits::REPLAY_OPS_MAX)]
    TooManyOps {
        /// Ops between the nearest snapshot and the target.
        given: u64,
    },
}

impl LogState {
    /// The state of one entity.
    #[must_use]
    pub fn get(&self, key: &EntityKey) -> Option<&[u8]> {
        self.entities.get(key).map(Vec::as_slice)
    }

    /// Entities that have a state, in key order. Some reducers keep one of a deleted entity: what a reader sees is for
    /// [`Reducer::view`](super::Reducer::view) to say.
    pub fn iter(&self) -> impl Iterator<Item = (&EntityKey, &[u8])> {
        self.entities.iter().map(|(key, state)| (key, state.as_slice()))
    }

    /// Forgets every entity that is not in a part.
    pub fn retain_part(&mut self, part: &Part) {
        self.entities.retain(|key, _| part.holds(key));
        self.bytes = self.entities.iter().map(|(key, state)| encoded_len(key, state.len())).sum();
    }

    /// Applies the next op of the log.
    ///
    /// # Errors
    /// When the op cannot be interpreted here; the state is then as before it. After [`ReplayStop::TooLarge`] the
    /// op is in it, and the state is only good for being dropped.
    pub fn apply(&mut self, logged: &LoggedOp, schema: &Schema) -> Result<(), ReplayStop> {
        self.apply_counted(logged, schema).map(drop)
    }

    /// [`LogState::apply`], and how many bytes it wrote: what a replay that must end in time adds up.
    ///
    /// # Errors
    /// As [`LogState::apply`].
    pub fn apply_counted(&mut self, logged: &LoggedOp, schema: &Schema) -> Result<u64, ReplayStop> {
        let op = logged.op.read().map_err(|_| ReplayStop::Unknown(logged.seq))?;
        self.change(logged, &op, op.payload(), schema)
    }

    /// [`LogState::apply_counted`] for a reader that holds keys: `op` is `logged.op`, read, and `payload` is what the
    /// op's payload says once opened. The rules are the same ones; that a JSON payload is acceptable, which an author's
    /// sealing checks of what it can read, is checked here.
    ///
    /// # Errors
    /// As [`LogState::apply`].
    pub fn apply_opened(
        &mut self,
        logged: &LoggedOp,
        op: &Op,
        payload: &Payload,
        schema: &Schema,
    ) -> Result<u64, ReplayStop> {
        if let Payload::Json(text) = payload {
            let nodes_max = match op.subject() {
                Subject::Log => limits::FULL_STATE_JSON_NODES_MAX,
                Subject::Entity { .. } => limits::JSON_NODES_MAX,
            };
            let unfit = |_| ReplayStop::Unfit { seq: logged.seq, reason: ReduceError::Unfit("acceptable JSON") };
            check_json(text, nodes_max).map_err(unfit)?;
        }
        self.change(logged, op, payload, schema)
    }

    fn change(&mut self, logged: &LoggedOp, op: &Op, payload: &Payload, schema: &Schema) -> Result<u64, ReplayStop> {
        if payload.is_sealed() {
            return Err(ReplayStop::Sealed(logged.seq));
        }
        let unknown = matches!(op.kind(), OpKind::Other(_)) || op.schema_version() > schema.version_max();
        if unknown {
            return Err(ReplayStop::Unknown(logged.seq));
        }
        match op.subject() {
            Subject::Log => self.replace(payload, logged.seq),
            Subject::Entity { .. } => {
                self.reduce(op.subject(), logged.seq, &Change::opened(op, logged.accepted_at, payload), schema)
            }
        }
    }

    fn reduce(&mut self, subject: &Subject, seq: Seq, change: &Change<'_>, schema: &Schema) -> Result<u64, ReplayStop> {
        let Subject::Entity { key, also } = subject else { return Ok(0) };
        let reducer = &schema.rules(&key.collection).reducer;
        // Copies cost what the states cost, so they are made only where a later entity can still refuse the op.
        let (mut undo, mut work) = (Vec::new(), 0);
        for key in subject.keys() {
            let mut state = self.take(&key);
            let before = if also.is_empty() { None } else { state.clone() };
            let reduced = reducer.reduce(&mut state, change);
            work += reducer.work(state.as_ref().map_or(0, Vec::len), change);
            self.put(key.clone(), state);
            if let Err(reason) = reduced {
                undo.into_iter().for_each(|(key, before)| self.put_back(key, before));
                return Err(ReplayStop::Unfit { seq, reason });
            }
            undo.push((key, before));
        }
        if HEAD_BYTES + self.bytes > limits::REPLAY_BYTES_MAX {
            return Err(ReplayStop::TooLarge { seq });
        }
        Ok(work)
    }

    fn take(&mut self, key: &EntityKey) -> Option<Vec<u8>> {
        let state = self.entities.remove(key)?;
        self.bytes -= encoded_len(key, state.len());
        Some(state)
    }

    fn put(&mut self, key: EntityKey, state: Option<Vec<u8>>) {
        if let Some(state) = state {
            self.bytes += encoded_len(&key, state.len());
            self.entities.insert(key, state);
        }
    }

    fn put_back(&mut self, key: EntityKey, before: Option<Vec<u8>>) {
        let _ = self.take(&key);
        self.put(key, before);
    }

    /// A full state replaces everything; it does not merge (seed 001's server merged top-level keys and so kept
    /// what an import had removed).
    fn replace(&mut self, payload: &Payload, seq: Seq) -> Result<u64, ReplayStop> {
        let unfit = |_| ReplayStop::Unfit { seq, reason: ReduceError::Unfit("a full state") };
        *self = Self::from_bytes(payload.bytes().clone()).map_err(unfit)?;
        Ok(self.bytes as u64)
    }

    /// Canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(HEAD_BYTES + self.bytes);
        out.u8(FORMAT);
        out.len(self.entities.len());
        for (key, state) in self.iter() {
            out.bytes(key.collection.as_str().as_bytes());
            out.fixed(key.entity.as_bytes());
            out.bytes(state);
        }
        out.finish()
    }

    /// The inverse of [`LogState::to_bytes`].
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut state = Self::default();
        for entity in StateEntities::read(bytes)? {
            let (key, value) = entity?;
            state.put(key, Some(value.to_vec()));
        }
        Ok(state)
    }
}

/// The entities of a state's canonical bytes, one after the other: whoever takes each once needs no [`LogState`]. States
/// are slices of the bytes. After an error, or at the end, there is nothing more.
#[derive(Debug)]
pub struct StateEntities {
    input: Reader,
    left: usize,
    last: Option<EntityKey>,
}

impl StateEntities {
    const WHAT: &'static str = "a log's state";

    /// Begins to read.
    ///
    /// # Errors
    /// When the bytes do not begin as a state does.
    pub fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let version = input.u8(Self::WHAT)?;
        if version != FORMAT {
            return Err(DecodeError::Unknown { what: Self::WHAT, value: version.into() });
        }
        let left = input.count(18, Self::WHAT)?;
        if left == 0 {
            input.finish()?;
            return Ok(Self { input: Reader::new(Bytes::new()), left, last: None });
        }
        Ok(Self { input, left, last: None })
    }

    /// How many there still are, if all of them read.
    #[must_use]
    pub const fn len_at_most(&self) -> usize {
        self.left
    }

    fn entity(&mut self) -> Result<(EntityKey, Bytes), DecodeError> {
        const BAD: DecodeError = DecodeError::NotCanonical(StateEntities::WHAT);
        let name = self.input.bytes(Self::WHAT)?;
        let name = std::str::from_utf8(&name).map_err(|_| BAD)?;
        // Entities of a collection stand together and share its name.
        let collection = match &self.last {
            Some(last) if last.collection.as_str() == name => last.collection.clone(),
            _ => Collection::new(name).map_err(|_| BAD)?,
        };
        let key = EntityKey { collection, entity: self.input.entity()? };
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(BAD);
        }
        self.last = Some(key.clone());
        let state = self.input.bytes(Self::WHAT)?;
        if self.left == 1 {
            std::mem::replace(&mut self.input, Reader::new(Bytes::new())).finish()?;
        }
        Ok((key, state))
    }
}

impl Iterator for StateEntities {
    type Item = Result<(EntityKey, Bytes), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.left.checked_sub(1)?;
        let entity = self.entity();
        self.left = if entity.is_ok() { left } else { 0 };
        Some(entity)
    }
}
