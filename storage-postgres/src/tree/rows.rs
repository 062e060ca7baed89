//! Rows of nodes and revisions ↔ types.

use syncline::store::StoreError;
use syncline::tree::{Content, Kind, Name, NamePolicy, Node, Reason, Revision, Stamp};
use syncline::{Digest, EntityId, LogId, ReplicaId, Seq};

use crate::error::fault;
use crate::rows::{Columns, millis, number};
use crate::transact::TRANSACT;

/// What [`node`] reads, in its order, of a table or query under an alias `n`.
macro_rules! node_columns {
    () => {
        "n.id, n.blob, n.bytes, n.manifest, n.modified_at, n.executable, n.attributes, n.parent, n.name, n.kind, n.mount, \
         n.content_seq, n.content_by, n.parent_seq, n.parent_by, n.name_seq, n.name_by, n.created, n.dead, n.conflict_of"
    };
}
pub(super) use node_columns;

const FILE: i64 = 0;
const FOLDER: i64 = 1;
const SYMLINK: i64 = 2;
const MOUNT: i64 = 3;

/// A node from the columns from `first` on.
pub(super) fn node(columns: &Columns<'_>, first: usize) -> Result<(EntityId, Node), StoreError> {
    let id = EntityId::from_bytes(columns.fixed(first)?);
    let kind = match (columns.get::<i64>(first + 9)?, columns.maybe_fixed(first + 10)?) {
        (FILE, None) => Kind::File,
        (FOLDER, None) => Kind::Folder,
        (SYMLINK, None) => Kind::Symlink,
        (MOUNT, Some(log)) => Kind::Mount(LogId::from_bytes(log)),
        _ => return Err(columns.corrupt("the kind of a node")),
    };
    let content = if columns.is_null(first + 1)? { None } else { Some(content(columns, first + 1)?) };
    if kind.has_content() != content.is_some() {
        return Err(columns.corrupt("a node whose content is not of its kind"));
    }
    let stamp = |at| Ok(Stamp { seq: columns.seq(at)?, by: ReplicaId::from_bytes(columns.fixed(at + 1)?) });
    let (content_stamp, parent_stamp, name_stamp) = (stamp(first + 11)?, stamp(first + 13)?, stamp(first + 15)?);
    let parent = columns.maybe_fixed(first + 7)?.map(EntityId::from_bytes);
    let node = Node {
        parent,
        name: name(columns, first + 8, parent.is_none(), name_stamp)?,
        kind,
        content,
        content_stamp,
        parent_stamp,
        name_stamp,
        created: columns.seq(first + 17)?,
        dead: columns.maybe_seq(first + 18)?,
        conflict_of: columns.maybe_fixed(first + 19)?.map(EntityId::from_bytes),
    };
    Ok((id, node))
}

/// The root has none; every other name is one that some policy takes.
fn name(columns: &Columns<'_>, column: usize, root: bool, made: Stamp) -> Result<Name, StoreError> {
    let text = std::str::from_utf8(columns.get::<&[u8]>(column)?).map_err(|_| columns.corrupt("the name of a node"))?;
    if root {
        return if text.is_empty() { Ok(Node::root(made).name) } else { Err(columns.corrupt("a root with a name")) };
    }
    let name = Name::new(text, NamePolicy::Lenient).ok().filter(|name| name.as_str() == text);
    name.ok_or_else(|| columns.corrupt("the name of a node"))
}

fn content(columns: &Columns<'_>, first: usize) -> Result<Content, StoreError> {
    Ok(Content {
        blob: columns.digest(first)?,
        bytes: columns.get::<i64>(first + 1)?.cast_unsigned(),
        manifest: columns.maybe_fixed(first + 2)?.map(Digest::from_bytes),
        modified_at: columns.time(first + 3)?,
        executable: columns.get(first + 4)?,
        attributes: columns.maybe_fixed(first + 5)?.map(Digest::from_bytes),
    })
}

/// What [`revision`] reads, in its order.
macro_rules! revision_columns {
    () => {
        "seq, blob, bytes, manifest, modified_at, executable, attributes, by, accepted_at, base, reason"
    };
}
pub(super) use revision_columns;

/// A revision of a node.
pub(super) fn revision(columns: &Columns<'_>, node: EntityId) -> Result<Revision, StoreError> {
    Ok(Revision {
        node,
        seq: columns.seq(0)?,
        content: content(columns, 1)?,
        by: ReplicaId::from_bytes(columns.fixed(7)?),
        accepted_at: columns.time(8)?,
        base: columns.maybe_seq(9)?,
        reason: match columns.get::<i64>(10)? {
            0 => Reason::Put,
            1 => Reason::Conflict,
            2 => Reason::Restore,
            _ => return Err(columns.corrupt("the reason of a revision")),
        },
    })
}

/// A kind as it is kept, and what a mount shows.
pub(super) fn kind_columns(kind: &Kind) -> Result<(i64, Option<&[u8]>), StoreError> {
    match kind {
        Kind::File => Ok((FILE, None)),
        Kind::Folder => Ok((FOLDER, None)),
        Kind::Symlink => Ok((SYMLINK, None)),
        Kind::Mount(log) => Ok((MOUNT, Some(log.as_bytes()))),
        _ => Err(fault(TRANSACT, "a kind of node that this adapter does not know")),
    }
}

pub(super) fn reason_column(reason: Reason) -> Result<i64, StoreError> {
    match reason {
        Reason::Put => Ok(0),
        Reason::Conflict => Ok(1),
        Reason::Restore => Ok(2),
        _ => Err(fault(TRANSACT, "a reason that this adapter does not know")),
    }
}

/// Ids as an array.
pub(super) fn ids<'i>(ids: impl IntoIterator<Item = &'i EntityId>) -> Vec<&'i [u8]> {
    ids.into_iter().map(|id| &id.as_bytes()[..]).collect()
}

/// Contents as arrays, one for each column.
#[derive(Default)]
pub(super) struct ContentArrays<'c> {
    pub(super) blob: Vec<Option<&'c [u8]>>,
    pub(super) bytes: Vec<Option<i64>>,
    pub(super) manifest: Vec<Option<&'c [u8]>>,
    pub(super) modified_at: Vec<Option<i64>>,
    pub(super) executable: Vec<Option<bool>>,
    pub(super) attributes: Vec<Option<&'c [u8]>>,
}

impl<'c> FromIterator<Option<&'c Content>> for ContentArrays<'c> {
    fn from_iter<I: IntoIterator<Item = Option<&'c Content>>>(contents: I) -> Self {
        let mut arrays = Self::default();
        for content in contents {
            arrays.blob.push(content.map(|content| &content.blob.as_bytes()[..]));
            arrays.bytes.push(content.map(|content| content.bytes.cast_signed()));
            arrays.manifest.push(content.and_then(|content| digest(content.manifest.as_ref())));
            arrays.modified_at.push(content.map(|content| millis(content.modified_at)));
            arrays.executable.push(content.map(|content| content.executable));
            arrays.attributes.push(content.and_then(|content| digest(content.attributes.as_ref())));
        }
        arrays
    }
}

fn digest(digest: Option<&Digest>) -> Option<&[u8]> {
    digest.map(|digest| &digest.as_bytes()[..])
}

/// Seqs as an array.
pub(super) fn numbers(seqs: impl IntoIterator<Item = Seq>) -> Vec<i64> {
    seqs.into_iter().map(number).collect()
}
