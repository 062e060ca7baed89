//! A document's fields as the text of one JSON object, and values as fields.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::{Document, Path, WHAT};
use crate::codec::DecodeError;
use crate::crdt::content::shown;

/// The object; `None` when there is nothing to see.
pub(super) fn text(document: &Document) -> Result<Option<Bytes>, DecodeError> {
    let mut text = vec![b'{'];
    // The names of the objects that are open.
    let mut open: Vec<String> = Vec::new();
    let mut first = true;
    for (path, value) in document.iter() {
        let names: Vec<_> = path.names().collect();
        let Some((name, over)) = names.split_last() else { continue };
        let same = open.iter().zip(over).take_while(|(open, name)| **open == **name).count();
        while open.len() > same {
            open.pop();
            text.push(b'}');
            first = false;
        }
        for object in &over[same..] {
            key(object, &mut first, &mut text)?;
            text.push(b'{');
            first = true;
            open.push(object.clone().into_owned());
        }
        key(name, &mut first, &mut text)?;
        text.extend_from_slice(shown(value, WHAT)?);
    }
    if text.len() == 1 && document.bare.is_none() {
        return Ok(None);
    }
    text.extend(std::iter::repeat_n(b'}', open.len() + 1));
    Ok(Some(text.into()))
}

fn key(name: &str, first: &mut bool, text: &mut Vec<u8>) -> Result<(), DecodeError> {
    if !std::mem::replace(first, false) {
        text.push(b',');
    }
    serde_json::to_writer(&mut *text, name).map_err(|_| DecodeError::NotCanonical(WHAT))?;
    text.push(b':');
    Ok(())
}

/// The fields that a value is made of: an object's, and those of objects in it, down to what is no object or an empty
/// one, and to the depth that a path has room for. In place of a root that is no object, nothing.
#[must_use]
pub fn fields_of(value: &Value) -> BTreeMap<Path, Bytes> {
    let mut fields = BTreeMap::new();
    let mut left: Vec<(Vec<&str>, &Value)> = vec![(Vec::new(), value)];
    while let Some((names, value)) = left.pop() {
        match value {
            Value::Object(object) if names.is_empty() || (!object.is_empty() && names.len() < DEPTH) => {
                left.extend(object.iter().map(|(name, value)| {
                    let names = names.iter().copied().chain([name.as_str()]);
                    (names.collect(), value)
                }));
            }
            leaf => {
                if let Ok(path) = Path::new(names) {
                    fields.insert(path, Bytes::from(leaf.to_string()));
                }
            }
        }
    }
    fields
}

const DEPTH: usize = crate::limits::DOCUMENT_DEPTH_MAX;
