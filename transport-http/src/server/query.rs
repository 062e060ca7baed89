//! What stands behind the question mark, one struct per shape. Unknown and repeated names are refused.

use serde::Deserialize;
use syncline::access::Access;
use syncline::call::{ErrorCode, Refusal};
use syncline::digest::BlobId;
use syncline::id::{EntityId, LinkId, LogId};
use syncline::limits;
use syncline::oplog::{Part, Sealing};
use syncline::seq::{Anchor, Cursor, Seq};
use syncline::store::PageLimit;

/// Of routes that take none.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// What a log is made as.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateQuery {
    pub(super) sealing: Option<Sealing>,
}

/// A listing of logs.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogsQuery {
    pub(super) after: Option<LogId>,
    pub(super) limit: Option<usize>,
}

/// A listing of what is said of blobs.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScansQuery {
    pub(super) after: Option<BlobId>,
    pub(super) limit: Option<usize>,
}

/// A listing of nodes by id.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodesQuery {
    pub(super) after: Option<EntityId>,
    pub(super) limit: Option<usize>,
}

/// A listing of nodes by folded name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChildrenQuery {
    pub(super) after: Option<String>,
    pub(super) limit: Option<usize>,
}

/// A listing of revisions.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevisionsQuery {
    pub(super) after: Option<Seq>,
    pub(super) limit: Option<usize>,
}

/// A listing of tokens or groups.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery<I> {
    pub(super) after: Option<I>,
    pub(super) limit: Option<usize>,
}

/// What a group is granted.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantQuery {
    pub(super) access: Access,
}

/// A listing of links.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinksQuery {
    pub(super) after: Option<LinkId>,
    pub(super) limit: Option<usize>,
}

/// What is wanted of a link.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkQuery {
    pub(super) node: Option<EntityId>,
    pub(super) after: Option<String>,
    pub(super) limit: Option<usize>,
}

/// A listing of restore points.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitQuery {
    pub(super) limit: Option<usize>,
}

/// A log's end as last seen.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeenQuery {
    pub(super) seq: Seq,
    pub(super) anchor: Option<Anchor>,
}

/// What of an answer is wanted in full.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartQuery {
    pub(super) part: Option<Part>,
}

/// A position and how much to read from it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PullQuery {
    pub(super) after: Option<Seq>,
    pub(super) anchor: Option<Anchor>,
    pub(super) limit: Option<usize>,
    pub(super) bytes: Option<usize>,
    pub(super) part: Option<Part>,
}

impl SeenQuery {
    pub(super) const fn cursor(self) -> Cursor {
        Cursor { seq: self.seq, anchor: self.anchor }
    }
}

impl PullQuery {
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { seq: self.after.unwrap_or(Seq::ZERO), anchor: self.anchor }
    }

    pub(super) fn page(&self) -> Result<PageLimit, Refusal> {
        let refused = |detail: String| Refusal::new(ErrorCode::LimitOutOfRange, detail);
        let ops = self.limit.unwrap_or(limits::PAGE_OPS_DEFAULT);
        let page = PageLimit::ops(ops)
            .ok_or_else(|| refused(format!("a page has 1 to {} ops, not {ops}", limits::PAGE_OPS_MAX)))?;
        match self.bytes {
            None => Ok(page),
            Some(bytes) if (1..=limits::PAGE_BYTES_MAX).contains(&bytes) => Ok(page.bytes(bytes)),
            Some(bytes) => Err(refused(format!("a page has 1 to {} bytes, not {bytes}", limits::PAGE_BYTES_MAX))),
        }
    }
}
