//! Servers that lost what a device holds as a state: the ops that it stands for are for others to bring.

use std::sync::Arc;

use syncline::client::{Fate, Phase, Retain, Write};
use syncline::oplog::{EntityKey, OpKind, Payload, Precondition};
use syncline::store::{MemoryStore, PageLimit, Store};
use syncline::{EntityId, Seq, limits};

use crate::common::cut::Cut;
use crate::world::{Device, LOG, World, run, seq};

/// A server that is put back to 500 edits of 2,500, the device that has all of them, and one that began from a snapshot of
/// them and has written one since.
fn put_back_behind_a_snapshot(world: &mut World) -> (Device, Device) {
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let old = world.device();
    for index in 0..500 {
        old.set(&format!("early{index}"), "n", "1");
    }
    world.sync(&old);
    let backup = Arc::new(server.fork());
    for index in 0..2_000 {
        old.set(&format!("late{index}"), "n", "1");
    }
    world.sync(&old);
    let young = world.device();
    assert!(world.sync(&young).synced_once, "from a snapshot that reaches the end");
    assert_eq!(young.read("late7"), r#"{"n":"1"}"#);
    young.set("mine", "n", "1");
    world.replace_server(backup);
    let _ = world.try_sync(&young);
    assert_eq!(world.sync(&young).phase, Some(Phase::Live));
    for name in ["early7", "late7", "mine"] {
        assert_eq!(young.read(name), r#"{"n":"1"}"#);
    }
    (old, young)
}

/// Its copy does not reach back to where the histories part, and whoever has the history puts it back.
#[test]
fn a_device_that_began_from_a_snapshot_leaves_a_server_that_is_put_back_to_those_that_hold_the_history() {
    let mut world = World::new();
    let (old, young) = put_back_behind_a_snapshot(&mut world);
    world.later(limits::CLIENT_OTHERS_FIRST_MS / 2);
    assert!(world.sync(&old).is_safe());
    let status = world.sync(&young);
    assert!(status.is_safe() && status.conflicts == 0, "{status:?}");
    world.sync(&old);
    for device in [&old, &young] {
        for name in ["early7", "late7", "mine"] {
            assert_eq!(device.read(name), r#"{"n":"1"}"#);
        }
    }
}

/// The same where nobody else comes: it goes on alone, and what the server did not take is kept as a conflict, whole.
#[test]
fn a_device_that_began_from_a_snapshot_keeps_its_state_when_the_server_is_put_back_behind_it() {
    let mut world = World::new();
    let (old, young) = put_back_behind_a_snapshot(&mut world);
    // Each look at the clock takes a millisecond.
    world.later(limits::CLIENT_OTHERS_FIRST_MS - 1_000);
    let status = world.sync(&young);
    assert_eq!((status.unsynced, status.conflicts), (2, 0), "{status:?}");
    world.later(1_000);
    world.sync(&young);
    let status = world.sync(&young);
    assert!(status.is_safe() && status.conflicts > 0, "what the server did not take is kept: {status:?}");
    assert_eq!(young.read("mine"), r#"{"n":"1"}"#);
    // The device with the whole history puts everything back.
    assert!(world.sync(&old).is_safe());
    world.sync(&young);
    assert_eq!(young.read("late7"), r#"{"n":"1"}"#);
}

/// Each pair is offered again in a request of its own.
fn write_pair(device: &Device, index: u64) {
    let write = |name: String| Write {
        key: device.task(&name).key().clone(),
        kind: OpKind::Update,
        precondition: Precondition::None,
        payload: Payload::Json(r#"{"n":"early"}"#.into()),
    };
    let pair = vec![write(index.to_string()), write(format!("{index} too"))];
    run(device.replica.write_batch(pair)).unwrap();
}

/// Found by the simulator: a device that has the history had put back a part of it when one that began from a state came,
/// and took the counters of the rest to put its own edits behind them.
#[test]
fn a_device_that_began_from_a_state_takes_no_counter_of_an_op_that_others_still_hold() {
    let mut world = World::new();
    let old = world.device();
    world.retain = Retain::Window { ops: 8, ms: 0 };
    let young = world.device();
    for index in 0..20 {
        write_pair(&old, index);
        world.sync(&old);
        world.sync(&young);
    }
    young.set("late", "n", "late");
    world.sync(&young);
    world.sync(&old);
    for calls in 3..12 {
        world.replace_server(Arc::new(MemoryStore::new()));
        world.sync_for(calls, &old);
        world.sync(&young);
        for device in [&old, &young, &old, &young] {
            let status = world.sync(device);
            assert!(status.is_safe() && status.conflicts == 0, "after {calls} calls: {status:?}");
        }
        for device in [&old, &young] {
            assert_eq!(device.read("3"), r#"{"n":"early"}"#, "after {calls} calls");
            assert_eq!(device.read("late"), r#"{"n":"late"}"#, "after {calls} calls");
        }
    }
}

/// Found by the simulator: the place was said to be the copy's end.
#[test]
fn what_a_state_says_that_another_device_brought_is_at_that_state() {
    let mut world = World::new();
    world.retain = Retain::Window { ops: 8, ms: 0 };
    let (a, b) = (world.device(), world.device());
    let early = a.set("early", "n", "1");
    for index in 0..30 {
        a.set(&index.to_string(), "n", "1");
        world.sync(&a);
        world.sync(&b);
    }
    assert_eq!(early.fate(), Fate::Accepted(seq(1)));
    world.replace_server(Arc::new(MemoryStore::new()));
    world.sync(&b);
    let begun = run(b.replica.end()).unwrap();
    assert!(begun.seq > seq(1), "what came after the state is behind it");
    let status = world.sync(&a);
    assert!(status.is_safe() && status.conflicts == 0, "{status:?}");
    assert_eq!(early.fate(), Fate::Accepted(seq(1)));
    assert_eq!(a.read("early"), b.read("early"));
}

/// One of two goes on alone and fills what nobody brings: the other finds everything seen, and nothing of it there.
#[test]
fn a_state_is_kept_whole_where_the_log_has_seen_what_it_stands_for_and_does_not_have_it() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let old = world.device();
    old.set("first", "n", "1");
    world.sync(&old);
    let backup = Arc::new(server.fork());
    world.retain = Retain::Window { ops: 8, ms: 0 };
    let young = [world.device(), world.device()];
    for index in 0..30 {
        old.set(&index.to_string(), "n", "1");
        world.sync(&old);
        young.iter().for_each(|device| drop(world.sync(device)));
    }
    world.replace_server(backup);
    for device in &young {
        let _ = world.try_sync(device);
        world.sync(device);
    }
    world.later(limits::CLIENT_OTHERS_FIRST_MS);
    for device in [&young[0], &young[1], &young[0], &young[1]] {
        world.sync(device);
    }
    for device in &young {
        let conflicts = run(device.replica.conflicts()).unwrap();
        let whole = conflicts.iter().any(|conflict| conflict.mine().full_state().is_some());
        assert!(whole, "{:?}", device.replica.status());
    }
}

/// An application that syncs when it is started, and is not started for long.
#[test]
fn a_device_that_is_opened_anew_again_and_again_waits_for_others_no_longer() {
    let mut world = World::new();
    let (_, young) = put_back_behind_a_snapshot(&mut world);
    let mut store = young.store;
    for _ in 0..4 {
        world.later(limits::CLIENT_OTHERS_FIRST_MS / 4 + 1);
        let again = world.open(Arc::clone(&store), 0);
        world.sync(&again);
        store = again.store;
    }
    let again = world.open(store, 0);
    let status = world.sync(&again);
    assert!(status.is_safe() && status.conflicts > 0, "{status:?}");
}

/// Its version was to be the one that the state makes.
#[test]
fn a_file_that_is_written_while_the_state_waits_is_written_on_what_others_brought() {
    let mut world = World::new();
    let file = |device: &Device, kind, text: &str| {
        let key = EntityKey { collection: "files".parse().unwrap(), entity: EntityId::named("file") };
        let payload = Payload::Json(format!(r#"{{"text":"{text}"}}"#).into());
        run(device.replica.write(Write { key, kind, precondition: Precondition::None, payload })).unwrap()
    };
    let old = world.device();
    world.retain = Retain::Window { ops: 8, ms: 0 };
    let young = world.device();
    file(&old, OpKind::Create, "early");
    for index in 0..30 {
        write_pair(&old, index);
        world.sync(&old);
        world.sync(&young);
    }
    world.replace_server(Arc::new(MemoryStore::new()));
    world.sync_for(6, &old);
    world.sync(&young);
    let late = file(&young, OpKind::Update, "late");
    assert_eq!((late.fate(), young.replica.status().conflicts), (Fate::Waiting, 0));
    for device in [&old, &young, &old, &young] {
        let status = world.sync(device);
        assert!(status.is_safe() && status.parked == 0, "{status:?}");
    }
    assert!(matches!(late.fate(), Fate::Accepted(_)), "{:?}", late.fate());
}

/// Found by the simulator: ops that came after the state, and that others had brought back, were taken off the queue while the
/// state still stood in front of the copy.
#[test]
fn what_came_after_a_state_stays_shown_while_that_waits_whatever_the_store_does() {
    let mut cut = 0;
    for (cut_at, writes) in (0..20).flat_map(|at| [(at, true), (at, false)]) {
        let mut world = World::new();
        let old = world.device();
        world.retain = Retain::Window { ops: 8, ms: 0 };
        let young = world.device();
        for index in 0..12 {
            write_pair(&old, index);
            world.sync(&old);
            world.sync(&young);
        }
        world.replace_server(Arc::new(MemoryStore::new()));
        world.sync(&old);
        let failing = Cut::once(Arc::clone(&young.store) as Arc<dyn Store>, cut_at, writes);
        let Ok(young) = world.open_through(young.store, Arc::new(failing), 0, |_| {}) else { continue };
        for _ in 0..3 {
            cut += usize::from(world.try_sync(&young).is_err());
            for index in 0..12 {
                let read = young.read(&index.to_string());
                assert_eq!(read, r#"{"n":"early"}"#, "cut at {cut_at}, done: {writes}: {index}");
            }
        }
        assert!(world.sync(&young).is_safe());
    }
    assert!(cut > 8, "{cut} were cut off");
}

/// Found by the simulator: what stood behind a batch that was put up a second time was taken into it, and was not taken where
/// another device had brought the batch.
#[test]
fn a_batch_that_is_put_up_a_second_time_is_the_batch_that_it_was() {
    let mut world = World::new();
    let device = world.device();
    device.set("1", "n", "1");
    write_pair(&device, 2);
    device.set("4", "n", "1");
    write_pair(&device, 5);
    world.sync(&device);
    let mut emptied = 0;
    for calls in 1..9 {
        world.replace_server(Arc::new(MemoryStore::new()));
        world.sync_for(calls, &device);
        emptied += usize::from(device.replica.status().unsynced > 0);
    }
    assert!(emptied > 3, "it had not offered all when the server was emptied again");
    assert!(world.sync(&device).is_safe());
    let page = run(device.store.ops_after(LOG, Seq::ZERO, PageLimit::default())).unwrap();
    let rests: Vec<u32> = page.ops.iter().map(|op| op.batch_rest).collect();
    assert_eq!(rests, [0, 1, 0, 0, 1, 0]);
}
