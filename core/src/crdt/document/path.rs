//! Where a field is: names from the outside in, as one key that sorts a field before those in it.
//!
//! A key is the names with two zero bytes between them, and a zero byte in a name as zero and one. So the keys of what is in a
//! field stand together right behind the field's, and a key of one name without a zero byte is that name.

use std::borrow::Cow;

use bytes::Bytes;

use crate::codec::{DecodeError, Reader, Writer};
use crate::limits;

const BAD: DecodeError = DecodeError::NotCanonical("a path");

/// The way to a field of a document: at least one name, at most [`limits::DOCUMENT_DEPTH_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Bytes);

/// A path is 1 to [`limits::DOCUMENT_DEPTH_MAX`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a path is 1 to {max} names, not {given}", max = limits::DOCUMENT_DEPTH_MAX)]
pub struct PathError {
    /// How many names were given.
    pub given: usize,
}

impl Path {
    /// The path of these names.
    ///
    /// # Errors
    /// When there are none, or too many.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, PathError> {
        let (mut key, mut given) = (Vec::new(), 0);
        for name in names {
            if given > 0 {
                key.extend_from_slice(&[0, 0]);
            }
            key.extend_from_slice(&escaped(name));
            given += 1;
        }
        if (1..=limits::DOCUMENT_DEPTH_MAX).contains(&given) { Ok(Self(key.into())) } else { Err(PathError { given }) }
    }

    /// The path of one name.
    #[must_use]
    pub fn field(name: &str) -> Self {
        match escaped(name) {
            Cow::Borrowed(name) => Self(Bytes::copy_from_slice(name)),
            Cow::Owned(key) => Self(key.into()),
        }
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let mut rest = Some(&self.0[..]);
        std::iter::from_fn(move || {
            let all = rest?;
            let end = separators(all).next();
            rest = end.map(|end| &all[end + 2..]);
            let name = &all[..end.unwrap_or(all.len())];
            let name = match name.contains(&0) {
                false => String::from_utf8_lossy(name),
                true => {
                    let mut zero = false;
                    let kept = name.iter().filter(|byte| !std::mem::replace(&mut zero, **byte == 0));
                    Cow::Owned(String::from_utf8_lossy(&kept.copied().collect::<Vec<u8>>()).into_owned())
                }
            };
            Some(name)
        })
    }

    /// Bytes that its names take, about.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether another field is in this one.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        other.0.strip_prefix(&*self.0).is_some_and(|rest| rest.starts_with(&[0, 0]))
    }

    /// The fields that this one is in, from the outside in.
    pub(super) fn above(&self) -> impl Iterator<Item = Self> {
        separators(&self.0).map(|end| Self(self.0.slice(..end)))
    }

    pub(super) fn is_nested(&self) -> bool {
        separators(&self.0).next().is_some()
    }

    /// The keys of everything in it are from the first up to the second.
    pub(super) fn within(&self) -> std::ops::Range<Self> {
        let end = |last: u8| Self([&*self.0, &[0, last]].concat().into());
        end(0)..end(1)
    }

    /// Its only name behind its length.
    pub(super) fn encode_field(&self, out: &mut Writer) {
        match self.0.contains(&0) {
            false => out.bytes(&self.0),
            true => self.names().for_each(|name| out.bytes(name.as_bytes())),
        }
    }

    pub(super) fn decode_field(input: &mut Reader) -> Result<Self, DecodeError> {
        let name = input.bytes("a path")?;
        let text = std::str::from_utf8(&name).map_err(|_| BAD)?;
        Ok(if name.contains(&0) { Self::field(text) } else { Self(name) })
    }

    /// How many names, then each behind its length.
    pub(super) fn encode(&self, out: &mut Writer) {
        out.len(separators(&self.0).count() + 1);
        self.names().for_each(|name| out.bytes(name.as_bytes()));
    }

    pub(super) fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        let count = input.count(1, "a path")?;
        if count > limits::DOCUMENT_DEPTH_MAX {
            return Err(BAD);
        }
        let names: Vec<Bytes> = (0..count).map(|_| input.bytes("a path")).collect::<Result<_, _>>()?;
        let names = names.iter().map(|name| std::str::from_utf8(name).map_err(|_| BAD));
        Self::new(names.collect::<Result<Vec<_>, _>>()?).map_err(|_| BAD)
    }
}

/// Where names end.
fn separators(key: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let zero = at + key.get(at..)?.iter().position(|byte| *byte == 0)?;
            at = zero + 2;
            if key.get(zero + 1) == Some(&0) {
                return Some(zero);
            }
        }
    })
}

fn escaped(name: &str) -> Cow<'_, [u8]> {
    if !name.contains('\0') {
        return Cow::Borrowed(name.as_bytes());
    }
    let bytes = name.bytes().flat_map(|byte| std::iter::once(byte).chain((byte == 0).then_some(1)));
    Cow::Owned(bytes.collect())
}
