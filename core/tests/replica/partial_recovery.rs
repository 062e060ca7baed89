//! Partial devices and servers that lost something.

use std::sync::Arc;

use syncline::client::{ReplicaError, Retain};
use syncline::store::{MemoryStore, Store as _, StoreExt as _};

use crate::partial::{partial, read, set};
use crate::world::{LOG, World, run};

/// Catalogue S12 for an author that keeps no history: what it wrote is offered again all the same.
#[test]
fn a_rolled_back_server_gets_back_what_a_partial_device_wrote() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let whole = world.device();
    let some = partial(&mut world, "tasks");
    set(&whole, "notes", "1", "1");
    world.sync(&whole);
    world.sync(&some);
    let backup = Arc::new(server.fork());
    for index in 0..5 {
        set(&some, "tasks", &format!("t{index}"), "1");
        set(&some, "notes", &format!("n{index}"), "1");
        assert!(world.sync(&some).is_safe());
    }
    world.replace_server(backup);
    set(&whole, "notes", "2", "1");
    assert!(world.sync(&whole).is_safe());
    let some = world.open(Arc::clone(&some.store), 0);
    assert!(world.sync(&some).is_safe());
    world.sync(&whole);
    for index in 0..5 {
        assert_eq!(read(&whole, "tasks", &format!("t{index}")), r#"{"n":"1"}"#);
        assert_eq!(read(&whole, "notes", &format!("n{index}")), r#"{"n":"1"}"#);
        assert_eq!(read(&some, "tasks", &format!("t{index}")), r#"{"n":"1"}"#);
    }
}

/// Catalogue S13: a part cannot stand for the whole.
#[test]
fn a_partial_device_leaves_an_emptied_server_to_one_that_can_fill_it() {
    let mut world = World::new();
    let whole = world.device();
    let some = partial(&mut world, "tasks");
    set(&whole, "tasks", "1", "1");
    set(&whole, "notes", "1", "1");
    world.sync(&whole);
    world.sync(&some);
    set(&some, "tasks", "2", "1");
    world.sync(&some);
    world.sync(&whole);
    let empty = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&empty));
    set(&some, "tasks", "3", "waits");
    assert!(matches!(world.try_sync(&some), Err(ReplicaError::CannotFill)));
    assert!(!empty.has_any(), "nothing stands in the way of one that can");
    for device in [&whole, &some, &whole] {
        assert!(world.sync(device).is_safe());
    }
    for (name, value) in [("1", "1"), ("2", "1"), ("3", "waits")] {
        assert_eq!(read(&whole, "tasks", name), format!(r#"{{"n":"{value}"}}"#));
        assert_eq!(read(&some, "tasks", name), read(&whole, "tasks", name));
    }
}

/// Own ops are kept as long as a whole copy would keep them.
#[test]
fn a_partial_device_lets_go_of_its_own_old_ops() {
    let mut world = World::new();
    world.retain = Retain::Window { ops: 10, ms: 0 };
    let some = partial(&mut world, "tasks");
    for index in 0..60 {
        set(&some, "tasks", "1", &index.to_string());
        world.sync(&some);
    }
    let mut kept = 0;
    let backup = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&backup));
    // A sister with the log's first op puts the server back; what the device offers again is what it kept.
    let bounds = run(some.store.bounds(LOG)).unwrap().unwrap();
    assert_eq!(bounds.last.get(), 60);
    let desk = run(some.store.logs(LOG.bucket, None, 10)).unwrap();
    for summary in desk.iter().filter(|summary| summary.log != LOG.log) {
        let log = syncline::LogKey { bucket: LOG.bucket, log: summary.log };
        let own = "sys.own".parse().unwrap();
        kept = run(some.store.heads(log, &own, None, 100)).unwrap().heads.len();
    }
    assert!((10..=14).contains(&kept), "{kept}");
}
