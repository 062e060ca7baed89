//! Push: refusals before anything is judged, and the verdicts of faulty or hostile batches.

use crate::common::seq;
use crate::*;
use syncline::conformance::author::{entity_key, entity_subject};
use syncline::conformance::support::accepted;
use syncline::oplog::{ConflictReason, Draft, FullStateKind, LogState, Precondition};
use syncline::{ReplicaId, limits};

#[test]
fn a_push_makes_the_log_and_pull_gives_it_back_byte_for_byte() {
    let world = World::new();
    let ops = edits(&mut Author::new(1), 3);
    assert_eq!(world.verdicts(&ops), [accepted(1), accepted(2), accepted(3)]);
    let Reply::Pulled(page) = world.call(pull(LOG.log, Cursor::START)) else { panic!("not a page") };
    let bytes: Vec<_> = page.ops.iter().map(|op| op.op.bytes().clone()).collect();
    assert_eq!(bytes, ops.iter().map(|op| op.bytes().clone()).collect::<Vec<_>>());
    assert_eq!((page.next, page.end, page.more), (world.end(), seq(3), false));
    assert_eq!(page.follows(LOG, Cursor::START), Ok(()));
}

#[test]
fn a_batch_has_one_to_a_thousand_ops() {
    let world = World::new();
    let mut author = Author::new(1);
    assert_eq!(world.code(Call::Push(push(&[]))), ErrorCode::BatchSize);
    let ops = edits(&mut author, limits::BATCH_OPS_MAX + 1);
    assert_eq!(world.code(Call::Push(push(&ops))), ErrorCode::BatchSize);
    assert_eq!(world.verdicts(&ops[..limits::BATCH_OPS_MAX - 1]).len(), limits::BATCH_OPS_MAX - 1);
    assert_eq!(world.verdicts(&ops[..limits::BATCH_OPS_MAX]).len(), limits::BATCH_OPS_MAX);
    assert_eq!(world.bounds().last, seq(1_000));
}

#[test]
fn fault_w01_a_batch_delivered_twice_has_one_effect() {
    let world = World::new();
    let ops = edits(&mut Author::new(1), 2);
    let first = Push { request: Some(request(1)), ..push(&ops) };
    let once = world.pushes(first.clone());
    let twice = world.pushes(first);
    assert_eq!((once.replayed, twice.replayed), (false, true));
    assert_eq!(once.verdicts, twice.verdicts, "under its request id it gets the first answer");
    let duplicates = [1, 2].map(|number| Verdict::Duplicate { seq: seq(number) });
    assert_eq!(world.verdicts(&ops), duplicates, "without one, the places its ops have");
    assert_eq!(world.bounds().last, seq(2));
}

#[test]
fn a_request_id_stands_for_one_push() {
    let world = World::new();
    let ops = edits(&mut Author::new(1), 2);
    world.pushes(Push { request: Some(request(1)), ..push(&ops[..1]) });
    for other in [push(&ops), push(&ops[1..]), Push { atomic: true, ..push(&ops[..1]) }] {
        let call = Call::Push(Push { request: Some(request(1)), ..other });
        assert_eq!(world.code(call), ErrorCode::RequestIdReused);
    }
    assert_eq!(world.bounds().last, seq(1));
}

#[test]
fn fault_s04_part_of_a_batch_conflicts_and_the_rest_is_dense() {
    let world = World::new();
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    world.verdicts(&[edit(&mut one, 1, "{}")]);
    // Two has not seen entity 1: its edit of it is concurrent, its other edits are not touched by that.
    let batch = [edit(&mut two, 2, "{}"), edit(&mut two, 1, "{}"), edit(&mut two, 3, "{}")];
    let verdicts = world.verdicts(&batch);
    assert_eq!((&verdicts[0], &verdicts[2]), (&accepted(2), &accepted(3)));
    let Verdict::Conflict { reason: ConflictReason::Concurrent, head: Some(head) } = &verdicts[1] else {
        panic!("{verdicts:?}");
    };
    assert_eq!((head.version, head.replica), (seq(1), one.replica()));
}

