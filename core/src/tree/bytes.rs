//! The bytes of commits, changes, nodes and revisions, in the canonical form of [`codec`](crate::codec): equal values have equal bytes.
//!
//! A list begins with its version, 1, and its length. `opt x` is 0, or 1 and x; ids are 16 bytes, digests 32, seqs and times
//! varints, texts a length and UTF-8.
//!
//! ```text
//! commit   = 1, count (1 ..= 1000), op...
//! op       = 0, node, parent, name, kind, opt content                      create
//!          | 1, node, content, base, seen, copy, reason                    put
//!          | 2, node, opt (parent, base), opt (name, base), seen           move
//!          | 3, node, seen                                                 delete
//!          | 4, node, opt parent, opt name                                 restore
//! changes  = 1, count, change...
//! change   = 0, root, group, count, kept..., count, whole...               tombstone; ids in order
//!          | 1, root, group                                                revive
//!          | 2, new, of                                                    alias
//!          | 3, id, node                                                   node
//!          | 4, root                                                       purge
//! node     = opt parent, name, kind, opt content, stamp (content), stamp (parent), stamp (name), created,
//!            dead (0 while it lives), opt conflict_of
//! stamp    = seq, replica
//! kind     = 0 file | 1 folder | 2 symlink | 3 mount, log
//! content  = blob, bytes, opt manifest, modified_at, executable (0 or 1), opt attributes
//! reason   = 0 put | 1 conflict | 2 restore
//! row      = 1, node
//!          | 1, id, seq, content, replica, accepted_at, opt base, reason    revision
//! ```
//!
//! What must hold: whatever the bytes, reading them is an error or a value that has these bytes.

use bytes::Bytes;

use super::change::Change;
use super::node::{Content, Kind, Node, Reason, Revision, Stamp};
use super::op::{Commit, To, TreeOp};
use crate::codec::{DecodeError, Reader, Writer};
use crate::digest::Digest;
use crate::id::{EntityId, LogId, ReplicaId};
use crate::seq::Seq;
use crate::time::Timestamp;

const VERSION: u8 = 1;

type Read<T> = Result<T, DecodeError>;

impl Commit {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(2 + 128 * self.ops().len());
        out.u8(VERSION);
        out.len(self.ops().len());
        self.ops().iter().for_each(|op| write_op(op, &mut out));
        out.finish()
    }

    /// The commit with these bytes.
    ///
    /// # Errors
    /// When they are not one's.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let (mut input, count) = begin(bytes, 17)?;
        let ops = (0..count).map(|_| read_op(&mut input)).collect::<Read<_>>()?;
        input.finish()?;
        Self::new(ops).map_err(|_| DecodeError::NotCanonical("a commit"))
    }
}

impl Change {
    /// The bytes of all changes of a commit.
    #[must_use]
    pub fn to_bytes(changes: &[Self]) -> Bytes {
        let mut out = Writer::with_capacity(2 + 192 * changes.len());
        out.u8(VERSION);
        out.len(changes.len());
        changes.iter().for_each(|change| write_change(change, &mut out));
        out.finish()
    }

    /// The changes with these bytes.
    ///
    /// # Errors
    /// When they are nobody's.
    pub fn from_bytes(bytes: Bytes) -> Result<Vec<Self>, DecodeError> {
        let (mut input, count) = begin(bytes, 17)?;
        let changes = (0..count).map(|_| read_change(&mut input)).collect::<Read<_>>()?;
        input.finish()?;
        Ok(changes)
    }
}

impl Node {
    /// Its bytes, as a store may keep it.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(256);
        out.u8(VERSION);
        write_node(self, &mut out);
        out.finish()
    }

    /// The node with these bytes.
    ///
    /// # Errors
    /// When they are nobody's.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let node = read_node(&mut input)?;
        input.finish()?;
        Ok(node)
    }
}

impl Revision {
    /// Its bytes, as a store may keep it.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(192);
        out.u8(VERSION);
        out.fixed(self.node.as_bytes());
        out.u64(self.seq.get());
        write_content(&self.content, &mut out);
        out.fixed(self.by.as_bytes());
        out.u64(self.accepted_at.ms());
        option(self.base.as_ref(), &mut out, |base, out| out.u64(base.get()));
        write_reason(self.reason, &mut out);
        out.finish()
    }

    /// The revision with these bytes.
    ///
    /// # Errors
    /// When they are nobody's.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let (node, seq, content) = (input.entity()?, read_seq(&mut input)?, read_content(&mut input)?);
        let by = ReplicaId::from_bytes(input.fixed("a replica")?);
        let accepted_at = read_time(&mut input)?;
        let base = read_option(&mut input, read_seq)?;
        let reason = read_reason(&mut input)?;
        input.finish()?;
        Ok(Self { node, seq, content, by, accepted_at, base, reason })
    }
}

fn versioned(bytes: Bytes) -> Read<Reader> {
    let mut input = Reader::new(bytes);
    match input.u8("a version")? {
        VERSION => Ok(input),
        other => Err(DecodeError::Unknown { what: "version", value: other.into() }),
    }
}

