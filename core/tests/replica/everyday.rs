//! Ordinary days: offline, online, answers lost, processes killed.

use serde::{Deserialize, Serialize};
use syncline::call::{Pushed, Reply};
use syncline::client::{Event, Fate, Input, Phase, Tier, Write};
use syncline::oplog::{EntityKey, OpKind, Payload, Precondition};
use syncline::store::{PageLimit, Store as _};
use syncline::time::EnvSource as _;
use syncline::{Cursor, EntityId, Seq};

use crate::world::{Device, Fault, LOG, Meddler, World, run};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    title: String,
    done: bool,
}

#[test]
fn what_one_device_writes_the_other_reads() {
    let mut world = World::new();
    let (phone, laptop) = (world.device(), world.device());
    let milk = Task { title: "buy milk".into(), done: false };
    let receipt = run(phone.task("1").put(&milk)).unwrap().unwrap();
    assert_eq!(receipt.fate(), Fate::Waiting);
    assert_eq!(run(phone.task("1").get::<Task>()).unwrap(), Some(milk), "shown here at once, without a server");
    assert!(!phone.replica.status().is_safe());

    let status = world.sync(&phone);
    assert!(status.is_safe() && status.synced_once, "{status:?}");
    assert!(run(receipt.reached(Tier::Server)).unwrap().is_some());
    world.sync(&laptop);
    assert_eq!(laptop.read("1"), phone.read("1"));
    assert_eq!(laptop.read("1"), r#"{"done":false,"title":"buy milk"}"#);
}

#[test]
fn edits_of_different_fields_made_apart_are_both_kept_and_of_the_same_field_the_newest() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    a.set("1", "title", "first");
    world.sync(&a);
    world.sync(&b);
    a.set("1", "title", "older");
    b.set("1", "done", "yes");
    b.set("1", "title", "newer");
    for device in [&b, &a, &b] {
        world.sync(device);
    }
    assert_eq!(a.read("1"), r#"{"done":"yes","title":"newer"}"#);
    assert_eq!(a.read("1"), b.read("1"));
}

#[test]
fn a_thousand_offline_edits_take_three_round_trips() {
    let mut world = World::new();
    let device = world.device();
    device.set("first", "n", "1");
    world.sync(&device);
    for index in 0..1_000 {
        device.set(&index.to_string(), "n", &index.to_string());
    }
    world.calls();
    assert!(world.sync(&device).is_safe());
    let calls = world.calls();
    assert!(calls <= 3, "{calls}");
}

#[test]
fn edits_that_later_ones_overwrite_are_not_sent_and_still_reach_the_server() {
    let mut world = World::new();
    let (device, other) = (world.device(), world.device());
    let receipts: Vec<_> = (0..50).map(|index| device.set("1", "title", &index.to_string())).collect();
    world.sync(&device);
    world.sync(&other);
    assert_eq!(other.read("1"), r#"{"title":"49"}"#);
    let mut feed = other.replica.changes(Cursor::START);
    assert_eq!(run(feed.try_next()).unwrap().unwrap().changes.len(), 1);
    assert_eq!(run(feed.try_next()).unwrap(), None, "one op in the log");
    for receipt in receipts {
        assert!(matches!(receipt.fate(), Fate::Accepted(_)));
    }
}

/// The answer is lost after the server did it.
#[test]
fn a_lost_answer_has_no_second_effect_and_loses_nothing() {
    let mut world = World::new();
    let (device, other) = (world.device(), world.device());
    world.sync(&device);
    for round in 0..5 {
        let receipt = device.set("1", "title", &round.to_string());
        world.fault(&[Fault::AnswerLost]);
        assert!(world.try_sync(&device).is_err());
        assert_eq!(device.read("1"), format!(r#"{{"title":"{round}"}}"#));
        device.set("2", "title", &round.to_string());
        world.sync(&device);
        assert!(matches!(receipt.fate(), Fate::Accepted(_)));
    }
    world.sync(&other);
    assert_eq!(other.read("1"), r#"{"title":"4"}"#);
    assert_eq!(other.steps(), 10, "each write once");
}

/// A page holds half of a batch; what comes after it is not heard of at once.
#[test]
fn of_a_batch_that_was_answered_and_is_shown_in_part_nothing_is_parked_or_sent_twice() {
    let mut world = World::new();
    let (device, other) = (world.device(), world.device());
    world.sync(&device);
    other.set("other", "n", "1");
    world.sync(&other);
    for index in 0..1_000 {
        device.set(&index.to_string(), "n", "1");
    }
    world.fault(&[Fault::None, Fault::Unreachable]);
    assert!(world.try_sync(&device).is_err());
    assert!((1..1_000).contains(&device.replica.status().unsynced), "{:?}", device.replica.status());
    let status = world.sync(&device);
    assert!(status.is_safe(), "{status:?}");
    assert_eq!(device.steps(), 1_001);
}

#[test]
fn a_replica_opened_again_takes_over_and_the_earlier_handle_cannot_write() {
    let mut world = World::new();
    let first = world.device();
    first.set("1", "a", "1");
    let second = world.open(std::sync::Arc::clone(&first.store), 0);
    assert!(run(first.task("1").set("a", "2")).is_err());
    assert_eq!(second.read("1"), r#"{"a":"1"}"#);
    second.set("1", "a", "3");
    assert!(world.sync(&second).is_safe());
}

#[test]
fn a_batch_arrives_whole_and_is_one_step_of_the_feed() {
    let mut world = World::new();
    let (device, other) = (world.device(), world.device());
    let write = |name: &str| Write {
        key: device.task(name).key().clone(),
        kind: OpKind::Update,
        precondition: Precondition::None,
        payload: Payload::Json(r#"{"paid":true}"#.into()),
    };
    run(device.replica.write_batch(vec![write("1"), write("2"), write("3")])).unwrap();
    world.sync(&device);
    world.sync(&other);
    let mut feed = other.replica.changes(Cursor::START);
    assert_eq!(run(feed.try_next()).unwrap().unwrap().changes.len(), 3);
    assert_eq!(other.read("3"), r#"{"paid":true}"#);
}

#[test]
fn a_listener_hears_what_changed_here_and_elsewhere() {
    let mut world = World::new();
    let (device, other) = (world.device(), world.device());
    let mut events = other.replica.events();
    other.set("1", "a", "1");
    let changed = |event: Option<Event>| match event {
        Some(Event::Changed(keys)) => keys,
        other => panic!("{other:?}"),
    };
    assert!(changed(events.try_next()).contains(other.task("1").key()));
    device.set("2", "a", "1");
    world.sync(&device);
    world.sync(&other);
    while let Some(event) = events.try_next() {
        if matches!(&event, Event::Reset) {
            return;
        }
        if changed(Some(event)).contains(device.task("2").key()) {
            return;
        }
    }
    panic!("nobody said that a task came");
}

#[test]
fn a_deleted_map_is_gone_everywhere_and_listed_nowhere() {
    let mut world = World::new();
    let (device, other) = (world.device(), world.device());
    for name in ["1", "2", "3"] {
        device.set(name, "a", "1");
    }
    world.sync(&device);
    run(device.task("2").delete()).unwrap();
    device.set("4", "a", "1");
    world.sync(&device);
    world.sync(&other);
    assert_eq!(other.read("2"), "-");
    let ids = |device: &Device| run(device.replica.collection("tasks").unwrap().ids(None, 100)).unwrap();
    assert_eq!(ids(&other).len(), 3);
    other.set("5", "a", "1");
    assert_eq!(ids(&other).len(), 4, "what is only here is listed too");
    assert_eq!(run(other.replica.collection("tasks").unwrap().ids(None, 2)).unwrap().len(), 2);
}

#[test]
fn fault_c04_a_future_dated_device_cannot_win_for_long_and_is_told_its_skew() {
    const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 3_600_000;
    let mut world = World::new();
    let (ahead, other) = (world.device_with_clock(TEN_YEARS_MS), world.device());
    let mut events = ahead.replica.events();
    ahead.set("1", "title", "from the future");
    world.sync(&ahead);
    assert!(
        std::iter::from_fn(|| events.try_next())
            .any(|event| matches!(event, Event::Skew { ms } if ms > TEN_YEARS_MS / 2))
    );
    world.sync(&other);
    world.later(120_000);
    other.set("1", "title", "two minutes later");
    world.sync(&other);
    world.sync(&ahead);
    assert_eq!(ahead.read("1"), r#"{"title":"two minutes later"}"#);
    assert_eq!(other.read("1"), ahead.read("1"));
}

#[test]
fn fault_c05_a_clock_that_goes_back_does_not_reorder_a_devices_own_edits() {
    let mut world = World::new();
    let device = world.device();
    device.set("1", "title", "first");
    world.sync(&device);
    let device = world.open(std::sync::Arc::clone(&device.store), -10 * 365 * 24 * 3_600_000);
    device.set("1", "title", "second");
    world.sync(&device);
    let other = world.device();
    world.sync(&other);
    assert_eq!(other.read("1"), r#"{"title":"second"}"#);
}

#[test]
fn what_went_wrong_is_told_until_it_goes_right() {
    let mut world = World::new();
    let (phone, clock) = (world.device(), world.env());
    phone.set("1", "title", "buy milk");
    let mut session = run(phone.replica.session()).unwrap();
    session.handle(Input::Online, clock.env());
    world.fault(&[Fault::Unreachable]);
    run(phone.replica.advance(&mut session, &world.way)).unwrap();
    assert!(phone.replica.status().error.is_some(), "{:?}", phone.replica.status());
    session.handle(Input::Online, clock.env());
    run(phone.replica.advance(&mut session, &world.way)).unwrap();
    let status = phone.replica.status();
    assert_eq!((status.phase, status.error, status.unsynced), (Some(Phase::Live), None, 0));
}

#[test]
fn a_receipt_says_which_op_says_its_write() {
    let mut world = World::new();
    let device = world.device();
    let (early, other, late) = (device.set("1", "n", "1"), device.set("2", "n", "1"), device.set("1", "n", "2"));
    assert_eq!(early.said_by(), early.op(), "nothing was sent yet");
    world.sync(&device);
    assert_eq!((early.said_by(), early.fate()), (late.op(), late.fate()), "it was sent as one with the later write");
    assert_eq!((other.said_by(), late.said_by()), (other.op(), late.op()));
}

/// Found by the simulator: what was left of a batch was asked for again under the name that stood for the whole of it, was refused
/// for that, and made anew, without what it had been sent as one with.
#[test]
fn what_is_left_of_a_batch_is_said_once_where_the_answer_had_no_page() {
    let mut world = World::new();
    let (device, other) = (world.device(), world.device());
    let causal = |device: &Device, text: &str| {
        let key = EntityKey { collection: "causal".parse().unwrap(), entity: EntityId::named("1") };
        let payload = Payload::Json(format!(r#"{{"t":"{text}"}}"#).into());
        let write = Write { key, kind: OpKind::Update, precondition: Precondition::None, payload };
        run(device.replica.write(write)).unwrap()
    };
    world.sync(&device);
    causal(&device, "mine");
    let early = device.set("2", "n", "1");
    let late = device.set("2", "n", "2");
    causal(&other, "theirs");
    world.sync(&other);
    *world.way.meddler.lock().unwrap() = Meddler(Some(Box::new(|reply| match reply {
        Reply::Pushed(pushed) => Reply::Pushed(Pushed { newer: None, ..pushed }),
        reply => reply,
    })));
    // It asks again before it has read.
    world.sync_for(1, &device);
    assert!(world.sync(&device).is_safe());
    let page = run(device.store.ops_after(LOG, Seq::ZERO, PageLimit::default())).unwrap();
    let task = device.task("2").key().clone();
    let said = page.ops.iter().filter(|op| op.op.read().unwrap().subject().keys().any(|key| key == task));
    assert_eq!(said.count(), 1);
    assert_eq!((early.said_by(), early.fate()), (late.op(), late.fate()));
}
