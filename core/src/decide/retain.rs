//! What a tree keeps of the past: older revisions are thinned, and what was deleted long ago, or by hand, goes for good.
//!
//! The revisions that go are read in the transaction that takes their references from the blobs, so what is referred to is
//! what is kept, whatever is committed meanwhile. What must hold: nothing that lives is purged, and nothing goes that still
//! has something in it; the newest revision of a file stays as long as the file.
//!
//! *Next:* [`tree::thin`](crate::tree::thin) says which revisions go; the server's `retain.rs` finds the candidates.

use std::collections::BTreeSet;

use super::blobs::{BlobBook, BlobFault, blob_reads};
use super::place::{append, needs};
use super::record::note_head;
use super::terms::{tree_key, tree_terms_of};
use super::{Choice, LogView, LogWrites, Reads, View};
use crate::codec::DecodeError;
use crate::digest::{BlobId, Digest};
use crate::id::{EntityId, LogKey, OpId, ReplicaId};
use crate::limits;
use crate::oplog::{EntityKey, LogBounds};
use crate::seq::Seq;
use crate::time::Env;
use crate::tree::{Change, Entry, Found, Kept, Node, Retention, Revision, TreeRead, TreeView as _, thin};

/// References that one step takes from blobs, about.
const RELEASED_MAX: usize = 2_000;

/// A node that may have to go, or some of whose revisions may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct Candidate {
    /// Which.
    pub node: EntityId,
    /// It goes if it is dead since this commit, and nothing is in it.
    pub dead: Option<Seq>,
}

/// One step.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct Retain {
    /// Which log's tree.
    pub log: LogKey,
    /// The id of the entry that says what is purged.
    pub id: OpId,
    /// The nodes that are looked at.
    pub nodes: Vec<Candidate>,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own answer")]
pub enum Retained {
    /// It was taken.
    Done {
        /// So many candidates were looked at; the rest is for the next step.
        seen: usize,
        /// Revisions that went, those of purged nodes among them.
        thinned: usize,
        /// Nodes that went.
        purged: usize,
        /// The log's end, where something was purged.
        bounds: Option<Box<LogBounds>>,
    },
    /// The log is not there.
    NoLog,
    /// The log takes no writes.
    Damaged,
    /// What is kept does not read.
    Unreadable(DecodeError),
}

impl Retain {
    /// What the rule reads whatever it finds.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let mut reads = blob_reads(std::iter::empty());
        reads.heads.push(tree_key());
        reads.revisions = self.nodes.iter().map(|candidate| candidate.node).collect();
        let nodes = self.nodes.iter().map(|candidate| TreeRead::Node(candidate.node));
        let folders = self.nodes.iter().filter(|candidate| candidate.dead.is_some());
        reads.tree =
            nodes.chain(folders.map(|candidate| TreeRead::Height { folder: candidate.node, limit: 1 })).collect();
        reads
    }
}

/// What is to be done.
#[derive(Default)]
struct Plan {
    seen: usize,
    gone: Vec<Revision>,
    purged: Vec<EntityId>,
}

impl Plan {
    fn make(asked: &Retain, log: &LogView, retention: Retention, env: &Env) -> Self {
        let mut plan = Self::default();
        for candidate in &asked.nodes {
            if plan.gone.len() >= RELEASED_MAX {
                break;
            }
            plan.seen += 1;
            // What stands for another is looked at under its own id.
            let Ok(Found::Node(node)) = log.tree.node(candidate.node) else { continue };
            let revisions = log.revisions.get(&candidate.node).map_or(&[][..], Vec::as_slice);
            let due = candidate.dead.is_some() && node.dead == candidate.dead;
            if due && is_empty(log, candidate.node, &node) {
                plan.purge(candidate.node, revisions);
            } else {
                plan.thin(revisions, retention, env);
            }
        }
        plan
    }

