//! Every way a reader can fail to continue, at every boundary and one to each side of it.
//!
//! How: one real log of nine ops of which the first three were pruned, so that positions 3 to 9 are known. A row is a
//! cursor and what must be said about it. The four numeric cases are those of seed 004.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each proof uses its part")]
mod common;

use common::seq;
use syncline::call::{Page, PageOp};
use syncline::conformance::author::Author;
use syncline::conformance::support::{env, log};
use syncline::oplog::{Gap, LogBounds, LoggedOp, OpKind};
use syncline::store::LogPage;
use syncline::{Anchor, Cursor, Origin, Seq};

const FIRST: u64 = 4;
const LAST: u64 = 9;

fn logged_ops() -> Vec<LoggedOp> {
    let mut author = Author::new(1);
    let mut anchor = genesis();
    let ops = (1..=LAST).map(|number| {
        let op = author.op(OpKind::Create, "causal", u8::try_from(number).expect("few"), "x");
        anchor = anchor.extend(op.digest(), env(number).now);
        LoggedOp { seq: seq(number), anchor, accepted_at: env(number).now, batch_rest: 0, op: op.raw().clone() }
    });
    ops.collect()
}

fn genesis() -> Anchor {
    Anchor::genesis(log(1), Origin([5; 16]))
}

fn anchor_at(number: u64) -> Anchor {
    match number {
        0 => genesis(),
        _ => logged_ops()[usize::try_from(number - 1).expect("few")].anchor,
    }
}

/// Nine ops, the first three pruned.
fn bounds() -> LogBounds {
    LogBounds {
        first: seq(FIRST),
        last: seq(LAST),
        base: anchor_at(FIRST - 1),
        tip: anchor_at(LAST),
        ..LogBounds::new(log(1), Origin([5; 16]), env(0).now)
    }
}

fn pruned_whole() -> LogBounds {
    LogBounds { first: seq(LAST + 1), base: anchor_at(LAST), ..bounds() }
}

fn empty() -> LogBounds {
    LogBounds::new(log(1), Origin([5; 16]), env(0).now)
}

/// What a store knows at a place: nothing outside the log, nothing behind the horizon.
fn known(bounds: &LogBounds, at: Seq) -> Option<Anchor> {
    let kept = at >= bounds.first.before() && at <= bounds.last && at <= seq(LAST);
    kept.then(|| anchor_at(at.get()))
}

const THEIRS: u8 = 0;
const FOREIGN: u8 = 1;
const FORKED: u8 = 2;
const ABSENT: u8 = 3;

fn cursor(at: u64, anchor: u8) -> Cursor {
    let right = anchor_at(at.min(LAST));
    let anchor = match anchor {
        THEIRS => Some(right),
        FOREIGN => Some(Anchor { origin: Origin([6; 16]), ..right }),
        FORKED => Some(right.extend(right.hash, env(1).now)),
        _ => None,
    };
    Cursor { seq: Seq::new(at).expect("in range"), anchor }
}

#[test]
fn every_cursor_gets_its_gap() {
    use Gap::{ClientAhead, Diverged, ForeignLog, Pruned, ServerEmpty};
    // (seq, its anchor right / of another log / of another history / absent)
    let end_of_line = Seq::MAX.get();
    let kept: &[(u64, [Option<Gap>; 4])] = &[
        (0, [Some(Pruned), Some(ForeignLog), Some(Pruned), Some(Pruned)]),
        (FIRST - 2, [Some(Pruned), Some(ForeignLog), Some(Pruned), Some(Pruned)]),
        (FIRST - 1, [None, Some(ForeignLog), Some(Diverged), None]),
        (FIRST, [None, Some(ForeignLog), Some(Diverged), None]),
        (LAST - 1, [None, Some(ForeignLog), Some(Diverged), None]),
        (LAST, [None, Some(ForeignLog), Some(Diverged), None]),
        (LAST + 1, [Some(ClientAhead), Some(ForeignLog), Some(ClientAhead), Some(ClientAhead)]),
        (end_of_line, [Some(ClientAhead), Some(ForeignLog), Some(ClientAhead), Some(ClientAhead)]),
    ];
    check("nine ops, three pruned", Some(&bounds()), kept);

    let whole: &[(u64, [Option<Gap>; 4])] = &[
        (LAST - 1, [Some(Pruned), Some(ForeignLog), Some(Pruned), Some(Pruned)]),
        (LAST, [None, Some(ForeignLog), Some(Diverged), None]),
        (LAST + 1, [Some(ClientAhead), Some(ForeignLog), Some(ClientAhead), Some(ClientAhead)]),
    ];
    check("nine ops, all pruned", Some(&pruned_whole()), whole);

    let nothing: &[(u64, [Option<Gap>; 4])] = &[
        (0, [None, Some(ForeignLog), Some(Diverged), None]),
        (1, [Some(ServerEmpty); 4]),
        (end_of_line, [Some(ServerEmpty); 4]),
    ];
    check("an empty log", Some(&empty()), nothing);

    let absent: &[(u64, [Option<Gap>; 4])] =
        &[(0, [None; 4]), (1, [Some(ServerEmpty); 4]), (end_of_line, [Some(ServerEmpty); 4])];
    check("no log", None, absent);
}

