//! Why: what was acknowledged must survive whatever the machine does.
//! How: the store runs on a machine whose power, disk and syncs fail at a chosen operation; afterwards a client that
//! remembers every acknowledgement looks at what is left. Every run is fixed by its seed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::ops::Range;
use std::path::Path;

use syncline::conformance::author::Author;
use syncline::oplog::{Gap, OpKind};
use syncline::seq::Cursor;
use syncline::store::{StoreError, StoreErrorKind};
use syncline_faults::part::{Counts, count};
use syncline_faults::power::lives::{CUTS, FAILURES, MODES};
use syncline_faults::power::writer::{LOGS, Writer, log, measure, options, pull, pull_all, push_others};
use syncline_faults::power::{Mode, life};
use syncline_storage_sqlite::{Durability, SqliteOptions, SqliteStore};
use syncline_test_vfs::Machine;

const PUSHES: usize = 12;

/// Every third run copies the write-ahead log back all the time, so that cuts fall into that too.
fn pages(seed: u64) -> u32 {
    if seed.is_multiple_of(3) { 4 } else { 10_000 }
}

fn full(machine: &Machine, folder: &Path, seed: u64) -> SqliteOptions {
    options(machine, folder, pages(seed), Durability::Full)
}

/// Runs until something fails or everything is done, then closes.
fn run(options: &SqliteOptions, writer: &mut Writer) -> Result<(), StoreError> {
    let store = SqliteStore::open(options.clone())?;
    writer.push_until(&store, PUSHES)
}

