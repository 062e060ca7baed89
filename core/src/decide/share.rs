//! Sharing a folder: what lives in it becomes the tree of another log, and a mount stands in its place.
//!
//! All of it is one transaction over both logs and the bucket's system log: the other tree, the folder's deletion and its
//! mount, and what groups and tokens may do. What must hold: who could do something to the files before still can; nodes
//! keep their ids; nothing is in both trees, or in neither; what the other tree refers to, its own log has; a tree that was
//! made by a share holds no mounts, and nothing else is ever mounted, so mounts do not nest.
//!
//! Logs share no bytes, so the contents are brought to the other log before: it is made empty first, and says what it lacks
//! until it lacks nothing. *Next:* [`place`](super::place()) has the rules on commits; the server's `share.rs` brings bytes.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::blobs::{BlobBook, BlobFault, blob_reads, usage_key, usage_of};
use super::place::{TREE_ROOT, WrongContent, append, asked, missing, needs};
use super::record::{note_head, record_of, record_op};
use super::scans::scan_terms_key;
use super::system::group_records;
use super::terms::{TreeTerms, tree_key, tree_terms_of};
use super::{Choice, KnownOp, LogView, LogWrites, Reads, View, WriteSet};
use crate::access::{GroupRecord, TokenRecord};
use crate::blob::{BlobRefused, Usage};
use crate::codec::DecodeError;
use crate::digest::{BlobId, Digest};
use crate::id::{EntityId, LogId, LogKey, OpId, ReplicaId};
use crate::limits;
use crate::oplog::{EntityKey, LogBounds};
use crate::seq::{Origin, Seq};
use crate::time::Env;
use crate::tree::{
    Change, Commit, Content, Entry, Found, Kind, Label, Node, Reason, Refusal, Revision, Room, Stamp, Terms, TreeOp,
    TreeRead, TreeVerdict, TreeView as _, commit,
};

/// A folder that is to be shared.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct Share {
    /// In whose tree it is.
    pub log: LogKey,
    /// The log that it becomes the tree of.
    pub to: LogKey,
    /// The share's id, made by its author: it has one effect, whoever repeats it.
    pub id: OpId,
    /// Whose copy of the tree it was asked for on.
    pub replica: ReplicaId,
    /// The folder.
    pub folder: EntityId,
    /// The id of the mount that takes its place.
    pub mount: EntityId,
    /// The records of groups and tokens that name the log, as they were found.
    pub records: Vec<EntityKey>,
    /// The end of the system log when they were found.
    pub found_at: Seq,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own answer")]
pub enum Shared {
    /// It is shared.
    Done(Box<SharedEnds>),
    /// It was shared before; its entry says what was asked.
    Known(KnownOp),
    /// The other log was made, empty. The same again.
    Begun,
    /// The other log lacks what these contents need. Nothing was changed.
    Needs(Vec<Content>),
    /// Groups or tokens were changed since they were looked at. Nothing was changed.
    Regranted,
    /// It cannot be. Nothing was changed.
    Refused(ShareFault),
}

/// Where the logs end after a share.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "three ends")]
pub struct SharedEnds {
    /// The log's, which is where the share stands in it.
    pub log: LogBounds,
    /// The other log's.
    pub to: LogBounds,
    /// The system log's, if somebody may now do more.
    pub system: Option<Seq>,
}