fn check(name: &str, bounds: Option<&LogBounds>, rows: &[(u64, [Option<Gap>; 4])]) {
    for (at, expected) in rows {
        for (anchor, expected) in [THEIRS, FOREIGN, FORKED, ABSENT].into_iter().zip(expected) {
            let cursor = cursor(*at, anchor);
            let known = bounds.and_then(|bounds| known(bounds, cursor.seq));
            let found = Gap::check(cursor, bounds, known);
            assert_eq!(found, *expected, "{name}: cursor at {at}, anchor {anchor}");
        }
    }
}

#[test]
fn a_place_in_the_log_without_an_anchor_is_a_hole() {
    let bounds = bounds();
    for at in FIRST..LAST {
        assert_eq!(Gap::check(cursor(at, THEIRS), Some(&bounds), None), Some(Gap::Hole), "at {at}");
        assert_eq!(Gap::check(cursor(at, ABSENT), Some(&bounds), None), None, "numbers alone do not see it at {at}");
    }
    for at in [FIRST - 1, LAST] {
        assert_eq!(Gap::check(cursor(at, THEIRS), Some(&bounds), None), None, "the bounds know the anchor at {at}");
    }
}

/// A backup was brought back and grew past the reader: every number fits, the history does not.
#[test]
fn fault_s12_a_server_restored_from_an_older_backup_is_found_out() {
    let at = FIRST + 1;
    let forked = cursor(at, FORKED);
    assert_eq!(Gap::check(forked, Some(&bounds()), known(&bounds(), forked.seq)), Some(Gap::Diverged));
    let numbers_only = Cursor { anchor: None, ..forked };
    assert_eq!(Gap::check(numbers_only, Some(&bounds()), known(&bounds(), forked.seq)), None, "seed 004 misses it");
}

fn page_after(at: u64, numbers: &[u64]) -> LogPage {
    let all = logged_ops();
    let ops = all.into_iter().filter(|logged| numbers.contains(&logged.seq.get())).collect();
    LogPage { bounds: Some(bounds()), anchor: known(&bounds(), seq(at)), ops }
}

#[test]
fn fault_s14_a_page_with_a_hole_is_never_taken() {
    // (cursor, seqs on the page, verdict)
    let rows: &[(u64, &[u64], Option<Gap>)] = &[
        (3, &[4, 5, 6, 7, 8, 9], None),
        (3, &[4], None),
        (8, &[9], None),
        (9, &[], None),
        (3, &[5, 6], Some(Gap::Hole)),
        (3, &[4, 6], Some(Gap::Hole)),
        (3, &[4, 5, 7], Some(Gap::Hole)),
        (3, &[], Some(Gap::Hole)),
        (8, &[], Some(Gap::Hole)),
        (4, &[4, 5], Some(Gap::Hole)),
        (2, &[4, 5], Some(Gap::Pruned)),
        (10, &[], Some(Gap::ClientAhead)),
    ];
    for (at, numbers, expected) in rows {
        for anchor in [THEIRS, ABSENT] {
            let page = page_after(*at, numbers);
            assert_eq!(page.gap(cursor(*at, anchor)), *expected, "cursor {at}, page {numbers:?}, anchor {anchor}");
        }
    }
    assert_eq!(Gap::check_page(seq(3), seq(9), [seq(4), seq(4)]), Some(Gap::Hole), "a repeated seq");
    assert_eq!(Gap::check_page(seq(3), seq(9), [seq(5), seq(4)]), Some(Gap::Hole), "seqs out of order");
    assert_eq!(Gap::check_page(Seq::MAX, Seq::MAX, [Seq::MAX]), Some(Gap::Hole), "nothing follows the last seq");
}

