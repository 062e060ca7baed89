//! Conflicts, refusals and what becomes of them.

use std::sync::Arc;

use syncline::EntityId;
use syncline::client::{Choose, Fate, Outcome, ParkReason, ReplicaError, Write};
use syncline::limits::CONFLICTS_KEPT_MAX;
use syncline::oplog::{OpKind, Payload, Precondition, RejectReason};
use syncline::store::MemoryStore;

use crate::world::{Device, World, run};

fn write(device: &Device, collection: &str, kind: OpKind, json: &str) -> syncline::client::Receipt {
    let key = syncline::oplog::EntityKey { collection: collection.parse().unwrap(), entity: EntityId::named("x") };
    let payload = Payload::Json(json.to_owned().into());
    run(device.replica.write(Write { key, kind, precondition: Precondition::None, payload })).unwrap()
}

fn state(device: &Device, collection: &str) -> String {
    let key = syncline::oplog::EntityKey { collection: collection.parse().unwrap(), entity: EntityId::named("x") };
    let state = run(device.replica.state(&key)).unwrap();
    state.map_or_else(|| "-".to_owned(), |state| String::from_utf8(state.to_vec()).unwrap())
}

#[test]
fn of_two_edits_that_did_not_know_each_other_the_newer_wins_and_the_older_is_kept_on_record() {
    for newer_first in [true, false] {
        let mut world = World::new();
        let (a, b) = (world.device(), world.device());
        write(&a, "causal", OpKind::Create, r#"{"t":0}"#);
        world.sync(&a);
        world.sync(&b);
        write(&a, "causal", OpKind::Update, r#"{"t":"older"}"#);
        write(&b, "causal", OpKind::Update, r#"{"t":"newer"}"#);
        let order = if newer_first { [&b, &a] } else { [&a, &b] };
        for _ in 0..2 {
            order.iter().for_each(|device| {
                assert!(world.sync(device).is_safe());
            });
        }
        assert_eq!(state(&a, "causal"), r#"{"t":"newer"}"#);
        assert_eq!(state(&b, "causal"), r#"{"t":"newer"}"#);
        let conflicts = run(a.replica.conflicts()).unwrap();
        assert_eq!(conflicts.len(), usize::from(newer_first), "whoever lost can look at it");
        for conflict in conflicts {
            assert_eq!(conflict.outcome, Outcome::Theirs);
            assert_eq!(conflict.mine().payload().bytes(), r#"{"t":"older"}"#);
            run(a.replica.resolve(conflict.no(), Choose::Mine)).unwrap();
            world.sync(&a);
            world.sync(&b);
            assert_eq!(state(&b, "causal"), r#"{"t":"older"}"#, "chosen after all");
        }
    }
}

#[test]
fn the_same_edit_on_two_devices_is_no_conflict_for_anyone() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    for device in [&a, &b] {
        write(device, "causal", OpKind::Update, r#"{"t":1}"#);
    }
    for device in [&a, &b, &a] {
        assert!(world.sync(device).is_safe());
    }
    assert!(run(b.replica.conflicts()).unwrap().is_empty());
}

#[test]
fn a_failed_precondition_waits_for_a_choice_and_hinders_nothing_else() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    write(&a, "files", OpKind::Create, r#"{"v":0}"#);
    world.sync(&a);
    world.sync(&b);
    write(&a, "files", OpKind::Update, r#"{"v":"a"}"#);
    let lost = write(&b, "files", OpKind::Update, r#"{"v":"b"}"#);
    b.set("1", "title", "goes on");
    world.sync(&a);
    world.sync(&b);
    assert_eq!(lost.fate(), Fate::Lost);
    assert_eq!(state(&b, "files"), r#"{"v":"a"}"#);
    world.sync(&a);
    assert_eq!(a.read("1"), r#"{"title":"goes on"}"#);
    let conflicts = run(b.replica.conflicts()).unwrap();
    assert_eq!(conflicts[0].outcome, Outcome::Open);
    let again = world.open(b.copy_of_store(), 0);
    for device in [&b, &again] {
        let status = device.replica.status();
        assert_eq!((status.open_conflicts, status.conflicts, status.unsynced), (1, 1, 0));
        assert!(!status.is_safe(), "what lost is nowhere else yet");
    }
    let both = Payload::Json(r#"{"v":"a and b"}"#.into());
    let receipt = run(b.replica.resolve(conflicts[0].no(), Choose::Instead(both))).unwrap().unwrap();
    assert!(world.sync(&b).is_safe());
    assert!(matches!(receipt.fate(), Fate::Accepted(_)));
    world.sync(&a);
    assert_eq!(state(&a, "files"), r#"{"v":"a and b"}"#);
    assert!(run(b.replica.conflicts()).unwrap().is_empty());
}

#[test]
fn several_offline_versions_of_one_file_go_up_one_after_the_other() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    write(&a, "files", OpKind::Create, r#"{"v":0}"#);
    for version in 1..5 {
        write(&a, "files", OpKind::Update, &format!(r#"{{"v":{version}}}"#));
    }
    assert!(world.sync(&a).is_safe());
    world.sync(&b);
    assert_eq!(state(&b, "files"), r#"{"v":4}"#);
    assert!(run(a.replica.conflicts()).unwrap().is_empty());
}

#[test]
fn a_refused_write_is_parked_with_its_reason_and_the_rest_goes_on() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    a.set("1", "title", "before");
    let refused = write(&a, "chat", OpKind::Update, r#"{"text":"changed"}"#);
    a.set("2", "title", "after");
    let status = world.sync(&a);
    assert_eq!((status.unsynced, status.parked), (0, 1));
    let reason = ParkReason::Rejected(RejectReason::AppendOnly);
    assert_eq!(refused.fate(), Fate::Parked(reason.clone()));
    let parked = run(a.replica.parked()).unwrap();
    assert_eq!(parked[0].reason, reason);
    world.sync(&b);
    assert_eq!(b.read("1"), r#"{"title":"before"}"#);
    assert_eq!(b.read("2"), r#"{"title":"after"}"#);
    run(a.replica.retry(parked[0].no(), None)).unwrap();
    assert_eq!(world.sync(&a).parked, 1, "refused again");
    run(a.replica.discard(parked[0].no())).unwrap();
    assert!(a.replica.status().is_safe());
    assert_eq!(refused.fate(), Fate::Discarded);
}

#[test]
fn a_batch_with_a_refused_write_is_parked_whole() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let key = |collection: &str| syncline::oplog::EntityKey {
        collection: collection.parse().unwrap(),
        entity: EntityId::named("x"),
    };
    let write = |collection: &str| Write {
        key: key(collection),
        kind: OpKind::Update,
        precondition: Precondition::None,
        payload: Payload::Json(r#"{"a":1}"#.into()),
    };
    run(a.replica.write_batch(vec![write("tasks"), write("chat")])).unwrap();
    a.set("1", "title", "alone");
    let status = world.sync(&a);
    assert_eq!((status.unsynced, status.parked), (0, 2));
    world.sync(&b);
    assert_eq!(state(&b, "tasks"), "-");
    assert_eq!(b.read("1"), r#"{"title":"alone"}"#);
}

/// A record of what lost is kept, and does not grow for ever: limit - 1, limit, limit + 1.
#[test]
fn ended_conflicts_are_kept_up_to_their_limit_and_the_oldest_goes_first() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let write = |device: &Device, index: usize, json: &str| {
        let entity = EntityId::named(&index.to_string());
        let key = syncline::oplog::EntityKey { collection: "causal".parse().unwrap(), entity };
        let payload = Payload::Json(json.to_owned().into());
        run(device.replica.write(Write { key, kind: OpKind::Update, precondition: Precondition::None, payload }))
            .unwrap()
    };
    world.sync(&a);
    world.sync(&b);
    let lose = |range: std::ops::Range<usize>| {
        range.clone().for_each(|index| drop(write(&b, index, r#"{"t":"older"}"#)));
        range.for_each(|index| drop(write(&a, index, r#"{"t":"newer"}"#)));
        world.sync(&a);
        world.sync(&b);
        run(b.replica.conflicts()).unwrap()
    };
    assert_eq!(lose(0..CONFLICTS_KEPT_MAX - 1).len(), CONFLICTS_KEPT_MAX - 1);
    let oldest = lose(CONFLICTS_KEPT_MAX - 1..CONFLICTS_KEPT_MAX);
    assert_eq!(oldest.len(), CONFLICTS_KEPT_MAX);
    let kept = lose(CONFLICTS_KEPT_MAX..CONFLICTS_KEPT_MAX + 1);
    assert_eq!(kept.len(), CONFLICTS_KEPT_MAX);
    assert_eq!(kept[0].no(), oldest[1].no());
}

/// A batch applies everywhere or nowhere, also when one write of it is left to a choice.
#[test]
fn a_batch_in_which_one_write_waits_for_a_choice_waits_whole() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    write(&a, "files", OpKind::Create, r#"{"v":0}"#);
    world.sync(&a);
    world.sync(&b);
    write(&a, "files", OpKind::Update, r#"{"v":"a"}"#);
    world.sync(&a);
    let batch = ["files", "tasks"].map(|collection| Write {
        key: syncline::oplog::EntityKey { collection: collection.parse().unwrap(), entity: EntityId::named("x") },
        kind: OpKind::Update,
        precondition: Precondition::None,
        payload: Payload::Json(r#"{"v":"b"}"#.into()),
    });
    let receipts = run(b.replica.write_batch(batch.to_vec())).unwrap();
    let status = world.sync(&b);
    assert_eq!((status.unsynced, status.parked, status.conflicts), (0, 1, 1), "{status:?}");
    assert_eq!(receipts[0].fate(), Fate::Lost);
    assert_eq!(receipts[1].fate(), Fate::Parked(ParkReason::Batch));
    world.sync(&a);
    assert_eq!(state(&a, "tasks"), "-");
    assert_eq!(state(&b, "tasks"), "-");
}

#[test]
fn an_entity_with_versions_is_written_once_in_a_batch() {
    let a = World::new().device();
    let write = |collection: &str| Write {
        key: syncline::oplog::EntityKey { collection: collection.parse().unwrap(), entity: EntityId::named("x") },
        kind: OpKind::Update,
        precondition: Precondition::None,
        payload: Payload::Json(r#"{"v":1}"#.into()),
    };
    let refused = run(a.replica.write_batch(vec![write("files"), write("tasks"), write("files")]));
    assert!(matches!(refused, Err(ReplicaError::TwiceInBatch(files)) if files.as_str() == "files"));
    assert_eq!(a.replica.status().unsynced, 0);
    run(a.replica.write_batch(vec![write("tasks"), write("files"), write("tasks")])).unwrap();
}

#[test]
fn what_a_server_that_was_put_back_does_not_take_again_is_kept_on_record_each_time() {
    let mut world = World::new();
    let mut server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let (a, b) = (world.device(), world.device());
    write(&a, "files", OpKind::Create, r#"{"t":0}"#);
    for text in [r#"{"t":"first"}"#, r#"{"t":"second"}"#] {
        world.sync(&a);
        world.sync(&b);
        let backup = Arc::new(server.fork());
        write(&a, "files", OpKind::Update, text);
        world.sync(&a);
        server = backup;
        world.replace_server(Arc::clone(&server));
        write(&b, "files", OpKind::Update, r#"{"t":"meanwhile"}"#);
        world.sync(&b);
        world.sync(&a);
    }
    let conflicts = run(a.replica.conflicts()).unwrap();
    let kept: Vec<_> = conflicts.iter().map(|conflict| conflict.mine().payload().bytes().clone()).collect();
    assert_eq!(kept, [r#"{"t":"first"}"#, r#"{"t":"second"}"#], "{conflicts:?}");
    assert!(conflicts.iter().all(|conflict| conflict.outcome == Outcome::NotTakenAgain));
    assert_eq!(a.replica.status().conflicts, 2);
}
