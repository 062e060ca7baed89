//! A JSON object as its fields: each name, and the text its author wrote for the value. Nested content is not looked into.
//!
//! What must hold: an object that repeats a name, in whatever spelling, is not one, since two readers could understand it
//! differently; what is written is in byte order of the names, so equal fields have equal text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::op::OpKind;
use super::payload::Payload;
use super::reducer::{ReduceError, Remainder};
use crate::json::Key;

/// What is said of bytes that are no object.
pub(super) const UNFIT: ReduceError = ReduceError::Unfit("a JSON object");

/// Name → the value's text.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Object<'a>(pub(super) BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Object<'a> {
    /// Reads the text of an object.
    ///
    /// # Errors
    /// When it is not one.
    pub(super) fn read(text: &'a [u8]) -> Result<Self, ReduceError> {
        serde_json::from_slice(text).map_err(|_| UNFIT)
    }

    /// Its text, in byte order of the names.
    ///
    /// # Errors
    /// Never: there is nothing in it that JSON cannot say.
    pub(super) fn write(&self) -> Result<Vec<u8>, ReduceError> {
        serde_json::to_vec(self).map_err(|_| UNFIT)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((Key(name), value)) = map.next_entry()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("an object repeats a key"));
                    }
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// [`Reducer::remainder`](super::Reducer::remainder) where a change replaces the fields it names and a delete ends them
/// all: the fields that the newer change does not name.
pub(super) fn remainder(older: (OpKind, &Payload), newer: (OpKind, &Payload)) -> Remainder {
    const fn names_fields(kind: OpKind) -> bool {
        matches!(kind, OpKind::Create | OpKind::Update | OpKind::Move | OpKind::Batch)
    }
    match (older.0, newer.0) {
        (kind, OpKind::Delete) if names_fields(kind) || matches!(kind, OpKind::Delete) => Remainder::Nothing,
        (one, two) if names_fields(one) && names_fields(two) => unnamed(older.1, newer.1),
        _ => Remainder::Whole,
    }
}

fn unnamed(older: &Payload, newer: &Payload) -> Remainder {
    let (Payload::Json(older), Payload::Json(newer)) = (older, newer) else { return Remainder::Whole };
    let (Ok(mut left), Ok(newer)) = (Object::read(older), Object::read(newer)) else { return Remainder::Whole };
    let all = left.0.len();
    left.0.retain(|name, _| !newer.0.contains_key(name));
    match (left.0.len(), left.write()) {
        (0, _) => Remainder::Nothing,
        (some, Ok(text)) if some < all => Remainder::Part(Payload::Json(Bytes::from(text))),
        _ => Remainder::Whole,
    }
}
