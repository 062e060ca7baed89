//! What an op says of a document, and its bytes.
//!
//! # Bytes, version 1
//!
//! The byte 1; 0, or 1 and the stamp up to which removed fields are forgotten; a count, then per field in order: how many
//! names its path has and each behind its varint length; 0 for a remove, or 1 and the value's JSON text behind its varint length.
//! Without a field it says that the document exists.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::path::Path;
use super::{BAD, WHAT};
use crate::codec::DecodeError;
use crate::crdt::content::{begin, json, opened};
use crate::crdt::moment::{Stamp, decode_stamp, encode_stamp};

/// What one op says of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what there is to say of a document")]
pub struct DocumentEdit {
    /// Field → its JSON text, or nothing to remove it and what is in it.
    pub fields: BTreeMap<Path, Option<Bytes>>,
    /// Forgets fields that were removed up to here.
    pub forget: Option<Stamp>,
}

pub(super) fn read(payload: Bytes) -> Result<DocumentEdit, DecodeError> {
    let mut input = opened(payload, WHAT)?;
    let forget = match input.u8(WHAT)? {
        0 => None,
        1 => Some(decode_stamp(&mut input)?),
        _ => return Err(BAD),
    };
    let count = input.count(3, WHAT)?;
    let mut fields = BTreeMap::new();
    for _ in 0..count {
        let path = Path::decode(&mut input)?;
        let value = match input.u8(WHAT)? {
            0 => None,
            1 => Some(json(&mut input, WHAT)?),
            _ => return Err(BAD),
        };
        if fields.last_key_value().is_some_and(|(last, _)| *last >= path) {
            return Err(BAD);
        }
        fields.insert(path, value);
    }
    input.finish()?;
    Ok(DocumentEdit { fields, forget })
}

pub(super) fn write(edit: &DocumentEdit) -> Bytes {
    let mut out = begin(64 * edit.fields.len());
    out.u8(edit.forget.is_some().into());
    if let Some(forget) = edit.forget {
        encode_stamp(forget, &mut out);
    }
    out.len(edit.fields.len());
    for (path, value) in &edit.fields {
        path.encode(&mut out);
        out.u8(value.is_some().into());
        if let Some(value) = value {
            out.bytes(value);
        }
    }
    out.finish()
}

/// The fields that the newer edit does not say, and that are in none that it says.
pub(super) fn left_of(older: DocumentEdit, newer: &DocumentEdit) -> Option<DocumentEdit> {
    let bare = older.fields.is_empty();
    let said =
        |path: &Path| newer.fields.contains_key(path) || path.above().any(|above| newer.fields.contains_key(&above));
    let fields: BTreeMap<_, _> = older.fields.into_iter().filter(|(path, _)| !said(path)).collect();
    let nothing = fields.is_empty() && older.forget.is_none() && (!bare || newer.forget.is_none());
    (!nothing).then_some(DocumentEdit { fields, forget: older.forget })
}