    /// A history that was not read to its end goes first, but for its last: a node in the trash comes back with its content.
    fn purge(&mut self, node: EntityId, revisions: &[Revision]) {
        if revisions.len() < limits::REVISIONS_READ_MAX {
            self.gone.extend(revisions);
            self.purged.push(node);
        } else if let Some((_, older)) = revisions.split_last() {
            self.gone.extend(older);
        }
    }

    fn thin(&mut self, revisions: &[Revision], retention: Retention, env: &Env) {
        let kept = |revision: &Revision| Kept { seq: revision.seq, accepted_at: revision.accepted_at, held: false };
        let kept: Vec<Kept> = revisions.iter().map(kept).collect();
        let go: BTreeSet<Seq> = thin(&kept, retention, env.now).into_iter().collect();
        self.gone.extend(revisions.iter().filter(|revision| go.contains(&revision.seq)));
    }

    fn blobs(&self) -> impl Iterator<Item = BlobId> {
        self.gone.iter().flat_map(|revision| needs(&revision.content))
    }
}

fn is_empty(log: &LogView, id: EntityId, node: &Node) -> bool {
    !node.is_folder() || log.tree.height(id, 1) == Ok(0)
}

/// Decides a step. Needs [`Retain::reads`].
#[must_use]
pub fn retain(asked: &Retain, env: &Env, view: &View) -> Choice<Retained> {
    let log = view.log(asked.log);
    let done = |retained| Choice::Done(retained, None);
    let Some(bounds) = log.bounds.clone() else { return done(Retained::NoLog) };
    let Some(seq) = bounds.last.next().filter(|_| !bounds.damaged) else { return done(Retained::Damaged) };
    let mut terms = match tree_terms_of(log.heads.get(&tree_key())) {
        Ok(terms) => terms,
        Err(error) => return done(Retained::Unreadable(error)),
    };
    let plan = Plan::make(asked, log, terms.retention, env);
    let Plan { seen, gone, purged } = &plan;
    let (seen, thinned) = (*seen, gone.len());
    if gone.is_empty() && purged.is_empty() {
        return done(Retained::Done { seen, thinned: 0, purged: 0, bounds: None });
    }
    let reads = blob_reads(plan.blobs());
    let known: BTreeSet<&EntityKey> = log.asked.heads.iter().collect();
    if reads.heads.iter().any(|key| !known.contains(key)) {
        return Choice::Read(vec![(asked.log, reads)]);
    }
    let mut book = match BlobBook::open(asked.log, view) {
        Ok(book) => book,
        Err(BlobFault::Unreadable(error)) => return done(Retained::Unreadable(error)),
        Err(_) => return done(Retained::NoLog),
    };
    for blob in plan.blobs() {
        book.release(blob);
    }
    let mut writes = LogWrites::new(asked.log, bounds.clone());
    let mut end = None;
    if !purged.is_empty() {
        let changes: Vec<Change> = purged.iter().map(|root| Change::Purge { root: *root }).collect();
        let fingerprint = Digest::of(&[b"purge\0", &Change::to_bytes(&changes)]);
        let entry = Entry { replica: ReplicaId::SERVER, asked: fingerprint, answers: Vec::new(), changes };
        let Some((bounds, logged)) = append(asked.id, &entry, seq, env, bounds) else { return done(Retained::Damaged) };
        terms.nodes = terms.nodes.saturating_sub(purged.len() as u64);
        writes = LogWrites::new(asked.log, bounds.clone());
        writes.ops.push(logged);
        writes.heads.push((tree_key(), note_head(&bounds, terms.to_bytes())));
        writes.tree.changes = entry.changes;
        end = Some(Box::new(bounds));
    }
    let purged: BTreeSet<EntityId> = plan.purged.iter().copied().collect();
    let forgotten = plan.gone.iter().filter(|revision| !purged.contains(&revision.node));
    writes.tree.forgotten = forgotten.map(|revision| (revision.node, revision.seq)).collect();
    book.write_into(&mut writes);
    let retained = Retained::Done { seen, thinned, purged: purged.len(), bounds: end };
    Choice::Done(retained, Some(writes.alone()))
}
