//! What becomes of one op, through the store.

use std::sync::Arc;

use super::author::{Author, entity_key, entity_subject};
use super::support::{accepted, all_ops, bounds, log, plain, push, upload, verdicts};
use crate::decide::Upload;
use crate::id::EntityId;
use crate::oplog::{
    ConflictReason, Draft, FullStateKind, LogState, OpKind, Payload, Precondition, RejectReason, Subject, Verdict,
};
use crate::seq::Seq;
use crate::store::{Store, StoreExt};

fn conflict(verdict: &Verdict) -> Option<ConflictReason> {
    match verdict {
        Verdict::Conflict { reason, .. } => Some(*reason),
        _ => None,
    }
}

fn rejected(reason: RejectReason) -> Verdict {
    Verdict::Rejected { reason }
}

fn seq(value: u64) -> Seq {
    Seq::new(value).expect("in range")
}

/// A retry is harmless.
pub async fn an_op_is_accepted_once_and_then_a_duplicate(store: Arc<dyn Store>) {
    let op = Author::new(1).op(OpKind::Create, "causal", 1, "a");
    assert_eq!(push(&*store, log(1), std::slice::from_ref(&op)).await, [accepted(1)]);
    let twice = push(&*store, log(1), &[op.clone(), op]).await;
    assert_eq!(twice, vec![Verdict::Duplicate { seq: seq(1) }; 2]);
    assert_eq!(all_ops(&*store, log(1)).await.len(), 1);
}

/// One id, one effect, for ever.
pub async fn the_same_id_with_other_content_is_refused(store: Arc<dyn Store>) {
    let op = Author::new(1).op(OpKind::Create, "causal", 1, "a");
    let forged = Draft { payload: Payload::Plain("b".into()), ..op.draft().clone() }.seal().unwrap();
    let other_form = Draft { payload: Payload::Sealed("a".into()), ..op.draft().clone() }.seal().unwrap();
    assert_eq!(
        push(&*store, log(1), &[op.clone(), forged.clone()]).await,
        [accepted(1), rejected(RejectReason::OpIdReused)]
    );
    assert_eq!(
        push(&*store, log(1), &[forged, other_form, op.clone()]).await,
        [rejected(RejectReason::OpIdReused), rejected(RejectReason::OpIdReused), Verdict::Duplicate { seq: seq(1) }]
    );
    assert_eq!(all_ops(&*store, log(1)).await[0].op, *op.raw());
}

/// A conflict in the middle does not move the others.
pub async fn a_batch_gets_one_verdict_per_op_in_order(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    push(&*store, log(1), &[one.op(OpKind::Create, "causal", 1, "a")]).await;
    let batch = [
        two.op(OpKind::Create, "causal", 2, "b"),
        two.op(OpKind::Update, "causal", 1, "lost"),
        two.op(OpKind::Create, "causal", 3, "c"),
    ];
    let verdicts = push(&*store, log(1), &batch).await;
    assert_eq!(verdicts[0], accepted(2));
    assert_eq!(conflict(&verdicts[1]), Some(ConflictReason::Concurrent));
    assert_eq!(verdicts[2], accepted(3));
}

/// Preconditions inside a batch are those after the ops before.
pub async fn an_op_sees_what_the_ops_before_it_in_the_batch_did(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let batch = [
        author.op_if(OpKind::Create, "precondition", 1, "a", Precondition::Absent),
        author.op_if(OpKind::Update, "precondition", 1, "b", Precondition::Version(seq(1))),
        author.op_if(OpKind::Update, "precondition", 1, "c", Precondition::Version(seq(1))),
        author.op_if(OpKind::Delete, "precondition", 1, "", Precondition::Version(seq(2))),
        author.op_if(OpKind::Create, "precondition", 1, "d", Precondition::Absent),
    ];
    let verdicts = push(&*store, log(1), &batch).await;
    assert_eq!(verdicts[..2], [accepted(1), accepted(2)]);
    assert_eq!(conflict(&verdicts[2]), Some(ConflictReason::VersionMismatch));
    assert_eq!(verdicts[3..], [accepted(3), accepted(4)]);
}

