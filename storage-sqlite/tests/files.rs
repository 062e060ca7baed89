//! Why: a store must know when the file is not its own to use, and say so with a typed error.
//! How: real files, a second process, foreign connections, and a hand that damages, copies and swaps them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;
use support::*;
use syncline::decide::{Choice, LogWrites, Reads, Scope};
use syncline::oplog::{Gap, LogBounds};
use syncline::seq::Cursor;
use syncline::store::{PageLimit, Store, StoreErrorKind, StoreExt};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    (folder, path)
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(SqliteOptions::new(path)).unwrap()
}

fn refusal(path: &Path) -> (StoreErrorKind, String) {
    let error = SqliteStore::open(SqliteOptions::new(path)).unwrap_err();
    (error.kind(), error.to_string())
}

/// A file with `count` ops in log 1, closed.
fn filled(path: &Path, count: u64) -> Cursor {
    push(&open(path), log(1), (1..=count).map(op).collect()).unwrap()
}

#[test]
fn a_second_store_on_the_same_file_is_refused() {
    let (folder, path) = folder();
    let store = open(&path);
    assert_eq!(refusal(&path).0, StoreErrorKind::Locked);
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(refusal(&link).0, StoreErrorKind::Locked, "another spelling of the same file");
    drop(store);
    open(&link);
}

#[test]
fn fault_c11_a_second_process_is_refused() {
    const FILE: &str = "SYNCLINE_TEST_SECOND_PROCESS_FILE";
    const LOCKED: i32 = 42;
    // This test starts itself as the second process.
    if let Some(path) = std::env::var_os(FILE) {
        let locked = SqliteStore::open(SqliteOptions::new(path)).is_err_and(|e| e.kind() == StoreErrorKind::Locked);
        std::process::exit(if locked { LOCKED } else { 1 });
    }
    let (_folder, path) = folder();
    let _store = open(&path);
    let second = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fault_c11_a_second_process_is_refused"])
        .env(FILE, &path)
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(LOCKED), "{second:?}");
}

#[test]
fn a_path_that_leads_nowhere_is_unavailable() {
    let (folder, _) = folder();
    assert_eq!(refusal(&folder.path().join("none/a.db")).0, StoreErrorKind::Unavailable);
    assert_eq!(refusal(folder.path()).0, StoreErrorKind::Unavailable, "a folder is no file");
}

