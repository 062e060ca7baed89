//! How a collection's ops become its state.
//!
//! A reducer is pure, deterministic and total: it may refuse a change (the op is then reported, never skipped in
//! silence) but does not panic, whatever the payload or the state's bytes. It changes the state in place and says what
//! that cost, so that a replay can end in time.
//!
//! Where next: [`Change`], what a reducer is given; [`LogState`](super::LogState), the state of a whole log.

use std::fmt::Debug;

use bytes::Bytes;

use super::change::Change;
use super::object::{self, Object};
use super::op::OpKind;
use super::payload::Payload;
use crate::codec::Writer;

/// Why a change cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReduceError {
    /// Only its authors can read it.
    #[error("the payload is sealed")]
    Sealed,
    /// The reducer expects another form of content.
    #[error("the payload is not {0}")]
    Unfit(&'static str),
}

/// Applies changes to the state of one entity, `None` while it does not exist.
pub trait Reducer: Debug + Send + Sync + 'static {
    /// Applies one change. A log's changes come in the log's order.
    ///
    /// # Errors
    /// When the change or the state cannot be understood; the state is then unchanged.
    fn reduce(&self, state: &mut Option<Vec<u8>>, change: &Change<'_>) -> Result<(), ReduceError>;

    /// About how many bytes applying `change` moved, when the state then has `state` bytes: what bounds a replay.
    fn work(&self, state: usize, change: &Change<'_>) -> u64 {
        (state + change.payload.bytes().len()) as u64
    }

    /// What a reader of the entity sees of a state, `None` when the entity is deleted: for most the state itself.
    ///
    /// # Errors
    /// When the state is not one of this reducer.
    fn view(&self, state: &[u8]) -> Result<Option<Bytes>, ReduceError> {
        Ok(Some(Bytes::copy_from_slice(state)))
    }

    /// What is left to say of `older`, a change that was not uploaded yet, when the same author's `newer` one of the
    /// same entities comes right after it: applying what is left and then `newer` equals applying both. Looks at kinds and
    /// payloads alone; whether a precondition or a reader's interest in the history holds an op back is the caller's.
    fn remainder(&self, older: (OpKind, &Payload), newer: (OpKind, &Payload)) -> Remainder {
        let _ = (older, newer);
        Remainder::Whole
    }

    /// One change that says what two of the same author say, neither of which was sent yet: applying it instead of the newer
    /// one, and the older one not at all, equals applying both. `None` where there is none; asked where [`Reducer::remainder`]
    /// leaves the older one whole.
    fn joined(&self, older: (OpKind, &Payload), newer: (OpKind, &Payload)) -> Option<Payload> {
        let _ = (older, newer);
        None
    }

    /// How many changes a state says it left out, for they can never take effect: each time it says more, the op that made it
    /// say so is listed as one that has no effect, or uncovered another.
    fn left_out(&self, state: &[u8]) -> u64 {
        let _ = state;
        0
    }

    /// The type of value that its states are, where ops are edits of one: what a typed handle checks before it writes.
    fn holds(&self) -> Option<&'static str> {
        None
    }
}

/// What is left of a change once a newer one follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "all of it, some of it or none")]
pub enum Remainder {
    /// All of it counts.
    Whole,
    /// Only this.
    Part(Payload),
    /// The newer one says everything.
    Nothing,
}

/// The state is the payload of the last op; a delete removes it.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs, reason = "a name for a rule; it has nothing to set")]
pub struct Replace;

impl Reducer for Replace {
    fn reduce(&self, state: &mut Option<Vec<u8>>, change: &Change<'_>) -> Result<(), ReduceError> {
        if change.kind == OpKind::Delete {
            *state = None;
            return Ok(());
        }
        *state = Some(readable(change.payload)?.to_vec());
        Ok(())
    }
}

/// The state is a JSON object; an op's object replaces the top-level fields it names (seed 004, replay). Nested
/// objects are replaced whole, `null` is a value like any other, and every field keeps the text its author wrote;
/// fields stand in byte order, so equal states have equal bytes.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs, reason = "a name for a rule; it has nothing to set")]
pub struct JsonMerge;

impl Reducer for JsonMerge {
    fn reduce(&self, state: &mut Option<Vec<u8>>, change: &Change<'_>) -> Result<(), ReduceError> {
        if change.kind == OpKind::Delete {
            *state = None;
            return Ok(());
        }
        let new = Object::read(readable(change.payload)?)?;
        let mut object = Object::read(state.as_deref().unwrap_or(b"{}"))?;
        object.0.extend(new.0);
        let merged = object.write()?;
        *state = Some(merged);
        Ok(())
    }

    fn remainder(&self, older: (OpKind, &Payload), newer: (OpKind, &Payload)) -> Remainder {
        object::remainder(older, newer)
    }
}

/// The state is every payload in order, each behind its varint length: for content whose merging is its readers'
/// business. It grows with its ops.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs, reason = "a name for a rule; it has nothing to set")]
pub struct History;

impl Reducer for History {
    fn reduce(&self, state: &mut Option<Vec<u8>>, change: &Change<'_>) -> Result<(), ReduceError> {
        if change.kind == OpKind::Delete {
            *state = None;
            return Ok(());
        }
        let mut entry = Writer::default();
        entry.bytes(readable(change.payload)?);
        state.get_or_insert_default().extend_from_slice(&entry.finish());
        Ok(())
    }

    /// It only ever adds at the end.
    fn work(&self, _: usize, change: &Change<'_>) -> u64 {
        change.payload.bytes().len() as u64
    }
}

fn readable(payload: &Payload) -> Result<&[u8], ReduceError> {
    match payload {
        Payload::Json(bytes) | Payload::Plain(bytes) => Ok(bytes),
        Payload::Sealed(_) => Err(ReduceError::Sealed),
    }
}
