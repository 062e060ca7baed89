//! Servers that lost something, logs that are somebody else's, devices that exist twice.

use std::sync::Arc;

use syncline::EntityId;
use syncline::client::{Fate, Halt, Phase, Retain, Write};
use syncline::oplog::{EntityKey, OpKind, Payload, Precondition};
use syncline::store::{MemoryStore, StoreExt as _};

use crate::world::{Fault, LOG, World, run, seq};

/// The server is restored from an older copy while devices hold newer acknowledged ops.
#[test]
fn fault_s12_a_server_that_was_rolled_back_gets_back_what_any_device_still_has() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    a.set("1", "n", "kept");
    world.sync(&a);
    world.sync(&b);
    let backup = Arc::new(server.fork());
    for index in 0..5 {
        a.set("2", "n", &index.to_string());
        world.sync(&a);
        b.set("3", "n", &index.to_string());
        world.sync(&b);
    }
    a.set("4", "n", "acknowledged");
    assert!(world.sync(&a).is_safe());
    world.replace_server(backup);
    b.set("5", "n", "not yet sent");
    for device in [&b, &a, &b, &a] {
        assert!(world.sync(device).is_safe());
    }
    for name in ["1", "2", "3", "4", "5"] {
        assert_eq!(a.read(name), b.read(name));
        assert_ne!(a.read(name), "-", "{name}");
    }
    let fresh = world.device();
    world.sync(&fresh);
    assert_eq!(fresh.read("4"), r#"{"n":"acknowledged"}"#);
    assert_eq!(fresh.read("3"), r#"{"n":"4"}"#);
}

/// The same, with others having written since: the histories part in the middle.
#[test]
fn a_server_that_was_rolled_back_and_went_on_keeps_both_histories() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let (a, b) = (world.device(), world.device());
    a.set("1", "n", "1");
    world.sync(&a);
    world.sync(&b);
    let backup = Arc::new(server.fork());
    for index in 0..7 {
        a.set(&format!("old{index}"), "n", "1");
        world.sync(&a);
    }
    world.replace_server(backup);
    for index in 0..20 {
        b.set(&format!("new{index}"), "n", "1");
        world.sync(&b);
    }
    for device in [&a, &b, &a] {
        assert!(world.sync(device).is_safe(), "{:?}", device.replica.status());
    }
    for index in 0..7 {
        assert_eq!(b.read(&format!("old{index}")), r#"{"n":"1"}"#);
    }
    for index in 0..20 {
        assert_eq!(a.read(&format!("new{index}")), r#"{"n":"1"}"#);
    }
}

/// The server is empty, two devices are full.
#[test]
fn fault_s13_an_empty_server_is_filled_by_whoever_comes_and_the_second_adds_what_is_missing() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    a.set("1", "n", "a");
    world.sync(&a);
    world.sync(&b);
    b.set("2", "n", "b");
    world.sync(&b);
    world.replace_server(Arc::new(MemoryStore::new()));
    a.set("3", "n", "new");
    for device in [&a, &b, &a, &b] {
        let status = world.sync(device);
        assert!(status.is_safe(), "{status:?}");
    }
    for name in ["1", "2", "3"] {
        assert_ne!(a.read(name), "-");
        assert_eq!(a.read(name), b.read(name));
    }
}

/// The server lost the log, a device filled it again, and then a backup from before comes back, whose first ops were pruned
/// in the meantime: it is still this log. Found by the simulator.
#[test]
fn a_pruned_log_is_known_by_its_authors_when_it_comes_back() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let a = world.device();
    for name in ["1", "2", "3"] {
        a.set(name, "n", "before");
        world.sync(&a);
    }
    run(a.replica.restore(seq(2))).unwrap();
    world.sync(&a);
    world.prune(seq(3));
    world.replace_server(Arc::new(MemoryStore::new()));
    world.sync(&a);
    a.set("4", "n", "meanwhile");
    world.sync(&a);
    world.replace_server(server);
    // The first time it learns that this is the log, begun anew for all it knows, and that its beginning is gone.
    let _ = world.try_sync(&a);
    assert!(world.sync(&a).is_safe());
    let fresh = world.device();
    world.sync(&fresh);
    assert_eq!(fresh.read("4"), r#"{"n":"meanwhile"}"#);
}

/// Found by the simulator: it asked for what came after the end of its own history again and again, without a pause.
#[test]
fn a_device_that_began_from_a_state_finds_its_place_in_a_log_that_was_begun_anew_and_pruned() {
    let mut world = World::new();
    let old = world.device();
    for name in ["1", "2", "3"] {
        old.set(name, "n", "1");
        world.sync(&old);
    }
    run(old.replica.restore(seq(3))).unwrap();
    world.sync(&old);
    let young = world.device();
    world.sync(&young);
    young.set("4", "n", "waits");
    world.replace_server(Arc::new(MemoryStore::new()));
    world.sync(&old);
    world.prune(seq(3));
    for _ in 0..3 {
        let _ = world.try_sync(&young);
    }
    world.calls();
    assert!(world.sync(&young).is_safe());
    assert!(world.calls() < 10);
    world.sync(&old);
    assert_eq!(old.read("4"), r#"{"n":"waits"}"#);
}

#[test]
fn another_log_under_the_same_name_is_refused_and_nothing_is_mixed() {
    let mut world = World::new();
    let a = world.device();
    a.set("1", "n", "mine");
    world.sync(&a);
    world.replace_server(Arc::new(MemoryStore::new()));
    let stranger = world.device();
    stranger.set("9", "n", "theirs");
    world.sync(&stranger);
    a.set("2", "n", "waits");
    assert!(world.try_sync(&a).is_err());
    assert_eq!(a.replica.status().phase, Some(Phase::Halted(Halt::ForeignLog)));
    assert_eq!(a.read("1"), r#"{"n":"mine"}"#);
    assert_eq!(a.replica.status().unsynced, 1);
    world.sync(&stranger);
    assert_eq!(stranger.read("1"), "-");
}

/// A device's disk is copied, and both copies go on.
#[test]
fn fault_c08_a_copied_device_gets_a_name_of_its_own_and_keeps_what_it_wrote() {
    let mut world = World::new();
    let first = world.device();
    first.set("1", "n", "1");
    world.sync(&first);
    let copy = first.copy_of_store();
    let second = world.open(copy, 0);
    let (name, shared) = (first.replica.id(), second.replica.id());
    assert_eq!(name, shared);
    first.set("2", "n", "first");
    second.set("3", "n", "second");
    for device in [&first, &second, &first, &second] {
        assert!(world.sync(device).is_safe(), "{:?}", device.replica.status());
    }
    for name in ["1", "2", "3"] {
        assert_ne!(first.read(name), "-");
        assert_eq!(first.read(name), second.read(name));
    }
    assert_ne!(first.replica.id(), second.replica.id());
}

/// Found by the simulator: what the server had answered to the copy named a place in a history that this one did not have,
/// and was taken for a place in its own.
#[test]
fn what_was_answered_to_a_copy_is_no_place_in_a_history_that_the_server_lost() {
    let mut world = World::new();
    world.retain = Retain::Window { ops: 4, ms: 0 };
    let first = world.device();
    for index in 0..20 {
        first.set(&index.to_string(), "n", "1");
        world.sync(&first);
    }
    let receipt = first.set("late", "n", "1");
    run(first.replica.prepare()).unwrap();
    let copy = world.open(first.copy_of_store(), 0);
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    assert!(world.sync(&copy).is_safe());
    let place = run(server.head(LOG, first.task("late").key())).unwrap().unwrap().version;
    assert!(place < seq(20), "it would be a place in the history that is gone");
    for calls in 1..6 {
        world.sync_for(calls, &first);
        assert_eq!(first.read("late"), r#"{"n":"1"}"#, "after {calls} calls");
    }
    assert!(world.sync(&first).is_safe());
    assert_eq!(receipt.fate(), Fate::Accepted(place));
}

#[test]
fn fault_c09_a_device_set_back_to_its_backup_reads_on_and_writes_under_a_new_name() {
    let mut world = World::new();
    let device = world.device();
    device.set("1", "n", "1");
    world.sync(&device);
    let backup = device.copy_of_store();
    for index in 0..5 {
        device.set("2", "n", &index.to_string());
        world.sync(&device);
    }
    let restored = world.open(backup, 0);
    restored.set("3", "n", "after");
    assert!(world.sync(&restored).is_safe());
    assert_eq!(restored.read("2"), r#"{"n":"4"}"#);
    let other = world.device();
    world.sync(&other);
    assert_eq!(other.read("3"), r#"{"n":"after"}"#);
}

/// Seeded: devices write, lose answers, are killed, and the server is rolled back; what a device once showed it goes on
/// showing, and in the end all agree and no write is nowhere.
#[test]
fn whatever_happens_in_between_all_devices_end_with_the_same_and_every_write() {
    random_runs(200, Retain::Everything, u64::MAX);
}

/// The same with devices that keep thirty ops, and backups that are never further behind than fifteen.
#[test]
fn devices_that_let_go_of_history_end_with_the_same_too_where_backups_are_young_enough() {
    random_runs(100, Retain::Window { ops: 30, ms: 0 }, 15);
}

fn ops(server: &MemoryStore) -> u64 {
    run(server.bounds(LOG)).unwrap().map_or(0, |bounds| bounds.last.get())
}

fn random_runs(seeds: u64, retain: Retain, backup_after: u64) {
    for seed in 0..seeds {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut world = World::new();
        world.retain = retain;
        let server = Arc::new(MemoryStore::new());
        world.replace_server(Arc::clone(&server));
        let mut devices: Vec<_> = (0..3).map(|_| world.device()).collect();
        let (mut written, mut current) = (Vec::new(), server);
        let mut backup = Arc::new(current.fork());
        let mut seen = vec![std::collections::BTreeSet::new(); devices.len()];
        for step in 0..60_u64 {
            let at = usize::try_from(next(devices.len() as u64)).unwrap();
            match next(12) {
                0..=4 => {
                    let name = format!("s{step}");
                    devices[at].set(&name, "by", &step.to_string());
                    devices[at].set("shared", &format!("f{}", next(4)), &step.to_string());
                    written.push(name);
                }
                5..=8 => {
                    let fault = [Fault::None, Fault::None, Fault::AnswerLost, Fault::Unreachable];
                    let faults: Vec<Fault> = (0..6).map(|_| fault[usize::try_from(next(4)).unwrap()]).collect();
                    world.fault(&faults);
                    let _ = world.try_sync(&devices[at]);
                }
                9 => {
                    let store = Arc::clone(&devices[at].store);
                    devices[at] = world.open(store, 0);
                }
                10 => backup = Arc::new(current.fork()),
                // Back to a copy at any moment, in the middle of another recovery too: what a server had, some device has.
                _ if backup.has_any() => {
                    current = Arc::new(backup.fork());
                    world.replace_server(Arc::clone(&current));
                }
                _ => {}
            }
            if ops(&current) > ops(&backup).saturating_add(backup_after) {
                backup = Arc::new(current.fork());
            }
            // Nothing is deleted here, so what was once shown stays: one's own writes, and what was read.
            for name in written.iter().filter(|_| seed.is_multiple_of(4)) {
                let shows = devices[at].read(name) != "-";
                assert!(shows || !seen[at].contains(name), "seed {seed}, step {step}: {name} was shown and is gone");
                if shows {
                    seen[at].insert(name.clone());
                }
            }
        }
        world.fault(&[]);
        for _ in 0..4 {
            for device in &devices {
                let status = world.sync(device);
                assert!(status.is_safe(), "seed {seed}: {status:?}");
            }
        }
        devices.push(world.device());
        world.sync(&devices[3]);
        written.push("shared".into());
        for name in &written {
            let states: Vec<String> = devices.iter().map(|device| device.read(name)).collect();
            assert_ne!(states[0], "-", "seed {seed}: {name} is nowhere");
            assert!(states.iter().all(|state| *state == states[0]), "seed {seed}: {name}: {states:?}");
        }
        assert!(run(devices[0].replica.parked()).unwrap().is_empty());
    }
}

/// Put back again in the middle of the recovery from the first time: what was confirmed by nobody but the server, before
/// the place where the histories parted, is still here.
#[test]
fn a_server_that_is_put_back_twice_gets_everything_back() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let a = world.device();
    a.set("1", "n", "1");
    world.sync(&a);
    let older = Arc::new(server.fork());
    a.set("2", "n", "2");
    world.sync(&a);
    let newer = Arc::new(server.fork());
    a.set("3", "n", "3");
    world.sync(&a);
    world.replace_server(newer);
    // It finds the place, cuts back, and then hears nothing more.
    for calls in 1..6 {
        world.sync_for(calls, &a);
    }
    world.replace_server(older);
    let a = world.open(a.store, 0);
    for name in ["1", "2", "3"] {
        assert_ne!(a.read(name), "-", "visible without the server");
    }
    assert!(world.sync(&a).is_safe());
    let fresh = world.device();
    world.sync(&fresh);
    for name in ["1", "2", "3"] {
        assert_eq!(fresh.read(name), format!(r#"{{"n":"{name}"}}"#));
        assert_eq!(a.read(name), fresh.read(name));
    }
}

/// What lies before the place where the histories part is not downloaded again.
#[test]
fn recovery_from_a_rollback_moves_what_was_lost_and_not_the_history() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let a = world.device();
    for index in 0..2_000 {
        a.set(&format!("{}", index % 500), "n", &index.to_string());
    }
    world.sync(&a);
    let backup = Arc::new(server.fork());
    a.set("late", "n", "1");
    world.sync(&a);
    world.replace_server(backup);
    world.calls();
    assert!(world.sync(&a).is_safe());
    // Refused, looked at the server's end, cut back, asked for news, offered the op.
    assert!(world.calls() <= 5, "{} calls", world.calls());
    assert_eq!(a.read("late"), r#"{"n":"1"}"#);
}

/// What an edit of a clock that is ahead counts for is bounded by when the server took it. After a rollback it is taken
/// again, later, and counts for more: a device that was at the end of the same ops in the same order must hear of it.
#[test]
fn edits_that_were_taken_again_later_count_the_same_on_a_device_that_had_them_all() {
    const HOUR_MS: i64 = 3_600_000;
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let (ahead, right) = (world.device_with_clock(HOUR_MS), world.device());
    for device in [&ahead, &right] {
        device.set("1", "title", "first");
        world.sync(device);
    }
    let backup = Arc::new(server.fork());
    for (device, title) in [(&ahead, "a"), (&right, "b")] {
        device.set("1", "title", title);
        world.sync(device);
        world.sync(&ahead);
        world.sync(&right);
    }
    assert_eq!(ahead.read("1"), right.read("1"));
    world.replace_server(backup);
    world.later(10_000);
    for device in [&ahead, &right, &ahead] {
        assert!(world.sync(device).is_safe());
    }
    let fresh = world.device();
    world.sync(&fresh);
    assert_eq!(ahead.read("1"), fresh.read("1"));
    assert_eq!(right.read("1"), fresh.read("1"));
}

/// The counter of an op that lost is spent, and its author's later ops count on it. A server that was put back to before
/// all of them has to take them again all the same, whoever offers them.
#[test]
fn ops_behind_one_that_lost_are_taken_again_by_a_server_that_was_put_back() {
    for (author_comes_first, whole_batch) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut world = World::new();
        let server = Arc::new(MemoryStore::new());
        world.replace_server(Arc::clone(&server));
        let (a, b) = (world.device(), world.device());
        for device in [&a, &b] {
            device.set("1", "n", "1");
            world.sync(device);
        }
        let backup = Arc::new(server.fork());
        for (device, text) in [(&a, "theirs"), (&b, "lost")] {
            let payload = Payload::Json(format!(r#"{{"t":"{text}"}}"#).into());
            let key = EntityKey { collection: "causal".parse().unwrap(), entity: EntityId::named("x") };
            run(device.replica.write(Write { key, kind: OpKind::Update, precondition: Precondition::None, payload }))
                .unwrap();
        }
        world.sync(&a);
        if whole_batch {
            let write = |name: &str| Write {
                key: b.task(name).key().clone(),
                kind: OpKind::Update,
                precondition: Precondition::None,
                payload: Payload::Json(r#"{"n":"2"}"#.into()),
            };
            run(b.replica.write_batch(vec![write("2"), write("3")])).unwrap();
        } else {
            b.set("2", "n", "2");
            b.set("3", "n", "2");
        }
        world.sync(&b);
        world.sync(&a);
        let lost = run(b.replica.conflicts()).unwrap().len();
        world.replace_server(backup);
        let devices = if author_comes_first { [&b, &a, &b] } else { [&a, &b, &a] };
        for device in devices {
            world.sync(device);
            assert_eq!(device.replica.status().unsynced, 0);
        }
        let fresh = world.device();
        world.sync(&fresh);
        for name in ["2", "3"] {
            assert_eq!(fresh.read(name), r#"{"n":"2"}"#, "{author_comes_first} {whole_batch}");
        }
        assert_eq!(run(b.replica.conflicts()).unwrap().len(), lost, "nothing more was lost");
        assert!(run(a.replica.conflicts()).unwrap().is_empty());
    }
}
