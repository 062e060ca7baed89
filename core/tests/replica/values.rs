//! Values that merge across devices: edited apart, merged by the log, through clones and servers that lost something.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use syncline::client::{Entities, Receipt, ReplicaError, Value, Write};
use syncline::crdt::{Counter, Document, ItemId, List, Register, Set, Tree};
use syncline::oplog::{EntityKey, OpKind, Payload, Precondition};
use syncline::store::{MemoryStore, StoreExt as _};

use crate::partial::partial;
use crate::world::{Device, LOG, World, run};

fn of(device: &Device, collection: &str) -> Entities {
    device.replica.collection(collection).unwrap()
}

fn counter(device: &Device) -> Value<Counter> {
    of(device, "counters").counter("steps").unwrap()
}

fn document(device: &Device) -> Value<Document> {
    of(device, "documents").document("task").unwrap()
}

fn list(device: &Device) -> Value<List> {
    of(device, "lists").list("todo").unwrap()
}

fn register(device: &Device) -> Value<Register> {
    of(device, "registers").register("title").unwrap()
}

fn set(device: &Device) -> Value<Set> {
    of(device, "sets").set("tags").unwrap()
}

fn tree(device: &Device) -> Value<Tree> {
    of(device, "trees").tree("folders").unwrap()
}

fn keys(device: &Device) -> [EntityKey; 6] {
    let (counter, list, register) = (counter(device), list(device), register(device));
    let (set, tree, document) = (set(device), tree(device), document(device));
    [counter.key(), list.key(), register.key(), set.key(), tree.key(), document.key()].map(Clone::clone)
}

/// What a device shows of everything.
fn shown(device: &Device) -> [String; 6] {
    keys(device).map(|key| match run(device.replica.state(&key)).unwrap() {
        Some(state) => String::from_utf8(state.to_vec()).unwrap(),
        None => "-".to_owned(),
    })
}

/// The bytes of every state in a device's copy of the log.
fn bytes(device: &Device) -> Vec<Option<Vec<u8>>> {
    let heads = keys(device).into_iter().map(|key| run(device.store.head(LOG, &key)).unwrap());
    heads.map(|head| head.and_then(|head| head.live_state().map(|state| state.to_vec()))).collect()
}

fn elements(device: &Device) -> Vec<String> {
    run(list(device).get()).unwrap()
}

fn tags(device: &Device) -> Vec<String> {
    run(set(device).get()).unwrap()
}

fn two(world: &mut World) -> (Device, Device) {
    let (a, b) = (world.device(), world.device());
    world.sync(&a);
    world.sync(&b);
    (a, b)
}

/// Syncs until both have everything, and holds them to having the same.
fn meet(world: &World, a: &Device, b: &Device) {
    for device in [a, b, a, b, a] {
        assert!(world.sync(device).is_safe(), "{:?}", device.replica.status());
    }
    assert_eq!(shown(a), shown(b));
    assert_eq!(bytes(a), bytes(b), "whoever has the same log has the same bytes");
}

fn node(receipt: &Receipt) -> ItemId {
    ItemId::first(receipt.op())
}

#[test]
fn what_devices_count_apart_adds_up_and_a_reset_covers_what_it_saw() {
    let mut world = World::new();
    let (a, b) = two(&mut world);
    run(counter(&a).add(5)).unwrap();
    run(counter(&b).add(-2)).unwrap();
    assert_eq!((run(counter(&a).get()).unwrap(), run(counter(&b).get()).unwrap()), (5, -2));
    meet(&world, &a, &b);
    assert_eq!(run(counter(&b).get()).unwrap(), 3);

    run(counter(&a).add(10)).unwrap();
    run(counter(&a).reset()).unwrap();
    assert_eq!(run(counter(&a).get()).unwrap(), 0, "its own count that waits is covered too");
    run(counter(&a).add(1)).unwrap();
    run(counter(&b).add(100)).unwrap();
    meet(&world, &b, &a);
    assert_eq!(run(counter(&a).get()).unwrap(), 101);

    run(counter(&a).delete()).unwrap();
    run(counter(&b).add(7)).unwrap();
    assert_eq!(shown(&a)[0], "-");
    meet(&world, &a, &b);
    assert_eq!(shown(&a)[0], "7", "what was counted meanwhile brings it back");
    run(counter(&b).delete()).unwrap();
    meet(&world, &a, &b);
    assert_eq!(shown(&a)[0], "-");
}

