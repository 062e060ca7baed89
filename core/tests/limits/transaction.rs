//! Transactions and replay.

use std::sync::Arc;

use async_trait::async_trait;
use syncline::access::Caller;
use syncline::call::{Call, ErrorCode};
use syncline::conformance::author::{Author, entity_subject};
use syncline::conformance::support::{self, env, log, schema};
use syncline::decide::{Choice, Decision, LogWrites, Reads, Scope, ScopeError, Step, View};
use syncline::oplog::{
    Change, Collection, ConflictPolicy, EntityKey, LogBounds, LogState, LoggedOp, OpKind, Payload, ReduceError,
    Reducer, RejectReason, ReplayStop, Rules, Schema, Snapshot, Verdict,
};
use syncline::server::Server;
use syncline::store::{
    HeadPage, LogPage, LogSummary, MemoryFanout, MemoryStore, NodePage, NodeQuery, PageLimit, Store, StoreError,
    StoreErrorKind, StoreExt,
};
use syncline::tree::Revision;
use syncline::{Anchor, BucketId, EntityId, LogId, LogKey, Origin, RequestId, Seq, limits};

use crate::call::asks;
use crate::check;
use crate::common::{poll_to_end, seq};

#[test]
fn a_transaction_locks_one_to_four_logs() {
    let scope = |count: usize| {
        let logs = (0..count).map(|number| (log(u8::try_from(number).expect("few")), Reads::default())).collect();
        Scope::logs(logs).map(drop)
    };
    check(limits::SCOPE_LOGS_MAX, &ScopeError(limits::SCOPE_LOGS_MAX + 1), scope);
    assert_eq!(scope(0), Err(ScopeError(0)));
    let twice = Scope::logs(vec![(log(2), Reads::default()), (log(1), Reads::default()), (log(2), Reads::default())]);
    assert_eq!(twice.expect("two logs").parts().iter().map(|(log, _)| *log).collect::<Vec<_>>(), [log(1), log(2)]);
}

fn anchors(count: usize) -> Reads {
    Reads { anchors: vec![Seq::FIRST; count], ..Reads::default() }
}

#[test]
fn a_decision_that_keeps_reading_is_stopped_at_its_rounds_and_reads() {
    let store = MemoryStore::new();
    let decide = |first: usize, rounds: usize, each: usize| {
        let rule = move |view: &View| {
            let asked = view.log(log(1)).asked.len();
            if asked < first + rounds * each {
                Choice::Read(vec![(log(1), anchors(each))])
            } else {
                Choice::Done((), None)
            }
        };
        poll_to_end(store.decide(Scope::log(log(1), anchors(first)), rule)).map_err(|error| error.kind())
    };
    // The last round is the answer.
    check(limits::DECISION_ROUNDS_MAX - 1, &StoreErrorKind::Runaway, |rounds| decide(0, rounds, 1));
    check(limits::DECISION_READS_MAX, &StoreErrorKind::Runaway, |reads| decide(reads, 0, 0));
    check(limits::DECISION_READS_MAX, &StoreErrorKind::Runaway, |reads| decide(reads - 5, 1, 5));
}

/// A log said to be longer than anything in it.
#[derive(Debug)]
struct Long(u64);

impl Long {
    fn bounds(&self) -> LogBounds {
        LogBounds { last: seq(self.0), ..LogBounds::new(log(1), Origin([1; 16]), env(0).now) }
    }
}

#[async_trait]
impl Store for Long {
    fn name(&self) -> &'static str {
        "long"
    }

    async fn transact(&self, _: Scope, decision: Decision) -> Result<bool, StoreError> {
        let mut view = View::new();
        view.log_mut(log(1)).bounds = Some(self.bounds());
        Ok(matches!(decision(&view), Step::Commit(_)))
    }

    async fn ops_after(&self, _: LogKey, _: Seq, _: PageLimit) -> Result<LogPage, StoreError> {
        Ok(LogPage { bounds: Some(self.bounds()), anchor: None, ops: Vec::new() })
    }

    async fn heads(&self, _: LogKey, _: &Collection, _: Option<&EntityKey>, _: usize) -> Result<HeadPage, StoreError> {
        Ok(HeadPage { heads: Vec::new(), more: false })
    }

    async fn snapshot(&self, _: LogKey, _: Seq) -> Result<Option<Snapshot>, StoreError> {
        Ok(None)
    }

    async fn nodes(&self, _: LogKey, _: &NodeQuery, _: usize) -> Result<NodePage, StoreError> {
        Ok(NodePage::default())
    }

    async fn revisions(&self, _: LogKey, _: EntityId, _: Seq, _: usize) -> Result<Vec<Revision>, StoreError> {
        Ok(Vec::new())
    }

    async fn logs(&self, _: BucketId, _: Option<LogId>, _: usize) -> Result<Vec<LogSummary>, StoreError> {
        Ok(Vec::new())
    }
}

