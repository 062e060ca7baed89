//! Groups of those who hold tokens: what a group is granted, everybody in it may do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Access;
use crate::id::LogId;

/// What a bucket's system log keeps of a group, as JSON. Who is in it stands with each token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a stored record")]
pub struct GroupRecord {
    /// For people.
    pub name: String,
    /// What its members may do, and to which logs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<LogId, Access>,
}
