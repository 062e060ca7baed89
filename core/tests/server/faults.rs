//! Damage and races: a log that contradicts itself stops alone, and what happens at once happens once.

use crate::common::seq;
use crate::*;
use syncline::conformance::support::{accepted, side_by_side};

#[test]
fn fault_s15_a_hole_in_the_stored_log_stops_this_log_and_no_other() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 4));
    let end = world.end();
    world.lose_ops_before(seq(3));
    assert!(!world.bounds().damaged, "nobody has looked yet");

    let refusal = world.refused(pull(LOG.log, Cursor::START));
    assert_eq!((refusal.code, refusal.end), (ErrorCode::GapHole, Some(end)));
    assert!(world.bounds().damaged, "who looked first stopped it for all");
    assert_eq!(world.code(Call::Push(push(&edits(&mut author, 1)))), ErrorCode::LogDamaged);
    let restore = Call::Restore { log: LOG.log, to: seq(4), seen: end, request: request(1) };
    assert_eq!(world.code(restore), ErrorCode::GapHole, "what is missing cannot be replayed");
    let Reply::Pulled(page) = world.call(pull(LOG.log, end)) else { panic!("not a page") };
    assert_eq!(page.next, end, "who has everything reads on");

    let other = Push { log: log(2).log, ..push(&edits(&mut Author::new(1), 1)) };
    assert_eq!(world.pushes(other).verdicts, [accepted(1)]);
}

#[test]
fn fault_s15_a_push_from_a_place_that_is_missing_finds_the_hole_too() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 2));
    let middle = world.end();
    world.verdicts(&edits(&mut author, 2));
    world.lose_ops_before(seq(3));
    let push = Push { cursor: Some(middle), ..push(&edits(&mut author, 1)) };
    assert_eq!(world.code(Call::Push(push)), ErrorCode::GapHole);
    assert!(world.bounds().damaged);
    assert_eq!(world.bounds().last, seq(4));
}

#[test]
fn a_request_answered_before_the_damage_is_still_answered() {
    let world = World::new();
    let first = Push { request: Some(request(1)), ..push(&edits(&mut Author::new(1), 1)) };
    world.pushes(first.clone());
    world.meddle(|bounds, _| bounds.damaged = true);
    assert!(world.pushes(first).replayed);
}

#[test]
fn fault_s03_the_same_batch_pushed_at_once_lands_once() {
    let world = World::new();
    let ops = edits(&mut Author::new(1), 3);
    let caller = operator();
    let ask = || Box::pin(world.server.handle(&caller, Call::Push(push(&ops)), world.env())) as _;
    let replies = poll_to_end(side_by_side(vec![ask(), ask()]));
    let mut first: Vec<bool> = Vec::new();
    for reply in replies {
        let Ok(Reply::Pushed(pushed)) = reply else { panic!("not an answer to a push: {reply:?}") };
        let seqs: Vec<Option<Seq>> = pushed.verdicts.iter().map(Verdict::seq).collect();
        assert_eq!(seqs, [Some(seq(1)), Some(seq(2)), Some(seq(3))]);
        first.push(matches!(pushed.verdicts[0], Verdict::Accepted { .. }));
    }
    first.sort_unstable();
    assert_eq!(first, [false, true]);
    assert_eq!(world.bounds().last, seq(3));
}

#[test]
fn fault_s12_a_server_put_back_to_an_older_backup_is_found_out_by_its_clients() {
    let (old, lived) = (World::new(), World::new());
    let mut author = Author::new(1);
    // The same log: same ops under the same environment until the backup.
    let common = edits(&mut author, 2);
    old.verdicts(&common);
    lived.verdicts(&common);
    assert_eq!(old.end(), lived.end());
    lived.verdicts(&[edit(&mut author.clone(), 1, r#"{"acknowledged":1}"#)]);
    let client = lived.end();

    assert_eq!(old.code(pull(LOG.log, client)), ErrorCode::GapClientAhead, "right after it was put back");
    let mut other = Author::new(2);
    other.sees(author.clock());
    old.verdicts(&edits(&mut other, 3));
    assert_eq!(old.code(pull(LOG.log, client)), ErrorCode::GapDiverged, "and after it has grown past the client");
}

#[test]
fn fault_s20_a_reader_whom_retention_overtakes_is_told_so_and_never_skips() {
    for read in 0..=9_usize {
        for horizon in 2..=9_u64 {
            let world = World::new();
            world.verdicts(&edits(&mut Author::new(1), 9));
            let mut cursor = Cursor::START;
            if let Some(limit) = PageLimit::ops(read) {
                let Reply::Pulled(page) = world.call(Call::Pull { log: LOG.log, cursor, limit }) else {
                    panic!("not a page")
                };
                cursor = page.next;
            }
            world.prune_before(seq(horizon));
            let next = read as u64 + 1;
            if next < horizon {
                assert_eq!(world.code(pull(LOG.log, cursor)), ErrorCode::GapPruned, "at {read} before {horizon}");
                continue;
            }
            let Reply::Pulled(page) = world.call(pull(LOG.log, cursor)) else { panic!("not a page") };
            assert_eq!(page.follows(LOG, cursor), Ok(()));
            let seqs: Vec<u64> = page.ops.iter().map(|op| op.seq.get()).collect();
            assert_eq!(seqs, (next..=9).collect::<Vec<_>>(), "at {read} before {horizon}");
        }
    }
}
