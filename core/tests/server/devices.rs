//! Who holds a log: what replicas say, what the server makes of it, and what it does not believe.

use crate::common::seq;
use crate::*;
use syncline::decide::holders_key;
use syncline::oplog::{Head, HeadState, Holders};
use syncline::{OpId, ReplicaId, VectorClock, limits};

fn says(replica: u8, cursor: Cursor) -> Call {
    Call::Acknowledge { log: LOG.log, replica: ReplicaId::from_bytes([replica; 16]), cursor }
}

fn heard(reply: &Reply) -> (Seq, usize) {
    match reply {
        Reply::Acknowledged { stable, devices } => (*stable, *devices),
        other => panic!("not an answer to an acknowledgement: {other:?}"),
    }
}

fn devices(world: &World) -> Holders {
    match world.call(Call::Devices(LOG.log)) {
        Reply::Devices(holders) => *holders,
        other => panic!("not a list of devices: {other:?}"),
    }
}

impl World {
    fn later(&self, ms: u64) {
        self.now.set(self.now.get() + ms);
    }

    fn place(&self, at: u64) -> Cursor {
        let page = poll_to_end(self.store.ops_after(LOG, seq(at), PageLimit::default())).expect("a page");
        Cursor { seq: seq(at), anchor: page.anchor }
    }
}

#[test]
fn the_frontier_is_what_every_replica_holds_and_only_rises() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 5));
    assert_eq!(heard(&world.call(says(1, world.place(5)))), (seq(5), 1), "alone, everything");
    assert_eq!(heard(&world.call(says(2, world.place(2)))), (seq(5), 2), "one that comes late does not take it back");
    world.later(limits::ACKNOWLEDGE_MS_MIN);
    world.verdicts(&edits(&mut author, 3));
    assert_eq!(heard(&world.call(says(1, world.place(8)))), (seq(5), 2));
    assert_eq!(heard(&world.call(says(2, world.place(7)))), (seq(7), 2));
    let held: Vec<Seq> = devices(&world).iter().map(|(_, holder)| holder.seq).collect();
    assert_eq!((held, devices(&world).stable()), (vec![seq(8), seq(7)], seq(7)));
    world.later(limits::ACKNOWLEDGE_MS_MIN);
    assert_eq!(heard(&world.call(says(2, world.place(3)))), (seq(7), 2), "its disk was put back");
    let held: Vec<Seq> = devices(&world).iter().map(|(_, holder)| holder.seq).collect();
    assert_eq!(held, [seq(8), seq(3)]);
}

#[test]
fn what_is_no_place_of_this_history_counts_for_nothing() {
    let world = World::new();
    world.verdicts(&edits(&mut Author::new(1), 3));
    let other = World::new();
    other.verdicts(&edits(&mut Author::new(9), 3));
    let beyond = Cursor { seq: seq(9), ..world.place(3) };
    let swapped = Cursor { seq: seq(2), ..world.place(3) };
    assert_eq!(world.code(says(1, beyond)), ErrorCode::GapClientAhead);
    assert_eq!(world.code(says(1, swapped)), ErrorCode::GapDiverged);
    assert_eq!(world.code(says(1, Cursor { seq: seq(3), anchor: None })), ErrorCode::GapDiverged);
    assert!(matches!(world.code(says(1, other.place(3))), ErrorCode::GapDiverged | ErrorCode::GapForeignLog));
    assert_eq!(heard(&world.call(says(1, Cursor::START))), (Seq::ZERO, 0), "who has nothing is not waited for");
    assert_eq!(devices(&world), Holders::default());
}

#[test]
fn nobody_acknowledges_for_another() {
    let world = World::new();
    world.verdicts(&edits(&mut Author::new(1), 1));
    let bound = Caller { replica: Some(ReplicaId::from_bytes([1; 16])), ..operator() };
    let refused = world.ask(&bound, says(2, world.place(1))).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::ForbiddenReplica);
    assert!(world.ask(&bound, says(1, world.place(1))).is_ok());
    let server = Call::Acknowledge { log: LOG.log, replica: ReplicaId::SERVER, cursor: world.place(1) };
    assert_eq!(world.code(server), ErrorCode::ForbiddenReplica);
    assert_eq!(devices(&world).iter().len(), 1);
}

#[test]
fn a_retired_replica_holds_nobody_back() {
    let world = World::new();
    world.verdicts(&edits(&mut Author::new(1), 2));
    world.call(says(1, world.place(1)));
    world.later(limits::REPLICA_SILENT_MS_MAX + 1);
    assert_eq!(heard(&world.call(says(2, world.place(2)))), (seq(2), 1));
}

#[test]
fn nothing_is_written_while_nothing_is_new_and_the_log_is_as_it_was() {
    let world = World::new();
    world.verdicts(&edits(&mut Author::new(1), 2));
    let before = world.bounds();
    world.call(says(1, world.place(2)));
    let kept = devices(&world);
    for _ in 0..10 {
        world.later(limits::ACKNOWLEDGE_MS_MIN);
        assert_eq!(heard(&world.call(says(1, world.place(2)))), (seq(2), 1));
    }
    assert_eq!(devices(&world), kept, "not even the time");
    assert_eq!(world.bounds(), before);
}

#[test]
fn a_note_that_does_not_read_is_said_and_not_guessed_at() {
    let world = World::new();
    world.verdicts(&edits(&mut Author::new(1), 1));
    world.meddle(|_, writes| {
        let state = HeadState::Live(Some("junk".into()));
        let op = OpId::from_bytes([0; 16]);
        let (version, replica, clock) = (Seq::ZERO, ReplicaId::SERVER, VectorClock::new());
        writes.heads.push((holders_key(), Head { version, op, replica, clock, state }));
    });
    assert_eq!(world.code(says(1, world.place(1))), ErrorCode::LogDamaged);
    assert_eq!(world.code(Call::Devices(LOG.log)), ErrorCode::LogDamaged);
    assert_eq!(world.code(Call::Devices(log(9).log)), ErrorCode::LogNotFound);
}