#[test]
fn an_element_added_apart_survives_a_remove_that_did_not_see_it() {
    let mut world = World::new();
    let (a, b) = two(&mut world);
    run(set(&a).add("red")).unwrap();
    run(set(&a).add("blue")).unwrap();
    meet(&world, &a, &b);
    run(set(&a).remove("red")).unwrap();
    run(set(&a).remove("blue")).unwrap();
    run(set(&b).add("red")).unwrap();
    assert!(run(set(&b).remove("green")).unwrap().is_none());
    meet(&world, &a, &b);
    assert_eq!(tags(&a), ["red"]);
    assert!(run(set(&a).contains("red")).unwrap() && !run(set(&a).contains("blue")).unwrap());
    run(set(&a).add("late")).unwrap();
    run(set(&b).delete()).unwrap();
    meet(&world, &a, &b);
    assert_eq!(tags(&a), ["late"]);
    let write = run(set(&a).adding(["x", "y", "x"])).unwrap();
    run(a.replica.write_batch(vec![write, counter(&a).adding(1)])).unwrap();
    meet(&world, &a, &b);
    assert_eq!(tags(&b), ["late", "x", "y"]);
}

#[test]
fn of_writes_into_a_register_the_newest_counts_and_only_it_is_sent() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let (a, b) = two(&mut world);
    for index in 0..100 {
        run(register(&a).set(&index)).unwrap();
    }
    meet(&world, &a, &b);
    assert_eq!(run(register(&b).get::<u32>()).unwrap(), Some(99));
    let ops = run(server.bounds(LOG)).unwrap().unwrap().last.get();
    assert!(ops < 20, "{ops} ops for a hundred writes that waited together");
    run(register(&a).set("older")).unwrap();
    run(register(&b).delete()).unwrap();
    assert_eq!(shown(&b)[2], "-");
    run(register(&b).set(&["newer"])).unwrap();
    meet(&world, &b, &a);
    assert_eq!(shown(&a)[2], r#"["newer"]"#);
}

#[test]
fn runs_inserted_apart_at_one_place_stay_whole_and_moves_take_new_values_along() {
    let mut world = World::new();
    let (a, b) = two(&mut world);
    run(list(&a).push("first")).unwrap();
    run(list(&a).push("last")).unwrap();
    meet(&world, &a, &b);
    for index in 0..4 {
        run(list(&a).insert(1 + index, &format!("a{index}"))).unwrap();
        run(list(&b).insert(1, &format!("b{}", 3 - index))).unwrap();
    }
    meet(&world, &a, &b);
    let merged = elements(&a).join(" ");
    let (forwards, backwards) = ("a0 a1 a2 a3", "b0 b1 b2 b3");
    let whole = [format!("first {forwards} {backwards} last"), format!("first {backwards} {forwards} last")];
    assert!(whole.contains(&merged), "{merged}");

    run(list(&a).move_to(0, 9)).unwrap();
    run(list(&b).set(0, "FIRST")).unwrap();
    run(list(&b).remove(9, 1)).unwrap();
    run(list(&a).set(8, "LAST")).unwrap();
    meet(&world, &b, &a);
    assert_eq!(elements(&a).len(), 9, "a remove is for good");
    assert_eq!(elements(&a).last().map(String::as_str), Some("FIRST"), "the value went along");

    // Two move one element: it stands at one place.
    let names: Vec<(ItemId, String)> = run(list(&a).items()).unwrap();
    run(list(&a).move_to(4, 0)).unwrap();
    run(list(&b).move_to(4, 8)).unwrap();
    meet(&world, &a, &b);
    assert_eq!(run(list(&a).items::<String>()).unwrap().iter().filter(|(id, _)| *id == names[4].0).count(), 1);
    assert!(matches!(run(list(&a).insert(99, "x")), Err(ReplicaError::List(_))));
    run(list(&a).delete()).unwrap();
    meet(&world, &a, &b);
    assert_eq!(shown(&b)[1], "-");
    assert!(run(list(&b).delete()).unwrap().is_none());
}