/// All or nothing, and the op at fault is named.
pub async fn an_atomic_batch_lands_whole_or_not_at_all(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let good = author.op(OpKind::Create, "append", 1, "a");
    let bad = author.op(OpKind::Update, "append", 2, "b");
    let atomic = Upload { atomic: true, ..plain(log(1), &[good.clone(), bad]) };
    assert_eq!(
        verdicts(upload(&*store, atomic).await),
        [rejected(RejectReason::BatchAborted), rejected(RejectReason::AppendOnly)]
    );
    assert_eq!(store.bounds(log(1)).await.unwrap(), None, "an aborted batch leaves not even a log");
    let mut twice = Author::new(1);
    let twice = [twice.op(OpKind::Create, "append", 1, "a"), twice.op(OpKind::Create, "append", 1, "b")];
    let atomic = Upload { atomic: true, ..plain(log(1), &twice) };
    assert_eq!(
        verdicts(upload(&*store, atomic).await)[1],
        Verdict::Conflict { reason: ConflictReason::Exists, head: None }
    );
    let mut author = Author::new(1);
    let batch = [author.op(OpKind::Create, "append", 1, "a"), author.op(OpKind::Create, "append", 2, "b")];
    let atomic = Upload { atomic: true, ..plain(log(1), &batch) };
    assert_eq!(verdicts(upload(&*store, atomic).await), [accepted(1), accepted(2)]);
    let rests: Vec<u32> = all_ops(&*store, log(1)).await.iter().map(|logged| logged.batch_rest).collect();
    assert_eq!(rests, [1, 0], "readers can tell where the batch ends");
}

/// Super Productivity's table, through a store.
pub async fn causal_ops_must_have_seen_what_they_change(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    push(&*store, log(1), &[one.op(OpKind::Create, "causal", 1, "a")]).await;
    let concurrent = push(&*store, log(1), &[two.op(OpKind::Update, "causal", 1, "b")]).await;
    assert_eq!(conflict(&concurrent[0]), Some(ConflictReason::Concurrent));
    two.sees(one.clock());
    assert_eq!(push(&*store, log(1), &[two.op(OpKind::Update, "causal", 1, "c")]).await, [accepted(2)]);
    let stale = push(&*store, log(1), &[one.op(OpKind::Update, "causal", 1, "d")]).await;
    let Verdict::Conflict { head: Some(head), .. } = &stale[0] else { unreachable!("{stale:?}") };
    assert_eq!((head.version, head.replica), (seq(2), two.replica()), "the author is told what is there");
}

/// TinySync's rule.
pub async fn the_first_write_whose_precondition_holds_wins(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    push(&*store, log(1), &[one.op_if(OpKind::Create, "precondition", 1, "a", Precondition::Absent)]).await;
    let version = Precondition::Version(seq(1));
    let first = push(&*store, log(1), &[one.op_if(OpKind::Update, "precondition", 1, "b", version)]).await;
    let second = push(&*store, log(1), &[two.op_if(OpKind::Update, "precondition", 1, "c", version)]).await;
    assert_eq!(first, [accepted(2)]);
    assert_eq!(conflict(&second[0]), Some(ConflictReason::VersionMismatch));
    let none = push(&*store, log(1), &[two.op(OpKind::Update, "precondition", 1, "d")]).await;
    assert_eq!(none, [rejected(RejectReason::PreconditionRequired)]);
}

/// Chat and audit.
pub async fn appended_entities_never_change(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    assert_eq!(push(&*store, log(1), &[author.op(OpKind::Create, "append", 1, "a")]).await, [accepted(1)]);
    let again = push(&*store, log(1), &[author.op(OpKind::Create, "append", 1, "b")]).await;
    assert_eq!(conflict(&again[0]), Some(ConflictReason::Exists));
    let update = push(&*store, log(1), &[author.op(OpKind::Update, "append", 1, "c")]).await;
    assert_eq!(update, [rejected(RejectReason::AppendOnly)]);
}

/// Deleted is a state, not an absence.
pub async fn a_delete_leaves_a_tombstone_that_judges(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    push(&*store, log(1), &[one.op(OpKind::Create, "causal", 1, "a"), one.op(OpKind::Delete, "causal", 1, "")]).await;
    let head = store.head(log(1), &entity_key("causal", 1)).await.unwrap().expect("a tombstone");
    assert!(head.is_deleted());
    let late = push(&*store, log(1), &[two.op(OpKind::Update, "causal", 1, "b")]).await;
    assert_eq!(conflict(&late[0]), Some(ConflictReason::Concurrent));
    assert_eq!(push(&*store, log(1), &[one.op(OpKind::Create, "causal", 1, "again")]).await, [accepted(3)]);
}

/// S8, C8, C9: clones and restored devices are found out.
pub async fn a_counter_that_skips_or_repeats_is_refused(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let mut clone = author.clone();
    push(&*store, log(1), &[author.op(OpKind::Create, "merge", 1, "a")]).await;
    let _ = clone.op(OpKind::Create, "merge", 9, "not sent");
    clone.counter_is(0);
    let reused = push(&*store, log(1), &[clone.op(OpKind::Create, "merge", 2, "b")]).await;
    assert_eq!(reused, [rejected(RejectReason::CounterReused { last: 1 })]);
    for gap in [3, 1 << 40, crate::limits::CLOCK_COUNTER_MAX] {
        author.counter_is(gap - 1);
        let skipped = push(&*store, log(1), &[author.op(OpKind::Create, "merge", 3, "c")]).await;
        assert_eq!(skipped, [rejected(RejectReason::CounterGap { expected: 2 })]);
    }
    author.counter_is(1);
    let nameless =
        Draft { clock: crate::VectorClock::new(), ..author.op(OpKind::Create, "merge", 4, "").draft().clone() };
    let verdict = push(&*store, log(1), &[nameless.seal().unwrap()]).await;
    assert_eq!(verdict, [rejected(RejectReason::ReplicaMissingFromClock)]);
}

