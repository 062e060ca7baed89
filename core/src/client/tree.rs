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
    news: News,
}

/// What reading brought since its device last wrote it down.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a device must act on each")]
pub enum News {
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
        Self::at(log, MemoryTree::new(TREE_ROOT, root_stamp()), Cursor::START)
    }

    /// As a device kept it.
    ///
    /// # Errors
    /// When the nodes make no tree.
    pub fn kept(log: LogKey, nodes: Vec<(EntityId, Node)>, cursor: Cursor) -> Result<Self, Damage> {
        if nodes.is_empty() {
            return Ok(Self { cursor, ..Self::new(log) });
        }
        Ok(Self::at(log, MemoryTree::of(TREE_ROOT, nodes, &[])?, cursor))
    }

    fn at(log: LogKey, tree: MemoryTree, cursor: Cursor) -> Self {
        Self { log, tree, cursor, news: News::On(BTreeSet::new()) }
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

    /// What was read and not yet [written down](Self::noted). It is there whatever went wrong in between.
    #[must_use]
    pub const fn news(&self) -> &News {
        &self.news
    }

    /// The device has written the tree, the cursor and what follows from the news down, all of it together.
    pub fn noted(&mut self) {
        self.news = News::On(BTreeSet::new());
    }

    /// Reads on to the log's end.
    ///
    /// # Errors
    /// When there is no answer, or none that reads. What was read until then is [news](Self::news) and is gone on from the
    /// next time.
    pub async fn read_on(&mut self, way: &dyn Transport) -> Result<(), TreeFault> {
        // Who has nothing does not need to know what became of it.
        if self.cursor == Cursor::START {
            return self.list(way, News::Listed).await;
        }
        loop {
            let page = match pull(way, self.log, self.cursor).await? {
                Ok(page) => page,
                Err(Gap::Pruned) => return self.list(way, News::Listed).await,
                Err(_) => return self.list(way, News::Other).await,
            };
            match self.tree.follow(&changes(&page)?) {
                Ok(touched) => {
                    if let News::On(news) = &mut self.news {
                        news.extend(touched);
                    }
                }
                Err(_) => {
                    // It is half of one tree and half of another: nothing but a listing helps, now or the next time.
                    self.cursor = Cursor::START;
                    return self.list(way, News::Listed).await;
                }
            }
            self.cursor = page.next;
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Lists the tree anew; until all of it is there, everything is as it was.
    async fn list(&mut self, way: &dyn Transport, why: News) -> Result<(), TreeFault> {
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
        if nodes.is_empty() && later.is_empty() {
            self.tree = Self::new(self.log).tree;
        } else {
            self.tree = MemoryTree::of(TREE_ROOT, nodes, &later)?;
        }
        self.cursor = cursor;
        // Another history stays one until that was written down.
        if self.news != News::Other {
            self.news = why;
        }
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
