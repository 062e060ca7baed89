//! Why: what was acknowledged must survive whatever the machine does.
//! How: the store runs on a machine whose power, disk and syncs fail at a chosen operation; afterwards a client that
//! remembers every acknowledgement looks at what is left. Every run is fixed by its seed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use support::*;
use syncline::id::LogKey;
use syncline::oplog::{Gap, Op, OpBytes};
use syncline::seq::Cursor;
use syncline::store::{StoreError, StoreErrorKind};
use syncline_storage_sqlite::{Durability, SqliteOptions, SqliteStore};
use syncline_test_vfs::Machine;

const PUSHES: u64 = 12;

/// A client of two logs that remembers what was acknowledged.
#[derive(Default)]
struct Client {
    acknowledged: [Vec<OpBytes>; 2],
    cursors: [Cursor; 2],
    pushed: u64,
}

/// What push number `push` adds, and to which log: 1 to 5 ops, some over a page long.
fn batch(push: u64) -> (usize, LogKey, Vec<Op>) {
    let which = push % 2;
    let size = if push % 5 == 4 { 6_000 } else { 100 };
    let ops = (0..=push % 5).map(|part| op_on(push * 10 + part, part, size)).collect();
    (usize::try_from(which).unwrap(), log(which), ops)
}

impl Client {
    /// Pushes on from where it was until the end or the first failure.
    fn push_on(&mut self, store: &SqliteStore) -> Result<(), StoreError> {
        while self.pushed < PUSHES {
            let (which, log, ops) = batch(self.pushed);
            self.cursors[which] = push(store, log, ops.clone())?;
            self.acknowledged[which].extend(ops.iter().map(|op| op.raw().clone()));
            self.pushed += 1;
        }
        Ok(())
    }

    /// Everything acknowledged is there, in place, and behind it at most one push that was cut off, whole.
    fn check(&self, store: &SqliteStore, run: &str) {
        for (which, acknowledged) in self.acknowledged.iter().enumerate() {
            let log = log(which as u64);
            let found: Vec<OpBytes> = pull_all(store, log).into_iter().map(|logged| logged.op).collect();
            assert!(found.starts_with(acknowledged), "{run}: log {which} lost acknowledged ops");
            let (next, _, ops) = batch(self.pushed.min(PUSHES - 1));
            let extra = found.len() - acknowledged.len();
            assert!(extra == 0 || (next == which && extra == ops.len()), "{run}: log {which} has half a push");
            let gap = pull(store, log, self.cursors[which]).unwrap().err();
            assert_eq!(gap, None, "{run}: the cursor of log {which}");
        }
    }
}

fn options(machine: &Machine, folder: &Path, seed: u64) -> SqliteOptions {
    // Every third run copies the write-ahead log back all the time, so that cuts fall into that too.
    let pages = if seed.is_multiple_of(3) { 4 } else { 10_000 };
    SqliteOptions::new(folder.join("a.db")).vfs(machine.name()).checkpoint_pages(pages)
}

/// Opens, pushes everything, closes; how many operations and syncs that takes in a run of this seed.
fn measure(folder: &Path, seed: u64) -> (u64, u64) {
    let machine = Machine::new(seed);
    let mut client = Client::default();
    client.push_on(&SqliteStore::open(options(&machine, folder, seed)).unwrap()).unwrap();
    (machine.operations(), machine.syncs())
}

/// Runs until something fails or everything is done, then closes.
fn run(options: &SqliteOptions, client: &mut Client) -> Result<(), StoreError> {
    let store = SqliteStore::open(options.clone())?;
    client.push_on(&store)
}

#[test]
fn fault_q01_power_cut_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let totals = [measure(folder.path(), 0).0, measure(folder.path(), 1).0];
    for seed in 0..400 {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(seed);
        let options = options(&machine, folder.path(), seed);
        let total = totals[usize::from(!seed.is_multiple_of(3))];
        let mut client = Client::default();
        machine.cut_power_at(1 + seed * 7_919 % total);
        // Without an error the cut fell into closing the file.
        let _ = run(&options, &mut client);
        assert!(machine.is_off(), "seed {seed}: the power was to be cut");
        machine.restart();
        let store = SqliteStore::open(options.clone()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(store.contradictions(), [], "seed {seed}");
        client.check(&store, &format!("seed {seed}"));
        client.push_on(&store).unwrap();
        client.check(&store, &format!("seed {seed}, afterwards"));
    }
}

