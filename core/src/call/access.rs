//! Who may do what, as it is asked for and answered: tokens, groups, public links.

use std::collections::BTreeMap;

use crate::access::Access;
use crate::id::{EntityId, GroupId, LinkId, LogId, ReplicaId, TokenId};
use crate::seq::Seq;
use crate::time::Timestamp;

/// A group of those who hold tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the answer of one call")]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// For people.
    pub name: String,
    /// What its members may do, and to which logs.
    pub grants: BTreeMap<LogId, Access>,
}

/// A bearer token as those see it who administer the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the answer of one call")]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// For people.
    pub name: String,
    /// What its holder may do.
    pub access: Access,
    /// The logs it is for; `None` for all.
    pub logs: Option<Vec<LogId>>,
    /// The replica it is bound to; `None` for any.
    pub replica: Option<ReplicaId>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// The groups it is in.
    pub groups: Vec<GroupId>,
}

/// A public link that is to be.
#[derive(Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one call")]
pub struct NewLink {
    /// Into which log's tree.
    pub log: LogId,
    /// To which file or folder.
    pub node: EntityId,
    /// To this revision of the file, for ever; `None` for the newest.
    pub pin: Option<Seq>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// What has to be known beside the address; at most
    /// [`limits::LINK_PASSWORD_BYTES_MAX`](crate::limits::LINK_PASSWORD_BYTES_MAX) bytes.
    pub password: Option<String>,
    /// How often its files may be downloaded.
    pub max_downloads: Option<u64>,
}

impl std::fmt::Debug for NewLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewLink").field("log", &self.log).field("node", &self.node).finish_non_exhaustive()
    }
}

/// A public link as those see it who administer the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the answer of one call")]
pub struct Link {
    /// Its id, to revoke it by.
    pub id: LinkId,
    /// What it leads to.
    pub node: EntityId,
    /// The revision it shows; `None` for the newest.
    pub pin: Option<Seq>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether it has a password.
    pub has_password: bool,
    /// How often its files may be downloaded.
    pub max_downloads: Option<u64>,
    /// How often they were.
    pub downloads: u64,
    /// Who made it; `None` for the operator.
    pub created_by: Option<TokenId>,
    /// When.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}