#[test]
fn fault_s04_an_atomic_batch_lands_whole_or_leaves_no_trace() {
    let world = World::new();
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    world.verdicts(&[edit(&mut one, 1, "{}")]);
    let before = world.bounds();
    let good = edit(&mut two, 2, "{}");
    let batch = [good.clone(), good.clone(), edit(&mut two, 1, "{}")];
    let verdicts = world.pushes(Push { atomic: true, ..push(&batch) }).verdicts;
    let aborted = rejected(RejectReason::BatchAborted);
    assert_eq!(&verdicts[..2], [aborted.clone(), aborted], "a repeated op is nowhere either");
    assert!(matches!(verdicts[2], Verdict::Conflict { .. }));
    assert_eq!(world.bounds(), before);
    let whole = world.pushes(Push { atomic: true, ..push(&[good, edit(&mut Author::new(3), 3, "{}")]) });
    assert_eq!(whole.verdicts, [accepted(2), accepted(3)]);
    let Reply::Pulled(page) = world.call(pull(LOG.log, before.end())) else { panic!("not a page") };
    assert_eq!(page.ops.iter().map(|op| op.batch_rest).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn fault_s05_forged_replica_is_refused() {
    let world = World::new();
    let bound = Caller { replica: Some(Author::new(1).replica()), ..operator() };
    let mine = edit(&mut Author::new(1), 1, "{}");
    let forged = edit(&mut Author::new(2), 1, "{}");
    let refusal = world.ask(&bound, Call::Push(push(&[mine.clone(), forged]))).expect_err("refused");
    assert_eq!((refusal.code, refusal.index), (ErrorCode::ForbiddenReplica, Some(1)));
    assert_eq!(world.code(Call::Status(LOG.log)), ErrorCode::LogNotFound, "nothing of the batch was stored");
    world.ask(&bound, Call::Push(push(&[mine]))).expect("its own op");

    let as_server = Draft { replica: ReplicaId::SERVER, ..edit(&mut Author::new(1), 2, "{}").draft().clone() };
    let refusal = world.refused(Call::Push(push(&[as_server.seal().expect("a good draft")])));
    assert_eq!((refusal.code, refusal.index), (ErrorCode::ForbiddenReplica, Some(0)), "not even an operator");
}

#[test]
fn fault_s08_hostile_counters_are_refused() {
    // (counter of the op, verdict) after two ops of the same author
    let rows = [
        (0, rejected(RejectReason::ReplicaMissingFromClock)),
        (1, rejected(RejectReason::CounterReused { last: 2 })),
        (2, rejected(RejectReason::CounterReused { last: 2 })),
        (4, rejected(RejectReason::CounterGap { expected: 3 })),
        (1 << 40, rejected(RejectReason::CounterGap { expected: 3 })),
        (limits::CLOCK_COUNTER_MAX, rejected(RejectReason::CounterGap { expected: 3 })),
        (3, accepted(3)),
    ];
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 2));
    for (counter, expected) in rows {
        let mut draft = edit(&mut author, 1, "{}").draft().clone();
        draft.clock.set(draft.replica, counter).expect("in range");
        let op = draft.seal().expect("a good draft");
        assert_eq!(world.verdicts(&[op]), [expected], "counter {counter}");
    }
}

#[test]
fn fault_s09_a_clock_that_names_strangers_is_refused() {
    let world = World::new();
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    world.verdicts(&edits(&mut one, 2));
    // (whom the clock names, how far, verdict)
    let rows = [
        (3, 1, rejected(RejectReason::UnknownReplica)),
        (1, 3, rejected(RejectReason::ClockAhead)),
        (1, 2, accepted(3)),
    ];
    for (number, counter, expected) in rows {
        let mut draft = edit(&mut two, 1, "{}").draft().clone();
        draft.clock.set(draft.replica, 1).expect("in range");
        draft.clock.set(Author::new(number).replica(), counter).expect("in range");
        assert_eq!(world.verdicts(&[draft.seal().expect("a good draft")]), [expected], "replica {number} at {counter}");
    }
}