#[test]
fn fault_q02_torn_frames_end_the_log_at_a_commit() {
    let mut shorter = 0;
    for seed in 0..150 {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(seed);
        // Without syncs all frames are volatile when the power goes, and tear.
        let options = options(&machine, folder.path(), seed).durability(Durability::MayLoseLastSeconds);
        let mut client = Client::default();
        let store = SqliteStore::open(options.clone()).unwrap();
        client.push_on(&store).unwrap();
        machine.cut_power();
        drop(store);
        machine.restart();
        let store = SqliteStore::open(options).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let found: usize = (0..2).map(|which| pull_all(&store, log(which)).len()).sum();
        let ends: Vec<usize> = (0..=PUSHES).map(|n| (0..n).map(|push| batch(push).2.len()).sum()).collect();
        assert!(ends.contains(&found), "seed {seed}: {found} ops are no whole number of pushes");
        for which in 0..2 {
            let found: Vec<OpBytes> = pull_all(&store, log(which as u64)).into_iter().map(|logged| logged.op).collect();
            assert!(client.acknowledged[which].starts_with(&found), "seed {seed}: log {which} is not a prefix");
        }
        shorter += usize::from(found < client.acknowledged.iter().map(Vec::len).sum());
    }
    assert!(shorter > 20, "only {shorter} of 150 runs lost frames: the test tests nothing");
}

#[test]
fn fault_q03_a_lying_disk_is_never_silent() {
    let (mut refused, mut gaps, mut intact) = (0, 0, 0);
    for seed in 0..200 {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(seed);
        let options = options(&machine, folder.path(), seed);
        let mut client = Client::default();
        let store = SqliteStore::open(options.clone()).unwrap();
        machine.lie_on_sync();
        client.push_on(&store).unwrap();
        machine.cut_power();
        drop(store);
        machine.restart();
        let Ok(store) = SqliteStore::open(options) else {
            refused += 1;
            continue;
        };
        for which in 0..2 {
            let (log, cursor) = (log(which as u64), client.cursors[which]);
            match pull(&store, log, cursor) {
                Err(error) => {
                    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "seed {seed}: {error}");
                    refused += 1;
                }
                Ok(Err(_)) => {
                    gaps += 1;
                    // Another client fills the log past the lost end: now only the anchor can tell.
                    let others = (0..40).map(|number| op(9_000 + number)).collect();
                    match push(&store, log, others) {
                        Ok(_) => assert!(
                            matches!(pull(&store, log, cursor), Ok(Err(Gap::Diverged | Gap::ForeignLog)) | Err(_)),
                            "seed {seed}: a rolled-back log that grew on looks unbroken"
                        ),
                        Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "seed {seed}: {error}"),
                    }
                }
                Ok(Ok(_)) => {
                    // The anchor at the cursor covers everything before it.
                    intact += 1;
                    match pull(&store, log, Cursor::START) {
                        Ok(Ok(found)) => {
                            let found: Vec<OpBytes> = found.into_iter().map(|logged| logged.op).collect();
                            assert_eq!(found, client.acknowledged[which], "seed {seed}");
                        }
                        Ok(Err(gap)) => assert_eq!(gap, Gap::Hole, "seed {seed}"),
                        Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "seed {seed}: {error}"),
                    }
                }
            }
        }
    }
    assert!(refused + gaps > 50, "{refused} refused, {gaps} gaps, {intact} intact: the test tests nothing");
}

#[test]
fn fault_q04_a_full_disk_refuses_and_leaves_the_rest_intact() {
    for seed in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let (total, _) = measure(folder.path(), seed);
        for at in 1..=total {
            for lasting in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                let machine = Machine::new(seed);
                let options = options(&machine, folder.path(), seed);
                let name = format!("seed {seed}, full at {at}, lasting {lasting}");
                let mut client = Client::default();
                if lasting {
                    machine.fill_disk_from(at);
                } else {
                    machine.fill_disk_once_at(at);
                }
                if let Err(error) = run(&options, &mut client) {
                    assert_eq!(error.kind(), StoreErrorKind::Full, "{name}: {error}");
                }
                machine.make_room();
                let store = SqliteStore::open(options.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
                client.check(&store, &name);
                client.push_on(&store).unwrap();
                client.check(&store, &name);
            }
        }
    }
}

