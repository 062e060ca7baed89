//! Why: no call may cost more because its log is long. How: the statements it executes are counted, which is the
//! same number on every machine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::*;
use syncline::id::RequestId;
use syncline::store::{PageLimit, Store};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};

fn counted<T>(store: &SqliteStore, call: impl FnOnce() -> T) -> u64 {
    let before = store.statements();
    call();
    store.statements() - before
}

/// Statements of a push of 1 op, of one of 100, and of two pages, in a log as it stands.
fn costs(store: &SqliteStore, number: u64, end: u64) -> [u64; 5] {
    let ops = |from: u64, count: u64| (from..from + count).map(op).collect::<Vec<_>>();
    let page = |after| block_on(store.ops_after(log(1), seq(after), PageLimit::ops(10).unwrap())).unwrap();
    let request = Some(RequestId::from_bytes(id16(6, number)));
    [
        counted(store, || push(store, log(1), ops(number, 1)).unwrap()),
        counted(store, || push(store, log(1), ops(number + 1, 100)).unwrap()),
        counted(store, || push_with(store, log(1), ops(number + 101, 1), None, request).unwrap()),
        counted(store, || page(0)),
        counted(store, || page(end - 5)),
    ]
}

#[test]
fn a_call_executes_as_many_statements_in_a_long_log_as_in_a_short_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("a.db"))).unwrap();
    push(&store, log(1), (1..=10).map(op).collect()).unwrap();
    let short = costs(&store, 1_000_000, 10);
    for thousand in 0..50 {
        push(&store, log(1), (0..1_000).map(|number| op_sized(1_000 + thousand * 1_000 + number, 20)).collect())
            .unwrap();
    }
    let long = costs(&store, 2_000_000, 50_000);
    assert_eq!(short, long, "push 1, push 100, push 1 with a receipt, first page, last page");
    let [one, hundred, ..] = long;
    // Beyond the first op, each costs its duplicate check, its head read and written, and its row.
    assert_eq!(hundred - one, 99 * 4);
    assert!(one <= 12, "a push of one op takes {one} statements");
}
