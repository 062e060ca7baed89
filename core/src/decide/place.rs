//! A commit to a log's tree of files: decided, placed in the log and written, in one transaction.
//!
//! The log is locked before the first question is answered, so what was checked holds until it is written: two moves that
//! would close a circle together cannot both be accepted. What must hold: a commit has one effect however often it is sent;
//! what it refers to is there, and stays as long as a revision refers to it; a commit that changes nothing leaves no trace.
//!
//! *Next:* [`tree::commit`](crate::tree::commit()) is the rule, [`blobs`](super::BlobBook) are what contents refer to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::blobs::{BlobBook, BlobFault, blob_reads};
use super::manifests::{Named, named};
use super::record::note_head;
use super::terms::{tree_key, tree_terms_of};
use super::{Choice, KnownOp, LogWrites, Reads, View};
use crate::blob::BlobRefused;
use crate::clock::VectorClock;
use crate::codec::DecodeError;
use crate::digest::{BlobId, Digest};
use crate::id::{EntityId, LogKey, OpId, ReplicaId};
use crate::oplog::{Draft, LogBounds, LoggedOp, OpKind, Payload, Precondition, Subject};
use crate::seq::Seq;
use crate::time::{Env, Hlc};
use crate::tree::{
    Answer, Change, Commit, Committed, Content, Entry, Found, Label, Loaded, Node, Outcome, Revision, Room, Stamp,
    Stuck, Terms, TreeRead, TreeView as _, commit,
};

/// The folder that every tree begins with.
pub const TREE_ROOT: EntityId = EntityId::from_bytes([0; 16]);

/// What a device wants done to a tree.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct Placement {
    /// Which log's tree.
    pub log: LogKey,
    /// The commit's id, made by its author: it has one effect, whoever repeats it.
    pub id: OpId,
    /// Whose copy of the tree it was made on.
    pub replica: ReplicaId,
    /// What conflict copies call it.
    pub label: Label,
    /// What is to be done.
    pub commit: Arc<Commit>,
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own answer")]
pub enum Placed {
    /// Decided.
    Done {
        /// Where it stands in the log; `None` when it changed nothing.
        seq: Option<Seq>,
        /// One answer per op.
        answers: Vec<Answer>,
        /// The log's end after it.
        bounds: Box<LogBounds>,
    },
    /// It was accepted before; its entry has the answers.
    Known(KnownOp),
    /// These have to be sent first, and of manifests the pieces kept; nothing was changed.
    Needs(Vec<BlobId>),
    /// It makes a mount in a tree that is itself shared; nothing was changed.
    Nested,
    /// What is there is another file than the one that is named.
    Wrong(WrongContent),
    /// The log is not there.
    NoLog,
    /// The log, or its tree, contradicts itself and takes no writes.
    Damaged,
    /// The entry would be larger than an op may be.
    TooLarge,
    /// What is kept does not read.
    Unreadable(DecodeError),
}

/// What is there is another file than the one that a content names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a file is one blob or a list of pieces")]
pub enum WrongContent {
    /// This manifest lists another.
    Manifest(BlobId),
    /// A blob has another size.
    Size(BlobRefused),
}

/// What a content needs to be there.
pub(super) fn needs(content: &Content) -> impl Iterator<Item = BlobId> {
    [Some(content.manifest.unwrap_or(content.blob)), content.attributes].into_iter().flatten()
}

/// What contents need and is not there, or what is there and is another file.
pub(super) fn missing<'a>(
    contents: impl Iterator<Item = &'a Content>,
    book: &BlobBook,
) -> Result<Vec<BlobId>, WrongContent> {
    let mut missing = Vec::new();
    for content in contents {
        for blob in needs(content) {
            let there = match content.manifest.filter(|manifest| *manifest == blob) {
                Some(manifest) => match named(book, manifest, content.blob, content.bytes) {
                    Named::Whole => true,
                    Named::Missing => false,
                    Named::Wrong => return Err(WrongContent::Manifest(manifest)),
                },
                None => match book.get(blob).filter(|record| record.blob == blob && record.readable().is_some()) {
                    // What is beside a file has a size of its own.
                    Some(record) if blob == content.blob => {
                        record.is_of(blob, content.bytes).map_err(WrongContent::Size)?;
                        true
                    }
                    record => record.is_some(),
                },
            };
            if !there {
                missing.push(blob);
            }
        }
    }
    missing.sort_unstable();
    missing.dedup();
    Ok(missing)
}

impl Placement {
    /// What was asked, for repeats under the same id.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&[b"commit\0", self.replica.as_bytes(), &self.commit.to_bytes()])
    }

    /// What the rule reads whatever it finds.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let contents = self.commit.ops().iter().filter_map(|op| op.content());
        let mut reads = blob_reads(contents.flat_map(needs));
        reads.heads.push(tree_key());
        reads.ops.push(self.id);
        let nodes = self.commit.ops().iter().map(|op| op.node()).chain([TREE_ROOT]);
        reads.tree = nodes.map(TreeRead::Node).collect();
        reads.tree.sort_unstable();
        reads.tree.dedup();
        reads
    }
}