/// Why a folder is not shared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShareFault {
    /// The log is not there.
    #[error("no such log")]
    NoLog,
    /// A log, or its tree, contradicts itself and takes no writes.
    #[error("the log is damaged and takes no writes")]
    Damaged,
    /// What is kept does not read.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// A group or a token that names the log does not read.
    #[error("a stored record does not read")]
    Record,
    /// No such node lives.
    #[error("no folder of that id lives in the tree")]
    NotFound,
    /// It is a file, a mount or the root.
    #[error("only a folder below the root is shared")]
    NotAFolder,
    /// There is a mount in the folder, or the tree is itself a shared one.
    #[error("shared folders do not nest: the tree is a shared one, or a shared folder is mounted in the folder")]
    Nested,
    /// More live nodes than one share takes.
    #[error("a folder with at most {} nodes in it is shared at once", limits::SHARE_NODES_MAX)]
    TooMany,
    /// The other log is there, and is not one that a share of this log began.
    #[error("the log that is to be made is there already")]
    LogExists,
    /// Another node has the id of the mount.
    #[error("another node has the id that the mount is to have")]
    MountTaken,
    /// The tree does not take the mount.
    #[error("the tree does not take the mount: {0:?}")]
    Mount(Refusal),
    /// A group would have grants for more logs than it may.
    #[error("a group has grants for at most {} logs", limits::GRANTS_PER_GROUP_MAX)]
    Grants,
    /// What the manifest lists is not the file that refers to it.
    #[error("the pieces of manifest {0} do not make the file")]
    Manifest(BlobId),
    /// What is stored has another size than the file that refers to it.
    #[error(transparent)]
    Size(BlobRefused),
}

impl From<WrongContent> for ShareFault {
    fn from(wrong: WrongContent) -> Self {
        match wrong {
            WrongContent::Manifest(manifest) => Self::Manifest(manifest),
            WrongContent::Size(refused) => Self::Size(refused),
        }
    }
}

type Fallible<T> = Result<T, ShareFault>;

impl Share {
    /// What was asked, for repeats under the same id.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        let ids = [self.folder.as_bytes(), self.mount.as_bytes(), self.to.log.as_bytes()];
        Digest::of(&[b"share\0", self.replica.as_bytes(), ids[0], ids[1], ids[2]])
    }

    /// Everything that lives in the folder: whoever made it, the server is nobody's replica.
    const fn below(&self) -> TreeRead {
        TreeRead::ChangedBelow {
            root: self.folder,
            after: Seq::ZERO,
            by: ReplicaId::SERVER,
            limit: limits::SHARE_NODES_MAX + 1,
        }
    }

    /// What the rule reads whatever it finds, in each log.
    #[must_use]
    pub fn reads(&self) -> Vec<(LogKey, Reads)> {
        let nodes = [self.folder, self.mount, TREE_ROOT].map(TreeRead::Node);
        let heads = vec![tree_key(), usage_key(), scan_terms_key()];
        let tree = nodes.into_iter().chain([self.below()]).collect();
        let from = Reads { ops: vec![self.id], heads: heads.clone(), tree, ..Reads::default() };
        let to = Reads { heads, ..Reads::default() };
        let system = Reads { heads: self.records.clone(), ..Reads::default() };
        vec![(self.log, from), (self.to, to), (self.system(), system)]
    }

    const fn system(&self) -> LogKey {
        LogKey { bucket: self.log.bucket, log: LogId::SYSTEM }
    }
}

/// A log that takes a write.
struct Open {
    bounds: LogBounds,
    terms: TreeTerms,
    seq: Seq,
}

impl Open {
    fn read(log: &LogView) -> Fallible<Self> {
        let bounds = log.bounds.clone().ok_or(ShareFault::NoLog)?;
        let seq = bounds.last.next().filter(|_| !bounds.damaged).ok_or(ShareFault::Damaged)?;
        Ok(Self { terms: tree_terms_of(log.heads.get(&tree_key()))?, bounds, seq })
    }
}

/// Decides a share. Needs [`Share::reads`] in the scope; asks for more as the rule needs it.
#[must_use]
pub fn share_folder(share: &Share, env: &Env, view: &View) -> Choice<Shared> {
    decide(share, env, view).unwrap_or_else(|fault| Choice::Done(Shared::Refused(fault), None))
}

