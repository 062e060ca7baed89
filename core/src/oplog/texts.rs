//! A collection whose entities are texts that many type into.

use bytes::Bytes;

use super::change::Change;
use super::op::OpKind;
use super::payload::Payload;
use super::reducer::{ReduceError, Reducer};
use super::schema::Rules;
use crate::crdt::writing::{Said, TextEdit, TextState};
use crate::oplog::arbitrate::ConflictPolicy;

/// Reading and saving a byte of a state costs about as much as moving so many.
const FORGETTING: usize = 16;

/// What is said of a state or an edit that is not one of a text.
const UNFIT: ReduceError = ReduceError::Unfit(Texts::NAME);

/// The state is a [`TextState`], an op's plain payload a [`TextEdit`]. A delete without content deletes what stands before it
/// in the log; with content, what that says. What is typed after it, or was not seen by who deleted it, is there.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs, reason = "a name for a rule; it has nothing to set")]
pub struct Texts;

impl Texts {
    /// What such an entity is called.
    pub const NAME: &'static str = "a text";
}

impl Reducer for Texts {
    fn reduce(&self, state: &mut Option<Vec<u8>>, change: &Change<'_>) -> Result<(), ReduceError> {
        let Payload::Plain(bytes) = change.payload else {
            return Err(if change.payload.is_sealed() { ReduceError::Sealed } else { UNFIT });
        };
        let deletes = change.kind == OpKind::Delete;
        let edit = match bytes.is_empty() {
            true if deletes => None,
            _ => Some(TextEdit::from_bytes(bytes.clone()).map_err(|_| UNFIT)?),
        };
        TextState::take(state, deletes, edit.as_ref(), change.op).map_err(|_| UNFIT)
    }

    /// It mostly adds at the end. Forgetting reads, merges and saves all of it.
    fn work(&self, state: usize, change: &Change<'_>) -> u64 {
        let forgets =
            |bytes: &Bytes| TextEdit::from_bytes(bytes.clone()).is_ok_and(|edit| edit.said == Said::Forgotten);
        let moved = if forgets(change.payload.bytes()) { state.saturating_mul(FORGETTING) } else { 0 };
        (change.payload.bytes().len().saturating_add(moved)) as u64
    }

    fn left_out(&self, state: &[u8]) -> u64 {
        TextState::left_out_of(state)
    }

    fn view(&self, state: &[u8]) -> Result<Option<Bytes>, ReduceError> {
        let state = TextState::read(Bytes::copy_from_slice(state)).map_err(|_| UNFIT)?;
        let text = state.load().map_err(|_| UNFIT)?;
        let shown = state.shows(&text).then(|| serde_json::to_vec(&text.to_string()));
        Ok(shown.transpose().map_err(|_| UNFIT)?.map(Bytes::from))
    }

    fn joined(&self, older: (OpKind, &Payload), newer: (OpKind, &Payload)) -> Option<Payload> {
        let edit = |(kind, payload): (OpKind, &Payload)| match payload {
            Payload::Plain(bytes) if kind != OpKind::Delete => TextEdit::from_bytes(bytes.clone()).ok(),
            _ => None,
        };
        Some(Payload::Plain(edit(older)?.join(&edit(newer)?)?.to_bytes()))
    }

    fn holds(&self) -> Option<&'static str> {
        Some(Self::NAME)
    }
}

impl Rules {
    /// Entities that are texts ([`crate::crdt::text`]): every op is accepted, and everybody's typing stays.
    #[must_use]
    pub fn text() -> Self {
        Self { policy: ConflictPolicy::Merge, reducer: std::sync::Arc::new(Texts) }
    }
}
