//! Restoring from a device: what was is again, for everybody; nothing is lost by it, and it can be taken back.

use std::sync::Arc;

use syncline::access::Access;
use syncline::client::{Choose, Event, Fate, NotReached, Outcome, Replica, ReplicaError, ReplicaOptions, Tier, Write};
use syncline::oplog::{EntityKey, FullStateKind, OpKind, Payload, Precondition, RestorePoint};
use syncline::store::Store;
use syncline::{EntityId, LogKey, Seq};

use crate::world::{Device, Fault, LOG, World, run, seq};

fn all(device: &Device) -> Vec<String> {
    ["1", "2", "3", "4"].iter().map(|name| device.read(name)).collect()
}

fn end(device: &Device) -> Seq {
    run(device.replica.end()).unwrap().seq
}

fn points(device: &Device) -> Vec<RestorePoint> {
    run(device.replica.restore_points(10)).unwrap()
}

/// Two devices that have the same four ops; what they showed after the second.
fn two_at_four(world: &mut World) -> (Device, Device, Vec<String>) {
    let (a, b) = (world.device(), world.device());
    a.set("1", "n", "early");
    a.set("2", "n", "early");
    world.sync(&a);
    let early = all(&a);
    a.set("1", "n", "late");
    run(a.task("2").delete()).unwrap();
    world.sync(&a);
    world.sync(&b);
    assert_eq!(end(&b), seq(4));
    (a, b, early)
}

#[test]
fn a_restore_reaches_every_device_and_its_undo_brings_the_same_back() {
    let mut world = World::new();
    let (a, b, early) = two_at_four(&mut world);
    let late = all(&a);
    let receipt = run(a.replica.restore(seq(2))).unwrap();
    assert_eq!(all(&a), early, "shown here at once");
    world.sync(&a);
    assert_eq!(run(receipt.reached(Tier::Server)).unwrap(), Some(seq(5)));
    world.sync(&b);
    assert_eq!((all(&a), all(&b)), (early.clone(), early.clone()));

    let receipt = run(b.replica.undo_restore()).unwrap().expect("an op of its own");
    world.sync(&b);
    world.sync(&a);
    assert_eq!(run(receipt.reached(Tier::Server)).unwrap(), Some(seq(6)));
    assert_eq!((all(&a), all(&b)), (late.clone(), late));
    run(a.replica.undo_restore()).unwrap();
    world.sync(&a);
    assert_eq!(all(&a), early, "an undo is a restore, and can be undone");
    assert_eq!(points(&a).iter().map(|point| point.seq).collect::<Vec<_>>(), [seq(7), seq(6), seq(5)]);
    assert!(points(&a).iter().all(|point| point.kind == FullStateKind::Recovery));
    assert_eq!(points(&a)[0].replica, a.replica.id());
    assert_eq!(points(&b).len(), 2);
    assert_eq!(run(a.replica.restore_points(1)).unwrap(), points(&a)[..1]);

    let fresh = world.device();
    world.sync(&fresh);
    assert_eq!(all(&fresh), early);
}

