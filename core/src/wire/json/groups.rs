//! Tokens and groups as those see them who administer a bucket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::call::{Group, Token};
use crate::id::{GroupId, LogId, ReplicaId, TokenId};
use crate::time::Timestamp;

/// The body of a new group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct CreateGroupJson {
    /// For people; 1 to [`TOKEN_NAME_CHARS_MAX`](crate::limits::TOKEN_NAME_CHARS_MAX) characters.
    pub name: String,
}

/// A new group.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct GroupMadeJson {
    /// Its id.
    pub id: GroupId,
}

/// A listing of groups.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct GroupsJson {
    /// By id.
    pub groups: Vec<GroupJson>,
}

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct GroupJson {
    /// Its id.
    pub id: GroupId,
    /// For people.
    pub name: String,
    /// What its members may do, by log.
    pub grants: BTreeMap<LogId, Access>,
}

/// A listing of tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct TokensJson {
    /// By id.
    pub tokens: Vec<TokenInfoJson>,
}

/// A token, without its secret, which nobody knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct TokenInfoJson {
    /// Its id.
    pub id: TokenId,
    /// For people.
    pub name: String,
    /// What its holder may do.
    pub access: Access,
    /// The logs it is for; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub logs: Option<Vec<LogId>>,
    /// The replica it is bound to; absent for any.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub replica: Option<ReplicaId>,
    /// When it ends; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub expires_at: Option<Timestamp>,
    /// The groups it is in.
    #[serde(default)]
    pub groups: Vec<GroupId>,
}

impl GroupsJson {
    /// The JSON form of a listing.
    #[must_use]
    pub fn of(groups: &[Group]) -> Self {
        let group = |group: &Group| GroupJson { id: group.id, name: group.name.clone(), grants: group.grants.clone() };
        Self { groups: groups.iter().map(group).collect() }
    }

    /// The listing.
    #[must_use]
    pub fn read(self) -> Vec<Group> {
        self.groups.into_iter().map(|GroupJson { id, name, grants }| Group { id, name, grants }).collect()
    }
}

impl TokensJson {
    /// The JSON form of a listing.
    #[must_use]
    pub fn of(tokens: &[Token]) -> Self {
        let token = |token: &Token| {
            let Token { id, name, access, logs, replica, expires_at, groups } = token.clone();
            TokenInfoJson { id, name, access, logs, replica, expires_at, groups }
        };
        Self { tokens: tokens.iter().map(token).collect() }
    }

    /// The listing.
    #[must_use]
    pub fn read(self) -> Vec<Token> {
        let token = |token: TokenInfoJson| {
            let TokenInfoJson { id, name, access, logs, replica, expires_at, groups } = token;
            Token { id, name, access, logs, replica, expires_at, groups }
        };
        self.tokens.into_iter().map(token).collect()
    }
}