#[test]
fn a_call_replays_at_most_a_million_ops_and_a_full_state_of_bytes() {
    let restore = |ops: u64| {
        let seen = Long(ops).bounds().end();
        let call = Call::Restore { log: log(1).log, to: seq(ops), seen, request: RequestId::from_bytes([1; 16]) };
        asks(Long(ops), call)
    };
    let max = limits::REPLAY_OPS_MAX;
    // At the limit it goes on to read, and finds that this log has no ops.
    assert_eq!((restore(max - 1), restore(max)), (Err(ErrorCode::GapHole), Err(ErrorCode::GapHole)));
    assert_eq!(restore(max + 1), Err(ErrorCode::ReplayTooLarge));

    // Per entity 7 for the collection with its length, 16 for its id, 4 for the length of a state of this size; 11 are
    // kept for the head of the whole.
    let (parts, around) = (4, 7 + 16 + 4);
    check(limits::REPLAY_BYTES_MAX, &ReplayStop::TooLarge { seq: seq(9) }, |bytes| {
        let mut author = Author::new(1);
        let mut state = LogState::default();
        let states = bytes - 11 - parts * around;
        for entity in 0..parts {
            let size = if entity == 0 { states - (parts - 1) * (states / parts) } else { states / parts };
            let subject = entity_subject("append", u8::try_from(entity).expect("few"));
            let op = author.draft(OpKind::Create, subject, Payload::Plain(vec![0; size].into())).seal().expect("good");
            let anchor = Anchor::genesis(log(1), Origin([1; 16]));
            let (accepted_at, op) = (env(0).now, op.raw().clone());
            state.apply(&LoggedOp { seq: seq(9), anchor, accepted_at, batch_rest: 0, op }, &schema())?;
        }
        assert!(state.to_bytes().len() <= limits::REPLAY_BYTES_MAX, "what fits in memory fits in a full-state op");
        Ok(())
    });
}

#[test]
fn a_full_log_takes_no_more_ops() {
    let store = MemoryStore::new();
    let key = log(1);
    let rule = move |_: &View| {
        let mut bounds = LogBounds::new(key, Origin([1; 16]), env(0).now);
        (bounds.first, bounds.last) = (Seq::MAX, Seq::MAX);
        Choice::Done((), Some(LogWrites::new(key, bounds).alone()))
    };
    let refused = poll_to_end(store.decide(Scope::log(key, Reads::default()), rule)).map_err(|error| error.kind());
    assert_eq!(refused, Err(StoreErrorKind::Fault), "no log gets there but op by op");
    let mut view = View::new();
    view.log_mut(key).bounds = Some(Long(Seq::MAX.get()).bounds());
    let op = Author::new(1).op(OpKind::Create, "merge", 1, "x");
    let upload = support::plain(key, std::slice::from_ref(&op));
    let Choice::Done(uploaded, writes) = syncline::decide::upload(&upload, &schema(), &env(0), &view) else {
        panic!("nothing more to read");
    };
    assert_eq!(support::verdicts(uploaded), [Verdict::Rejected { reason: RejectReason::BatchAborted }]);
    assert!(writes.is_none_or(|writes| writes.logs[0].ops.is_empty()));
}

/// Says that each op moved so many bytes.
#[derive(Debug)]
struct Heavy(u64);

impl Reducer for Heavy {
    fn reduce(&self, state: &mut Option<Vec<u8>>, _: &Change<'_>) -> Result<(), ReduceError> {
        *state = Some(Vec::new());
        Ok(())
    }

    fn work(&self, _: usize, _: &Change<'_>) -> u64 {
        self.0
    }
}

/// One op may always be applied; what it moved decides about the next.
#[test]
fn a_replay_that_rewrites_a_large_state_again_and_again_ends_in_time() {
    let replays = |moved: u64| {
        let store = Arc::new(MemoryStore::new());
        let mut author = Author::new(1);
        for entity in 1..=2 {
            poll_to_end(support::push(&*store, log(1), &[author.op(OpKind::Create, "append", entity, "x")]));
        }
        let seen = poll_to_end(support::bounds(&*store, log(1))).end();
        let rules = Rules { policy: ConflictPolicy::Append, reducer: Arc::new(Heavy(moved)) };
        let server = Server::new(store, Arc::new(MemoryFanout::new()), Schema::new(rules));
        let call = Call::Restore { log: log(1).log, to: seq(2), seen, request: RequestId::from_bytes([1; 16]) };
        let caller = Caller::operator(log(1).bucket);
        poll_to_end(server.handle(&caller, call, env(1))).map(drop).map_err(|refusal| refusal.code)
    };
    let max = limits::REPLAY_WORK_BYTES_MAX;
    assert_eq!((replays(0), replays(max - 1)), (Ok(()), Ok(())));
    assert_eq!((replays(max), replays(max + 1)), (Err(ErrorCode::ReplayTooLarge), Err(ErrorCode::ReplayTooLarge)));
}