#[test]
fn fault_s10_an_op_id_with_other_content_is_refused() {
    let world = World::new();
    let mut author = Author::new(1);
    let op = edit(&mut author, 1, "{}");
    let other = Draft { payload: Payload::Json("{\"a\":1}".into()), ..op.draft().clone() }.seal().expect("good");
    let reused = rejected(RejectReason::OpIdReused);
    assert_eq!(world.verdicts(&[op.clone(), other.clone()]), [accepted(1), reused.clone()], "in one batch");
    assert_eq!(world.verdicts(&[other, op]), [reused, Verdict::Duplicate { seq: seq(1) }], "in another");
}

#[test]
fn fault_s11_an_op_id_has_its_one_effect_after_the_op_was_pruned() {
    let world = World::new();
    let ops = edits(&mut Author::new(1), 4);
    world.verdicts(&ops);
    world.prune_before(seq(4));
    assert_eq!(world.verdicts(&ops[..1]), [Verdict::Duplicate { seq: seq(1) }]);
    assert_eq!(world.bounds().last, seq(4));
}

#[test]
fn full_states_come_alone_and_once_at_the_start() {
    let world = World::new();
    let empty = || LogState::default().to_bytes();
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    let seed = one.full_state(FullStateKind::Initial, empty(), Precondition::None);
    let beside = [seed.clone(), edit(&mut two, 1, "{}")];
    assert_eq!(world.verdicts(&beside)[0], rejected(RejectReason::FullStateNotAlone));
    assert_eq!(world.verdicts(&[seed]), [accepted(2)], "a log that has no full state may get its first");
    let seed = Author::new(3).full_state(FullStateKind::Initial, empty(), Precondition::None);
    let seeded = Verdict::Conflict { reason: ConflictReason::AlreadySeeded, head: None };
    assert_eq!(world.verdicts(&[seed]), [seeded]);
    let repair = Author::new(4).full_state(FullStateKind::Repair, empty(), Precondition::None);
    assert_eq!(world.verdicts(&[repair]), [rejected(RejectReason::PreconditionRequired)]);
    let repair = Author::new(5).full_state(FullStateKind::Repair, empty(), Precondition::Version(seq(2)));
    assert_eq!(world.verdicts(&[repair]), [accepted(3)], "for the very position it was computed from");
}

#[test]
fn system_collections_are_not_written_by_clients() {
    let world = World::new();
    let op = Author::new(1).draft(OpKind::Create, entity_subject("sys.token", 1), Payload::Json("{}".into()));
    let verdicts = world.verdicts(&[op.seal().expect("a good draft")]);
    assert_eq!(verdicts, [rejected(RejectReason::ReservedCollection)]);
    assert_eq!(entity_key("sys.token", 1).collection.as_str(), "sys.token");
}

#[test]
fn a_wake_follows_what_was_added_and_nothing_else() {
    let world = World::new();
    let mut ear = world.listen();
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    let first = Push { request: Some(request(1)), ..push(&edits(&mut one, 2)) };
    world.pushes(first.clone());
    assert_eq!(heard(&mut *ear), Some(Signal::Wake { log: LOG, seq: seq(2) }));
    assert_eq!(heard(&mut *ear), None, "one for the batch");
    world.pushes(first.clone());
    assert_eq!(heard(&mut *ear), None, "none for a repeated request");
    world.pushes(Push { request: None, ..first });
    assert_eq!(heard(&mut *ear), None, "none for duplicates");
    let verdicts = world.verdicts(&[edit(&mut two, 1, "{}")]);
    assert!(matches!(verdicts[..], [Verdict::Conflict { .. }]));
    assert_eq!(heard(&mut *ear), None, "none for a conflict");
}