fn begin(bytes: Bytes, item_bytes: usize) -> Read<(Reader, usize)> {
    let mut input = versioned(bytes)?;
    let count = input.count(item_bytes, "a list")?;
    Ok((input, count))
}

fn write_op(op: &TreeOp, out: &mut Writer) {
    let tag = match op {
        TreeOp::Create { .. } => 0,
        TreeOp::Put { .. } => 1,
        TreeOp::Move { .. } => 2,
        TreeOp::Delete { .. } => 3,
        TreeOp::Restore { .. } => 4,
    };
    out.u8(tag);
    out.fixed(op.node().as_bytes());
    match op {
        TreeOp::Create { parent, name, kind, content, .. } => {
            out.fixed(parent.as_bytes());
            out.bytes(name.as_bytes());
            write_kind(*kind, out);
            option(content.as_ref(), out, write_content);
        }
        TreeOp::Put { content, base, seen, copy, reason, .. } => {
            write_content(content, out);
            out.u64(base.get());
            out.u64(seen.get());
            out.fixed(copy.as_bytes());
            write_reason(*reason, out);
        }
        TreeOp::Move { parent, name, seen, .. } => {
            option(parent.as_ref(), out, |to, out| {
                out.fixed(to.value.as_bytes());
                out.u64(to.base.get());
            });
            option(name.as_ref(), out, |to, out| {
                out.bytes(to.value.as_bytes());
                out.u64(to.base.get());
            });
            out.u64(seen.get());
        }
        TreeOp::Delete { seen, .. } => out.u64(seen.get()),
        TreeOp::Restore { parent, name, .. } => {
            option(parent.as_ref(), out, |parent, out| out.fixed(parent.as_bytes()));
            option(name.as_ref(), out, |name, out| out.bytes(name.as_bytes()));
        }
    }
}

fn read_op(input: &mut Reader) -> Read<TreeOp> {
    let tag = input.u8("an op")?;
    let node = input.entity()?;
    Ok(match tag {
        0 => {
            let (parent, name, kind) = (input.entity()?, read_text(input)?, read_kind(input)?);
            TreeOp::Create { node, parent, name, kind, content: read_option(input, read_content)? }
        }
        1 => {
            let (content, base, seen) = (read_content(input)?, read_seq(input)?, read_seq(input)?);
            let copy = input.entity()?;
            TreeOp::Put { node, content, base, seen, copy, reason: read_reason(input)? }
        }
        2 => {
            let parent = read_option(input, |input| Ok(To { value: input.entity()?, base: read_seq(input)? }))?;
            let name = read_option(input, |input| Ok(To { value: read_text(input)?, base: read_seq(input)? }))?;
            TreeOp::Move { node, parent, name, seen: read_seq(input)? }
        }
        3 => TreeOp::Delete { node, seen: read_seq(input)? },
        4 => {
            let parent = read_option(input, Reader::entity)?;
            TreeOp::Restore { node, parent, name: read_option(input, read_text)? }
        }
        other => return Err(DecodeError::Unknown { what: "op of a tree", value: other.into() }),
    })
}

fn write_change(change: &Change, out: &mut Writer) {
    let (tag, id) = match change {
        Change::Tombstone { root, .. } => (0, root),
        Change::Revive { root, .. } => (1, root),
        Change::Alias { new, .. } => (2, new),
        Change::Node { id, .. } => (3, id),
        Change::Purge { root } => (4, root),
    };
    out.u8(tag);
    out.fixed(id.as_bytes());
    match change {
        Change::Tombstone { group, kept, whole, .. } => {
            out.u64(group.get());
            for ids in [kept, whole] {
                out.len(ids.len());
                ids.iter().for_each(|id| out.fixed(id.as_bytes()));
            }
        }
        Change::Revive { group, .. } => out.u64(group.get()),
        Change::Alias { of, .. } => out.fixed(of.as_bytes()),
        Change::Node { node, .. } => write_node(node, out),
        Change::Purge { .. } => {}
    }
}

fn read_change(input: &mut Reader) -> Read<Change> {
    let tag = input.u8("a change")?;
    let id = input.entity()?;
    Ok(match tag {
        0 => {
            let group = read_seq(input)?;
            Change::Tombstone { root: id, group, kept: read_ids(input)?, whole: read_ids(input)? }
        }
        1 => Change::Revive { root: id, group: read_seq(input)? },
        2 => Change::Alias { new: id, of: input.entity()? },
        3 => Change::Node { id, node: Box::new(read_node(input)?) },
        4 => Change::Purge { root: id },
        other => return Err(DecodeError::Unknown { what: "change of a tree", value: other.into() }),
    })
}

fn write_node(node: &Node, out: &mut Writer) {
    option(node.parent.as_ref(), out, |parent, out| out.fixed(parent.as_bytes()));
    out.bytes(node.name.as_str().as_bytes());
    write_kind(node.kind, out);
    option(node.content.as_ref(), out, write_content);
    for stamp in [node.content_stamp, node.parent_stamp, node.name_stamp] {
        out.u64(stamp.seq.get());
        out.fixed(stamp.by.as_bytes());
    }
    out.u64(node.created.get());
    out.u64(node.dead.unwrap_or(Seq::ZERO).get());
    option(node.conflict_of.as_ref(), out, |of, out| out.fixed(of.as_bytes()));
}

