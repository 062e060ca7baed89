//! Devices with builds of different ages on one log.

use std::sync::Arc;

use syncline::access::Access;
use syncline::client::{ReplicaOptions, Retain, SharedKeyring};
use syncline::oplog::Op;
use syncline::store::{MemoryStore, PageLimit, Store as _};

use crate::sealed::{holder, keys, secret, with};
use crate::world::{LOG, World, run, seq};

fn newer(options: &mut ReplicaOptions) {
    options.schema = crate::world::schema().understood_up_to(2);
    options.schema_version = 2;
}

/// Found by the simulator: what an older build had read past stayed without effect after the update.
#[test]
fn what_a_newer_build_wrote_has_its_effect_on_an_older_one_once_that_is_updated() {
    let mut world = World::new();
    let (old, new) = (world.device(), world.open_with(Arc::default(), 0, newer));
    old.set("1", "a", "old");
    world.sync(&old);
    world.sync(&new);
    new.set("1", "b", "new");
    world.sync(&new);
    run(new.replica.restore(seq(2))).unwrap();
    new.set("2", "a", "new");
    world.sync(&new);
    world.sync(&old);
    assert_eq!(old.replica.status().unread, 3);
    assert_eq!(old.read("1"), r#"{"a":"old"}"#);
    old.set("1", "c", "waits");
    let updated = world.open_with(old.store, 0, newer);
    assert_eq!(updated.replica.status().unread, 0);
    assert_eq!(updated.read("1"), r#"{"a":"old","b":"new","c":"waits"}"#);
    assert_eq!(updated.read("2"), r#"{"a":"new"}"#);
    assert_eq!(run(updated.replica.restore_points(9)).unwrap().len(), 1);
    assert!(world.sync(&updated).is_safe());
    world.sync(&new);
    assert_eq!(new.read("1"), updated.read("1"));
}

/// Found by the simulator: while they were offered again, the ops of a newer build were applied by an older one's rules.
#[test]
fn what_a_newer_build_wrote_is_not_interpreted_while_it_is_offered_again() {
    offered_again_by_an_older_build(false);
}

#[test]
fn a_newer_builds_restore_is_not_interpreted_while_it_is_offered_again() {
    offered_again_by_an_older_build(true);
}

fn offered_again_by_an_older_build(with_a_restore: bool) {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let newer = world.open_with(Arc::default(), 0, newer);
    let old = world.device();
    old.set("1", "n", "old");
    world.sync(&old);
    let backup = Arc::new(server.fork());
    world.sync(&newer);
    newer.set("1", "n", "new");
    if with_a_restore {
        world.sync(&newer);
        newer.set("1", "n", "newest");
        world.sync(&newer);
        run(newer.replica.restore(seq(2))).unwrap();
    }
    world.sync(&newer);
    world.sync(&old);
    world.replace_server(backup);
    for calls in 1..8 {
        world.sync_for(calls, &old);
        assert_eq!(old.read("1"), r#"{"n":"old"}"#, "after {calls} calls");
    }
    world.sync(&old);
    world.sync(&newer);
    assert_eq!(newer.read("1"), r#"{"n":"new"}"#);
}

/// Found by the simulator: the note of what was not understood stayed after the history that it was about had gone.
#[test]
fn what_was_not_understood_and_was_let_go_of_is_no_matter_any_more() {
    let mut world = World::new();
    world.retain = Retain::Window { ops: 20, ms: 0 };
    let (old, new) = (world.device(), world.open_with(Arc::default(), 0, newer));
    old.set("1", "n", "old");
    for device in [&old, &new] {
        world.sync(device);
    }
    for name in ["2", "3", "4"] {
        new.set(name, "n", "new");
    }
    world.sync(&new);
    world.sync(&old);
    assert_eq!(old.replica.status().unread, 3);
    run(old.replica.restore(seq(1))).unwrap();
    for round in 0..40 {
        old.set("1", "n", &round.to_string());
        world.sync(&old);
    }
    assert!(run(old.replica.at(seq(6))).is_err(), "it has let go of that");
    assert_eq!(old.replica.status().unread, 0);
    let updated = world.open_with(old.store, 0, newer);
    assert_eq!((updated.replica.status().unread, run(updated.replica.unread()).unwrap()), (0, Vec::new()));
}

#[test]
fn what_a_newer_build_sealed_has_its_effect_after_the_update_once_its_key_comes() {
    let mut world = World::new();
    let both = |keys: &SharedKeyring| {
        let sealed = with(keys, None);
        move |options: &mut ReplicaOptions| {
            newer(options);
            sealed(options);
        }
    };
    let late = keys(&[1]);
    let old = holder(&mut world, &late);
    let new = world.open_with(Arc::default(), 0, both(&keys(&[1, 2])));
    old.set("1", "a", "old");
    for device in [&old, &new] {
        world.sync(device);
    }
    run(new.replica.rotate_keys(&world.way, 2)).unwrap();
    new.set("1", "b", "new");
    world.sync(&new);
    world.sync(&old);
    assert_eq!((old.read("1"), old.replica.status().unread), (r#"{"a":"old"}"#.to_owned(), 1));
    let updated = world.open_with(old.store, 0, both(&late));
    assert_eq!(updated.replica.status().unread, 1, "it lacks the key");
    late.add(2, &secret(2)).unwrap();
    updated.replica.keys_changed();
    world.sync(&updated);
    assert_eq!((updated.read("1"), updated.replica.status().unread), (new.read("1"), 0));
}

/// Found by the simulator: which of two waiting edits had seen a restore was not known where a newer build had made that, and
/// the older one, made again after it was refused, came last.
#[test]
fn an_older_edit_does_not_come_last_where_a_newer_build_made_a_restore() {
    let mut world = World::new();
    let (old, new) = (world.device(), world.open_with(Arc::default(), 0, newer));
    old.set("1", "a", "0");
    world.sync(&old);
    world.sync(&new);
    let add = |element: u32| run(old.replica.collection("sets").unwrap().set("s").unwrap().add(&element)).unwrap();
    let may = |access: Access| world.way.caller.lock().unwrap().access = access;
    // A batch that is refused is kept as it is: what comes after it is made into another one.
    may(Access::Read);
    old.set("2", "a", "first");
    let _ = world.try_sync(&old);
    add(1);
    may(Access::Write);
    run(new.replica.restore(seq(1))).unwrap();
    world.sync(&new);
    may(Access::Read);
    let _ = world.try_sync(&old);
    assert_eq!(old.replica.status().unread, 1);
    add(2);
    may(Access::Write);
    world.sync(&old);
    assert!(world.sync(&old).is_safe());
    let page = run(old.store.ops_after(LOG, seq(2), PageLimit::default())).unwrap();
    let ops = page.ops.iter().map(|op| op.op.read().unwrap());
    let on_the_set = |op: &Op| op.subject().keys().any(|key| key.collection.as_str() == "sets");
    let times: Vec<_> = ops.filter(on_the_set).map(|op| op.hlc()).collect();
    assert_eq!(times.len(), 2);
    assert!(times.is_sorted(), "{times:?}");
}
