//! Names of elements and nodes: the op that made one, and which of its.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::context::{decode_op, encode_op};
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{IdError, OpId};

/// An element of a list or a node of a tree, for ever. Text form: the op's id, a dot, and which of the op's it is, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a name")]
pub struct ItemId {
    /// The op that made it.
    pub op: OpId,
    /// Which of those that the op made.
    pub nth: u32,
}

impl ItemId {
    /// The first that an op made.
    #[must_use]
    pub const fn first(op: OpId) -> Self {
        Self { op, nth: 0 }
    }

    pub(super) fn encode(self, out: &mut Writer) {
        encode_op(self.op, out);
        out.u64(self.nth.into());
    }

    pub(super) fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        let op = decode_op(input)?;
        let nth = u32::try_from(input.u64("an item")?).map_err(|_| DecodeError::NotCanonical("an item"))?;
        Ok(Self { op, nth })
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.op, self.nth)
    }
}

impl FromStr for ItemId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (op, nth) = text.split_once('.').ok_or(IdError)?;
        let id = Self { op: op.parse()?, nth: nth.parse().map_err(|_| IdError)? };
        // One spelling.
        if nth == id.nth.to_string() { Ok(id) } else { Err(IdError) }
    }
}

impl Serialize for ItemId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ItemId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