fn read_node(input: &mut Reader) -> Read<Node> {
    let parent = read_option(input, Reader::entity)?;
    let text = read_text(input)?;
    let name = Node::kept_name(parent, &text).ok_or(DecodeError::NotCanonical("a name"))?;
    let (kind, content) = (read_kind(input)?, read_option(input, read_content)?);
    if kind.has_content() != content.is_some() {
        return Err(DecodeError::NotCanonical("a node's content"));
    }
    let mut stamp = || Ok(Stamp { seq: read_seq(input)?, by: ReplicaId::from_bytes(input.fixed("a replica")?) });
    let (content_stamp, parent_stamp, name_stamp) = (stamp()?, stamp()?, stamp()?);
    let created = read_seq(input)?;
    let dead = Some(read_seq(input)?).filter(|dead| *dead != Seq::ZERO);
    let conflict_of = read_option(input, Reader::entity)?;
    Ok(Node { parent, name, kind, content, content_stamp, parent_stamp, name_stamp, created, dead, conflict_of })
}

fn write_kind(kind: Kind, out: &mut Writer) {
    match kind {
        Kind::File => out.u8(0),
        Kind::Folder => out.u8(1),
        Kind::Symlink => out.u8(2),
        Kind::Mount(log) => {
            out.u8(3);
            out.fixed(log.as_bytes());
        }
    }
}

fn read_kind(input: &mut Reader) -> Read<Kind> {
    Ok(match input.u8("a kind")? {
        0 => Kind::File,
        1 => Kind::Folder,
        2 => Kind::Symlink,
        3 => Kind::Mount(LogId::from_bytes(input.fixed("a log")?)),
        other => return Err(DecodeError::Unknown { what: "kind", value: other.into() }),
    })
}

fn write_content(content: &Content, out: &mut Writer) {
    out.fixed(content.blob.as_bytes());
    out.u64(content.bytes);
    option(content.manifest.as_ref(), out, |digest, out| out.fixed(digest.as_bytes()));
    out.u64(content.modified_at.ms());
    out.u8(content.executable.into());
    option(content.attributes.as_ref(), out, |digest, out| out.fixed(digest.as_bytes()));
}

fn read_content(input: &mut Reader) -> Read<Content> {
    let digest = |input: &mut Reader| input.fixed("a digest").map(Digest::from_bytes);
    let (blob, bytes) = (digest(input)?, input.u64("a size")?);
    let manifest = read_option(input, digest)?;
    let modified_at = read_time(input)?;
    let executable = match input.u8("a flag")? {
        0 => false,
        1 => true,
        _ => return Err(DecodeError::NotCanonical("a flag")),
    };
    Ok(Content { blob, bytes, manifest, modified_at, executable, attributes: read_option(input, digest)? })
}

fn write_reason(reason: Reason, out: &mut Writer) {
    out.u8(match reason {
        Reason::Put => 0,
        Reason::Conflict => 1,
        Reason::Restore => 2,
    });
}

fn read_reason(input: &mut Reader) -> Read<Reason> {
    Ok(match input.u8("a reason")? {
        0 => Reason::Put,
        1 => Reason::Conflict,
        2 => Reason::Restore,
        other => return Err(DecodeError::Unknown { what: "reason", value: other.into() }),
    })
}

fn option<T>(value: Option<&T>, out: &mut Writer, write: impl FnOnce(&T, &mut Writer)) {
    out.u8(value.is_some().into());
    if let Some(value) = value {
        write(value, out);
    }
}

fn read_option<T>(input: &mut Reader, read: impl FnOnce(&mut Reader) -> Read<T>) -> Read<Option<T>> {
    match input.u8("an option")? {
        0 => Ok(None),
        1 => read(input).map(Some),
        _ => Err(DecodeError::NotCanonical("an option")),
    }
}

fn read_seq(input: &mut Reader) -> Read<Seq> {
    Seq::new(input.u64("a seq")?).ok_or(DecodeError::NotCanonical("a seq"))
}

fn read_time(input: &mut Reader) -> Read<Timestamp> {
    Timestamp::from_ms(input.u64("a time")?).ok_or(DecodeError::NotCanonical("a time"))
}

fn read_text(input: &mut Reader) -> Read<String> {
    let bytes = input.bytes("a name")?;
    std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| DecodeError::NotCanonical("a name"))
}

fn read_ids(input: &mut Reader) -> Read<Vec<EntityId>> {
    let count = input.count(16, "ids")?;
    let ids = (0..count).map(|_| input.entity()).collect::<Read<Vec<_>>>()?;
    if ids.is_sorted_by(|one, other| one < other) { Ok(ids) } else { Err(DecodeError::NotCanonical("ids")) }
}