/// S9.
pub async fn a_clock_names_only_what_the_log_has(store: Arc<dyn Store>) {
    let (mut one, mut two, mut three) = (Author::new(1), Author::new(2), Author::new(3));
    push(&*store, log(1), &[one.op(OpKind::Create, "causal", 1, "a")]).await;
    let _ = three.op(OpKind::Create, "causal", 9, "never sent");
    two.sees(three.clock());
    let unknown = push(&*store, log(1), &[two.op(OpKind::Create, "causal", 2, "b")]).await;
    assert_eq!(unknown, [rejected(RejectReason::UnknownReplica)]);
    let mut two = Author::new(2);
    one.counter_is(50);
    two.sees(one.clock());
    let ahead = push(&*store, log(1), &[two.op(OpKind::Create, "causal", 2, "b")]).await;
    assert_eq!(ahead, [rejected(RejectReason::ClockAhead)]);
}

/// An op that lost does not stand in the way of the ops behind it.
pub async fn a_conflict_spends_the_authors_counter(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    push(&*store, log(1), &[one.op(OpKind::Create, "causal", 1, "a")]).await;
    let lost = two.op(OpKind::Update, "causal", 1, "lost");
    let behind = two.op(OpKind::Create, "causal", 2, "b");
    let verdicts = push(&*store, log(1), &[lost, behind]).await;
    assert_eq!(conflict(&verdicts[0]), Some(ConflictReason::Concurrent));
    assert_eq!(verdicts[1], accepted(2));
    assert_eq!(bounds(&*store, log(1)).await.clock.get(two.replica()), 2);
}

/// An import replaces the log; who did not know of it is told and can write anew.
pub async fn a_full_state_supersedes_what_had_not_seen_it(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    push(&*store, log(1), &[one.op(OpKind::Create, "causal", 1, "a"), one.op(OpKind::Create, "causal", 2, "b")]).await;
    two.sees(one.clock());
    let import = two.full_state(FullStateKind::Recovery, LogState::default().to_bytes(), Precondition::None);
    assert_eq!(push(&*store, log(1), &[import]).await, [accepted(3)]);
    let unaware = push(&*store, log(1), &[one.op(OpKind::Update, "causal", 1, "c")]).await;
    assert_eq!(conflict(&unaware[0]), Some(ConflictReason::Superseded));
    let version = Precondition::Version(seq(1));
    let by_version = push(&*store, log(1), &[one.op_if(OpKind::Update, "precondition", 1, "c", version)]).await;
    assert_eq!(conflict(&by_version[0]), Some(ConflictReason::VersionMismatch));
    one.sees(two.clock());
    assert_eq!(push(&*store, log(1), &[one.op(OpKind::Update, "causal", 1, "d")]).await, [accepted(4)]);
    assert_eq!(bounds(&*store, log(1)).await.full_state.map(|mark| mark.seq), Some(seq(3)));
}

/// It stands for a history; what was written beside that, and offered later, is no older for it.
pub async fn what_a_log_begins_with_replaces_nothing(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    let first = one.full_state(FullStateKind::Initial, LogState::default().to_bytes(), Precondition::Absent);
    assert_eq!(push(&*store, log(1), &[first]).await, [accepted(1)]);
    let beside = two.op(OpKind::Create, "causal", 1, "a");
    assert_eq!(push(&*store, log(1), &[beside]).await, [accepted(2)]);
}

/// Whoever holds the ops that it stands for may still bring them.
pub async fn a_state_that_comes_too_late_to_begin_a_log_spends_no_counter(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    let begun = two.op(OpKind::Create, "causal", 1, "a");
    assert_eq!(push(&*store, log(1), &[begun]).await, [accepted(1)]);
    let late = one.full_state(FullStateKind::Initial, LogState::default().to_bytes(), Precondition::Absent);
    let verdict = push(&*store, log(1), &[late]).await;
    assert_eq!(conflict(&verdict[0]), Some(ConflictReason::Exists));
    let still = Author::new(1).op(OpKind::Create, "causal", 2, "b");
    assert_eq!(push(&*store, log(1), &[still]).await, [accepted(2)]);
}

