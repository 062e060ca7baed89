//! Last writer wins, field by field: the state of an entity that any device may edit at any time, alone or together.
//!
//! A change's payload is a JSON object. Each top-level name is a field; its value, `null` and nested content included, is
//! one piece that is kept as its author wrote it and replaced whole. A field belongs to the change with the newest
//! [`Stamp`](crate::crdt::Stamp), whatever order changes come in. A delete ends every field that is not newer than itself, also
//! those that arrive later, and so leaves a small state behind. Create, update, move and batch are the same thing here.
//!
//! The state is a [document](crate::crdt::document), whose module says what its bytes are and what must hold, with paths of
//! one name.

use bytes::Bytes;

use super::change::Change;
use super::object::{self, Object, UNFIT};
use super::op::OpKind;
use super::payload::Payload;
use super::reducer::{ReduceError, Reducer, Remainder};
use crate::crdt::document::Path;
use crate::crdt::{Content, Document};

/// What is said of a state that this reducer did not make.
const FOREIGN: ReduceError = ReduceError::Unfit("fit for a state that is not one of fields");

/// The newest edit of each field wins. What a reader sees is the JSON object of the fields, in byte order of their names.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs, reason = "a name for a rule; it has nothing to set")]
pub struct Fields;

impl Reducer for Fields {
    fn reduce(&self, state: &mut Option<Vec<u8>>, change: &Change<'_>) -> Result<(), ReduceError> {
        let mut fields = match state.as_deref() {
            Some(bytes) => read(bytes)?,
            None => Document::default(),
        };
        let stamp = change.stamp();
        let changed = match (change.kind, change.payload) {
            (OpKind::Delete, _) => fields.delete(stamp),
            (_, Payload::Json(text)) => {
                let object = Object::read(text)?;
                let mut changed = object.0.is_empty() && fields.touch(stamp);
                for (name, value) in object.0 {
                    changed |= fields.write(stamp, Path::field(&name), Some(text.slice_ref(value.get().as_bytes())));
                }
                changed
            }
            (_, Payload::Plain(_)) => return Err(UNFIT),
            (_, Payload::Sealed(_)) => return Err(ReduceError::Sealed),
        };
        if changed {
            *state = Some(fields.encode());
        }
        Ok(())
    }

    fn view(&self, state: &[u8]) -> Result<Option<Bytes>, ReduceError> {
        read(state)?.view().map_err(|_| FOREIGN)
    }

    fn remainder(&self, older: (OpKind, &Payload), newer: (OpKind, &Payload)) -> Remainder {
        object::remainder(older, newer)
    }
}

fn read(state: &[u8]) -> Result<Document, ReduceError> {
    Document::decode(Bytes::copy_from_slice(state)).map_err(|_| FOREIGN)
}
