//! What trees keep of the past, in steps of a bounded size: thinning, the end of the trash, and purging by hand.
//!
//! What must hold: wherever this is cut off, what was done is whole, and the next pass goes on.
//!
//! *Next:* `decide/retain.rs` decides each step.

use super::{Server, refuse_store};
use crate::call::{ErrorCode, Purged, Refusal};
use crate::decide::{self, Candidate, Retain, Retained, Scope, View, tree_key, tree_terms_of};
use crate::id::{EntityId, LogKey, OpId};
use crate::limits;
use crate::oplog::LogBounds;
use crate::seq::Seq;
use crate::store::{NodeQuery, PageLimit, StoreExt as _};
use crate::time::{Env, Timestamp};

/// Nodes of one step.
const STEP_NODES: usize = 256;
/// Steps of one purge.
const PURGE_STEPS: usize = 40;

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain counts")]
pub struct RetainedTree {
    /// Nodes looked at.
    pub seen: usize,
    /// Revisions that went.
    pub thinned: usize,
    /// Nodes that went.
    pub purged: usize,
}

impl Server {
    /// Goes over `limit` nodes of a log's tree, from after one on: thins the revisions of files and purges what was deleted
    /// longer ago than the tree's retention says; says what was done and where to go on, `None` at the end. A deleted folder
    /// goes in the pass after the one in which the last node in it went.
    ///
    /// # Errors
    /// [`ErrorCode::LogNotFound`], [`ErrorCode::LogDamaged`], [`ErrorCode::LimitOutOfRange`] for no nodes or more than
    /// [`TREE_PAGE_NODES_MAX`](limits::TREE_PAGE_NODES_MAX), else the store's failure.
    pub async fn retain_tree(
        &self,
        log: LogKey,
        after: Option<EntityId>,
        limit: usize,
        env: Env,
    ) -> Result<(RetainedTree, Option<EntityId>), Refusal> {
        super::tree::within(limit, limits::TREE_PAGE_NODES_MAX)?;
        let bounds = self.bounds(log).await?;
        let note = self.store.head(log, &tree_key()).await.map_err(refuse_store)?;
        let terms = tree_terms_of(note.as_ref());
        let terms = terms.map_err(|error| Refusal::new(ErrorCode::LogDamaged, error.to_string()))?;
        let page = self.store.nodes(log, &NodeQuery::All { after }, limit).await.map_err(refuse_store)?;
        let next = page.nodes.last().map(|(id, _)| *id).filter(|_| page.more);
        let mut done = RetainedTree { seen: page.nodes.len(), ..RetainedTree::default() };
        let cutoff = match page.nodes.iter().any(|(_, node)| node.dead.is_some()) {
            true => self.last_before(log, &bounds, terms.retention.tombstones_before(env.now)).await?,
            false => Seq::ZERO,
        };
        let due = |dead: &Seq| *dead <= cutoff;
        let nodes = page.nodes.iter().map(|(id, node)| (Candidate { node: *id, dead: node.dead.filter(due) }, node));
        let nodes = nodes.filter(|(candidate, node)| candidate.dead.is_some() || node.kind.has_content());
        let nodes: Vec<Candidate> = nodes.map(|(candidate, _)| candidate).collect();
        // What goes together is mostly made top down, and goes bottom up.
        for step in nodes.rchunks(STEP_NODES) {
            self.retain(log, step, env, &mut done).await?;
        }
        Ok((done, next))
    }

    /// Purges a dead node with everything in it, as far as one call goes.
    pub(super) async fn purge_trash(&self, log: LogKey, root: EntityId, env: Env) -> Result<Purged, Refusal> {
        self.bounds(log).await?;
        let found = self.store.nodes(log, &NodeQuery::One(root), 1).await.map_err(refuse_store)?;
        match found.nodes.first() {
            None => return Ok(Purged { nodes: 0, more: false }),
            Some((id, node)) if *id == root && node.dead.is_some() => {}
            Some(_) => {
                return Err(Refusal::new(ErrorCode::NotInTrash, "the node lives; only what was deleted is purged"));
            }
        }
        let mut done = RetainedTree::default();
        for _ in 0..PURGE_STEPS {
            let leaves = NodeQuery::Leaves { of: root };
            let page = self.store.nodes(log, &leaves, STEP_NODES).await.map_err(refuse_store)?;
            let dead = page.nodes.iter().filter(|(_, node)| node.dead.is_some());
            let step: Vec<Candidate> = dead.map(|(id, node)| Candidate { node: *id, dead: node.dead }).collect();
            if step.is_empty() {
                return Ok(Purged { nodes: done.purged as u64, more: false });
            }
            self.retain(log, &step, env, &mut done).await?;
        }
        Ok(Purged { nodes: done.purged as u64, more: true })
    }

    async fn retain(
        &self,
        log: LogKey,
        mut nodes: &[Candidate],
        env: Env,
        done: &mut RetainedTree,
    ) -> Result<(), Refusal> {
        while !nodes.is_empty() {
            // Each step that purges is an entry of its own.
            let id = OpId::from_bytes(env.uuid7(&format!("purge {} {}", done.purged, done.thinned)));
            let step = Retain { log, id, nodes: nodes.to_vec() };
            let reads = step.reads();
            let rule = move |view: &View| decide::retain(&step, &env, view);
            match self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)? {
                Retained::Done { seen, thinned, purged, bounds } => {
                    done.thinned += thinned;
                    done.purged += purged;
                    if let Some(bounds) = bounds {
                        self.wake(log, bounds.end()).await;
                    }
                    nodes = nodes.get(seen.max(1)..).unwrap_or_default();
                }
                Retained::NoLog => return Err(Refusal::new(ErrorCode::LogNotFound, "no such log")),
                Retained::Damaged => {
                    return Err(Refusal::new(ErrorCode::LogDamaged, "the log is damaged and takes no writes"));
                }
                Retained::Unreadable(error) => return Err(Refusal::new(ErrorCode::LogDamaged, error.to_string())),
            }
        }
        Ok(())
    }

    /// The last seq that was accepted before a time. What was pruned from the log counts as accepted when its first op was.
    async fn last_before(&self, log: LogKey, bounds: &LogBounds, time: Timestamp) -> Result<Seq, Refusal> {
        let one = PageLimit::ops(1).unwrap_or_default();
        let (mut low, mut high) = (bounds.first.before(), bounds.last);
        let mut found = Seq::ZERO;
        while low < high {
            let middle = low.get() + (high.get() - low.get()).div_ceil(2);
            let at = Seq::new(middle).unwrap_or(high);
            let page = self.store.ops_after(log, at.before(), one).await.map_err(refuse_store)?;
            if page.ops.first().is_some_and(|logged| logged.seq == at && logged.accepted_at < time) {
                (found, low) = (at, at);
            } else {
                high = at.before();
            }
        }
        Ok(found)
    }
}