fn open(options: &SqliteOptions, name: &str) -> SqliteStore {
    SqliteStore::open(options.clone()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn fault_q01_power_cut_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let totals = [0, 1].map(|seed| measure(folder.path(), seed, pages(seed), PUSHES).0);
    for seed in 0..400 {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(seed);
        let options = full(&machine, folder.path(), seed);
        let total = totals[usize::from(!seed.is_multiple_of(3))];
        let mut writer = Writer::default();
        machine.cut_power_at(1 + seed * 7_919 % total);
        // Without an error the cut fell into closing the file.
        let _ = run(&options, &mut writer);
        assert!(machine.is_off(), "seed {seed}: the power was to be cut");
        machine.restart();
        let store = open(&options, &format!("seed {seed}"));
        assert_eq!(store.contradictions(), [], "seed {seed}");
        writer.check(&store, &format!("seed {seed}"));
        writer.push_until(&store, PUSHES).unwrap();
        writer.check(&store, &format!("seed {seed}, afterwards"));
    }
}

/// Lives lives of these seeds; what all of them counted. Not too few cuts fell into operations.
fn lives(mode: Mode, seeds: Range<u64>) -> Counts {
    let machine = Machine::new(0);
    let mut counts = Counts::new();
    let times = (seeds.end - seeds.start) * CUTS;
    for seed in seeds {
        let folder = tempfile::tempdir().unwrap();
        life(mode, seed, &machine, folder.path()).into_iter().for_each(|(what, more)| count(&mut counts, what, more));
    }
    assert!(counts[mode.cuts()] > times / 3, "{mode:?}, {times} times: {counts:?}");
    counts
}

/// A small slice of what the part `power_cuts` does for minutes.
#[test]
fn fault_q01_many_cuts_in_one_life_lose_nothing_acknowledged_in_any_mode() {
    for mode in MODES {
        let counts = lives(mode, 0..5);
        assert!(mode != Mode::AfterAnError || counts[FAILURES] > CUTS, "{counts:?}");
    }
}

/// C1, C3: an edit is kept and queued or neither, and pages come with their cursor, on a device's file.
#[test]
fn fault_c01_a_devices_edits_survive_power_cuts_and_reach_the_server_once() {
    lives(Mode::Device, 100..110);
}

#[test]
fn fault_q02_torn_frames_end_the_log_at_a_commit() {
    let mut shorter = 0;
    for seed in 0..150 {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(seed);
        // Without syncs all frames are volatile when the power goes, and tear.
        let options = options(&machine, folder.path(), pages(seed), Durability::MayLoseLastSeconds);
        let mut writer = Writer::default();
        let store = SqliteStore::open(options.clone()).unwrap();
        writer.push_until(&store, PUSHES).unwrap();
        machine.cut_power();
        drop(store);
        machine.restart();
        let name = format!("seed {seed}");
        shorter += u32::from(writer.check_weakly(&open(&options, &name), &name) > 0);
    }
    assert!(shorter > 20, "only {shorter} of 150 runs lost frames: the test tests nothing");
}

#[test]
fn fault_q03_a_lying_disk_is_never_silent() {
    let (mut refused, mut gaps, mut intact) = (0, 0, 0);
    for seed in 0..200 {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(seed);
        let options = full(&machine, folder.path(), seed);
        let mut writer = Writer::default();
        let store = SqliteStore::open(options.clone()).unwrap();
        machine.lie_on_sync();
        writer.push_until(&store, PUSHES).unwrap();
        machine.cut_power();
        drop(store);
        machine.restart();
        let Ok(store) = SqliteStore::open(options) else {
            refused += 1;
            continue;
        };
        for which in 0..LOGS {
            let (log, cursor) = (log(which), writer.cursors()[which]);
            match pull(&store, log, cursor) {
                Err(error) => {
                    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "seed {seed}: {error}");
                    refused += 1;
                }
                Ok(Err(_)) => {
                    gaps += 1;
                    // Another client fills the log past the lost end: now only the anchor can tell.
                    let mut other = Author::new(9);
                    let others: Vec<_> = (0..40).map(|about| other.op(OpKind::Update, "merge", about, "x")).collect();
                    match push_others(&store, log, &others) {
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
                            let found: Vec<_> = found.into_iter().map(|logged| logged.op).collect();
                            assert_eq!(found, writer.ops(which, PUSHES), "seed {seed}");
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
    let machine = Machine::new(0);
    for seed in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let (total, _) = measure(folder.path(), seed, pages(seed), PUSHES);
        for at in 1..=total {
            for lasting in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                machine.renew(seed);
                let options = full(&machine, folder.path(), seed);
                let name = format!("seed {seed}, full at {at}, lasting {lasting}");
                let mut writer = Writer::default();
                if lasting {
                    machine.fill_disk_from(at);
                } else {
                    machine.fill_disk_once_at(at);
                }
                if let Err(error) = run(&options, &mut writer) {
                    assert_eq!(error.kind(), StoreErrorKind::Full, "{name}: {error}");
                }
                assert!(machine.failures() > 0, "{name}: it was never full");
                machine.make_room();
                let store = open(&options, &name);
                writer.check(&store, &name);
                writer.push_until(&store, PUSHES).unwrap();
                writer.check(&store, &name);
            }
        }
    }
}

#[test]
fn fault_q04_a_store_goes_on_without_reopening_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(1);
    let store = SqliteStore::open(full(&machine, folder.path(), 1)).unwrap();
    let mut writer = Writer::default();
    machine.fill_disk_from(9);
    assert_eq!(writer.push_until(&store, PUSHES).unwrap_err().kind(), StoreErrorKind::Full);
    assert_eq!(writer.push_until(&store, PUSHES).unwrap_err().kind(), StoreErrorKind::Full, "it stays full");
    writer.check(&store, "full");
    machine.make_room();
    writer.push_until(&store, PUSHES).unwrap();
    writer.check(&store, "with room again");
}

/// Tries each sync of some runs; how many of them came, and failed, of how many.
fn at_each_sync(case: impl Fn(&Machine, &SqliteOptions, u64, &str)) -> (u64, u64) {
    let machine = Machine::new(0);
    let (mut failed, mut tried) = (0, 0);
    for seed in 0..9 {
        let folder = tempfile::tempdir().unwrap();
        let (_, syncs) = measure(folder.path(), seed, pages(seed), PUSHES);
        for at in 1..=syncs {
            let folder = tempfile::tempdir().unwrap();
            machine.renew(seed * 1_000 + at);
            case(&machine, &full(&machine, folder.path(), seed), at, &format!("seed {seed}, sync {at}"));
            tried += 1;
            failed += machine.failures();
        }
    }
    (failed, tried)
}

#[test]
fn fault_q05_a_failed_sync_is_not_trusted_afterwards() {
    let (failed, tried) = at_each_sync(|machine, options, at, name| {
        let mut writer = Writer::default();
        machine.fail_sync_at(at);
        let store = SqliteStore::open(options.clone()).unwrap_or_else(|error| {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{name}: {error}");
            open(options, name)
        });
        // The same store goes on: the sync failed once, its writes are shown and will never be written out.
        if let Err(error) = writer.push_until(&store, PUSHES) {
            assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{name}: {error}");
            writer.push_until(&store, PUSHES).unwrap_or_else(|error| panic!("{name}, again: {error}"));
        }
        machine.cut_power();
        drop(store);
        machine.restart();
        writer.check(&open(options, name), name);
    });
    assert!(failed > 100, "{failed} of {tried} syncs failed");
}

#[test]
fn fault_q05_a_process_that_follows_on_a_failed_sync_trusts_nothing_it_finds() {
    let (failed, tried) = at_each_sync(|machine, options, at, name| {
        let mut writer = Writer::default();
        let store = open(options, name);
        machine.fail_sync_at(at);
        let failed = writer.push_until(&store, PUSHES);
        // The dead process leaves frames in the system's cache that a successor finds whole, and no disk has.
        machine.kill_process();
        drop(store);
        machine.start_process();
        let store = open(options, name);
        writer.push_until(&store, PUSHES).unwrap_or_else(|error| panic!("{name}, after {failed:?}: {error}"));
        machine.cut_power();
        drop(store);
        machine.restart();
        writer.check(&open(options, name), name);
    });
    assert!(failed > 100, "{failed} of {tried} syncs failed");
}

#[test]
fn fault_q10_a_cut_while_recovering_from_a_cut_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let totals = [0, 1].map(|seed| measure(folder.path(), seed, pages(seed), PUSHES).0);
    let mut second = 0;
    for seed in 0..300 {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(seed);
        let options = full(&machine, folder.path(), seed);
        let total = totals[usize::from(!seed.is_multiple_of(3))];
        let mut writer = Writer::default();
        machine.cut_power_at(total / 4 + seed * 7_919 % (total * 3 / 4));
        let _ = run(&options, &mut writer);
        machine.restart();
        machine.cut_power_at(1 + seed % 13);
        let _ = run(&options, &mut writer);
        second += u32::from(machine.is_off());
        machine.restart();
        let name = format!("seed {seed}");
        writer.check(&open(&options, &name), &name);
    }
    assert!(second > 200, "only {second} of 300 runs were cut twice");
}

/// What the tests above read is what they mean to read.
#[test]
fn a_whole_log_is_read_as_it_was_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("a.db"))).unwrap();
    let mut writer = Writer::default();
    writer.push_until(&store, PUSHES).unwrap();
    for which in 0..LOGS {
        let found: Vec<_> = pull_all(&store, log(which), "").into_iter().map(|logged| logged.op).collect();
        assert_eq!(found, writer.ops(which, PUSHES));
        assert!(!found.is_empty());
    }
}