/// Of two devices that seed an empty log, one wins.
pub async fn only_one_replica_seeds_a_log(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    let state = LogState::default().to_bytes();
    let first = one.full_state(FullStateKind::Initial, state.clone(), Precondition::None);
    let second = two.full_state(FullStateKind::Initial, state.clone(), Precondition::None);
    assert_eq!(push(&*store, log(1), &[first]).await, [accepted(1)]);
    let late = push(&*store, log(1), &[second]).await;
    assert_eq!(conflict(&late[0]), Some(ConflictReason::AlreadySeeded));
    let repair = one.full_state(FullStateKind::Repair, state.clone(), Precondition::None);
    assert_eq!(push(&*store, log(1), &[repair]).await, [rejected(RejectReason::PreconditionRequired)]);
    let repair = one.full_state(FullStateKind::Repair, state.clone(), Precondition::Version(seq(1)));
    let not_alone = [repair, one.op(OpKind::Create, "causal", 1, "a")];
    let verdicts = push(&*store, log(2), &not_alone).await;
    assert_eq!(verdicts[0], rejected(RejectReason::FullStateNotAlone));
}

/// Super Productivity #8334: only the first entity was looked up.
pub async fn an_op_about_several_entities_is_accepted_for_all_or_none(store: Arc<dyn Store>) {
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    push(&*store, log(1), &[one.op(OpKind::Create, "causal", 2, "a")]).await;
    let subject = Subject::Entity { key: entity_key("causal", 1), also: vec![EntityId::from_bytes([2; 16])] };
    let op = two.draft(OpKind::Batch, subject.clone(), Payload::Plain("b".into())).seal().unwrap();
    let verdict = push(&*store, log(1), &[op]).await;
    assert_eq!(conflict(&verdict[0]), Some(ConflictReason::Concurrent));
    assert_eq!(store.head(log(1), &entity_key("causal", 1)).await.unwrap(), None);
    two.sees(one.clock());
    let op = two.draft(OpKind::Batch, subject, Payload::Plain("b".into())).seal().unwrap();
    assert_eq!(push(&*store, log(1), &[op]).await, [accepted(2)]);
    for entity in [1, 2] {
        let head = store.head(log(1), &entity_key("causal", entity)).await.unwrap().expect("a head");
        assert_eq!(head.version, seq(2));
    }
}

/// Nobody writes the engine's own collections.
pub async fn system_collections_are_reserved(store: Arc<dyn Store>) {
    let op = Author::new(1).op(OpKind::Create, "sys.token", 1, "{}");
    assert_eq!(push(&*store, log(1), &[op]).await, [rejected(RejectReason::ReservedCollection)]);
}

/// R12: what is not understood is kept and passed on.
pub async fn unknown_kinds_and_schema_versions_are_stored_and_relayed(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let draft = author.draft(OpKind::Other(200), entity_subject("merge", 1), Payload::Plain(vec![0, 255].into()));
    let strange = Draft { schema_version: 65_535, ..draft }.seal().unwrap();
    assert_eq!(push(&*store, log(1), std::slice::from_ref(&strange)).await, [accepted(1)]);
    assert_eq!(all_ops(&*store, log(1)).await[0].op.read().unwrap(), strange);
}

/// R13: what the other devices cannot open does not get in, and the author keeps id and counter to seal it again.
pub async fn the_first_envelope_sets_the_key_epoch_and_others_are_refused(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let mut sealed = |entity, epoch: u32| {
        let payload = envelope(epoch);
        author.draft(OpKind::Create, entity_subject("causal", entity), payload).seal().unwrap()
    };
    let (foreign, first, stale) = (sealed(1, 0), sealed(2, 3), sealed(3, 2));
    assert_eq!(push(&*store, log(1), &[foreign]).await, [accepted(1)]);
    assert_eq!(bounds(&*store, log(1)).await.key_epoch, 0);
    assert_eq!(push(&*store, log(1), &[first]).await, [accepted(2)]);
    assert_eq!(bounds(&*store, log(1)).await.key_epoch, 3);
    let refused = rejected(RejectReason::KeyEpochStale { current: 3 });
    assert_eq!(push(&*store, log(1), std::slice::from_ref(&stale)).await[0], refused);
    let again = |epoch| Draft { payload: envelope(epoch), ..stale.draft().clone() }.seal().unwrap();
    assert_eq!(push(&*store, log(1), &[again(0)]).await, [refused]);
    let ahead = rejected(RejectReason::KeyEpochAhead { current: 3 });
    assert_eq!(push(&*store, log(1), &[again(4)]).await, [ahead]);
    assert_eq!(push(&*store, log(1), &[again(3)]).await, [accepted(3)]);
}

fn envelope(epoch: u32) -> Payload {
    let head = crate::seal::EnvelopeHead::new(1, epoch).map(crate::seal::EnvelopeHead::to_bytes);
    Payload::Sealed(head.map_or_else(|| "another program's".into(), |head| bytes::Bytes::copy_from_slice(&head)))
}
