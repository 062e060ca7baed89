//! How a collection's ops become its state.
//!
//! A reducer is pure, deterministic and total: it may refuse an op (the op is then reported, never skipped in
//! silence) but does not panic. It changes the state in place and says what that cost, so that a replay can end in
//! time.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::value::RawValue;

use super::op::{Op, OpKind};
use super::payload::Payload;
use crate::codec::Writer;

/// Why an op cannot be applied.
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

/// Applies ops to the state of one entity, `None` while it does not exist.
pub trait Reducer: Debug + Send + Sync + 'static {
    /// Applies one op.
    ///
    /// # Errors
    /// When the op cannot be understood; the state is then unchanged.
    fn reduce(&self, state: &mut Option<Vec<u8>>, op: &Op) -> Result<(), ReduceError>;

    /// About how many bytes applying `op` moved, when the state then has `state` bytes: what bounds a replay.
    fn work(&self, state: usize, op: &Op) -> u64 {
        (state + op.bytes().len()) as u64
    }
}

/// The state is the payload of the newest op; a delete removes it.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Replace;

impl Reducer for Replace {
    fn reduce(&self, state: &mut Option<Vec<u8>>, op: &Op) -> Result<(), ReduceError> {
        if op.kind() == OpKind::Delete {
            *state = None;
            return Ok(());
        }
        *state = Some(readable(op)?.to_vec());
        Ok(())
    }
}

/// The state is a JSON object; an op's object replaces the top-level fields it names (seed 004, replay). Nested
/// objects are replaced whole, `null` is a value like any other, and every field keeps the text its author wrote;
/// fields stand in byte order, so equal states have equal bytes.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct JsonMerge;

type Fields<'a> = BTreeMap<String, &'a RawValue>;

impl Reducer for JsonMerge {
    fn reduce(&self, state: &mut Option<Vec<u8>>, op: &Op) -> Result<(), ReduceError> {
        const UNFIT: ReduceError = ReduceError::Unfit("a JSON object");
        if op.kind() == OpKind::Delete {
            *state = None;
            return Ok(());
        }
        let new: Fields<'_> = serde_json::from_slice(readable(op)?).map_err(|_| UNFIT)?;
        let old = state.as_deref().unwrap_or(b"{}");
        let mut fields: Fields<'_> = serde_json::from_slice(old).map_err(|_| UNFIT)?;
        fields.extend(new);
        let merged = serde_json::to_vec(&fields).map_err(|_| UNFIT)?;
        *state = Some(merged);
        Ok(())
    }
}

/// The state is every payload in order, each behind its varint length: for content whose merging is its readers'
/// business. It grows with its ops.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct History;

impl Reducer for History {
    fn reduce(&self, state: &mut Option<Vec<u8>>, op: &Op) -> Result<(), ReduceError> {
        if op.kind() == OpKind::Delete {
            *state = None;
            return Ok(());
        }
        let mut entry = Writer::default();
        entry.bytes(readable(op)?);
        state.get_or_insert_default().extend_from_slice(&entry.finish());
        Ok(())
    }

    /// It only ever adds at the end.
    fn work(&self, _: usize, op: &Op) -> u64 {
        op.bytes().len() as u64
    }
}

fn readable(op: &Op) -> Result<&[u8], ReduceError> {
    match op.payload() {
        Payload::Json(bytes) | Payload::Plain(bytes) => Ok(bytes),
        Payload::Sealed(_) => Err(ReduceError::Sealed),
    }
}