#[test]
fn folders_put_into_each_other_apart_stay_a_tree() {
    let mut world = World::new();
    let (a, b) = two(&mut world);
    let x = node(&run(tree(&a).insert(None, 0, "x")).unwrap());
    let y = node(&run(tree(&a).insert(None, 1, "y")).unwrap());
    let z = node(&run(tree(&a).insert(Some(y), 0, "z")).unwrap());
    meet(&world, &a, &b);
    run(tree(&a).move_to(x, Some(z), 0)).unwrap();
    run(tree(&b).move_to(y, Some(x), 0)).unwrap();
    assert!(matches!(run(tree(&b).move_to(x, Some(z), 0)), Err(ReplicaError::Tree(_))), "not into itself");
    meet(&world, &a, &b);
    let nodes = run(tree(&a).nodes()).unwrap();
    assert_eq!(nodes.len(), 3);
    assert_eq!(nodes.iter().map(|node| node.depth).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(nodes[0].id, y, "the newer of the two moves gave way");

    run(tree(&a).remove(z)).unwrap();
    run(tree(&b).set(x, "kept for later")).unwrap();
    meet(&world, &a, &b);
    assert_eq!(run(tree(&a).nodes()).unwrap().len(), 1, "what is under it went too");
    assert!(run(tree(&a).get::<String>(x)).unwrap().is_none());
}

#[test]
fn fields_in_fields_merge_and_removed_ones_are_forgotten_in_time() {
    let mut world = World::new();
    let (a, b) = two(&mut world);
    let value = json!({"title": "Tea", "who": {"name": "Ann", "tags": {"x": 1}}});
    run(document(&a).put(&value)).unwrap();
    meet(&world, &a, &b);
    assert_eq!(run(document(&b).get::<Json>()).unwrap(), Some(value.clone()));
    assert!(run(document(&b).put(&value)).unwrap().is_none(), "nothing differs");
    run(document(&a).set(&["who", "name"], "Bea")).unwrap();
    run(document(&b).set(&["who", "tags"], &json!({"y": 2}))).unwrap();
    meet(&world, &a, &b);
    let both = json!({"title": "Tea", "who": {"name": "Bea", "tags": {"y": 2}}});
    assert_eq!(run(document(&a).get::<Json>()).unwrap(), Some(both));
    run(document(&a).remove(&["who"])).unwrap();
    run(document(&b).set(&["who", "name"], "Cat")).unwrap();
    meet(&world, &b, &a);
    assert_eq!(run(document(&a).get::<Json>()).unwrap(), Some(json!({"title": "Tea", "who": {"name": "Cat"}})));
    run(document(&b).put(&json!({"title": {"en": "Tea"}}))).unwrap();
    meet(&world, &b, &a);
    assert_eq!(run(document(&a).get::<Json>()).unwrap(), Some(json!({"title": {"en": "Tea"}})));
    assert!(matches!(run(document(&a).set(&[], &1)), Err(ReplicaError::Path(_))));
    assert!(matches!(run(document(&a).put(&1)), Err(ReplicaError::NotAnObject)));

    run(document(&a).remove(&["title"])).unwrap();
    run(document(&a).set(&["left"], &1)).unwrap();
    assert!(run(document(&a).forget_removed()).unwrap().is_none(), "it waits here still");
    for _ in 0..3 {
        world.later(syncline::limits::ACKNOWLEDGE_MS_MAX);
        meet(&world, &a, &b);
    }
    assert!(run(document(&a).forget_removed()).unwrap().is_some());
    meet(&world, &a, &b);
    assert!(run(document(&b).forget_removed()).unwrap().is_none());
    assert!(!run(document(&b).load()).unwrap().has_removed());
    run(document(&b).delete()).unwrap();
    meet(&world, &a, &b);
    assert_eq!(shown(&a)[5], "-");
}

#[test]
fn removed_nodes_are_forgotten_once_every_device_has_heard_of_it() {
    let mut world = World::new();
    let (a, b) = two(&mut world);
    let folder = node(&run(tree(&a).insert(None, 0, "folder")).unwrap());
    for index in 0..50 {
        run(tree(&a).insert(Some(folder), index, &index)).unwrap();
    }
    meet(&world, &a, &b);
    run(tree(&a).insert(None, 1, "stays")).unwrap();
    run(tree(&a).remove(folder)).unwrap();
    assert!(run(tree(&a).forget_removed()).unwrap().is_none(), "it waits here still");
    world.sync(&a);
    assert!(run(tree(&a).forget_removed()).unwrap().is_none(), "the other has not heard of it");
    for _ in 0..3 {
        world.later(syncline::limits::ACKNOWLEDGE_MS_MAX);
        meet(&world, &a, &b);
    }
    let before = bytes(&a)[4].as_ref().map_or(0, Vec::len);
    assert!(run(tree(&a).forget_removed()).unwrap().is_some());
    meet(&world, &a, &b);
    let after = bytes(&a)[4].as_ref().map_or(0, Vec::len);
    assert!(before > 2_000 && after < 200, "{before} bytes, then {after}");
    assert!(run(tree(&a).forget_removed()).unwrap().is_none());
    assert_eq!(run(tree(&b).nodes()).unwrap().len(), 1);
}

#[test]
fn a_handle_of_another_type_than_its_collection_is_refused() {
    let mut world = World::new();
    let device = world.device();
    assert!(matches!(of(&device, "tasks").counter("x"), Err(ReplicaError::WrongType { .. })));
    assert!(matches!(of(&device, "sets").list("x"), Err(ReplicaError::WrongType { .. })));
    assert!(of(&device, "sets").set("x").is_ok());
}

#[test]
fn a_device_that_does_not_hold_an_entity_counts_and_adds_all_the_same() {
    let mut world = World::new();
    let full = world.device();
    run(counter(&full).add(1)).unwrap();
    run(set(&full).add("known")).unwrap();
    run(list(&full).push("one")).unwrap();
    world.sync(&full);
    let part = partial(&mut world, "tasks");
    world.sync(&part);
    run(counter(&part).add(10)).unwrap();
    run(set(&part).add("blind")).unwrap();
    run(register(&part).set("blind")).unwrap();
    assert!(matches!(run(list(&part).push("x")), Err(ReplicaError::NotHere(_))));
    assert!(matches!(run(counter(&part).get()), Err(ReplicaError::NotHere(_))));
    assert!(matches!(run(counter(&part).reset()), Err(ReplicaError::NotHere(_))));
    for device in [&part, &full] {
        assert!(world.sync(device).is_safe());
    }
    assert_eq!(shown(&full), ["11", r#"["one"]"#, r#""blind""#, r#"["blind","known"]"#, "-", "-"]);
}

#[test]
fn a_delete_by_somebody_who_does_not_know_the_type_ends_what_is_there() {
    let mut world = World::new();
    let (a, b) = two(&mut world);
    edit(&a, 1);
    edit(&b, 2);
    meet(&world, &a, &b);
    assert!(shown(&a).iter().all(|shown| shown != "-"), "{:?}", shown(&a));
    for key in keys(&a) {
        let payload = Payload::Plain(bytes::Bytes::new());
        let write = Write { key, kind: OpKind::Delete, precondition: Precondition::None, payload };
        run(a.replica.write(write)).unwrap();
    }
    assert!(shown(&a).iter().all(|shown| shown == "-"), "{:?}", shown(&a));
    meet(&world, &a, &b);
    assert!(shown(&b).iter().all(|shown| shown == "-"), "{:?}", shown(&b));
    edit(&b, 3);
    meet(&world, &a, &b);
    assert!(shown(&a).iter().all(|shown| shown != "-"), "{:?}", shown(&a));
}

/// One edit of everything.
fn edit(device: &Device, number: i64) {
    run(counter(device).add(number)).unwrap();
    run(list(device).push(&number)).unwrap();
    run(register(device).set(&number)).unwrap();
    run(set(device).add(&number)).unwrap();
    run(tree(device).insert(None, 0, &number)).unwrap();
    run(document(device).set(&["in", &number.to_string()], &number)).unwrap();
}

/// A device is copied with edits that wait, and both copies go on: each edit counts once.
#[test]
fn edits_that_wait_on_a_device_that_is_cloned_count_once() {
    let mut world = World::new();
    let (first, other) = two(&mut world);
    edit(&first, 1);
    world.sync(&first);
    edit(&first, 10);
    run(set(&first).remove(&1)).unwrap();
    run(list(&first).remove(0, 1)).unwrap();
    let second = world.open(first.copy_of_store(), 0);
    edit(&first, 100);
    edit(&second, 1_000);
    run(set(&second).remove(&10)).unwrap();
    for device in [&first, &second, &first, &second, &other, &first] {
        assert!(world.sync(device).is_safe(), "{:?}", device.replica.status());
    }
    assert_ne!(first.replica.id(), second.replica.id());
    for device in [&first, &second, &other] {
        assert_eq!(run(counter(device).get()).unwrap(), 1_111);
        let mut elements: Vec<i64> = run(list(device).get()).unwrap();
        elements.sort_unstable();
        assert_eq!(elements, [10, 100, 1_000]);
        assert_eq!(run(set(device).get::<i64>()).unwrap(), [100, 1_000]);
        assert_eq!(run(tree(device).nodes()).unwrap().len(), 4);
        assert_eq!(bytes(device), bytes(&first));
    }
}

#[derive(Debug, Clone)]
enum Happens {
    Edit(usize, u8, u16, u16),
    Sync(usize),
    Clone(usize),
    Backup,
    Rollback,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        12 => (any::<usize>(), any::<u8>(), any::<u16>(), any::<u16>()).prop_map(|(who, what, at, other)| Happens::Edit(who, what, at, other)),
        6 => any::<usize>().prop_map(Happens::Sync),
        1 => any::<usize>().prop_map(Happens::Clone),
        1 => Just(Happens::Backup),
        1 => Just(Happens::Rollback),
    ]
}

fn some_edit(device: &Device, what: u8, at: u16, other: u16) {
    let (at, value) = (usize::from(at), i64::from(other));
    match what % 14 {
        0 | 1 => drop(run(counter(device).add(value)).unwrap()),
        2 => drop(run(counter(device).reset()).unwrap()),
        3 | 4 => drop(run(set(device).add(&(value % 5))).unwrap()),
        5 => drop(run(set(device).remove(&(value % 5))).unwrap()),
        6 => drop(run(register(device).set(&value)).unwrap()),
        7 | 8 => {
            let len = elements_of(device);
            run(list(device).insert(at % (len + 1), &value)).unwrap();
        }
        9 => match elements_of(device) {
            0 => {}
            len if other.is_multiple_of(2) => {
                drop(run(list(device).move_to(at % len, usize::from(other) % len)).unwrap());
            }
            len => drop(run(list(device).remove(at % len, 1)).unwrap()),
        },
        10 => drop(run(tree(device).insert(None, 0, &value)).unwrap()),
        11 => drop(run(document(device).set(&["a", "b", "c"][..1 + at % 3], &value)).unwrap()),
        12 => drop(run(document(device).remove(&["a", "b"][..1 + at % 2])).unwrap()),
        _ => {
            let nodes = run(tree(device).nodes()).unwrap();
            if nodes.is_empty() {
                return;
            }
            let (node, parent) = (nodes[at % nodes.len()].id, nodes[usize::from(other) % nodes.len()].id);
            // Into itself is refused.
            let _ = run(tree(device).move_to(node, Some(parent), 0));
        }
    }
}

fn elements_of(device: &Device) -> usize {
    run(list(device).load()).unwrap().len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Devices edit everything, sync when they like, are cloned, and the server is rolled back.
    #[test]
    fn whatever_happens_in_between_all_devices_end_with_the_same_values(story in prop::collection::vec(happens(), 1..60)) {
        let mut world = World::new();
        let mut server = Arc::new(MemoryStore::new());
        world.replace_server(Arc::clone(&server));
        let mut devices = vec![world.device(), world.device()];
        edit(&devices[0], 1);
        devices.iter().for_each(|device| drop(world.sync(device)));
        let mut backup = Arc::new(server.fork());
        for happens in story {
            let count = devices.len();
            match happens {
                Happens::Edit(who, what, at, other) => some_edit(&devices[who % count], what, at, other),
                Happens::Sync(who) => drop(world.try_sync(&devices[who % count])),
                Happens::Clone(who) if count < 4 => {
                    let copy = devices[who % count].copy_of_store();
                    devices.push(world.open(copy, 0));
                }
                Happens::Clone(_) => {}
                Happens::Backup => backup = Arc::new(server.fork()),
                Happens::Rollback => {
                    server = Arc::new(backup.fork());
                    world.replace_server(Arc::clone(&server));
                }
            }
        }
        for _ in 0..3 {
            for device in &devices {
                world.later(60_000);
                prop_assert!(world.try_sync(device).is_ok());
            }
        }
        let fresh = world.device();
        world.sync(&fresh);
        for device in &devices {
            prop_assert!(device.replica.status().unsynced == 0, "{:?}", device.replica.status());
            prop_assert_eq!(shown(device), shown(&fresh));
            prop_assert_eq!(bytes(device), bytes(&fresh));
        }
    }
}
