//! Devices that let go of old history: what they show stays, and what only they still have is never let go of.

use std::sync::Arc;

use syncline::client::{ReplicaError, Retain, Write};
use syncline::oplog::{Gap, OpKind, Payload, Precondition};
use syncline::store::{MemoryStore, PageLimit, Store, StoreExt as _};
use syncline::{Cursor, Seq, limits};

use crate::world::{Device, LOG, World, run};

const fn window(ops: u64, ms: u64) -> Retain {
    Retain::Window { ops, ms }
}

/// First seq kept, last seq, and seq of the state that stands in for what is not kept.
fn kept(device: &Device) -> (u64, u64, u64) {
    let bounds = run(device.store.bounds(LOG)).unwrap().unwrap();
    (bounds.first.get(), bounds.last.get(), bounds.snapshot.get())
}

fn writing_world(retain: Retain) -> (World, Device) {
    let mut world = World::new();
    world.retain = retain;
    let device = world.device();
    (world, device)
}

#[test]
fn a_device_keeps_a_window_of_history_and_all_of_its_state() {
    let (mut world, device) = writing_world(window(8, 0));
    let other = world.device();
    for index in 0..100 {
        device.set(&format!("t{}", index % 10), "n", &index.to_string());
        world.sync(&device);
        let (first, last, state) = kept(&device);
        assert!(last - first < 8 + 2 + 1, "{first} to {last}");
        assert_eq!(state, first - 1);
    }
    world.sync(&other);
    for name in (0..10).map(|index| format!("t{index}")) {
        assert_eq!(device.read(&name), format!(r#"{{"n":"9{}"}}"#, &name[1..]));
        assert_eq!(device.read(&name), other.read(&name));
    }
    let mut feed = device.replica.changes(Cursor::START);
    assert!(matches!(run(feed.try_next()), Err(ReplicaError::Gap(Gap::Pruned))), "a feed is told what it missed");
    let reopened = world.open(Arc::clone(&device.store), 0);
    reopened.set("t1", "n", "again");
    assert!(world.sync(&reopened).is_safe());
    world.sync(&other);
    assert_eq!(other.read("t1"), r#"{"n":"again"}"#);
}

#[test]
fn young_ops_are_kept_however_many_there_are() {
    const DAY_MS: u64 = 86_400_000;
    let (world, device) = writing_world(window(4, DAY_MS));
    for index in 0..30 {
        device.set("1", "n", &index.to_string());
        world.sync(&device);
    }
    assert_eq!(kept(&device).0, 1);
    world.later(DAY_MS + 60_000);
    for index in 30..40 {
        device.set("1", "n", &index.to_string());
        world.sync(&device);
    }
    assert_eq!(kept(&device), (31, 40, 30), "what is older than a day and not among the newest four");
}

#[test]
fn a_device_that_is_told_so_keeps_everything_and_by_default_a_month() {
    let (world, device) = writing_world(Retain::Everything);
    for index in 0..30 {
        device.set("1", "n", &index.to_string());
        world.sync(&device);
    }
    assert_eq!(kept(&device), (1, 30, 0));
    let default = Retain::Window { ops: limits::REPLICA_OPS_KEPT, ms: limits::REPLICA_OPS_KEPT_MS };
    assert_eq!(Retain::default(), default);
}

#[test]
fn a_batch_is_never_cut_by_the_horizon() {
    let (world, device) = writing_world(window(3, 0));
    let write = |name: String| Write {
        key: device.task(&name).key().clone(),
        kind: OpKind::Update,
        precondition: Precondition::None,
        payload: Payload::Json(r#"{"paid":true}"#.into()),
    };
    for round in 0..6 {
        run(device.replica.write_batch((0..5).map(|at| write(format!("{round}/{at}"))).collect())).unwrap();
        world.sync(&device);
        let (first, ..) = kept(&device);
        assert_eq!((first - 1) % 5, 0, "the horizon lies between batches");
    }
    assert!(kept(&device).0 > 1);
}

/// Catalogue S12, with devices that let go: what is missing is within what they keep.
#[test]
fn a_rolled_back_server_gets_back_what_lies_within_the_window() {
    let (mut world, a) = writing_world(window(20, 0));
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let b = world.device();
    for index in 0..60 {
        a.set(&format!("old{index}"), "n", "1");
        world.sync(&a);
    }
    world.sync(&b);
    let backup = Arc::new(server.fork());
    for index in 0..9 {
        a.set(&format!("new{index}"), "n", "1");
        world.sync(&a);
        b.set("shared", "n", &index.to_string());
        world.sync(&b);
    }
    assert!(kept(&a).0 > 30);
    world.replace_server(backup);
    for device in [&a, &b, &a] {
        assert!(world.sync(device).is_safe());
    }
    let fresh = world.device();
    world.sync(&fresh);
    for name in (0..60).map(|index| format!("old{index}")).chain((0..9).map(|index| format!("new{index}"))) {
        for device in [&a, &b, &fresh] {
            assert_eq!(device.read(&name), r#"{"n":"1"}"#, "{name}");
        }
    }
    assert_eq!(fresh.read("shared"), r#"{"n":"8"}"#);
}

/// Catalogue S13, with devices that let go: the state stands in for the ops that are gone.
#[test]
fn an_emptied_server_is_filled_from_the_state_and_the_window() {
    let (mut world, a) = writing_world(window(10, 0));
    let b = world.device();
    for index in 0..50 {
        a.set(&format!("t{index}"), "n", "1");
        world.sync(&a);
    }
    world.sync(&b);
    b.set("by b", "n", "1");
    world.sync(&b);
    assert!(kept(&a).0 > 30);
    world.replace_server(Arc::new(MemoryStore::new()));
    a.set("new", "n", "1");
    for device in [&a, &b, &a, &b] {
        assert!(world.sync(device).is_safe());
    }
    let fresh = world.device();
    world.sync(&fresh);
    for name in (0..50).map(|index| format!("t{index}")).chain(["by b".into(), "new".into()]) {
        for device in [&a, &b, &fresh] {
            assert_eq!(device.read(&name), r#"{"n":"1"}"#, "{name}");
        }
    }
}

/// It has no ops of its own in the log, and is the only one left.
#[test]
fn a_device_that_never_wrote_fills_an_emptied_server_too() {
    let (mut world, writer) = writing_world(window(10, 0));
    let reader = world.device();
    for index in 0..40 {
        writer.set(&format!("t{index}"), "n", "1");
        world.sync(&writer);
        world.sync(&reader);
    }
    assert!(kept(&reader).0 > 20);
    world.replace_server(Arc::new(MemoryStore::new()));
    for device in [&reader, &reader] {
        assert!(world.sync(device).is_safe());
    }
    assert!(run(reader.replica.conflicts()).unwrap().is_empty());
    let fresh = world.device();
    world.sync(&fresh);
    fresh.set("by fresh", "n", "1");
    assert!(world.sync(&fresh).is_safe());
    for name in (0..40).map(|index| format!("t{index}")) {
        assert_eq!(fresh.read(&name), r#"{"n":"1"}"#, "{name}");
    }
}

/// A newer author's op is kept until a build comes that knows it.
#[test]
fn the_horizon_does_not_pass_an_op_that_is_not_understood() {
    let (world, device) = writing_world(window(4, 0));
    for index in 0..10 {
        device.set("1", "n", &index.to_string());
        world.sync(&device);
    }
    let unknown = Write {
        key: device.task("2").key().clone(),
        kind: OpKind::from_code(99),
        precondition: Precondition::None,
        payload: Payload::Plain("?".into()),
    };
    run(device.replica.write(unknown)).unwrap();
    for index in 0..30 {
        device.set("1", "n", &index.to_string());
        world.sync(&device);
    }
    let unread = run(device.replica.unread()).unwrap();
    let at = unread[0].0.get();
    assert_eq!(kept(&device).0, at, "the first op kept");
    let page = run(device.store.ops_after(LOG, Seq::new(at - 1).unwrap(), PageLimit::default())).unwrap();
    assert_eq!(page.ops[0].op.read().unwrap().kind(), OpKind::from_code(99));
}
