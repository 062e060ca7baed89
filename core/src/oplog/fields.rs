//! Last writer wins, field by field: the state of an entity that any device may edit at any time, alone or together.
//!
//! A change's payload is a JSON object. Each top-level name is a field; its value, `null` and nested content included, is
//! one piece that is kept as its author wrote it and replaced whole. A field belongs to the change with the newest
//! [`Stamp`], whatever order changes come in. A delete ends every field that is not newer than itself, also those that
//! arrive later, and so leaves a small state behind. Create, update, move and batch are the same thing here.
//!
//! What must hold: the state is what the changes say one after the other in the order of their stamps, so readers that
//! got them in different orders have equal bytes. Where stamps are equal, the changes are of one author and the order is
//! the log's.
//!
//! # State bytes, version 1
//!
//! In the form of [`codec`](crate::codec):
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the version: 1 |
//! | 1 | what follows: bit 0 a deletion, bit 1 a bare existence |
//! | stamp | of the newest delete, if bit 0 |
//! | stamp | of the newest change that named no field, if bit 1 |
//! | varint | how many fields; each: |
//! | varint + bytes | its name in UTF-8, names in byte order |
//! | stamp | of the change it belongs to |
//! | varint + bytes | the value's JSON text |
//!
//! A stamp is the hlc's milliseconds as a varint, its counter as a varint, and the 16 bytes of the replica. Nothing is
//! older than the deletion, a bare existence is newer than every field (older ones say nothing that a field does not),
//! and there is a deletion, a bare existence or a field. Every other spelling is refused.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::change::Change;
use super::object::{self, Object, UNFIT};
use super::op::OpKind;
use super::payload::Payload;
use super::reducer::{ReduceError, Reducer, Remainder};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::{Stamp, decode_stamp, encode_stamp};

const FORMAT: u8 = 1;
const DELETED: u8 = 1;
const BARE: u8 = 2;

/// What is said of a state that this reducer did not make.
const FOREIGN: ReduceError = ReduceError::Unfit("fit for a state that is not one of fields");

/// The newest edit of each field wins. What a reader sees is the JSON object of the fields, in byte order of their names.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs, reason = "a name for a rule; it has nothing to set")]
pub struct Fields;

impl Reducer for Fields {
    fn reduce(&self, state: &mut Option<Vec<u8>>, change: &Change<'_>) -> Result<(), ReduceError> {
        let mut fields = match state.as_deref() {
            Some(bytes) => State::decode(bytes).map_err(|_| FOREIGN)?,
            None => State::default(),
        };
        let changed = match (change.kind, change.payload) {
            (OpKind::Delete, _) => fields.delete(change.stamp()),
            (_, Payload::Json(text)) => fields.edit(change.stamp(), text, Object::read(text)?),
            (_, Payload::Plain(_)) => return Err(UNFIT),
            (_, Payload::Sealed(_)) => return Err(ReduceError::Sealed),
        };
        if changed {
            *state = Some(fields.encode());
        }
        Ok(())
    }

    fn view(&self, state: &[u8]) -> Result<Option<Bytes>, ReduceError> {
        State::decode(state).map_err(|_| FOREIGN)?.view()
    }

    fn remainder(&self, older: (OpKind, &Payload), newer: (OpKind, &Payload)) -> Remainder {
        object::remainder(older, newer)
    }
}

/// The state, read. Values stay the texts they are: an edit costs what moving the bytes costs.
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    deleted: Option<Stamp>,
    bare: Option<Stamp>,
    fields: BTreeMap<Bytes, (Stamp, Bytes)>,
}

impl State {
    /// Whether that changed anything.
    fn delete(&mut self, stamp: Stamp) -> bool {
        if self.deleted.is_some_and(|deleted| deleted > stamp) {
            return false;
        }
        self.deleted = Some(stamp);
        self.bare = self.bare.filter(|bare| *bare > stamp);
        self.fields.retain(|_, (written, _)| *written > stamp);
        true
    }

    /// Whether that changed anything. `object` is what `text` says.
    fn edit(&mut self, stamp: Stamp, text: &Bytes, object: Object<'_>) -> bool {
        if self.deleted.is_some_and(|deleted| deleted > stamp) {
            return false;
        }
        if object.0.is_empty() {
            let said = self.bare.into_iter().chain(self.fields.values().map(|(written, _)| *written)).max();
            let news = said.is_none_or(|newest| newest < stamp);
            if news {
                self.bare = Some(stamp);
            }
            return news;
        }
        let mut changed = false;
        for (name, value) in object.0 {
            let name = Bytes::copy_from_slice(name.as_bytes());
            let wins = self.fields.get(&name).is_none_or(|(written, _)| *written <= stamp);
            if wins {
                self.fields.insert(name, (stamp, text.slice_ref(value.get().as_bytes())));
                changed = true;
            }
        }
        self.bare = self.bare.filter(|bare| *bare > stamp);
        changed
    }

    fn view(&self) -> Result<Option<Bytes>, ReduceError> {
        if self.fields.is_empty() && self.bare.is_none() {
            return Ok(None);
        }
        let mut object = Object::default();
        for (name, (_, text)) in &self.fields {
            let name = std::str::from_utf8(name).map_err(|_| FOREIGN)?;
            // Whoever gives a state away whole may have put anything in a value's place, also the end of the object.
            let value: &RawValue = serde_json::from_slice(text).map_err(|_| FOREIGN)?;
            if value.get().len() != text.len() {
                return Err(FOREIGN);
            }
            object.0.insert(name.into(), value);
        }
        Ok(Some(Bytes::from(object.write()?)))
    }