/// Decides a commit. Needs [`Placement::reads`] in the scope; asks for more of the tree as the rule needs it.
#[must_use]
pub fn place(placement: &Placement, env: &Env, view: &View) -> Choice<Placed> {
    let log = view.log(placement.log);
    let done = |placed| Choice::Done(placed, None);
    if let Some(known) = log.ops.get(&placement.id) {
        return done(Placed::Known(*known));
    }
    let Some(bounds) = log.bounds.clone() else { return done(Placed::NoLog) };
    let Some(seq) = bounds.last.next().filter(|_| !bounds.damaged) else { return done(Placed::Damaged) };
    let (mut book, mut terms) = match (BlobBook::open(placement.log, view), tree_terms_of(log.heads.get(&tree_key()))) {
        (Ok(book), Ok(terms)) => (book, terms),
        (Err(BlobFault::Unreadable(error)), _) | (_, Err(error)) => return done(Placed::Unreadable(error)),
        (Err(_), _) => return done(Placed::NoLog),
    };
    if terms.shared.is_some() && placement.commit.mounts().next().is_some() {
        return done(Placed::Nested);
    }
    let contents = placement.commit.ops().iter().filter_map(|op| op.content());
    let missing = match missing(contents, &book) {
        Ok(missing) => missing,
        Err(wrong) => return done(Placed::Wrong(wrong)),
    };
    if !missing.is_empty() {
        return done(Placed::Needs(missing));
    }
    let (tree, root) = with_root(&log.tree, seq);
    let decided = commit(
        &*tree,
        &Terms {
            seq,
            replica: placement.replica,
            label: &placement.label,
            accepted_at: env.now,
            root: TREE_ROOT,
            policy: terms.names,
            room: Room {
                file_bytes_max: terms.file_bytes_max,
                // Bytes are counted when they come.
                bytes_free: u64::MAX,
                nodes_free: terms.nodes_max.saturating_sub(terms.nodes),
            },
        },
        &placement.commit,
    );
    let committed = match decided {
        Ok(committed) => committed,
        Err(stuck) => return ask(placement.log, stuck),
    };
    let Committed { changes, outcomes, revisions, nodes_added, .. } = committed;
    let answers = answers(outcomes);
    if changes.is_empty() {
        return done(Placed::Done { seq: None, answers, bounds: Box::new(bounds) });
    }
    // A file that is written twice in one commit has one revision of it, the later one: no more is referred to than is kept.
    let revisions: BTreeMap<EntityId, Revision> = revisions.into_iter().map(|new| (new.node, new)).collect();
    let revisions: Vec<Revision> = revisions.into_values().collect();
    for revision in &revisions {
        for blob in needs(&revision.content) {
            book.refer(blob);
        }
    }
    let fresh = u64::from(root.is_some());
    terms.nodes = terms.nodes.saturating_add(nodes_added).saturating_add(fresh);
    let changes: Vec<Change> = root.into_iter().chain(changes).collect();
    let entry = Entry { replica: placement.replica, asked: placement.fingerprint(), answers, changes };
    let Some((bounds, logged)) = append(placement.id, &entry, seq, env, bounds) else { return done(Placed::TooLarge) };
    let mut writes = LogWrites::new(placement.log, bounds.clone());
    writes.ops.push(logged);
    writes.heads.push((tree_key(), note_head(&bounds, terms.to_bytes())));
    writes.tree.changes = entry.changes;
    writes.tree.revisions = revisions;
    book.write_into(&mut writes);
    let placed = Placed::Done { seq: Some(seq), answers: entry.answers, bounds: Box::new(bounds) };
    Choice::Done(placed, Some(writes.alone()))
}

/// The tree that was read; before its first commit, a root that this commit makes.
fn with_root(read: &Loaded, seq: Seq) -> (std::borrow::Cow<'_, Loaded>, Option<Change>) {
    if !matches!(read.node(TREE_ROOT), Ok(Found::Nothing)) {
        return (std::borrow::Cow::Borrowed(read), None);
    }
    let root = Node::root(Stamp { seq, by: ReplicaId::SERVER });
    let mut tree = read.clone();
    tree.set_node(TREE_ROOT, root.clone());
    (std::borrow::Cow::Owned(tree), Some(Change::Node { id: TREE_ROOT, node: Box::new(root) }))
}

fn ask(log: LogKey, stuck: Vec<Stuck<TreeRead>>) -> Choice<Placed> {
    asked(stuck).map_or(Choice::Done(Placed::Damaged, None), |reads| Choice::Read(vec![(log, reads)]))
}

/// The questions to which an answer lacks; `None` when the tree is damaged.
pub(super) fn asked(stuck: Vec<Stuck<TreeRead>>) -> Option<Reads> {
    let mut tree = Vec::with_capacity(stuck.len());
    for stuck in stuck {
        match stuck {
            Stuck::View(read) => tree.push(read),
            Stuck::Damaged(_) => return None,
        }
    }
    tree.sort_unstable();
    tree.dedup();
    Some(Reads { tree, ..Reads::default() })
}

fn answers(outcomes: Vec<Outcome>) -> Vec<Answer> {
    outcomes.into_iter().map(|outcome| Answer { verdict: outcome.verdict, long_path: outcome.long_path }).collect()
}

/// The entry as the log's next op.
pub(super) fn append(
    id: OpId,
    entry: &Entry,
    seq: Seq,
    env: &Env,
    mut bounds: LogBounds,
) -> Option<(LogBounds, LoggedOp)> {
    let draft = Draft {
        id,
        replica: ReplicaId::SERVER,
        subject: Subject::Entity { key: tree_key(), also: Vec::new() },
        kind: OpKind::Update,
        clock: VectorClock::new(),
        hlc: Hlc { ms: env.now, counter: 0 },
        schema_version: 1,
        precondition: Precondition::None,
        payload: Payload::Plain(entry.to_bytes()),
    };
    let op = draft.seal().ok()?;
    bounds.tip = bounds.tip.extend(op.digest(), env.now);
    bounds.last = seq;
    bounds.bytes += op.bytes().len() as u64;
    let logged = LoggedOp { seq, anchor: bounds.tip, accepted_at: env.now, batch_rest: 0, op: op.raw().clone() };
    Some((bounds, logged))
}
