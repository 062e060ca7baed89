//! One value; the newest write wins, and a delete is a write of nothing.
//!
//! # Bytes, version 1
//!
//! An edit: the byte 1, then 0 for a delete, or 1 and the value's JSON text behind its varint length.
//! The value: the byte 1, then 0 when nobody wrote anything; else 1 for deleted or 2 for a value, [when](super::newest) that was
//! written, and the text behind its varint length.

use bytes::Bytes;

use super::content::{Content, begin, json, opened, shown};
use super::moment::Moment;
use super::newest::{Newest, decode_when};
use crate::codec::DecodeError;

const WHAT: &str = "a register";

/// One value, last writer wins. It keeps the newest write and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Register {
    newest: Option<Newest<Option<Bytes>>>,
}

/// A write: the JSON text, or nothing for a delete.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what there is to say of a register")]
pub struct RegisterEdit(pub Option<Bytes>);

impl Register {
    /// The value's JSON text.
    #[must_use]
    pub fn get(&self) -> Option<&Bytes> {
        self.newest.as_ref().and_then(|newest| newest.value.as_ref())
    }

    /// Takes in another copy of it.
    pub fn merge(&mut self, other: &Self) {
        Newest::join(&mut self.newest, other.newest.as_ref());
    }
}

impl Content for Register {
    type Edit = RegisterEdit;

    const NAME: &'static str = WHAT;

    fn read_edit(payload: Bytes) -> Result<RegisterEdit, DecodeError> {
        let mut input = opened(payload, WHAT)?;
        let value = match input.u8(WHAT)? {
            0 => None,
            1 => Some(json(&mut input, WHAT)?),
            other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
        };
        input.finish()?;
        Ok(RegisterEdit(value))
    }

    fn write_edit(edit: &RegisterEdit) -> Bytes {
        let mut out = begin(12 + edit.0.as_ref().map_or(0, Bytes::len));
        out.u8(edit.0.is_some().into());
        if let Some(value) = &edit.0 {
            out.bytes(value);
        }
        out.finish()
    }

    fn apply(&mut self, moment: &Moment, edit: RegisterEdit) {
        if let Some(newest) = Newest::after(self.newest.as_ref(), moment.stamp(), edit.0) {
            self.newest = Some(newest);
        }
    }

    fn clear(&mut self, moment: &Moment) {
        self.apply(moment, RegisterEdit(None));
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = begin(48 + self.get().map_or(0, Bytes::len));
        match &self.newest {
            None => out.u8(0),
            Some(newest) => {
                out.u8(1 + u8::from(newest.value.is_some()));
                newest.encode_when(&mut out);
                if let Some(value) = &newest.value {
                    out.bytes(value);
                }
            }
        }
        out.finish().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = opened(bytes, WHAT)?;
        let tag = input.u8(WHAT)?;
        let newest = match tag {
            0 => None,
            1 | 2 => {
                let (stamp, nth) = decode_when(&mut input)?;
                Some(Newest { stamp, nth, value: if tag == 2 { Some(input.bytes(WHAT)?) } else { None } })
            }
            other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
        };
        input.finish()?;
        Ok(Self { newest })
    }

    fn view(&self) -> Result<Option<Bytes>, DecodeError> {
        self.get().map(|text| shown(text, WHAT).map(|_| text.clone())).transpose()
    }

    fn left_of(_: RegisterEdit, _: &RegisterEdit) -> Option<RegisterEdit> {
        None
    }
}
