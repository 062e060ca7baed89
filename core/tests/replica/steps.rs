//! A device that fails at every step of what it does: killed there, or left without room.
//!
//! How: one short life is lived again and again, each time with one transaction more before everything is cut off, until
//! a life meets no cut. Killed means that the next process finds what the store holds; a transaction that is cut off is
//! not written in one run, and written but not answered in the next.

use std::sync::Arc;

use syncline::client::{ReplicaError, Retain, Write};
use syncline::oplog::{OpKind, Payload, Precondition};
use syncline::store::{MemoryStore, Store, StoreErrorKind};

use crate::common::cut::Cut;
use crate::world::{Device, World, run};

/// Lives until no cut is met any more; a life says whether it met one.
fn every_cut(life: impl Fn(usize, bool) -> bool) -> usize {
    let mut most = 0;
    for written in [false, true] {
        let mut cuts = 0;
        while life(cuts, written) {
            cuts += 1;
            assert!(cuts < 1_000, "a life without an end");
        }
        most = most.max(cuts);
    }
    most
}

/// Opens what a store holds, as a process does that will be killed after so many transactions.
fn doomed(world: &mut World, store: &Arc<MemoryStore>, cuts: usize, written: bool) -> Result<Device, ReplicaError> {
    let cut = Cut::new(Arc::clone(store) as Arc<dyn Store>, cuts, written);
    world.open_through(Arc::clone(store), Arc::new(cut), 0, |_| {})
}

