//! Public links: made and listed by those who administer a log, seen by those who have an address.

use serde::{Deserialize, Serialize};

use crate::call::{Link, NewLink};
use crate::id::{EntityId, LinkId, LogId, TokenId};
use crate::seq::Seq;
use crate::store::NodePage;
use crate::time::Timestamp;
use crate::tree::{Kind, Node};

/// The body of a new link.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct MakeLinkJson {
    /// To which file or folder.
    pub node: EntityId,
    /// To this revision of the file, for ever; absent for the newest.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub pin: Option<Seq>,
    /// When it ends, ms since 1970; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub expires_at: Option<Timestamp>,
    /// What has to be known beside the address.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub password: Option<String>,
    /// How often its files may be downloaded; absent for any number.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub max_downloads: Option<u64>,
}

impl std::fmt::Debug for MakeLinkJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MakeLinkJson").field("node", &self.node).finish_non_exhaustive()
    }
}

impl MakeLinkJson {
    /// The JSON form of a link that is to be.
    #[must_use]
    pub fn of(new: NewLink) -> Self {
        let NewLink { log: _, node, pin, expires_at, password, max_downloads } = new;
        Self { node, pin, expires_at, password, max_downloads }
    }

    /// The link; the log is named by the route.
    #[must_use]
    pub fn read(self, log: LogId) -> NewLink {
        let Self { node, pin, expires_at, password, max_downloads } = self;
        NewLink { log, node, pin, expires_at, password, max_downloads }
    }
}

/// A new link.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct LinkMadeJson {
    /// Its id, to revoke it by.
    pub id: LinkId,
    /// Its address, shown only now: `/p/` and this is its path.
    pub token: String,
}

/// A listing of links.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinksJson {
    links: Vec<LinkJson>,
}

/// A link, without its address, which nobody knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkJson {
    id: LinkId,
    node: EntityId,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pin: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    expires_at: Option<Timestamp>,
    has_password: bool,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    max_downloads: Option<u64>,
    downloads: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    created_by: Option<TokenId>,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    revoked_at: Option<Timestamp>,
}

impl LinkJson {
    /// The JSON form of a link.
    #[must_use]
    pub fn of(link: &Link) -> Self {
        let Link { id, node, pin, expires_at, has_password, max_downloads, downloads, .. } = *link;
        let Link { created_by, created_at, revoked_at, .. } = *link;
        Self { id, node, pin, expires_at, has_password, max_downloads, downloads, created_by, created_at, revoked_at }
    }

    fn read(self) -> Link {
        let Self { id, node, pin, expires_at, has_password, max_downloads, downloads, .. } = self;
        let Self { created_by, created_at, revoked_at, .. } = self;
        Link { id, node, pin, expires_at, has_password, max_downloads, downloads, created_by, created_at, revoked_at }
    }
}

impl LinksJson {
    /// The JSON form of a listing.
    #[must_use]
    pub fn of(links: &[Link]) -> Self {
        Self { links: links.iter().map(LinkJson::of).collect() }
    }

    /// The listing.
    #[must_use]
    pub fn read(self) -> Vec<Link> {
        self.links.into_iter().map(LinkJson::read).collect()
    }
}

/// A folder as those see it who have a link to it, or to one above it: what is in it and no more. What it says of those who
/// made it is nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkedJson {
    name: String,
    children: Vec<LinkedChildJson>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct LinkedChildJson {
    node: EntityId,
    name: String,
    kind: LinkedKind,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    modified_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LinkedKind {
    File,
    Folder,
}

impl LinkedJson {
    /// The JSON form of a page of a folder.
    #[must_use]
    pub fn of(folder: &Node, page: &NodePage) -> Self {
        let child = |(id, node): &(EntityId, Node)| {
            let kind = match node.kind {
                Kind::File => LinkedKind::File,
                Kind::Folder => LinkedKind::Folder,
                // A link in the tree, or another tree: neither is shown through a link.
                _ => return None,
            };
            Some(LinkedChildJson {
                node: *id,
                name: node.name.as_str().to_owned(),
                kind,
                bytes: node.content.map(|content| content.bytes),
                modified_at: node.content.map(|content| content.modified_at),
            })
        };
        let last = page.nodes.last().filter(|_| page.more);
        Self {
            name: folder.name.as_str().to_owned(),
            children: page.nodes.iter().filter_map(child).collect(),
            next: last.map(|(_, node)| node.name.key().as_str().to_owned()),
        }
    }
}
