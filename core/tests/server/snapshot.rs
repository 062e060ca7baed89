//! Snapshots: equal to replay, pinned to a seq, renewed when stale, and checked when a client brings one.

use crate::common::seq;
use crate::*;
use syncline::conformance::author::entity_subject;
use syncline::conformance::support::{all_ops, side_by_side};
use syncline::oplog::{Draft, FullStateKind, LogState};
use syncline::{Anchor, Origin, VectorClock, limits};

/// The snapshot a client that replays the whole log up to a seq would make.
fn replayed(world: &World, to: u64) -> Snapshot {
    let (mut state, mut clock, mut anchor) = (LogState::default(), VectorClock::new(), None);
    for logged in poll_to_end(all_ops(&*world.store, LOG)).into_iter().filter(|logged| logged.seq.get() <= to) {
        state.apply(&logged, &schema()).expect("applies");
        clock.join(logged.op.read().expect("reads").clock()).expect("few replicas");
        anchor = Some(logged.anchor);
    }
    let payload = Payload::Plain(state.to_bytes());
    Snapshot { seq: seq(to), anchor: anchor.expect("an op"), clock, schema_version: 1, payload }
}

fn offer(snapshot: &Snapshot) -> Call {
    Call::PutSnapshot { log: LOG.log, snapshot: Box::new(snapshot.clone()) }
}

fn sealed(snapshot: &Snapshot) -> Snapshot {
    Snapshot { payload: Payload::Sealed(bytes::Bytes::from_static(b"?")), ..snapshot.clone() }
}

const STALE: usize = 1_000;

#[test]
fn a_stale_snapshot_is_renewed_at_the_limit_and_equals_replay_byte_for_byte() {
    assert_eq!(limits::SNAPSHOT_STALE_OPS, STALE as u64);
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, STALE - 1));
    assert_eq!(world.snapshot(), None, "one op less: reading from the start is as good");
    world.verdicts(&edits(&mut author, 1));
    let first = world.snapshot().expect("a snapshot");
    assert_eq!(first, replayed(&world, 1_000));
    assert_eq!(world.bounds().snapshot, seq(1_000), "and it was kept");

    world.verdicts(&edits(&mut author, STALE - 1));
    assert_eq!(world.snapshot().as_ref(), Some(&first), "999 behind is near enough");
    world.verdicts(&edits(&mut author, 1));
    assert_eq!(world.snapshot(), Some(replayed(&world, 2_000)), "replay went on from the one kept");
    world.verdicts(&edits(&mut author, 1));
    assert_eq!(world.snapshot(), Some(replayed(&world, 2_000)));
}

#[test]
fn a_full_state_op_is_its_own_snapshot() {
    let world = World::new();
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    world.verdicts(&edits(&mut one, 2));
    let import = two.full_state(FullStateKind::Recovery, LogState::default().to_bytes(), Default::default());
    world.verdicts(std::slice::from_ref(&import));
    let snapshot = world.snapshot().expect("a snapshot");
    assert_eq!((snapshot.seq, &snapshot.payload), (seq(3), import.payload()));
    assert_eq!(snapshot.clock, world.bounds().clock, "its reader has seen what the log had");
    assert_eq!(snapshot.cursor(), world.end());

    two.sees(&world.bounds().clock);
    world.verdicts(&edits(&mut two, STALE));
    let renewed = world.snapshot().expect("a snapshot");
    assert_eq!(renewed, replayed(&world, 1_003), "what came before the full state was seen too");
}

#[test]
fn fault_s17_a_snapshot_is_pinned_to_its_seq_while_ops_append() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, STALE));
    let snapshot = world.snapshot().expect("a snapshot");
    world.verdicts(&edits(&mut author, 5));
    let mut state = LogState::from_bytes(snapshot.payload.bytes().clone()).expect("reads");
    let Reply::Pulled(page) = world.call(pull(LOG.log, snapshot.cursor())) else { panic!("not a page") };
    assert_eq!(page.follows(LOG, snapshot.cursor()), Ok(()));
    let seqs: Vec<u64> = page.ops.iter().map(|op| op.seq.get()).collect();
    assert_eq!(seqs, [1_001, 1_002, 1_003, 1_004, 1_005], "a late joiner misses nothing and reads nothing twice");
    for logged in poll_to_end(all_ops(&*world.store, LOG)).into_iter().filter(|logged| logged.seq > snapshot.seq) {
        state.apply(&logged, &schema()).expect("applies");
    }
    assert_eq!(Payload::Plain(state.to_bytes()), replayed(&world, 1_005).payload);
}

#[test]
fn fault_s18_two_that_make_a_snapshot_at_once_do_no_harm() {
    let world = World::new();
    world.verdicts(&edits(&mut Author::new(1), STALE));
    let caller = operator();
    let ask = || Box::pin(world.server.handle(&caller, Call::GetSnapshot(LOG.log), world.env())) as _;
    let replies = poll_to_end(side_by_side(vec![ask(), ask(), ask()]));
    for reply in replies {
        let Ok(Reply::Snapshot(Some(snapshot))) = reply else { panic!("not a snapshot: {reply:?}") };
        assert_eq!(*snapshot, replayed(&world, 1_000));
    }
    assert_eq!(world.bounds().snapshot, seq(1_000));
}