fn decide(share: &Share, env: &Env, view: &View) -> Fallible<Choice<Shared>> {
    let (from, to) = (view.log(share.log), view.log(share.to));
    if let Some(known) = from.ops.get(&share.id) {
        return Ok(Choice::Done(Shared::Known(*known), None));
    }
    let open = Open::read(from)?;
    if open.terms.shared.is_some() {
        return Err(ShareFault::Nested);
    }
    let nodes = match live_below(share, from)? {
        Ok(nodes) => nodes,
        Err(reads) => return Ok(Choice::Read(vec![(share.log, reads)])),
    };
    if to.bounds.is_none() {
        return begin(share, &open, from, env);
    }
    let target = Open::read(to)?;
    if target.terms.shared != Some(share.log.log) || target.bounds.last != Seq::ZERO {
        return Err(ShareFault::LogExists);
    }
    if view.log(share.system()).bounds.as_ref().map_or(Seq::ZERO, |bounds| bounds.last) != share.found_at {
        return Ok(Choice::Done(Shared::Regranted, None));
    }
    let contents: Vec<Content> = nodes.iter().filter_map(|(_, node)| node.content).collect();
    let reads = blob_reads(contents.iter().flat_map(needs));
    let known: BTreeSet<&EntityKey> = to.asked.heads.iter().collect();
    if reads.heads.iter().any(|key| !known.contains(key)) {
        return Ok(Choice::Read(vec![(share.to, reads)]));
    }
    let book = match BlobBook::open(share.to, view) {
        Ok(book) => book,
        Err(BlobFault::Unreadable(error)) => return Err(error.into()),
        Err(_) => return Err(ShareFault::NoLog),
    };
    let lack = |content: &Content| missing(std::iter::once(content), &book).map(|blobs| !blobs.is_empty());
    let mut lacking = Vec::new();
    for content in contents {
        if lack(&content)? {
            lacking.push(content);
        }
    }
    if !lacking.is_empty() {
        return Ok(Choice::Done(Shared::Needs(lacking), None));
    }
    let (left, log) = match leave(share, open, from, env)? {
        Ok(left) => left,
        Err(reads) => return Ok(Choice::Read(vec![(share.log, reads)])),
    };
    let (moved, to) = arrive(share, target, nodes, book, env)?;
    let (granted, system) = grant(share, env, view)?;
    let mut logs: Vec<LogWrites> = [left, moved].into_iter().chain(granted).collect();
    logs.sort_by_key(|writes| writes.log);
    let ends = Box::new(SharedEnds { log, to, system });
    Ok(Choice::Done(Shared::Done(ends), Some(Box::new(WriteSet { logs }))))
}

/// What lives in the folder, parents before their children.
fn live_below(share: &Share, log: &LogView) -> Fallible<Result<Vec<(EntityId, Node)>, Reads>> {
    let ask = |read| Reads { tree: vec![read], ..Reads::default() };
    match log.tree.node(share.folder) {
        Ok(Found::Node(node)) if node.dead.is_some() => return Err(ShareFault::NotFound),
        Ok(Found::Node(node)) if !node.is_folder() || node.parent.is_none() => return Err(ShareFault::NotAFolder),
        Ok(Found::Node(_)) => {}
        Ok(_) => return Err(ShareFault::NotFound),
        Err(read) => return Ok(Err(ask(read))),
    }
    let TreeRead::ChangedBelow { root, after, by, limit } = share.below() else { return Err(ShareFault::Damaged) };
    let ids = match log.tree.changed_below(root, after, by, limit) {
        Ok(ids) => ids,
        Err(read) => return Ok(Err(ask(read))),
    };
    if ids.len() > limits::SHARE_NODES_MAX {
        return Err(ShareFault::TooMany);
    }
    let mut nodes = Vec::with_capacity(ids.len());
    for id in ids {
        let node = match log.tree.node(id) {
            Ok(Found::Node(node)) => *node,
            Ok(_) => return Err(ShareFault::Damaged),
            Err(read) => return Ok(Err(ask(read))),
        };
        if matches!(node.kind, Kind::Mount(_)) {
            return Err(ShareFault::Nested);
        }
        let mut depth = 0;
        let mut above = node.parent;
        while let Some(folder) = above.filter(|folder| *folder != share.folder) {
            depth += 1;
            above = match log.tree.node(folder) {
                Ok(Found::Node(node)) if depth <= limits::TREE_DEPTH_MAX => node.parent,
                Ok(_) => return Err(ShareFault::Damaged),
                Err(read) => return Ok(Err(ask(read))),
            };
        }
        nodes.push((depth, id, node));
    }
    nodes.sort_unstable_by_key(|(depth, id, _)| (*depth, *id));
    Ok(Ok(nodes.into_iter().map(|(_, id, node)| (id, node)).collect()))
}

