//! Restore: the state at an earlier seq becomes the present one, can be taken back, and deletes nothing.

use crate::common::seq;
use crate::*;
use syncline::conformance::author::entity_subject;
use syncline::conformance::support::{accepted, all_ops};
use syncline::oplog::{ConflictReason, FullStateKind, LogState, RestorePoint};
use syncline::{ReplicaId, limits};

fn restore(to: Seq, seen: Cursor, number: u8) -> Call {
    Call::Restore { log: LOG.log, to, seen, request: request(number) }
}

fn undo(seen: Cursor, number: u8) -> Call {
    Call::UndoRestore { log: LOG.log, seen, request: request(number) }
}

fn restored(reply: &Reply) -> (Seq, Cursor) {
    match reply {
        Reply::Restored { seq, end } => (*seq, *end),
        other => panic!("not a restore: {other:?}"),
    }
}

/// The state a reader of the whole log has.
fn state(world: &World) -> bytes::Bytes {
    let mut state = LogState::default();
    for op in poll_to_end(all_ops(&*world.store, LOG)) {
        state.apply(&op, &schema()).expect("applies");
    }
    state.to_bytes()
}

fn points(world: &World, limit: usize) -> Vec<RestorePoint> {
    match world.call(Call::RestorePoints { log: LOG.log, limit }) {
        Reply::RestorePoints(points) => points,
        other => panic!("not a listing: {other:?}"),
    }
}

#[test]
fn a_restore_brings_a_state_back_byte_for_byte_and_undo_takes_it_back() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 2));
    let early = state(&world);
    world.verdicts(&[edit(&mut author, 1, r#"{"late":1}"#), edit(&mut author, 2, "{}")]);
    let late = state(&world);
    let mut ear = world.listen();

    let (at, end) = restored(&world.call(restore(seq(2), world.end(), 1)));
    assert_eq!((at, end), (seq(5), world.end()));
    assert_eq!(heard(&mut *ear), Some(Signal::Wake { log: LOG, seq: seq(5) }));
    assert_eq!(state(&world), early);
    assert_eq!(poll_to_end(all_ops(&*world.store, LOG)).len(), 5, "nothing was deleted");

    let (at, _) = restored(&world.call(undo(world.end(), 2)));
    assert_eq!((at, state(&world)), (seq(6), late.clone()));
    let (at, _) = restored(&world.call(undo(world.end(), 3)));
    assert_eq!((at, state(&world)), (seq(7), early), "an undo is a restore, and can be undone");
    let (at, _) = restored(&world.call(restore(seq(6), world.end(), 4)));
    assert_eq!((at, state(&world)), (seq(8), late), "to a seq that is itself a restore");
}

#[test]
fn an_op_that_had_not_seen_the_restore_is_superseded() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 2));
    let up_to_date = edit(&mut author, 1, "{}");
    let stranger = edit(&mut Author::new(2), 7, "{}");
    world.call(restore(seq(1), world.end(), 1));
    for unaware in [up_to_date, stranger] {
        let verdicts = world.verdicts(&[unaware]);
        let superseded = matches!(verdicts[..], [Verdict::Conflict { reason: ConflictReason::Superseded, .. }]);
        assert!(superseded, "{verdicts:?}");
    }
    author.sees(&world.bounds().clock);
    assert_eq!(world.verdicts(&[edit(&mut author, 1, "{}")]), [accepted(4)], "one that has seen it stands");
}

#[test]
fn a_repeated_restore_restores_once() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 3));
    let seen = world.end();
    let first = restored(&world.call(restore(seq(1), seen, 1)));
    assert_eq!(restored(&world.call(restore(seq(1), seen, 1))), first, "although the log has moved on by it");
    author.sees(&world.bounds().clock);
    world.verdicts(&edits(&mut author, 1));
    assert_eq!(restored(&world.call(restore(seq(1), seen, 1))), first);
    assert_eq!(world.bounds().last, seq(5));
    for other in [restore(seq(2), seen, 1), restore(seq(1), world.end(), 1), undo(seen, 1)] {
        assert_eq!(world.code(other), ErrorCode::RequestIdReused);
    }
}

#[test]
fn a_restore_needs_the_log_where_the_caller_saw_it() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 2));
    let seen = world.end();
    world.verdicts(&edits(&mut author, 1));
    for call in [restore(seq(1), seen, 1), undo(seen, 2), restore(seq(1), Cursor::START, 3)] {
        let refusal = world.refused(call);
        assert_eq!((refusal.code, refusal.end), (ErrorCode::LogMoved, Some(world.end())));
    }
    assert_eq!(world.code(restore(seq(1), seen, 1)), ErrorCode::LogMoved, "and its request id is still free");
    world.call(restore(seq(1), world.end(), 1));
}