#[test]
fn fault_s18_a_server_that_dies_while_it_makes_a_snapshot_does_no_harm() {
    for (cuts, written) in [(0, false), (0, true), (1, false), (1, true)] {
        let world = World::new();
        world.verdicts(&edits(&mut Author::new(1), STALE));
        let dying = Arc::new(common::cut::Cut::new(Arc::clone(&world.store), cuts, written));
        let dying = Server::new(dying, Arc::new(world.bus.clone()), schema());
        if let Ok(answer) = poll_to_end(dying.handle(&operator(), Call::GetSnapshot(LOG.log), world.env())) {
            let Reply::Snapshot(Some(snapshot)) = answer else { panic!("not a snapshot: {answer:?}") };
            assert_eq!(*snapshot, replayed(&world, 1_000), "what is said is true");
        }
        assert_eq!(world.snapshot(), Some(replayed(&world, 1_000)), "after {cuts} transactions, {written}");
        assert_eq!(world.bounds().snapshot, seq(1_000));
    }
}

#[test]
fn a_plain_snapshot_must_be_what_replay_gives() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 3));
    let right = replayed(&world, 2);
    let other = Payload::Plain(LogState::default().to_bytes());
    let same_bytes_as_json = Payload::Json(right.payload.bytes().clone());
    let anchor = right.anchor.extend(right.anchor.hash, env(1).now);
    let rows = [
        (Snapshot { payload: other, ..right.clone() }, ErrorCode::SnapshotMismatch),
        (Snapshot { payload: same_bytes_as_json, ..right.clone() }, ErrorCode::SnapshotMismatch),
        (Snapshot { anchor, ..right.clone() }, ErrorCode::SnapshotMismatch),
        (Snapshot { seq: seq(1), ..right.clone() }, ErrorCode::SnapshotMismatch),
        (Snapshot { seq: Seq::ZERO, ..right.clone() }, ErrorCode::NoSuchSeq),
        (Snapshot { seq: seq(4), ..right.clone() }, ErrorCode::NoSuchSeq),
    ];
    for (snapshot, code) in rows {
        assert_eq!(world.code(offer(&snapshot)), code, "{snapshot:?}");
        assert_eq!(world.snapshot(), None);
    }
    assert!(matches!(world.call(offer(&right)), Reply::SnapshotKept));
    assert_eq!(world.snapshot(), Some(right.clone()));
    assert!(matches!(world.call(offer(&replayed(&world, 1))), Reply::SnapshotKept), "an older one is right,");
    assert_eq!(world.snapshot(), Some(right), "and not kept");
}

#[test]
fn a_client_that_replayed_the_whole_log_may_offer_its_snapshot_after_a_full_state() {
    let world = World::new();
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    world.verdicts(&edits(&mut one, 2));
    world.verdicts(&[two.full_state(FullStateKind::Recovery, LogState::default().to_bytes(), Default::default())]);
    two.sees(&world.bounds().clock);
    world.verdicts(&edits(&mut two, 1));
    let claims_more = {
        let mut clock = VectorClock::new();
        clock.set(Author::new(9).replica(), 7).expect("in range");
        Snapshot { clock, schema_version: 9, ..replayed(&world, 4) }
    };
    assert!(matches!(world.call(offer(&claims_more)), Reply::SnapshotKept));
    assert_eq!(world.snapshot(), Some(replayed(&world, 4)), "clock and version are the server's own");
}

#[test]
fn a_sealed_snapshot_is_taken_on_its_word_but_not_its_place() {
    let world = World::new();
    let mut author = Author::new(1);
    let draft = author.draft(OpKind::Update, entity_subject("causal", 1), Payload::Sealed(bytes::Bytes::new()));
    world.verdicts(&[draft.seal().expect("a good draft")]);
    let logged = poll_to_end(all_ops(&*world.store, LOG)).remove(0);
    let payload = Payload::Sealed(bytes::Bytes::from_static(b"state"));
    let right = Snapshot { seq: seq(1), anchor: logged.anchor, clock: VectorClock::new(), schema_version: 1, payload };
    let forked = Snapshot { anchor: right.anchor.extend(right.anchor.hash, env(1).now), ..right.clone() };
    let foreign = Snapshot { anchor: Anchor { origin: Origin([9; 16]), ..right.anchor }, ..right.clone() };
    let rows = [
        (forked, ErrorCode::GapDiverged),
        (foreign, ErrorCode::GapForeignLog),
        (Snapshot { seq: seq(2), ..right.clone() }, ErrorCode::GapClientAhead),
        (Snapshot { seq: Seq::ZERO, ..right.clone() }, ErrorCode::NoSuchSeq),
    ];
    for (snapshot, code) in rows {
        assert_eq!(world.code(offer(&snapshot)), code, "{snapshot:?}");
        assert_eq!(world.snapshot(), None);
    }
    assert!(matches!(world.call(offer(&right)), Reply::SnapshotKept));
    assert_eq!(world.snapshot(), Some(right));
}