/// Makes the other log, empty, on the terms of the one that shares.
fn begin(share: &Share, from: &Open, seen: &LogView, env: &Env) -> Fallible<Choice<Shared>> {
    let new = LogBounds::new(share.to, Origin(env.bytes16("origin")), env.now);
    let bounds = LogBounds { sealing: from.bounds.sealing, ..new };
    let terms = TreeTerms { nodes: 0, shared: Some(share.log.log), ..from.terms };
    let mut notes = vec![(tree_key(), terms.to_bytes())];
    if let Some(quota) = usage_of(seen.heads.get(&usage_key()))?.quota {
        notes.push((usage_key(), Usage { quota: Some(quota), ..Usage::default() }.to_bytes()));
    }
    // What an engine found in blobs that are not there is not taken along; its policy is.
    let scanning = super::scans::scan_terms_of(seen.heads.get(&scan_terms_key()))?;
    let fresh = crate::blob::ScanTerms { policy: scanning.policy, ..crate::blob::ScanTerms::default() };
    if fresh != crate::blob::ScanTerms::default() {
        notes.push((scan_terms_key(), fresh.to_bytes()));
    }
    let mut writes = LogWrites::new(share.to, bounds.clone());
    writes.heads = notes.into_iter().map(|(key, state)| (key, note_head(&bounds, state))).collect();
    Ok(Choice::Done(Shared::Begun, Some(writes.alone())))
}

/// The folder dies, and a mount of its name takes its place.
fn leave(share: &Share, from: Open, seen: &LogView, env: &Env) -> Fallible<Result<(LogWrites, LogBounds), Reads>> {
    let Open { bounds, mut terms, seq } = from;
    let Ok(Found::Node(folder)) = seen.tree.node(share.folder) else { return Err(ShareFault::NotFound) };
    let parent = folder.parent.ok_or(ShareFault::NotAFolder)?;
    let mount = TreeOp::Create {
        node: share.mount,
        parent,
        name: folder.name.as_str().to_owned(),
        kind: Kind::Mount(share.to.log),
        content: None,
    };
    // Who shares has everything: what came last is shared, too.
    let delete = TreeOp::Delete { node: share.folder, seen: seq.before() };
    let both = Commit::new(vec![delete, mount]).map_err(|_| ShareFault::Damaged)?;
    // No name is in anybody's way: that of the folder is free.
    let label = Label::new("share").map_err(|_| ShareFault::Damaged)?;
    let room = Room { nodes_free: terms.nodes_max.saturating_sub(terms.nodes), ..Room::ENDLESS };
    let under = Terms {
        seq,
        replica: share.replica,
        label: &label,
        accepted_at: env.now,
        root: TREE_ROOT,
        policy: terms.names,
        room,
    };
    let committed = match commit(&seen.tree, &under, &both) {
        Ok(committed) => committed,
        Err(stuck) => return Ok(Err(asked(stuck).ok_or(ShareFault::Damaged)?)),
    };
    for outcome in &committed.outcomes {
        match &outcome.verdict {
            TreeVerdict::Done => {}
            TreeVerdict::Rejected(refusal) => return Err(ShareFault::Mount(refusal.clone())),
            _ => return Err(ShareFault::MountTaken),
        }
    }
    terms.nodes = terms.nodes.saturating_add(committed.nodes_added);
    let (writes, bounds) = entry(share, share.log, committed.changes, seq, bounds, &terms, env)?;
    Ok(Ok((writes, bounds)))
}