#[test]
fn fault_q04_a_store_goes_on_without_reopening_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(1);
    let store = SqliteStore::open(options(&machine, folder.path(), 1)).unwrap();
    let mut client = Client::default();
    machine.fill_disk_from(9);
    assert_eq!(client.push_on(&store).unwrap_err().kind(), StoreErrorKind::Full);
    assert_eq!(client.push_on(&store).unwrap_err().kind(), StoreErrorKind::Full, "it stays full");
    client.check(&store, "full");
    machine.make_room();
    client.push_on(&store).unwrap();
    client.check(&store, "with room again");
}

#[test]
fn fault_q05_a_failed_sync_is_not_trusted_afterwards() {
    for seed in 0..9 {
        let folder = tempfile::tempdir().unwrap();
        let (_, syncs) = measure(folder.path(), seed);
        for at in 1..=syncs {
            let folder = tempfile::tempdir().unwrap();
            let machine = Machine::new(seed * 1_000 + at);
            let options = options(&machine, folder.path(), seed);
            let name = format!("seed {seed}, sync {at}");
            let mut client = Client::default();
            machine.fail_sync_at(at);
            let store = match SqliteStore::open(options.clone()) {
                Ok(store) => store,
                Err(error) => {
                    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{name}: {error}");
                    SqliteStore::open(options.clone()).unwrap_or_else(|error| panic!("{name}: {error}"))
                }
            };
            // The same store goes on: the sync failed once, its writes are shown and will never be written out.
            if let Err(error) = client.push_on(&store) {
                assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{name}: {error}");
                client.push_on(&store).unwrap_or_else(|error| panic!("{name}, again: {error}"));
            }
            machine.cut_power();
            drop(store);
            machine.restart();
            let store = SqliteStore::open(options).unwrap_or_else(|error| panic!("{name}, restarted: {error}"));
            client.check(&store, &name);
        }
    }
}

#[test]
fn fault_q05_a_process_that_follows_on_a_failed_sync_trusts_nothing_it_finds() {
    for seed in 0..9 {
        let folder = tempfile::tempdir().unwrap();
        let (_, syncs) = measure(folder.path(), seed);
        for at in 1..=syncs {
            let folder = tempfile::tempdir().unwrap();
            let machine = Machine::new(seed * 1_000 + at);
            let options = options(&machine, folder.path(), seed);
            let name = format!("seed {seed}, sync {at}");
            let mut client = Client::default();
            let Ok(store) = SqliteStore::open(options.clone()) else { panic!("{name}") };
            machine.fail_sync_at(at);
            let failed = client.push_on(&store);
            // The dead process leaves frames in the system's cache that a successor finds whole, and no disk has.
            machine.kill_process();
            drop(store);
            machine.start_process();
            let store = SqliteStore::open(options.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
            client.push_on(&store).unwrap_or_else(|error| panic!("{name}, after {failed:?}: {error}"));
            machine.cut_power();
            drop(store);
            machine.restart();
            let store = SqliteStore::open(options).unwrap_or_else(|error| panic!("{name}, restarted: {error}"));
            client.check(&store, &name);
        }
    }
}

#[test]
fn fault_q10_a_cut_while_recovering_from_a_cut_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let totals = [measure(folder.path(), 0).0, measure(folder.path(), 1).0];
    let mut second = 0;
    for seed in 0..300 {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(seed);
        let options = options(&machine, folder.path(), seed);
        let total = totals[usize::from(!seed.is_multiple_of(3))];
        let mut client = Client::default();
        machine.cut_power_at(total / 4 + seed * 7_919 % (total * 3 / 4));
        let _ = run(&options, &mut client);
        machine.restart();
        machine.cut_power_at(1 + seed % 13);
        let _ = run(&options, &mut client);
        second += u32::from(machine.is_off());
        machine.restart();
        let store = SqliteStore::open(options).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        client.check(&store, &format!("seed {seed}"));
    }
    assert!(second > 200, "only {second} of 300 runs were cut twice");
}