/// Any writer could otherwise put junk in place of a state that can be checked.
#[test]
fn a_sealed_snapshot_does_not_replace_what_can_be_read() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 3));
    let plain = replayed(&world, 2);
    world.call(offer(&plain));
    assert_eq!(world.code(offer(&sealed(&replayed(&world, 3)))), ErrorCode::SnapshotMismatch);
    assert_eq!(world.snapshot().map(|kept| (kept.seq, kept.payload)), Some((plain.seq, plain.payload)));

    let draft = author.draft(OpKind::Update, entity_subject("causal", 1), Payload::Sealed(bytes::Bytes::new()));
    world.verdicts(&[draft.seal().expect("a good draft")]);
    let anchor = world.end().anchor.expect("an anchor");
    let mut clock = VectorClock::new();
    clock.set(syncline::ReplicaId::from_bytes([77; 16]), 1).expect("a small clock");
    let payload = Payload::Sealed(bytes::Bytes::from_static(b"state"));
    let stranger = Snapshot { seq: seq(4), anchor, clock, schema_version: 1, payload };
    assert_eq!(world.code(offer(&stranger)), ErrorCode::SnapshotMismatch, "it names who never wrote here");
    let right = Snapshot { clock: VectorClock::new(), ..stranger };
    assert!(matches!(world.call(offer(&right)), Reply::SnapshotKept));
    let restore = Call::Restore { log: LOG.log, to: seq(3), seen: world.end(), request: request(1) };
    assert!(matches!(world.call(restore), Reply::Restored { .. }), "what can be read can be restored");
}

/// A stop on the way is not paid for by every reader anew.
#[test]
fn a_replay_that_stops_is_kept_as_far_as_it_came() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, STALE));
    let draft = author.draft(OpKind::Update, entity_subject("causal", 1), Payload::Sealed(bytes::Bytes::new()));
    world.verdicts(&[draft.seal().expect("a good draft")]);
    let kept = world.snapshot().expect("the part that can be read");
    assert_eq!(kept.seq.get(), STALE as u64);
    assert_eq!(kept.payload, replayed(&world, kept.seq.get()).payload);
}

#[test]
fn a_sealed_or_unknown_history_is_served_as_far_as_clients_have_snapshotted_it() {
    let world = World::new();
    let mut author = Author::new(1);
    let unread = |author: &mut Author, count: usize| {
        let drafts = edits(author, count).into_iter().map(|op| op.draft().clone());
        drafts.map(|draft| Draft { schema_version: 2, ..draft }.seal().expect("good")).collect::<Vec<_>>()
    };
    world.verdicts(&unread(&mut author, STALE));
    assert_eq!(world.snapshot(), None);
    let tip = world.end();
    let payload = Payload::Sealed(bytes::Bytes::from_static(b"state"));
    let anchor = tip.anchor.expect("an anchor");
    let made = Snapshot { seq: tip.seq, anchor, clock: VectorClock::new(), schema_version: 2, payload };
    world.call(offer(&made));
    world.verdicts(&unread(&mut author, STALE));
    assert_eq!(world.snapshot(), Some(made), "stale, and still the newest there is");
}

#[test]
fn a_snapshot_has_at_most_the_bytes_of_a_full_state() {
    let world = World::new();
    let draft = Author::new(1).draft(OpKind::Update, entity_subject("causal", 1), Payload::Sealed(bytes::Bytes::new()));
    world.verdicts(&[draft.seal().expect("a good draft")]);
    let anchor = world.end().anchor.expect("an anchor");
    let of = |bytes: usize| Snapshot {
        seq: seq(1),
        anchor,
        clock: VectorClock::new(),
        schema_version: 1,
        payload: Payload::Sealed(vec![0; bytes].into()),
    };
    assert_eq!(world.code(offer(&of(limits::FULL_STATE_BYTES_MAX + 1))), ErrorCode::BodyTooLarge);
    assert!(matches!(world.call(offer(&of(limits::FULL_STATE_BYTES_MAX))), Reply::SnapshotKept));
}

#[test]
fn a_snapshot_of_no_log_or_a_damaged_one_is_refused() {
    let world = World::new();
    world.verdicts(&edits(&mut Author::new(1), 2));
    let right = replayed(&world, 2);
    for snapshot in [right.clone(), sealed(&right), Snapshot { seq: Seq::ZERO, ..sealed(&right) }] {
        let call = Call::PutSnapshot { log: log(9).log, snapshot: Box::new(snapshot) };
        assert_eq!(world.code(call), ErrorCode::LogNotFound);
    }
    assert_eq!(world.code(Call::GetSnapshot(log(9).log)), ErrorCode::LogNotFound);
    world.meddle(|bounds, _| bounds.damaged = true);
    for snapshot in [right.clone(), sealed(&right)] {
        assert_eq!(world.code(offer(&snapshot)), ErrorCode::LogDamaged);
    }
}
