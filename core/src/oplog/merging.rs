//! A collection whose entities are values that merge: each op is an edit of one.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;

use super::arbitrate::ConflictPolicy;
use super::change::Change;
use super::op::OpKind;
use super::payload::Payload;
use super::reducer::{ReduceError, Reducer, Remainder};
use super::schema::Rules;
use crate::crdt::{Content, Counter, Document, List, Moment, Register, Set, Tree};

/// The state is a value of type `C`, and an op's plain payload an edit of it. A delete without content ends what stands before
/// it in the log.
#[derive(Debug, Clone, Copy)]
pub struct Merging<C>(PhantomData<fn() -> C>);

impl<C> Merging<C> {
    /// The reducer.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<C> Default for Merging<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Content> Reducer for Merging<C> {
    fn reduce(&self, state: &mut Option<Vec<u8>>, change: &Change<'_>) -> Result<(), ReduceError> {
        let edit = edit_of::<C>(change)?;
        let mut value = match state.as_deref() {
            Some(bytes) => C::decode(Bytes::copy_from_slice(bytes)).map_err(unfit::<C>)?,
            None => C::default(),
        };
        take_in(&mut value, change, edit);
        *state = (value != C::default()).then(|| value.encode());
        Ok(())
    }

    fn view(&self, state: &[u8]) -> Result<Option<Bytes>, ReduceError> {
        let value = C::decode(Bytes::copy_from_slice(state)).map_err(unfit::<C>)?;
        value.view().map_err(unfit::<C>)
    }

    fn remainder(&self, older: (OpKind, &Payload), newer: (OpKind, &Payload)) -> Remainder {
        let edit = |(kind, payload): (OpKind, &Payload)| match payload {
            Payload::Plain(bytes) if !(kind == OpKind::Delete && bytes.is_empty()) => C::read_edit(bytes.clone()).ok(),
            _ => None,
        };
        let (Some(older), Some(newer)) = (edit(older), edit(newer)) else { return Remainder::Whole };
        match C::left_of(older.clone(), &newer) {
            None => Remainder::Nothing,
            Some(left) if left == older => Remainder::Whole,
            Some(left) => Remainder::Part(Payload::Plain(C::write_edit(&left))),
        }
    }

    fn holds(&self) -> Option<&'static str> {
        Some(C::NAME)
    }
}

/// What a change says; `None` for a delete that says nothing else.
fn edit_of<C: Content>(change: &Change<'_>) -> Result<Option<C::Edit>, ReduceError> {
    let payload = match change.payload {
        Payload::Plain(bytes) => bytes,
        Payload::Json(_) => return Err(ReduceError::Unfit(C::NAME)),
        Payload::Sealed(_) => return Err(ReduceError::Sealed),
    };
    if change.kind == OpKind::Delete && payload.is_empty() {
        return Ok(None);
    }
    C::read_edit(payload.clone()).map(Some).map_err(unfit::<C>)
}

fn take_in<C: Content>(value: &mut C, change: &Change<'_>, edit: Option<C::Edit>) {
    match edit {
        Some(edit) => value.apply(&change.moment(), edit),
        None => value.clear(&change.moment()),
    }
}

/// Applies a change to a value that is at hand: what [`Merging`] does to its bytes.
///
/// # Errors
/// As [`Reducer::reduce`]; the value is then unchanged.
pub(crate) fn apply<C: Content>(value: &mut C, change: &Change<'_>) -> Result<(), ReduceError> {
    let edit = edit_of::<C>(change)?;
    take_in(value, change, edit);
    Ok(())
}

fn unfit<C: Content>(_: crate::codec::DecodeError) -> ReduceError {
    ReduceError::Unfit(C::NAME)
}

impl Change<'_> {
    /// Where it stands, for a value that merges.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let accepted_at = Some(self.accepted_at).filter(|at| *at < crate::time::Timestamp::MAX);
        Moment { op: self.op, replica: self.replica, hlc: self.hlc, accepted_at }
    }
}

impl Rules {
    /// Entities that are values of one type that merges: every op is accepted, and counts.
    #[must_use]
    pub fn merging<C: Content>() -> Self {
        Self { policy: ConflictPolicy::Merge, reducer: Arc::new(Merging::<C>::new()) }
    }

    /// Entities that are [counters](Counter).
    #[must_use]
    pub fn counter() -> Self {
        Self::merging::<Counter>()
    }

    /// Entities that are [documents](Document): the newest edit of each field wins, also of fields in fields.
    #[must_use]
    pub fn document() -> Self {
        Self::merging::<Document>()
    }

    /// Entities that are [lists](List).
    #[must_use]
    pub fn list() -> Self {
        Self::merging::<List>()
    }

    /// Entities that are [registers](Register).
    #[must_use]
    pub fn register() -> Self {
        Self::merging::<Register>()
    }

    /// Entities that are [sets](Set).
    #[must_use]
    pub fn set() -> Self {
        Self::merging::<Set>()
    }

    /// Entities that are [trees](Tree).
    #[must_use]
    pub fn tree() -> Self {
        Self::merging::<Tree>()
    }
}
