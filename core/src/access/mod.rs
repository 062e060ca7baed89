//! Who asks. A [`Caller`] is the verified answer; how it was verified is behind `Server::authenticate`, which
//! bearer tokens fill now and device keys will.

mod group;
mod link;
mod password;
mod token;

pub use group::GroupRecord;
pub use link::{LinkEnd, LinkRecord, LinkToken, LinkTokenError, LinkUse};
pub use password::Passwords;
pub use token::{Bearer, BearerError, FormerToken, TokenRecord};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{BucketId, LogId, ReplicaId, TokenId};

/// What a caller may do; each level includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Access {
    /// Read logs.
    Read,
    /// And write ops, snapshots and restores.
    Write,
    /// And make and delete logs and tokens.
    Admin,
}

impl Access {
    /// The stable name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// A verified caller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "whoever authenticates fills in every field")]
pub struct Caller {
    /// The bucket it acts in, the only one it can see.
    pub bucket: BucketId,
    /// The token it came with; `None` for the operator's own.
    pub token: Option<TokenId>,
    /// What it may do.
    pub access: Access,
    /// The logs it may do it to; `None` for all of the bucket.
    pub logs: Option<BTreeSet<LogId>>,
    /// What its groups let it do beyond that.
    pub grants: BTreeMap<LogId, Access>,
    /// The only replica it may write as; `None` for any.
    pub replica: Option<ReplicaId>,
}

impl Caller {
    /// The operator of a bucket.
    #[must_use]
    pub const fn operator(bucket: BucketId) -> Self {
        Self { bucket, token: None, access: Access::Admin, logs: None, grants: BTreeMap::new(), replica: None }
    }

    /// Whether it may act at this level on this log.
    #[must_use]
    pub fn may(&self, access: Access, log: LogId) -> bool {
        let own = self.access >= access && self.logs.as_ref().is_none_or(|logs| logs.contains(&log));
        own || self.grants.get(&log).is_some_and(|granted| *granted >= access)
    }

    /// Adds what a group is granted: of two grants the higher counts, and nothing is ever taken away.
    pub fn join(&mut self, group: &GroupRecord) {
        for (log, access) in &group.grants {
            let held = self.grants.entry(*log).or_insert(*access);
            *held = (*held).max(*access);
        }
    }
}