    fn encode(&self) -> Vec<u8> {
        // What a stamp and two lengths take at most, and usually less.
        const FIELD: usize = 40;
        let bytes: usize = self.fields.iter().map(|(name, (_, text))| name.len() + text.len() + FIELD).sum();
        let mut out = Writer::with_capacity(bytes + 3 * FIELD);
        out.u8(FORMAT);
        out.u8(self.deleted.map_or(0, |_| DELETED) | self.bare.map_or(0, |_| BARE));
        for stamp in self.deleted.iter().chain(&self.bare) {
            encode_stamp(*stamp, &mut out);
        }
        out.len(self.fields.len());
        for (name, (stamp, text)) in &self.fields {
            out.bytes(name);
            encode_stamp(*stamp, &mut out);
            out.bytes(text);
        }
        out.finish().into()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "an entity's fields";
        let mut input = Reader::new(Bytes::copy_from_slice(bytes));
        let version = input.u8(WHAT)?;
        if version != FORMAT {
            return Err(DecodeError::Unknown { what: WHAT, value: version.into() });
        }
        let follows = input.u8(WHAT)?;
        if follows & !(DELETED | BARE) != 0 {
            return Err(DecodeError::NotCanonical(WHAT));
        }
        let mut stamp = |bit: u8| (follows & bit != 0).then(|| decode_stamp(&mut input)).transpose();
        let (deleted, bare) = (stamp(DELETED)?, stamp(BARE)?);
        // Two lengths, two varints and a replica.
        let count = input.count(20, WHAT)?;
        let mut fields: Vec<(Bytes, (Stamp, Bytes))> = Vec::with_capacity(count);
        for _ in 0..count {
            let name = input.bytes(WHAT)?;
            let written = decode_stamp(&mut input)?;
            let follows = fields.last().is_none_or(|(last, _)| *last < name);
            let counts = deleted.is_none_or(|deleted| deleted <= written) && bare.is_none_or(|bare| bare > written);
            if !follows || !counts || std::str::from_utf8(&name).is_err() {
                return Err(DecodeError::NotCanonical(WHAT));
            }
            fields.push((name, (written, input.bytes(WHAT)?)));
        }
        input.finish()?;
        let nothing = deleted.is_none() && bare.is_none() && fields.is_empty();
        if nothing || deleted.zip(bare).is_some_and(|(deleted, bare)| deleted > bare) {
            return Err(DecodeError::NotCanonical(WHAT));
        }
        Ok(Self { deleted, bare, fields: fields.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::id::ReplicaId;
    use crate::time::{Hlc, Timestamp};

    fn stamp() -> impl Strategy<Value = Stamp> {
        let at = prop_oneof![4 => 0..300_u64, 1 => Just(Timestamp::MAX.ms()), 1 => 0..Timestamp::MAX.ms()];
        let counter = prop_oneof![2 => 0..2_u16, 1 => Just(u16::MAX), 1 => any::<u16>()];
        (at, counter, 1..4_u8).prop_map(|(at, counter, replica)| {
            let ms = Timestamp::from_ms(at).expect("in range");
            Stamp { hlc: Hlc { ms, counter }, replica: ReplicaId::from_bytes([replica; 16]) }
        })
    }

    /// Any state that changes can lead to.
    fn state() -> impl Strategy<Value = State> {
        let fields = btree_map("[a-c\u{e9}\"]{0,2}", (stamp(), "[0-9]{1,3}"), 0..5);
        (prop::option::of(stamp()), prop::option::of(stamp()), fields).prop_filter_map(
            "a state without content",
            |(deleted, bare, fields)| {
                let fields = fields.into_iter().map(|(name, (stamp, text))| (name.into(), (stamp, text.into())));
                let mut state = State { deleted, bare, fields: fields.collect() };
                state.fields.retain(|_, (written, _)| deleted.is_none_or(|deleted| deleted <= *written));
                let newest = state.fields.values().map(|(written, _)| *written).max();
                state.bare = bare.filter(|bare| newest.is_none_or(|newest| newest < *bare));
                state.bare = state.bare.filter(|bare| deleted.is_none_or(|deleted| deleted <= *bare));
                (state != State::default()).then_some(state)
            },
        )
    }

    proptest! {
        #[test]
        fn a_state_of_fields_is_read_back_as_it_was(state in state()) {
            prop_assert_eq!(State::decode(&state.encode()), Ok(state));
        }

        #[test]
        fn a_state_of_fields_has_one_spelling(state in state(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut bytes = state.encode();
            let place = at.index(bytes.len());
            bytes[place] ^= 1 << bit;
            if let Ok(other) = State::decode(&bytes) {
                prop_assert_ne!(&other, &state);
                prop_assert_eq!(other.encode(), bytes, "whatever reads is what would be written");
            }
        }

        #[test]
        fn bytes_of_any_origin_are_read_or_refused(head in 0..4_u8, tail in vec(any::<u8>(), 0..80)) {
            let bytes = [&[FORMAT, head], tail.as_slice()].concat();
            if let Ok(state) = State::decode(&bytes) {
                prop_assert_eq!(state.encode(), bytes);
                let _ = state.view();
            }
        }
    }
}