#[test]
fn a_restore_goes_to_a_seq_of_the_log() {
    let world = World::new();
    world.verdicts(&edits(&mut Author::new(1), 3));
    for (to, code) in [(0, ErrorCode::NoSuchSeq), (4, ErrorCode::NoSuchSeq), (Seq::MAX.get(), ErrorCode::NoSuchSeq)] {
        assert_eq!(world.code(restore(seq(to), world.end(), 1)), code, "to {to}");
    }
    for to in [1, 3] {
        let number = u8::try_from(to).expect("small");
        restored(&world.call(restore(seq(to), world.end(), number)));
    }
    let absent = Call::Restore { log: log(9).log, to: seq(1), seen: Cursor::START, request: request(9) };
    assert_eq!(world.code(absent), ErrorCode::LogNotFound);
}

#[test]
fn only_a_restore_at_the_very_end_is_undone() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 2));
    assert_eq!(world.code(undo(world.end(), 1)), ErrorCode::NothingToUndo);
    let first = author.full_state(FullStateKind::Initial, LogState::default().to_bytes(), Default::default());
    world.verdicts(&[first]);
    assert_eq!(world.code(undo(world.end(), 1)), ErrorCode::NothingToUndo, "a log's first content is no restore");
    world.call(restore(seq(1), world.end(), 2));
    author.sees(&world.bounds().clock);
    assert!(matches!(world.verdicts(&edits(&mut author, 1))[..], [Verdict::Accepted { .. }]));
    assert_eq!(world.code(undo(world.end(), 3)), ErrorCode::NothingToUndo, "somebody wrote after it");
}

#[test]
fn a_history_that_cannot_be_read_here_is_not_restored() {
    // (payload, kind, schema version, code)
    let sealed = || Payload::Sealed(bytes::Bytes::from_static(b"?"));
    let json = |text: &'static str| Payload::Json(text.into());
    let rows = [
        (sealed(), OpKind::Update, 1, ErrorCode::SealedHistory),
        (json("{}"), OpKind::Other(99), 1, ErrorCode::UnknownHistory),
        (json("{}"), OpKind::Update, 2, ErrorCode::UnknownHistory),
        (json("[]"), OpKind::Update, 1, ErrorCode::UnknownHistory),
    ];
    for (payload, kind, schema_version, code) in rows {
        let world = World::new();
        let mut author = Author::new(1);
        world.verdicts(&edits(&mut author, 1));
        let draft = author.draft(kind, entity_subject("causal", 1), payload);
        let op = syncline::oplog::Draft { schema_version, ..draft }.seal().expect("a good draft");
        assert_eq!(world.verdicts(&[op]), [accepted(2)], "stored and relayed unread");
        let end = world.end();
        assert_eq!(world.code(restore(seq(2), end, 1)), code);
        assert_eq!(world.end(), end);
        restored(&world.call(restore(seq(1), end, 1)));
    }
}

#[test]
fn a_state_that_outgrew_a_full_state_op_is_not_restored() {
    let world = World::new();
    let mut author = Author::new(1);
    let size = limits::REPLAY_BYTES_MAX / 5;
    for entity in 0..=5 {
        let payload = Payload::Plain(vec![b'x'; size].into());
        let op = author.draft(OpKind::Create, entity_subject("append", entity), payload);
        world.verdicts(&[op.seal().expect("a good draft")]);
    }
    assert!(6 * size > limits::REPLAY_BYTES_MAX && 4 * size < limits::REPLAY_BYTES_MAX);
    assert_eq!(world.code(restore(seq(6), world.end(), 1)), ErrorCode::ReplayTooLarge);
    restored(&world.call(restore(seq(4), world.end(), 2)));
}

#[test]
fn what_was_pruned_is_not_restored() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 4));
    world.prune_before(seq(3));
    assert_eq!(world.code(restore(seq(2), world.end(), 1)), ErrorCode::GapPruned);
    assert_eq!(world.code(restore(seq(4), world.end(), 1)), ErrorCode::GapPruned, "its beginning is gone too");
}

#[test]
fn restore_points_are_listed_newest_first_within_limits() {
    let world = World::new();
    let mut author = Author::new(1);
    let import = author.full_state(FullStateKind::Initial, LogState::default().to_bytes(), Default::default());
    world.verdicts(std::slice::from_ref(&import));
    world.verdicts(&edits(&mut author, 1));
    world.call(restore(seq(1), world.end(), 1));
    let all = points(&world, limits::LIST_ITEMS_MAX);
    let found: Vec<_> = all.iter().map(|point| (point.seq, point.kind, point.replica)).collect();
    let expected =
        [(seq(3), FullStateKind::Recovery, ReplicaId::SERVER), (seq(1), FullStateKind::Initial, author.replica())];
    assert_eq!(found, expected);
    assert_eq!((all[1].op, all[1].hlc), (import.id(), import.hlc()));
    assert_eq!(points(&world, 1), all[..1]);
    for limit in [0, limits::LIST_ITEMS_MAX + 1] {
        assert_eq!(world.code(Call::RestorePoints { log: LOG.log, limit }), ErrorCode::LimitOutOfRange);
    }
}
