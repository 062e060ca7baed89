//! A local store that cannot say whether it committed. Found by the simulator: what was remembered was not doubted then.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline::client::{Fate, Receipt, Replica, ReplicaOptions, Write};
use syncline::oplog::{EntityKey, OpKind, Payload, Precondition};
use syncline::store::{MemoryStore, Store, StoreExt as _};
use syncline::{EntityId, Seq};

use crate::common::cut::Cut;
use crate::world::{Device, LOG, World, run};

fn open(world: &mut World, kept: &Arc<MemoryStore>, cut_at: usize, writes: bool) -> Option<Replica> {
    let mut options = ReplicaOptions::default();
    options.schema = crate::world::schema();
    let store = Cut::once(Arc::clone(kept) as Arc<dyn Store>, cut_at, writes);
    run(Replica::open(Arc::new(store), LOG, world.env(), options)).ok()
}

fn key(name: &str) -> EntityKey {
    EntityKey { collection: "causal".parse().unwrap(), entity: EntityId::named(name) }
}

/// Another device's write on the same entity wins, so that all that can become of a write is among them.
fn causal(replica: &Replica, name: &str, text: &str) -> Option<Receipt> {
    let key = key(name);
    let payload = Payload::Json(format!(r#"{{"t":"{text}"}}"#).into());
    run(replica.write(Write { key, kind: OpKind::Update, precondition: Precondition::None, payload })).ok()
}

#[test]
fn a_replica_remembers_what_its_store_has_whichever_commit_nobody_heard_of() {
    let mut cut = 0;
    for (cut_at, writes) in (0..40).flat_map(|at| [(at, true), (at, false)]) {
        let mut world = World::new();
        let other = world.device();
        let kept = Arc::new(MemoryStore::new());
        let Some(replica) = open(&mut world, &kept, cut_at, writes) else { continue };
        let mut receipts = Vec::new();
        for round in 0..3 {
            receipts.extend(causal(&replica, "x", &format!("mine {round}")));
            let fields = BTreeMap::from([("a", round), ("b", round)]);
            let task = replica.collection("tasks").unwrap().named(&round.to_string());
            receipts.extend(run(task.put(&fields)).ok().flatten());
            causal(&other.replica, "x", &format!("theirs {round}"));
            world.sync(&other);
            cut += usize::from(run(replica.sync_once(&world.way)).is_err());
        }
        while run(replica.sync_once(&world.way)).is_err() {}
        let found = format!("cut at {cut_at}, done: {writes}");
        let anew = open(&mut world, &Arc::new(kept.fork()), usize::MAX, false).unwrap().status();
        let status = replica.status();
        assert_eq!(status.unsynced, 0, "{found}");
        let counts =
            |status: &syncline::client::Status| (status.unsynced, status.parked, status.conflicts, status.unread);
        assert_eq!(counts(&status), counts(&anew), "{found}");
        for receipt in &receipts {
            assert_ne!(receipt.fate(), Fate::Waiting, "{found}: write {} is said to wait for ever", receipt.no());
        }
        world.sync(&other);
        let device = Device { replica, store: kept };
        for task in ["0", "1", "2"] {
            assert_eq!(device.read(task), other.read(task), "{found}");
        }
    }
    assert!(cut > 10, "no sync was cut off");
}

/// Found by the simulator: where nobody heard whether a history was left that the server had lost, receipts named places of
/// that history still.
#[test]
fn a_receipt_names_no_place_of_a_history_that_was_left_though_nobody_heard_that_it_was() {
    let mut cut = 0;
    for (cut_at, writes) in (0..40).flat_map(|at| [(at, true), (at, false)]) {
        let mut world = World::new();
        let other = world.device();
        let kept = Arc::new(MemoryStore::new());
        let Some(replica) = open(&mut world, &kept, cut_at, writes) else { continue };
        causal(&other.replica, "first", "theirs");
        world.sync(&other);
        let mine = ["x", "y", "z"].map(|name| (name, causal(&replica, name, "mine")));
        while run(replica.sync_once(&world.way)).is_err() {}
        // The same ops come to other places.
        let emptied = Arc::new(MemoryStore::new());
        world.replace_server(Arc::clone(&emptied));
        other.set("late", "n", "theirs");
        world.sync(&other);
        cut += usize::from(run(replica.sync_once(&world.way)).is_err());
        for (name, _) in mine.iter().filter(|(_, receipt)| receipt.is_some()) {
            let shown = run(replica.state(&key(name))).unwrap();
            assert!(shown.is_some(), "cut at {cut_at}, done: {writes}: {name} is not shown");
        }
        run(replica.prepare()).unwrap();
        for receipt in mine.iter().flat_map(|(_, receipt)| receipt) {
            let waits = receipt.fate() == Fate::Waiting;
            assert_eq!(waits, replica.status().unsynced > 0, "cut at {cut_at}, done: {writes}: {:?}", receipt.fate());
        }
        while run(replica.sync_once(&world.way)).is_err() {}
        for (name, receipt) in mine {
            let head = run(emptied.head(LOG, &key(name))).unwrap();
            let (Some(receipt), Some(head)) = (receipt, head) else { continue };
            let found = format!("cut at {cut_at}, done: {writes}: {name}");
            assert_eq!(receipt.fate(), Fate::Accepted(head.version), "{found}");
        }
    }
    assert!(cut > 5, "no sync was cut off");
}

/// Found by the simulator: it was said to be in the log.
#[test]
fn a_restore_that_was_taken_back_is_said_to_be_though_nobody_heard_that_it_was() {
    let (mut cut, mut gone) = (0, 0);
    for (cut_at, writes) in (0..30).flat_map(|at| [(at, true), (at, false)]) {
        let mut world = World::new();
        let kept = Arc::new(MemoryStore::new());
        let Some(replica) = open(&mut world, &kept, cut_at, writes) else { continue };
        for name in ["1", "2"] {
            causal(&replica, name, "mine");
            while run(replica.sync_once(&world.way)).is_err() {}
        }
        let Ok(receipt) = run(replica.restore(Seq::FIRST)) else { continue };
        let undone = run(replica.undo_restore());
        cut += usize::from(undone.is_err());
        run(replica.prepare()).unwrap();
        let expected = if replica.status().unsynced > 0 { Fate::Waiting } else { Fate::Discarded };
        gone += usize::from(undone.is_err() && expected == Fate::Discarded);
        assert_eq!(receipt.fate(), expected, "cut at {cut_at}, done: {writes}");
    }
    assert!(cut >= 2 && gone >= 1, "{cut} were cut off, {gone} were done");
}