fn write(device: &Device, name: &str) -> Write {
    Write {
        key: device.task(name).key().clone(),
        kind: OpKind::Update,
        precondition: Precondition::None,
        payload: Payload::Json(r#"{"n":"1"}"#.into()),
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("t{number}")).collect()
}

fn shown(device: &Device, names: &[String]) -> Vec<bool> {
    names.iter().map(|name| device.read(name) != "-").collect()
}

#[test]
fn fault_c01_killed_at_any_step_of_a_write_it_is_there_and_queued_or_neither() {
    let names = names(4);
    let cuts = every_cut(|cuts, written| {
        let mut world = World::new();
        let store = Arc::new(MemoryStore::new());
        let mut said = [false; 4];
        let killed = match doomed(&mut world, &store, cuts, written) {
            Err(_) => true,
            Ok(device) => {
                let first = run(device.task(&names[0]).set("n", "1"));
                said[0] = first.is_ok();
                let second = if said[0] { run(device.task(&names[1]).set("n", "1")).is_ok() } else { false };
                said[1] = second;
                let batch = names[2..].iter().map(|name| write(&device, name)).collect();
                let both = second && run(device.replica.write_batch(batch)).is_ok();
                (said[2], said[3]) = (both, both);
                !both
            }
        };
        let device = world.open(store, 0);
        let found = shown(&device, &names);
        assert!(said.iter().zip(&found).all(|(said, found)| found >= said), "{cuts}: {said:?} but {found:?}");
        assert_eq!(found[2], found[3], "{cuts}: a batch is whole");
        let count = found.iter().filter(|found| **found).count();
        assert_eq!(device.replica.status().unsynced, count as u64, "{cuts}: what is shown is queued");
        assert!(world.sync(&device).is_safe());
        let other = world.device();
        world.sync(&other);
        assert_eq!(shown(&other, &names), found, "{cuts}");
        killed
    });
    assert!(cuts >= 4, "opening, two writes and a batch");
}

#[test]
fn fault_c02_killed_at_any_step_of_sending_each_write_is_in_the_log_once() {
    let names = names(3);
    let cuts = every_cut(|cuts, written| {
        let mut world = World::new();
        let store = Arc::new(MemoryStore::new());
        let device = world.open(Arc::clone(&store), 0);
        names.iter().for_each(|name| drop(device.set(name, "n", "1")));
        drop(device);
        let killed = match doomed(&mut world, &store, cuts, written) {
            Err(_) => true,
            Ok(device) => world.try_sync(&device).is_err(),
        };
        let device = world.open(store, 0);
        assert_eq!(shown(&device, &names), [true; 3], "{cuts}");
        assert!(world.sync(&device).is_safe());
        assert!(run(device.replica.parked()).unwrap().is_empty());
        let other = world.device();
        world.sync(&other);
        assert_eq!((shown(&other, &names), other.steps()), (vec![true; 3], 3), "{cuts}");
        killed
    });
    assert!(cuts >= 3, "opening, preparing and settling");
}

#[test]
fn fault_c03_killed_at_any_step_of_reading_the_cursor_moves_with_what_it_covers() {
    let names = names(600);
    let cuts = every_cut(|cuts, written| {
        let mut world = World::new();
        let other = world.device();
        names.iter().for_each(|name| drop(other.set(name, "n", "1")));
        world.sync(&other);
        let store = Arc::new(MemoryStore::new());
        let killed = match doomed(&mut world, &store, cuts, written) {
            Err(_) => true,
            Ok(device) => world.try_sync(&device).is_err(),
        };
        let device = world.open(store, 0);
        let kept = device.steps();
        let expected: Vec<bool> = (0..names.len()).map(|number| number < kept).collect();
        assert_eq!(shown(&device, &names), expected, "{cuts}: what is shown is what the cursor covers");
        assert!(world.sync(&device).is_safe());
        assert_eq!((device.steps(), shown(&device, &names)), (600, vec![true; 600]), "{cuts}");
        killed
    });
    assert!(cuts >= 3, "opening and two pages");
}

#[test]
fn fault_c12_a_full_disk_is_told_shows_nothing_that_is_not_kept_and_all_goes_on_once_there_is_room() {
    let names = names(4);
    let mut cuts = 0;
    loop {
        let mut world = World::new();
        let other = world.device();
        other.set(&names[3], "n", "1");
        world.sync(&other);
        let store = Arc::new(MemoryStore::new());
        let cut = Arc::new(Cut::full(Arc::clone(&store) as Arc<dyn Store>, cuts));
        let through = Arc::clone(&cut) as Arc<dyn Store>;
        let full = |error: &ReplicaError| matches!(error, ReplicaError::Store(e) if e.kind() == StoreErrorKind::Full);
        let device = match world.open_through(store, through, 0, |_| {}) {
            Ok(device) => device,
            Err(error) => {
                assert!(full(&error), "{error}");
                cuts += 1;
                continue;
            }
        };
        let mut told = false;
        for name in &names[..3] {
            if let Err(error) = run(device.task(name).set("n", "1")) {
                assert!(full(&error), "{error}");
                assert_eq!(device.read(name), "-", "{cuts}: not kept, so not shown");
                told = true;
            }
        }
        let before = shown(&device, &names);
        if let Err(error) = world.try_sync(&device) {
            assert!(full(&error), "{error}");
            told = true;
        }
        let after = shown(&device, &names);
        assert!(before.iter().zip(&after).all(|(before, after)| after >= before), "{cuts}: earlier writes are intact");
        cut.mend();
        for name in names.iter().filter(|name| device.read(name) == "-" && **name != names[3]) {
            device.set(name, "n", "1");
        }
        assert!(world.sync(&device).is_safe());
        world.sync(&other);
        for device in [&device, &other] {
            assert_eq!((shown(device, &names), device.steps()), (vec![true; 4], 4), "{cuts}");
        }
        if !told {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 5, "opening, three writes and a sync");
}

#[test]
fn fault_c17_killed_at_any_step_while_it_reads_and_lets_go_of_history_it_has_all_of_its_state() {
    let names = names(60);
    let cuts = every_cut(|cuts, written| {
        let mut world = World::new();
        world.retain = Retain::Window { ops: 10, ms: 0 };
        let other = world.device();
        names.iter().for_each(|name| drop(other.set(name, "n", "1")));
        world.sync(&other);
        let store = Arc::new(MemoryStore::new());
        let killed = match doomed(&mut world, &store, cuts, written) {
            Err(_) => true,
            Ok(device) => world.try_sync(&device).is_err(),
        };
        let device = world.open(store, 0);
        let found = shown(&device, &names);
        assert!(found.iter().all(|found| *found) || found.iter().all(|found| !found), "{cuts}: one page, all of it");
        assert!(world.sync(&device).is_safe());
        assert_eq!(shown(&device, &names), [true; 60], "{cuts}");
        // What it let go of is in the state that it fills an empty server with.
        world.replace_server(Arc::new(MemoryStore::new()));
        assert!(world.sync(&device).is_safe());
        let fresh = world.device();
        world.sync(&fresh);
        assert_eq!(shown(&fresh, &names), [true; 60], "{cuts}");
        killed
    });
    assert!(cuts >= 3, "opening, reading and letting go");
}
