//! What a device knows of a server's tree of files: read from a listing once, then from the log.
//!
//! A listing is read in pages while others go on committing, so its pages are of different times; the log from where the first
//! page was read puts that right, for what a commit did says how things are, not how they differ. What must hold: the tree is
//! the server's, as it was at the cursor; a server whose history is another is noticed, and nothing is concluded from what it
//! does not show.
//!
//! Next: [`files`](crate::files) for what a folder makes of it.

use std::collections::{BTreeMap, BTreeSet};

use super::session::gap_of;
use super::transport::{CallError, Transport};
use crate::call::{Call, Page, Reply};
use crate::decide::{TREE_ROOT, tree_key};
use crate::id::{EntityId, LogKey, ReplicaId};
use crate::limits::TREE_PAGE_NODES_MAX;
use crate::oplog::{Gap, Payload, Subject};
use crate::seq::{Cursor, Seq};
use crate::store::{NodeQuery, PageLimit};
use crate::tree::{Change, Damage, Entry, MemoryTree, Node, Stamp};

/// A server's tree, up to a place in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTree {
    log: LogKey,
    tree: MemoryTree,
    cursor: Cursor,
}

/// What reading on brought.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a device must act on each")]
pub enum ReadOn {
    /// These nodes are otherwise than before, or gone.
    On(BTreeSet<EntityId>),
    /// What was missing is not in the log any more: the tree was listed anew. What is not in it was deleted.
    Listed,
    /// The server's history is another one: it was put back, or is another server. The tree was listed anew, and what is not
    /// in it may never have been told it.
    Other,
}

/// Why it was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeFault {
    /// There is no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What the log says is no tree.
    #[error("what the server says of its tree makes none: {0}")]
    Damage(#[from] Damage),
    /// A commit in the log does not read, or the pages do not follow.
    #[error("the server's log does not read: {0}")]
    Unreadable(String),
}

impl ServerTree {
    /// Of a device that has read nothing.
    #[must_use]
    pub fn new(log: LogKey) -> Self {
        Self { log, tree: MemoryTree::new(TREE_ROOT, root_stamp()), cursor: Cursor::START }
    }

    /// As a device kept it.
    ///
    /// # Errors
    /// When the nodes make no tree.
    pub fn kept(log: LogKey, nodes: Vec<(EntityId, Node)>, cursor: Cursor) -> Result<Self, Damage> {
        if nodes.is_empty() {
            return Ok(Self { cursor, ..Self::new(log) });
        }
        Ok(Self { log, tree: MemoryTree::of(TREE_ROOT, nodes, &[])?, cursor })
    }

    /// The tree.
    #[must_use]
    pub const fn tree(&self) -> &MemoryTree {
        &self.tree
    }

    /// Up to where.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Reads on to the log's end.
    ///
    /// # Errors
    /// When there is no answer, or none that reads; then the tree is as it was, or is read anew the next time.
    pub async fn read_on(&mut self, way: &dyn Transport) -> Result<ReadOn, TreeFault> {
        if self.cursor == Cursor::START {
            // Who has nothing does not need to know what became of it.
            self.list(way).await?;
            return Ok(ReadOn::Listed);
        }
        let mut touched = BTreeSet::new();
        loop {
            let page = match pull(way, self.log, self.cursor).await? {
                Ok(page) => page,
                Err(gap) => {
                    self.list(way).await?;
                    return Ok(if gap == Gap::Pruned { ReadOn::Listed } else { ReadOn::Other });
                }
            };
            let changes = changes(&page)?;
            match self.tree.follow(&changes) {
                Ok(more) => touched.extend(more),
                Err(_) => {
                    // It is half of one tree and half of another.
                    self.list(way).await?;
                    return Ok(ReadOn::Listed);
                }
            }
            self.cursor = page.next;
            if !page.more {
                return Ok(ReadOn::On(touched));
            }
        }
    }

    async fn list(&mut self, way: &dyn Transport) -> Result<(), TreeFault> {
        *self = Self::new(self.log);
        let (mut nodes, mut after, mut first, mut last) = (BTreeMap::new(), None, None, Seq::ZERO);
        loop {
            let asked = NodeQuery::All { after };
            let call = Call::Nodes { log: self.log.log, asked, limit: TREE_PAGE_NODES_MAX };
            let Reply::Nodes(page) = way.call(call).await? else { return Err(not_asked()) };
            let end = page.end.ok_or_else(|| TreeFault::Unreadable("a listing without an end".into()))?;
            last = last.max(end.seq);
            first.get_or_insert(end);
            after = page.nodes.last().map(|(id, _)| *id);
            nodes.extend(page.nodes);
            if !page.more {
                break;
            }
        }
        let (mut cursor, mut later) = (first.unwrap_or(Cursor::START), Vec::new());
        while cursor.seq < last {
            let gap = |gap: Gap| TreeFault::Unreadable(format!("{gap:?} in what was committed during a listing"));
            let page = pull(way, self.log, cursor).await?.map_err(gap)?;
            later.extend(changes(&page)?);
            cursor = page.next;
            if !page.more {
                break;
            }
        }
        if !nodes.is_empty() || !later.is_empty() {
            self.tree = MemoryTree::of(TREE_ROOT, nodes, &later)?;
        }
        self.cursor = cursor;
        Ok(())
    }
}

/// Before its first commit a tree has no root at the server; here it has one that everybody knows.
const fn root_stamp() -> Stamp {
    Stamp { seq: Seq::ZERO, by: ReplicaId::SERVER }
}

fn not_asked() -> TreeFault {
    CallError::Protocol("the answer is to another question".into()).into()
}

async fn pull(way: &dyn Transport, log: LogKey, cursor: Cursor) -> Result<Result<Page, Gap>, TreeFault> {
    let call = Call::Pull { log: log.log, cursor, limit: PageLimit::default() };
    match way.call(call).await {
        Ok(Reply::Pulled(page)) => match page.follows(log, cursor) {
            Ok(()) => Ok(Ok(page)),
            Err(Gap::Hole) => Err(TreeFault::Unreadable("a page of the log has a hole".into())),
            Err(gap) => Ok(Err(gap)),
        },
        Ok(_) => Err(not_asked()),
        Err(CallError::Refused(refusal)) => match gap_of(refusal.code) {
            Some(gap) if gap != Gap::Hole => Ok(Err(gap)),
            _ => Err(CallError::Refused(refusal).into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// What the commits of a page did; other ops of the log are not about files.
fn changes(page: &Page) -> Result<Vec<Change>, TreeFault> {
    let mut changes = Vec::new();
    for op in &page.ops {
        let read = op.op.read().map_err(|error| TreeFault::Unreadable(error.to_string()))?;
        if !matches!(read.subject(), Subject::Entity { key, .. } if *key == tree_key()) {
            continue;
        }
        let Payload::Plain(bytes) = read.payload() else { continue };
        let entry = Entry::from_bytes(bytes.clone()).map_err(|error| TreeFault::Unreadable(error.to_string()))?;
        changes.extend(entry.changes);
    }
    Ok(changes)
}