#[test]
fn a_file_of_another_program_is_refused_untouched() {
    let (_folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 1").unwrap();
    let before = fs::read(&path).unwrap();
    let (kind, text) = refusal(&path);
    assert_eq!(kind, StoreErrorKind::Unsupported, "{text}");
    assert!(text.contains("another program"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_damaged_file_is_refused() {
    let (_folder, path) = folder();
    fs::write(&path, b"this is no database at all, but long enough to look at".repeat(100)).unwrap();
    assert_eq!(refusal(&path).0, StoreErrorKind::Corrupt);
    fs::remove_file(&path).unwrap();
    filled(&path, 200);
    let whole = fs::read(&path).unwrap();
    for page in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..page * 4096 + 64].fill(0xFF);
        fs::write(&path, &damaged).unwrap();
        let (kind, text) = refusal(&path);
        assert_eq!(kind, StoreErrorKind::Corrupt, "page {page}: {text}");
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(refusal(&path).0, StoreErrorKind::Corrupt, "cut in half");
}

#[test]
fn fault_s15_a_log_that_contradicts_its_row_takes_no_writes_and_others_go_on() {
    for damage in ["DELETE FROM op WHERE log = 1 AND seq = 10", "UPDATE op SET anchor = zeroblob(32) WHERE seq = 10"] {
        let (_folder, path) = folder();
        filled(&path, 10);
        push(&open(&path), log(2), vec![op(1)]).unwrap();
        assert_eq!(Connection::open(&path).unwrap().execute(damage, []).unwrap(), 1);
        let store = open(&path);
        assert_eq!(store.contradictions(), [log(1)], "{damage}");
        assert_eq!(push(&store, log(1), vec![op(11)]).unwrap_err().kind(), StoreErrorKind::Corrupt, "{damage}");
        assert_eq!(push(&store, log(2), vec![op(2)]).unwrap().seq, seq(2), "{damage}");
    }
}

/// What is forgotten need not be sound: a replica whose copy was damaged takes a new one.
#[test]
fn a_log_that_lost_its_end_can_be_begun_anew() {
    let (_folder, path) = folder();
    filled(&path, 3);
    let kept = pull_all(&open(&path), log(1));
    Connection::open(&path).unwrap().execute("DELETE FROM op WHERE seq >= 2", []).unwrap();
    let store = open(&path);
    assert_eq!(store.contradictions(), [log(1)]);
    let whole = block_on(store.bounds(log(1))).unwrap().unwrap();
    let anew = LogBounds { first: seq(3), base: kept[1].anchor, ..whole };
    let writes = LogWrites { ops: kept[2..].to_vec(), ..LogWrites::anew(log(1), anew) };
    let rule = move |_: &_| Choice::Done((), Some(writes.clone().alone()));
    block_on(store.decide(Scope::log(log(1), Reads::default()), rule)).unwrap();
    drop(store);
    let store = open(&path);
    assert_eq!(store.contradictions(), []);
    assert_eq!(pull(&store, log(1), kept[1].cursor()).unwrap(), Ok(kept[2..].to_vec()));
}

#[test]
fn fault_s15_a_hole_in_the_stored_seqs_is_a_gap() {
    let (_folder, path) = folder();
    filled(&path, 10);
    Connection::open(&path).unwrap().execute("DELETE FROM op WHERE seq = 5", []).unwrap();
    assert_eq!(pull(&open(&path), log(1), Cursor::START).unwrap(), Err(Gap::Hole));
}

#[test]
fn fault_s16_a_flipped_bit_of_a_stored_op_is_never_served_and_what_is_sound_is() {
    let (_folder, path) = folder();
    filled(&path, 10);
    push(&open(&path), log(2), vec![op(1)]).unwrap();
    let select = "SELECT body FROM op WHERE log = 1 AND seq = 3";
    let body: Vec<u8> = Connection::open(&path).unwrap().query_row(select, [], |row| row.get(0)).unwrap();
    for at in 0..body.len() {
        let mut flipped = body.clone();
        flipped[at] ^= 1 << (at % 8);
        let change = "UPDATE op SET body = ?1 WHERE log = 1 AND seq = 3";
        assert_eq!(Connection::open(&path).unwrap().execute(change, [&flipped]).unwrap(), 1);
        let store = open(&path);
        let error = block_on(store.ops_after(log(1), seq(0), PageLimit::default())).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "byte {at}: {error}");
        assert_eq!(block_on(store.ops_after(log(1), seq(3), PageLimit::default())).unwrap().ops.len(), 7, "behind it");
        assert_eq!(pull_all(&store, log(2)).len(), 1, "another log");
    }
}

#[test]
fn fault_q06_a_foreign_write_lock_is_busy_and_loses_nothing() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(SqliteOptions::new(&path).busy_wait(Duration::from_millis(20))).unwrap();
    let before = push(&store, log(1), vec![op(1)]).unwrap();
    let foreign = Connection::open(&path).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..2 {
        assert_eq!(push(&store, log(1), vec![op(2)]).unwrap_err().kind(), StoreErrorKind::Busy);
    }
    assert_eq!(pull_all(&store, log(1)).len(), 1, "reading goes on");
    foreign.execute_batch("ROLLBACK").unwrap();
    assert_eq!(push(&store, log(1), vec![op(2)]).unwrap().seq, seq(2));
    assert_eq!(pull(&store, log(1), before).unwrap().unwrap().len(), 1);
}

#[test]
fn fault_q06_a_foreign_reader_hinders_nobody() {
    let (_folder, path) = folder();
    let store = open(&path);
    push(&store, log(1), vec![op(1)]).unwrap();
    let foreign = Connection::open(&path).unwrap();
    foreign.execute_batch("BEGIN; SELECT count(*) FROM op").unwrap();
    for number in 2..50 {
        push(&store, log(1), vec![op(number)]).unwrap();
    }
    assert_eq!(pull_all(&store, log(1)).len(), 49);
}

#[test]
fn fault_q07_a_file_deleted_or_replaced_under_us_stops_the_store() {
    for replace in [false, true] {
        let (folder, path) = folder();
        let other = folder.path().join("other.db");
        filled(&other, 3);
        let store = open(&path);
        push(&store, log(1), vec![op(1)]).unwrap();
        if replace {
            fs::rename(&other, &path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        for round in 0..2 {
            let error = push(&store, log(1), vec![op(2)]).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
            let how = if replace { "replaced" } else { "deleted" };
            assert!(error.to_string().contains(how), "{error}");
            let error = block_on(store.ops_after(log(1), seq(0), PageLimit::default())).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
            if round == 0 && !replace {
                // Somebody puts a copy back: it is not the file that was acknowledged into.
                fs::rename(&other, &path).unwrap();
            }
        }
    }
}

#[test]
fn fault_q08_a_copy_without_its_write_ahead_log_is_found_out_by_a_cursor() {
    let (folder, path) = folder();
    filled(&path, 5);
    let store = open(&path);
    let cursor = push(&store, log(1), (6..=10).map(op).collect()).unwrap();
    let copy = folder.path().join("copy.db");
    fs::copy(&path, &copy).unwrap();
    let copy = open(&copy);
    assert_eq!(pull_all(&copy, log(1)).len(), 5, "the copy ends where the file was last checkpointed");
    assert_eq!(pull(&copy, log(1), cursor).unwrap(), Err(Gap::ClientAhead));
    push(&copy, log(1), (21..=40).map(op).collect()).unwrap();
    assert_eq!(pull(&copy, log(1), cursor).unwrap(), Err(Gap::Diverged), "it has grown past the cursor");
}
