//! The tree of files of a log: commits, listings, and what a file was before.

use super::blobs::refuse_fault;
use super::manifests::wrong_manifest;
use super::{Server, refuse_store};
use crate::access::Caller;
use crate::call::{Commit, Committed, ErrorCode, Refusal, Reply};
use crate::decide::{
    self, BlobFault, KnownOp, NewTerms, Placed, Placement, Scope, TermsFault, View, WrongContent, place, terms_reads,
    tree_key, tree_terms_of,
};
use crate::digest::Digest;
use crate::id::{LogKey, ReplicaId};
use crate::limits;
use crate::oplog::Payload;
use crate::seq::{Cursor, Seq};
use crate::store::{NodeQuery, PageLimit, StoreExt};
use crate::time::Env;
use crate::tree::Entry;

impl Server {
    pub(super) async fn commit(&self, caller: &Caller, log: LogKey, asked: Commit, env: Env) -> Result<Reply, Refusal> {
        if asked.replica == ReplicaId::SERVER || caller.replica.is_some_and(|own| own != asked.replica) {
            let detail = "the commit is made as a replica that is not the caller's";
            return Err(Refusal::new(ErrorCode::ForbiddenReplica, detail));
        }
        self.mountable(caller, asked.ops.mounts()).await?;
        let Commit { id, replica, label, ops, .. } = asked;
        let placement = Placement { log, id, replica, label, commit: ops };
        let fingerprint = placement.fingerprint();
        let scope = Scope::log(log, placement.reads());
        let rule = move |view: &View| place(&placement, &env, view);
        match self.store.decide(scope, rule).await.map_err(refuse_store)? {
            Placed::Done { seq, answers, bounds } => {
                if seq.is_some() {
                    self.wake(log, bounds.end()).await;
                }
                Ok(Reply::Committed(Committed::Done { seq, answers, end: bounds.end() }))
            }
            Placed::Known(known) => self.commit_again(log, known, fingerprint).await,
            Placed::Needs(blobs) => Ok(Reply::Committed(Committed::Needs(blobs))),
            Placed::Nested => Err(Refusal::new(ErrorCode::MountNested, "a shared folder takes no mounts")),
            Placed::Wrong(wrong) => Err(refuse_content(wrong)),
            Placed::NoLog => Err(Refusal::new(ErrorCode::LogNotFound, "no such log")),
            Placed::Damaged => Err(Refusal::new(ErrorCode::LogDamaged, "the log is damaged and takes no writes")),
            Placed::TooLarge => {
                Err(Refusal::new(ErrorCode::BatchSize, "what the commit does is more than one op may say"))
            }
            Placed::Unreadable(error) => Err(Refusal::new(ErrorCode::LogDamaged, error.to_string())),
        }
    }

    /// The answer that was given first.
    async fn commit_again(&self, log: LogKey, known: KnownOp, asked: Digest) -> Result<Reply, Refusal> {
        let (entry, end) = self.entry_again(log, known, asked).await?;
        Ok(Reply::Committed(Committed::Done { seq: Some(known.seq), answers: entry.answers, end }))
    }

    /// What was accepted under an id, if it is what is asked now, and the log's end.
    pub(super) async fn entry_again(
        &self,
        log: LogKey,
        known: KnownOp,
        asked: Digest,
    ) -> Result<(Entry, Cursor), Refusal> {
        let one = PageLimit::ops(1).unwrap_or_default();
        let page = self.store.ops_after(log, known.seq.before(), one).await.map_err(refuse_store)?;
        let logged = page.ops.first().filter(|logged| logged.seq == known.seq);
        let logged = logged.ok_or_else(|| Refusal::new(ErrorCode::GapPruned, "the commit was accepted long ago"))?;
        let damaged = || Refusal::new(ErrorCode::LogDamaged, "a commit does not read");
        let op = logged.op.read().map_err(|_| damaged())?;
        // Under its id there may be an op of another kind, which is no commit.
        let entry = match op.payload() {
            Payload::Plain(bytes) => Entry::from_bytes(bytes.clone()).ok(),
            _ => None,
        };
        match entry.filter(|entry| entry.asked == asked) {
            Some(entry) => Ok((entry, page.bounds.ok_or_else(damaged)?.end())),
            None => Err(Refusal::new(ErrorCode::RequestIdReused, "the id was used for something else")),
        }
    }

    pub(super) async fn nodes(&self, log: LogKey, asked: NodeQuery, limit: usize) -> Result<Reply, Refusal> {
        within(limit, limits::TREE_PAGE_NODES_MAX)?;
        let page = self.store.nodes(log, &asked, limit).await.map_err(refuse_store)?;
        if page.end.is_none() {
            return Err(Refusal::new(ErrorCode::LogNotFound, "no such log"));
        }
        Ok(Reply::Nodes(page))
    }

    pub(super) async fn revisions(
        &self,
        log: LogKey,
        node: crate::id::EntityId,
        after: Seq,
        limit: usize,
    ) -> Result<Reply, Refusal> {
        within(limit, limits::LIST_ITEMS_MAX)?;
        self.bounds(log).await?;
        self.store.revisions(log, node, after, limit).await.map(Reply::Revisions).map_err(refuse_store)
    }

    pub(super) async fn tree_terms(&self, log: LogKey) -> Result<Reply, Refusal> {
        self.bounds(log).await?;
        let note = self.store.head(log, &tree_key()).await.map_err(refuse_store)?;
        tree_terms_of(note.as_ref()).map(Reply::TreeTerms).map_err(|error| refuse_terms(error.into()))
    }

    pub(super) async fn set_tree_terms(&self, log: LogKey, terms: NewTerms) -> Result<Reply, Refusal> {
        let rule = move |view: &View| decide::set_tree_terms(log, terms, view);
        let set = self.store.decide(Scope::log(log, terms_reads()), rule).await.map_err(refuse_store)?;
        set.map(Reply::TreeTerms).map_err(refuse_terms)
    }
}

fn refuse_terms(fault: TermsFault) -> Refusal {
    let code = match fault {
        TermsFault::TooMuch => ErrorCode::LimitOutOfRange,
        TermsFault::NoLog => ErrorCode::LogNotFound,
        TermsFault::Unreadable(_) => ErrorCode::LogDamaged,
    };
    Refusal::new(code, fault.to_string())
}

/// What is there is another file than the one that is named.
pub(super) fn refuse_content(wrong: WrongContent) -> Refusal {
    match wrong {
        WrongContent::Manifest(manifest) => wrong_manifest(manifest),
        WrongContent::Size(refused) => refuse_fault(BlobFault::Refused(refused)),
    }
}

pub(super) fn within(limit: usize, max: usize) -> Result<(), Refusal> {
    if (1..=max).contains(&limit) {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::LimitOutOfRange, format!("a listing has 1 to {max} items, not {limit}")))
}
