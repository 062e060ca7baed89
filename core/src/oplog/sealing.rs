//! Whether a log takes payloads that its server cannot read: fixed when it is made, so that nobody can talk devices out of
//! sealing later, and held by both ends.

use serde::{Deserialize, Serialize};

/// A log's policy on sealed payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "the rule on payloads is exhaustive over these")]
pub enum Sealing {
    /// Authors choose, op by op. What a log gets that a first push makes.
    #[default]
    Optional,
    /// Every payload is sealed: ops, full states and snapshots.
    Required,
    /// None is: the server can always replay.
    Forbidden,
}

impl Sealing {
    /// Every policy with its byte code and its stable name.
    pub const ALL: [(Self, u8, &'static str); 3] =
        [(Self::Optional, 0, "optional"), (Self::Required, 1, "required"), (Self::Forbidden, 2, "forbidden")];

    /// The code in canonical bytes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Optional => 0,
            Self::Required => 1,
            Self::Forbidden => 2,
        }
    }

    /// The policy of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == code).map(|(policy, ..)| *policy)
    }

    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(policy, ..)| *policy == self).map_or("", |(_, _, name)| *name)
    }
}

/// A name that is none of the policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a log's sealing is optional, required or forbidden")]
pub struct SealingError;

impl std::str::FromStr for Sealing {
    type Err = SealingError;

    fn from_str(name: &str) -> Result<Self, SealingError> {
        Self::ALL.iter().find(|(_, _, known)| *known == name).map(|(policy, ..)| *policy).ok_or(SealingError)
    }
}

impl std::fmt::Display for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