/// What lived in the folder becomes the other log's tree; the folder itself is its root.
fn arrive(
    share: &Share,
    to: Open,
    nodes: Vec<(EntityId, Node)>,
    mut book: BlobBook,
    env: &Env,
) -> Fallible<(LogWrites, LogBounds)> {
    let Open { bounds, mut terms, seq } = to;
    let stamp = Stamp { seq, by: share.replica };
    let there: BTreeSet<EntityId> = nodes.iter().map(|(id, _)| *id).collect();
    let root = Node::root(Stamp { seq, by: ReplicaId::SERVER });
    let mut changes = vec![Change::Node { id: TREE_ROOT, node: Box::new(root) }];
    let mut revisions = Vec::new();
    for (id, node) in nodes {
        if let Some(content) = node.content {
            for blob in needs(&content) {
                book.refer(blob);
            }
            let (by, accepted_at, reason) = (share.replica, env.now, Reason::Put);
            revisions.push(Revision { node: id, seq, content, by, accepted_at, base: None, reason });
        }
        let node = Node {
            parent: node.parent.map(|parent| if parent == share.folder { TREE_ROOT } else { parent }),
            content_stamp: stamp,
            parent_stamp: stamp,
            name_stamp: stamp,
            created: seq,
            conflict_of: node.conflict_of.filter(|of| there.contains(of)),
            ..node
        };
        changes.push(Change::Node { id, node: Box::new(node) });
    }
    terms.nodes = changes.len() as u64;
    let (mut writes, bounds) = entry(share, share.to, changes, seq, bounds, &terms, env)?;
    writes.tree.revisions = revisions;
    book.write_into(&mut writes);
    Ok((writes, bounds))
}

fn entry(
    share: &Share,
    log: LogKey,
    changes: Vec<Change>,
    seq: Seq,
    bounds: LogBounds,
    terms: &TreeTerms,
    env: &Env,
) -> Fallible<(LogWrites, LogBounds)> {
    let entry = Entry { replica: share.replica, asked: share.fingerprint(), answers: Vec::new(), changes };
    let (bounds, logged) = append(share.id, &entry, seq, env, bounds).ok_or(ShareFault::TooMany)?;
    let mut writes = LogWrites::new(log, bounds.clone());
    writes.ops.push(logged);
    writes.heads.push((tree_key(), note_head(&bounds, terms.to_bytes())));
    writes.tree.changes = entry.changes;
    Ok((writes, bounds))
}

/// Who may do something to the log may do it to the other.
fn grant(share: &Share, env: &Env, view: &View) -> Fallible<(Option<LogWrites>, Option<Seq>)> {
    let seen = view.log(share.system());
    let Some(mut bounds) = seen.bounds.clone() else { return Ok((None, None)) };
    let (mut ops, mut heads) = (Vec::new(), Vec::new());
    for (number, key) in share.records.iter().enumerate() {
        let Some(record) = seen.heads.get(key).and_then(record_of) else { continue };
        let state = if key.collection == group_records() {
            grown::<GroupRecord>(&record.state, |group| {
                let Some(access) = group.grants.get(&share.log.log).copied() else { return Ok(()) };
                group.grants.insert(share.to.log, access);
                if group.grants.len() > limits::GRANTS_PER_GROUP_MAX { Err(ShareFault::Grants) } else { Ok(()) }
            })?
        } else {
            grown::<TokenRecord>(&record.state, |token| {
                if let Some(logs) = token.logs.as_mut().filter(|logs| logs.contains(&share.log.log))
                    && !logs.contains(&share.to.log)
                {
                    logs.push(share.to.log);
                }
                Ok(())
            })?
        };
        let Some(state) = state else { continue };
        let id = OpId::from_bytes(env.uuid7(&format!("share {number}")));
        let op = record_op(id, key, Some(&state), env, &mut bounds).map_err(|_| ShareFault::Record)?;
        let (_, logged, head) = op.ok_or(ShareFault::Damaged)?;
        ops.push(logged);
        heads.push((key.clone(), head));
    }
    if ops.is_empty() {
        return Ok((None, None));
    }
    let end = bounds.last;
    Ok((Some(LogWrites { ops, heads, ..LogWrites::new(share.system(), bounds) }), Some(end)))
}

/// A record as it is after a change; `None` when that changes nothing.
fn grown<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Clone>(
    state: &[u8],
    change: impl FnOnce(&mut T) -> Fallible<()>,
) -> Fallible<Option<Bytes>> {
    let before: T = serde_json::from_slice(state).map_err(|_| ShareFault::Record)?;
    let mut after = before.clone();
    change(&mut after)?;
    if after == before {
        return Ok(None);
    }
    serde_json::to_vec(&after).map(|state| Some(state.into())).map_err(|_| ShareFault::Record)
}