/// Pending edits of another device are not lost: they come on top of what was restored.
#[test]
fn edits_that_waited_elsewhere_come_on_top_of_a_restore() {
    let mut world = World::new();
    let (a, b, _) = two_at_four(&mut world);
    let waited = b.set("3", "n", "offline");
    b.set("1", "m", "offline");
    run(a.replica.restore(seq(2))).unwrap();
    world.sync(&a);
    for device in [&b, &a] {
        assert!(world.sync(device).is_safe());
    }
    assert!(matches!(waited.fate(), Fate::Accepted(_)));
    assert_eq!(all(&a), all(&b));
    assert_eq!(a.read("1"), r#"{"m":"offline","n":"early"}"#);
    assert_eq!(a.read("2"), r#"{"n":"early"}"#);
    assert_eq!(a.read("3"), r#"{"n":"offline"}"#);
    assert!(matches!(run(a.replica.undo_restore()), Err(ReplicaError::NothingToUndo)), "something was added");
}

#[test]
fn own_writes_that_waited_are_in_the_log_before_a_restore_and_come_back_with_its_undo() {
    let mut world = World::new();
    let (a, b, early) = two_at_four(&mut world);
    let waited = a.set("3", "n", "offline");
    let restored = run(a.replica.restore(seq(2))).unwrap();
    let after = a.set("4", "n", "after");
    let shown = all(&a);
    assert_eq!(shown[..2], early[..2]);
    assert_eq!((shown[2].as_str(), shown[3].as_str()), ("-", r#"{"n":"after"}"#));
    let ids = run(a.replica.collection("tasks").unwrap().ids(None, 10)).unwrap();
    assert_eq!(ids.len(), 3, "1 and 2 as restored, 4 as written");
    assert_eq!(a.replica.status().unsynced, 3);

    assert!(world.sync(&a).is_safe());
    let places: Vec<Fate> = [&waited, &restored, &after].map(syncline::client::Receipt::fate).into();
    assert_eq!(places, [5, 6, 7].map(|at| Fate::Accepted(seq(at))));
    world.sync(&b);
    assert_eq!((all(&a), all(&b)), (shown.clone(), shown));
    run(b.replica.restore(seq(5))).unwrap();
    world.sync(&b);
    assert_eq!(b.read("3"), r#"{"n":"offline"}"#, "nothing of it was lost");
}

#[test]
fn a_restore_covers_up_nothing_that_its_author_had_not_seen() {
    for choose in [Choose::Mine, Choose::Theirs] {
        let mut world = World::new();
        let (a, b, early) = two_at_four(&mut world);
        b.set("3", "n", "meanwhile");
        world.sync(&b);
        let theirs = all(&b);
        let waited = a.set("4", "n", "waited");
        let receipt = run(a.replica.restore(seq(2))).unwrap();
        let status = world.sync(&a);
        assert_eq!((status.unsynced, status.open_conflicts), (0, 1));
        assert!(matches!(run(receipt.reached(Tier::Server)), Err(NotReached { fate: Fate::Lost, .. })));
        assert_eq!(waited.fate(), Fate::Accepted(seq(6)));
        let conflicts = run(a.replica.conflicts()).unwrap();
        assert_eq!(conflicts.len(), 1);
        assert_eq!((conflicts[0].no(), conflicts[0].outcome), (receipt.no(), Outcome::Open));
        assert_eq!(all(&a)[..3], theirs[..3], "as it was, until somebody chooses");

        let again = run(a.replica.resolve(receipt.no(), choose.clone())).unwrap();
        assert_eq!(again.is_some(), choose == Choose::Mine);
        assert!(world.sync(&a).is_safe());
        world.sync(&b);
        assert_eq!(all(&a), all(&b));
        match choose {
            Choose::Mine => assert_eq!(all(&a), early),
            _ => assert_eq!(all(&a)[..3], theirs[..3]),
        }
        assert!(run(a.replica.conflicts()).unwrap().is_empty());
    }
}

/// The batch is made and then fails to arrive; meanwhile somebody else writes, so that only the server can know.
#[test]
fn a_restore_that_arrives_after_somebody_elses_write_is_refused_and_asks() {
    let mut world = World::new();
    let (a, b, _) = two_at_four(&mut world);
    run(a.replica.restore(seq(2))).unwrap();
    world.fault(&[Fault::Unreachable]);
    assert!(world.try_sync(&a).is_err());
    b.set("3", "n", "meanwhile");
    world.sync(&b);
    let status = world.sync(&a);
    assert_eq!((status.unsynced, status.open_conflicts), (0, 1));
    assert_eq!(run(a.replica.conflicts()).unwrap().len(), 1);
    assert_eq!(points(&a).len(), 0);
    assert_eq!(all(&a), all(&b));
}

#[test]
fn a_restore_whose_answers_are_lost_is_done_once() {
    for lost in 1..5 {
        let mut world = World::new();
        let (a, b, early) = two_at_four(&mut world);
        a.set("3", "n", "offline");
        let receipt = run(a.replica.restore(seq(2))).unwrap();
        world.fault(&vec![Fault::AnswerLost; lost]);
        for _ in 0..lost {
            assert!(world.try_sync(&a).is_err());
        }
        assert!(world.sync(&a).is_safe());
        world.sync(&b);
        assert_eq!(receipt.fate(), Fate::Accepted(seq(6)));
        assert_eq!((points(&a).len(), points(&b).len()), (1, 1));
        assert_eq!((all(&a), all(&b)), (early.clone(), early));
    }
}

#[test]
fn fault_s19_a_process_killed_at_any_step_of_a_restore_does_it_once() {
    for lost in 0..3 {
        let mut world = World::new();
        let (a, b, early) = two_at_four(&mut world);
        run(a.replica.restore(seq(2))).unwrap();
        world.fault(&vec![Fault::AnswerLost; lost]);
        for _ in 0..lost {
            let _ = world.try_sync(&a);
        }
        let Device { replica, store } = a;
        drop(replica);
        let a = world.open(store, 0);
        assert_eq!(all(&a), early, "shown by whoever opens it next");
        assert!(world.sync(&a).is_safe());
        world.sync(&b);
        assert_eq!((end(&b), all(&b)), (seq(5), early));
    }
}

#[test]
fn a_restore_that_was_not_sent_is_only_dropped_and_one_under_way_is_not_touched() {
    let mut world = World::new();
    let (a, _, early) = two_at_four(&mut world);
    let late = all(&a);
    let mut events = a.replica.events();
    let receipt = run(a.replica.restore(seq(2))).unwrap();
    assert_eq!(events.try_next(), Some(Event::Reset));
    assert!(run(a.replica.undo_restore()).unwrap().is_none());
    assert_eq!(events.try_next(), Some(Event::Reset));
    assert_eq!((receipt.fate(), all(&a)), (Fate::Discarded, late));
    assert_eq!(a.replica.status().unsynced, 0);
    assert!(matches!(run(a.replica.undo_restore()), Err(ReplicaError::NothingToUndo)));

    let receipt = run(a.replica.restore(seq(2))).unwrap();
    world.fault(&[Fault::AnswerLost]);
    assert!(world.try_sync(&a).is_err());
    assert!(matches!(run(a.replica.undo_restore()), Err(ReplicaError::UnderWay(no)) if no == receipt.no()));
    world.sync(&a);
    assert_eq!(all(&a), early);

    run(a.replica.restore(seq(1))).unwrap();
    a.set("1", "n", "after");
    assert!(matches!(run(a.replica.undo_restore()), Err(ReplicaError::NothingToUndo)), "written after it");
}

#[test]
fn writes_that_name_versions_go_on_after_a_restore_that_waits() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let file = |device: &Device, name: &str| device.replica.collection("files").unwrap().named(name);
    run(file(&a, "x").put(&serde_json::json!({"v": 1}))).unwrap();
    world.sync(&a);
    run(file(&a, "x").put(&serde_json::json!({"v": 2}))).unwrap();
    run(file(&a, "y").put(&serde_json::json!({"v": 2}))).unwrap();
    world.sync(&a);
    run(a.replica.restore(seq(1))).unwrap();
    for (name, version) in [("x", 3), ("y", 3), ("x", 4)] {
        run(file(&a, name).put(&serde_json::json!({"v": version}))).unwrap();
    }
    let status = world.sync(&a);
    assert!(status.is_safe() && status.conflicts == 0, "{status:?}");
    world.sync(&b);
    for (name, version) in [("x", 4), ("y", 3)] {
        assert_eq!(run(file(&b, name).field::<u64>("v")).unwrap(), Some(version));
    }
}

#[test]
fn a_state_that_would_leave_out_what_a_newer_build_wrote_is_not_restored() {
    let mut world = World::new();
    let (a, _, _) = two_at_four(&mut world);
    let newer = world.device();
    let Device { store, .. } = newer;
    let mut options = ReplicaOptions::default();
    options.schema = crate::world::schema().understood_up_to(2);
    options.schema_version = 2;
    let local: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let log: LogKey = LOG;
    let replica = run(Replica::open(local, log, world.env(), options)).unwrap();
    let newer = Device { replica, store };
    newer.set("3", "n", "new");
    world.sync(&newer);
    world.sync(&a);
    assert_eq!(run(a.replica.at(seq(5))).unwrap().unread().len(), 1);
    assert!(matches!(run(a.replica.restore(seq(5))), Err(ReplicaError::NotUnderstood(at)) if at == seq(5)));
    assert!(matches!(run(a.replica.restore(Seq::ZERO)), Err(ReplicaError::NothingThere)));
    run(a.replica.restore(seq(4))).unwrap();
    world.sync(&a);
}

#[test]
fn a_restore_that_a_server_lost_is_offered_again() {
    let mut world = World::new();
    let server = Arc::new(syncline::store::MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let (a, b, early) = two_at_four(&mut world);
    let backup = Arc::new(server.fork());
    run(a.replica.restore(seq(2))).unwrap();
    world.sync(&a);
    world.replace_server(backup);
    for device in [&a, &b, &a] {
        assert!(world.sync(device).is_safe());
    }
    assert_eq!((all(&a), all(&b)), (early.clone(), early));
}

/// One edit from before a restore was heard of, one from after it, both sent in one batch: the server would find the first
/// superseded and take the second, and the first, made again, would come last.
#[test]
fn a_devices_edits_of_one_thing_stay_in_their_order_across_a_restore() {
    let mut world = World::new();
    let (a, b, _) = two_at_four(&mut world);
    let counter = a.replica.collection("counters").unwrap().counter("1").unwrap();
    let key = EntityKey { collection: "causal".parse().unwrap(), entity: EntityId::named("1") };
    let causal = |title: &str| {
        let payload = Payload::Json(format!(r#"{{"title":"{title}"}}"#).into());
        let (key, kind, precondition) = (key.clone(), OpKind::Update, Precondition::None);
        run(a.replica.write(Write { key, kind, precondition, payload })).unwrap();
    };
    let may = |access: Access| world.way.caller.lock().unwrap().access = access;
    may(Access::Read);
    a.set("4", "n", "in a batch that is refused");
    assert!(world.try_sync(&a).is_err());
    run(counter.add(5)).unwrap();
    causal("older");
    may(Access::Write);
    run(b.replica.restore(seq(2))).unwrap();
    world.sync(&b);
    may(Access::Read);
    assert!(world.try_sync(&a).is_err());
    assert_eq!(end(&a), seq(5), "it has heard of the restore, and could not send");
    run(counter.reset()).unwrap();
    causal("newer");
    may(Access::Write);
    for device in [&a, &b] {
        assert!(world.sync(device).is_safe());
        let counter = device.replica.collection("counters").unwrap().counter("1").unwrap();
        assert_eq!(run(counter.get()).unwrap(), 0, "what was counted before it was set to nothing");
        let shown = run(device.replica.state(&key)).unwrap().unwrap();
        assert_eq!(shown, r#"{"title":"newer"}"#);
    }
    assert!(run(a.replica.conflicts()).unwrap().is_empty());
}