fn page(numbers: &[u64], next: Cursor) -> Page {
    let ops = numbers.iter().map(|number| {
        let logged = logged_ops()[usize::try_from(number - 1).expect("few")].clone();
        PageOp::from(logged)
    });
    Page { ops: ops.collect(), left_out: Vec::new(), next, end: seq(LAST), more: next.seq < seq(LAST) }
}

#[test]
fn fault_w02_reordered_pages_are_not_followed() {
    use Gap::{Diverged, ForeignLog, Hole};
    type Row<'r> = (&'r str, Cursor, Page, Result<(), Gap>);
    let at = |number| cursor(number, THEIRS);
    let rows: &[Row<'_>] = &[
        ("the next page", at(3), page(&[4, 5], at(5)), Ok(())),
        ("the page after the next", at(3), page(&[6, 7], at(7)), Err(Hole)),
        ("the page before", at(5), page(&[4, 5], at(5)), Err(Hole)),
        ("a hole at the start", at(3), page(&[5], at(5)), Err(Hole)),
        ("a hole in the middle", at(3), page(&[4, 6], at(6)), Err(Hole)),
        ("an op twice", at(3), page(&[4, 4], at(4)), Err(Hole)),
        ("two ops exchanged", at(3), page(&[5, 4], at(5)), Err(Hole)),
        ("a next before the ops end", at(3), page(&[4, 5], at(4)), Err(Diverged)),
        ("a next past the ops", at(3), page(&[4, 5], at(6)), Err(Diverged)),
        ("the right next seq, another history", at(3), page(&[4, 5], cursor(5, FORKED)), Err(Diverged)),
        ("a page of another log", at(3), page(&[4, 5], cursor(5, FOREIGN)), Err(ForeignLog)),
        ("a reader on another history", cursor(3, FORKED), page(&[4, 5], at(5)), Err(Diverged)),
        ("nothing new", at(9), page(&[], at(9)), Ok(())),
        ("nothing, and yet moved on", at(8), page(&[], at(9)), Err(Diverged)),
        ("a next without an anchor", at(3), page(&[4], cursor(4, ABSENT)), Err(Diverged)),
        ("from the start, with the log's own genesis", Cursor::START, page(&[1, 2], at(2)), Ok(())),
        ("from the start, another log's genesis", Cursor::START, page(&[1], cursor(1, FOREIGN)), Err(Diverged)),
        ("from the start of a log nobody made", Cursor::START, page(&[], Cursor::START), Ok(())),
        ("ops, and a next that does not move", Cursor::START, page(&[1, 2], Cursor::START), Err(Diverged)),
        ("a reader by numbers alone", cursor(3, ABSENT), page(&[4, 5], at(5)), Ok(())),
        ("by numbers alone, a hole", cursor(3, ABSENT), page(&[5], at(5)), Err(Hole)),
        ("by numbers alone, a next past the ops", cursor(3, ABSENT), page(&[4, 5], at(7)), Err(Diverged)),
    ];
    for (name, cursor, page, expected) in rows {
        assert_eq!(page.follows(log(1), *cursor), *expected, "{name}");
    }
    assert_eq!(page(&[1], at(1)).follows(log(2), Cursor::START), Err(Diverged), "another log's genesis hashes its key");
}

#[test]
fn a_page_carries_its_reader_to_where_its_ops_end() {
    let rows: &[(u64, &[u64], u64, bool)] =
        &[(3, &[4, 5], 5, true), (8, &[9], 9, false), (9, &[], 9, false), (7, &[8, 9], 9, false)];
    for (at, numbers, next, more) in rows {
        for anchor in [THEIRS, ABSENT] {
            let stored = page_after(*at, numbers);
            let page = Page::of(stored, cursor(*at, anchor));
            assert_eq!((page.next, page.more), (cursor(*next, THEIRS), *more), "cursor {at}, page {numbers:?}");
            assert_eq!(page.end, seq(LAST));
            assert_eq!(page.follows(log(1), cursor(*at, THEIRS)), Ok(()), "what the server makes, the reader takes");
        }
    }
}
