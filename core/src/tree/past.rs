//! What is kept of the past: older revisions, the trash, and when they go.
//!
//! What must hold: thinning twice drops nothing more than thinning once, the newest revision stays, and nothing that lives is
//! ever purged.
//!
//! Next: `bytes`.

use super::change::Change;
use super::node::Node;
use super::view::{Found, TreeView};
use crate::id::EntityId;
use crate::limits::REVISIONS_KEPT_MAX;
use crate::seq::Seq;
use crate::time::Timestamp;

/// Whether a dead node is what somebody deleted, and not just below that.
#[must_use]
pub fn is_trash_root(node: &Node, parent: Option<&Node>) -> bool {
    node.dead.is_some() && parent.is_none_or(|parent| parent.dead != node.dead)
}

/// Why a node is not purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPurged<E> {
    /// It lives.
    #[error("a live node is not purged")]
    Alive,
    /// The view has no answer.
    #[error("a question about the tree has no answer")]
    View(E),
}

/// Forgets a dead node with everything below it, which is dead as well. No changes when there is none.
///
/// # Errors
/// When it lives, or the view has no answer.
pub fn purge<V: TreeView>(view: &V, root: EntityId) -> Result<Vec<Change>, NotPurged<V::Error>> {
    match view.node(root).map_err(NotPurged::View)? {
        Found::Node(node) if node.dead.is_none() => Err(NotPurged::Alive),
        Found::Node(_) => Ok(vec![Change::Purge { root }]),
        Found::Alias(_) | Found::Nothing => Ok(Vec::new()),
    }
}

/// A revision as thinning sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a store's row")]
pub struct Kept {
    /// Which.
    pub seq: Seq,
    /// When the server took it.
    pub accepted_at: Timestamp,
    /// Whether somebody labelled it or the law holds it: it stays.
    pub held: bool,
}

/// How long older revisions and what was deleted are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "an operator's three numbers")]
pub struct Retention {
    /// What is older goes.
    pub version_days: u64,
    /// How many stay at most; more than [`REVISIONS_KEPT_MAX`] count as that many.
    pub max_versions: usize,
    /// What was deleted longer ago goes.
    pub tombstone_days: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { version_days: 90, max_versions: REVISIONS_KEPT_MAX, tombstone_days: 90 }
    }
}

impl Retention {
    /// What was deleted before this time goes.
    #[must_use]
    pub fn tombstones_before(&self, now: Timestamp) -> Timestamp {
        let kept = self.tombstone_days.saturating_mul(DAY_MS);
        Timestamp::from_ms(now.ms().saturating_sub(kept)).unwrap_or_default()
    }
}

const SECOND_MS: u64 = 1_000;
const HOUR_MS: u64 = 3_600 * SECOND_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Up to which age revisions are kept how far apart. What is older than all of them is a week apart.
const SPACING: [(u64, u64); 3] = [(HOUR_MS, 30 * SECOND_MS), (DAY_MS, HOUR_MS), (30 * DAY_MS, DAY_MS)];

/// The revisions of one file that go, given in the order of their seqs. Of those that are too close the oldest stays.
#[must_use]
pub fn thin(revisions: &[Kept], retention: Retention, now: Timestamp) -> Vec<Seq> {
    let Some((_, older)) = revisions.split_last() else { return Vec::new() };
    let (mut stay, mut go) = (Vec::new(), Vec::new());
    let mut last: Option<Timestamp> = None;
    for revision in older.iter().filter(|revision| !revision.held) {
        let age = now.ms().saturating_sub(revision.accepted_at.ms());
        let apart = SPACING.iter().find(|(until, _)| age <= *until).map_or(7 * DAY_MS, |(_, apart)| *apart);
        let close = last.is_some_and(|last| revision.accepted_at.ms().saturating_sub(last.ms()) < apart);
        if close || age > retention.version_days.saturating_mul(DAY_MS) {
            go.push(revision.seq);
        } else {
            last = Some(revision.accepted_at);
            stay.push(revision.seq);
        }
    }
    // The newest counts as well.
    let room = retention.max_versions.clamp(1, REVISIONS_KEPT_MAX) - 1;
    let surplus = stay.len().saturating_sub(room);
    go.extend(stay.drain(..surplus));
    go.sort_unstable();
    go
}
