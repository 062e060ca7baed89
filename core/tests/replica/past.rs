//! The log as it was: what every reader showed at a seq, whatever came after.

use std::collections::BTreeMap;

use syncline::client::{ReplicaError, Write};
use syncline::oplog::{OpKind, Payload, Precondition};
use syncline::{EntityId, Seq, limits};

use crate::world::{Device, World, run, seq};

const NAMES: [&str; 4] = ["1", "2", "3", "4"];

fn shown(device: &Device) -> Vec<String> {
    NAMES.iter().map(|name| device.read(name)).collect()
}

fn shown_at(device: &Device, at: Seq) -> Vec<String> {
    let past = run(device.replica.at(at)).unwrap();
    let text = |name: &&str| {
        let state = past.state(device.task(name).key()).unwrap();
        state.map_or_else(|| "-".to_owned(), |state| String::from_utf8(state.to_vec()).unwrap())
    };
    NAMES.iter().map(text).collect()
}

fn end(device: &Device) -> Seq {
    run(device.replica.end()).unwrap().seq
}

#[test]
fn a_view_at_any_seq_is_what_a_reader_showed_there() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let mut showed = BTreeMap::from([(Seq::ZERO, shown(&a))]);
    for turn in 0..40_usize {
        let device = if turn % 3 == 0 { &b } else { &a };
        let name = NAMES[turn * 7 % 4];
        match turn % 5 {
            4 => drop(run(device.task(name).delete()).unwrap()),
            _ => drop(device.set(name, if turn % 2 == 0 { "n" } else { "m" }, &turn.to_string())),
        }
        world.sync(device);
        world.sync(&a);
        showed.insert(end(&a), shown(&a));
    }
    world.sync(&b);
    assert!(showed.len() > 30, "{}", showed.len());
    for device in [&a, &b] {
        for (at, showed) in &showed {
            assert_eq!(shown_at(device, *at), *showed, "at {at}");
        }
    }
}

#[test]
fn a_view_has_typed_fields_and_lists_what_existed() {
    let mut world = World::new();
    let a = world.device();
    a.set("1", "n", "one");
    world.sync(&a);
    a.set("2", "n", "two");
    world.sync(&a);
    run(a.task("1").delete()).unwrap();
    world.sync(&a);
    let at = |at: u64| run(a.replica.at(seq(at))).unwrap();
    let (first, second, third) = (at(1), at(2), at(3));
    let ids = |past: &syncline::client::Past| past.collection("tasks").unwrap().ids(None, 10).unwrap();
    assert_eq!(ids(&first), [EntityId::named("1")]);
    let mut both = vec![EntityId::named("1"), EntityId::named("2")];
    both.sort();
    assert_eq!(ids(&second), both);
    assert_eq!(second.collection("tasks").unwrap().ids(Some(both[0]), 10).unwrap(), both[1..]);
    assert_eq!(second.collection("tasks").unwrap().ids(None, 1).unwrap(), both[..1]);
    assert_eq!(ids(&third), [EntityId::named("2")], "deleted by then");
    let field = |past: &syncline::client::Past, name: &str| {
        past.collection("tasks").unwrap().named(name).field::<String>("n").unwrap()
    };
    assert_eq!(field(&second, "1"), Some("one".to_owned()));
    assert_eq!(field(&third, "1"), None);
    assert_eq!(first.differs(&third).unwrap().len(), 2);
    assert!(first.differs(&first).unwrap().is_empty());
    assert_eq!(first.cursor().seq, seq(1));
}

#[test]
fn a_view_holds_what_is_in_the_log_and_stays_as_it_is() {
    let mut world = World::new();
    let a = world.device();
    a.set("1", "n", "sent");
    world.sync(&a);
    a.set("1", "n", "waits");
    let past = run(a.replica.at(end(&a))).unwrap();
    assert_eq!(past.collection("tasks").unwrap().named("1").field::<String>("n").unwrap(), Some("sent".into()));
    world.sync(&a);
    assert_eq!(past.collection("tasks").unwrap().named("1").field::<String>("n").unwrap(), Some("sent".into()));
}

#[test]
fn nobody_stands_inside_a_batch() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    a.set("1", "n", "before");
    world.sync(&a);
    let write = |name: &str| Write {
        key: a.task(name).key().clone(),
        kind: OpKind::Update,
        precondition: Precondition::None,
        payload: Payload::Json("{\"n\":1}".into()),
    };
    run(a.replica.write_batch(vec![write("2"), write("3"), write("4")])).unwrap();
    for device in [&a, &b] {
        world.sync(device);
        for inside in [2, 3] {
            let refused = run(device.replica.at(seq(inside)));
            assert!(matches!(refused, Err(ReplicaError::InsideBatch(at)) if at == seq(inside)), "{refused:?}");
        }
        assert_eq!(shown_at(device, seq(4)), shown(device));
        assert_eq!(shown_at(device, seq(1))[1], "-");
    }
}

#[test]
fn what_is_not_kept_or_not_there_yet_is_refused() {
    let mut world = World::new();
    let a = world.device();
    assert!(run(a.replica.at(Seq::ZERO)).unwrap().collection("tasks").unwrap().ids(None, 1).unwrap().is_empty());
    for name in NAMES {
        a.set(name, "n", "1");
        world.sync(&a);
    }
    for beyond in [seq(5), Seq::MAX] {
        let refused = run(a.replica.at(beyond));
        assert!(matches!(refused, Err(ReplicaError::Beyond { end, .. }) if end == seq(4)), "{refused:?}");
    }
    run(a.replica.restore(seq(2))).unwrap();
    world.sync(&a);
    a.set("1", "n", "2");
    world.sync(&a);

    let late = world.device();
    world.sync(&late);
    for gone in [Seq::ZERO, seq(1), seq(4)] {
        let refused = run(late.replica.at(gone));
        assert!(matches!(refused, Err(ReplicaError::NotKept(at)) if at == gone), "{refused:?}");
    }
    for kept in [5, 6] {
        assert_eq!(shown_at(&late, seq(kept)), shown_at(&a, seq(kept)));
    }
}

#[test]
fn a_state_larger_than_a_full_state_is_no_view_and_what_is_smaller_still_is() {
    let mut world = World::new();
    let a = world.device();
    let half = "x".repeat(limits::REPLAY_BYTES_MAX / 2);
    for name in ["1", "2"] {
        a.set(name, "n", &half);
        world.sync(&a);
    }
    assert!(run(a.replica.at(seq(1))).is_ok());
    let refused = run(a.replica.at(seq(2)));
    assert!(matches!(refused, Err(ReplicaError::StateTooLarge(at)) if at == seq(2)), "{refused:?}");
    assert_eq!(a.read("2").len(), half.len() + 8, "the present is not bounded by it");
}
