//! What comes back along with the verdicts: whatever the author has not got yet.

use crate::common::seq;
use crate::*;
use syncline::Anchor;
use syncline::conformance::support::accepted;
use syncline::oplog::Draft;

/// Seqs on the page that came with a push, and where it leaves the author.
fn newer(pushed: &Pushed) -> Option<(Vec<u64>, Cursor)> {
    let page = pushed.newer.as_ref()?;
    Some((page.ops.iter().map(|op| op.seq.get()).collect(), page.next))
}

fn with_cursor(cursor: Cursor, ops: &[Op]) -> Push {
    Push { cursor: Some(cursor), ..push(ops) }
}

#[test]
fn nothing_comes_along_without_a_cursor() {
    let world = World::new();
    assert_eq!(world.pushes(push(&edits(&mut Author::new(1), 1))).newer, None);
}

#[test]
fn an_author_at_the_end_is_moved_past_its_own_ops() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 2));
    let pushed = world.pushes(with_cursor(world.end(), &edits(&mut author, 3)));
    assert_eq!(newer(&pushed), Some((vec![], world.end())));
    let page = pushed.newer.expect("a page");
    assert_eq!((page.end, page.more), (seq(5), false));
    let lost = Draft {
        clock: Author::new(2).op(OpKind::Update, "causal", 1, "").clock().clone(),
        ..edit(&mut Author::new(2), 1, "{}").draft().clone()
    };
    let pushed = world.pushes(with_cursor(world.end(), &[lost.seal().expect("a good draft")]));
    assert!(matches!(pushed.verdicts[..], [Verdict::Conflict { .. }]));
    assert_eq!(newer(&pushed), Some((vec![], world.end())), "one whose op lost has nothing new either");
}

#[test]
fn an_author_behind_gets_everything_since_its_own_ops_included() {
    let world = World::new();
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    world.verdicts(&edits(&mut one, 1));
    let behind = world.end();
    world.verdicts(&edits(&mut one, 2));
    let pushed = world.pushes(with_cursor(behind, &[edit(&mut two, 2, "{}")]));
    assert_eq!(newer(&pushed), Some((vec![2, 3, 4], world.end())));
    assert_eq!(pushed.newer.expect("a page").follows(LOG, behind), Ok(()));
}

#[test]
fn a_first_author_gets_the_log_from_its_start() {
    let world = World::new();
    let pushed = world.pushes(with_cursor(Cursor::START, &edits(&mut Author::new(1), 2)));
    assert_eq!(newer(&pushed), Some((vec![1, 2], world.end())));
    assert_eq!(pushed.newer.expect("a page").follows(LOG, Cursor::START), Ok(()));
}

#[test]
fn an_author_whose_every_op_is_refused_makes_no_log() {
    let world = World::new();
    let mut draft = edit(&mut Author::new(1), 1, "{}").draft().clone();
    draft.clock.set(draft.replica, 9).expect("in range");
    let pushed = world.pushes(with_cursor(Cursor::START, &[draft.seal().expect("a good draft")]));
    assert_eq!(pushed.verdicts, [rejected(RejectReason::CounterGap { expected: 1 })]);
    assert_eq!(newer(&pushed), Some((vec![], Cursor::START)));
    assert_eq!(world.code(Call::Status(LOG.log)), ErrorCode::LogNotFound);
}

#[test]
fn a_repeated_push_gets_what_is_new_since_its_cursor() {
    let world = World::new();
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    world.verdicts(&edits(&mut one, 1));
    let first = Push { request: Some(request(1)), ..with_cursor(world.end(), &edits(&mut one, 1)) };
    assert_eq!(newer(&world.pushes(first.clone())), Some((vec![], world.end())));
    world.verdicts(&[edit(&mut two, 2, "{}")]);
    let again = world.pushes(first);
    assert!(again.replayed);
    assert_eq!(newer(&again), Some((vec![2, 3], world.end())), "its own op and the one after");
}

#[test]
fn an_author_behind_the_horizon_may_write_but_not_read_on() {
    let world = World::new();
    let (mut one, mut two) = (Author::new(1), Author::new(2));
    world.verdicts(&edits(&mut one, 1));
    let behind = world.end();
    world.verdicts(&edits(&mut one, 3));
    world.prune_before(seq(4));
    let pushed = world.pushes(with_cursor(behind, &[edit(&mut two, 2, "{}")]));
    assert_eq!((pushed.verdicts, pushed.newer), (vec![accepted(5)], None));
    assert_eq!(world.code(pull(LOG.log, behind)), ErrorCode::GapPruned);
}

#[test]
fn fault_s14_a_cursor_that_does_not_fit_writes_nothing_and_says_which_gap() {
    let world = World::new();
    let mut author = Author::new(1);
    world.verdicts(&edits(&mut author, 3));
    let end = world.end();
    let anchor = end.anchor.expect("an anchor");
    let forked = Anchor { hash: anchor.extend(anchor.hash, env(1).now).hash, ..anchor };
    let foreign = Anchor { origin: syncline::Origin([9; 16]), ..anchor };
    let rows = [
        (Cursor { seq: seq(4), anchor: Some(anchor) }, ErrorCode::GapClientAhead),
        (Cursor { seq: Seq::MAX, anchor: None }, ErrorCode::GapClientAhead),
        (Cursor { seq: seq(3), anchor: Some(forked) }, ErrorCode::GapDiverged),
        (Cursor { seq: seq(2), anchor: Some(anchor) }, ErrorCode::GapDiverged),
        (Cursor { seq: seq(3), anchor: Some(foreign) }, ErrorCode::GapForeignLog),
    ];
    let op = edit(&mut author, 1, "{}");
    for (cursor, code) in rows {
        for call in [Call::Push(with_cursor(cursor, std::slice::from_ref(&op))), pull(LOG.log, cursor)] {
            let refusal = world.refused(call);
            assert_eq!((refusal.code, refusal.end), (code, Some(end)), "{cursor:?}");
        }
        assert_eq!(world.end(), end);
    }
    let nothing = World::new();
    for call in [Call::Push(with_cursor(end, &[op])), pull(LOG.log, end)] {
        assert_eq!(nothing.code(call), ErrorCode::GapServerEmpty);
    }
    assert_eq!(nothing.code(Call::Status(LOG.log)), ErrorCode::LogNotFound);
}
