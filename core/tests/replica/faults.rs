//! What can happen to a device from outside: its storage is wiped, its rights are taken, it was away for long.

use std::sync::atomic::Ordering;

use syncline::access::Access;
use syncline::client::{Fate, Halt, Phase, Retain, Tier};
use syncline::limits::ACKNOWLEDGE_MS_MIN;

use crate::world::{Device, Fault, World, run, seq};

/// Two devices edit one field in turn, each after it saw the other's edit, through servers whose clocks are apart: what both
/// show after each edit.
fn in_turn(apart_ms: [i64; 3]) -> Vec<[String; 2]> {
    let mut world = World::new();
    let devices = [world.device(), world.device()];
    let mut shown = Vec::new();
    for round in 0..30 {
        world.way.ahead_ms.store(apart_ms[round % 3], Ordering::Relaxed);
        let (device, other) = (&devices[round % 2], &devices[(round + 1) % 2]);
        world.sync(device);
        device.set("1", "n", &round.to_string());
        assert!(world.sync(device).is_safe());
        world.sync(other);
        shown.push([devices[0].read("1"), devices[1].read("1")]);
    }
    assert_eq!([devices[0].steps(), devices[1].steps()], [30, 30], "every edit is in the log, once");
    shown
}

/// The drift that a device's clock is allowed is what the servers' clocks may differ by.
#[test]
fn fault_m05_of_servers_whose_clocks_are_half_a_minute_apart_whoever_saw_an_edit_and_makes_another_is_heard() {
    for (round, shown) in in_turn([0, -30_000, 30_000]).into_iter().enumerate() {
        let newest = format!(r#"{{"n":"{round}"}}"#);
        assert_eq!(shown, [newest.clone(), newest]);
    }
}

#[test]
fn fault_m05_of_servers_whose_clocks_are_hours_apart_every_device_shows_the_same_and_every_edit_is_in_the_log() {
    const HOURS_MS: i64 = 3 * 3_600_000;
    for [one, other] in in_turn([0, -HOURS_MS, HOURS_MS]) {
        assert_eq!(one, other);
    }
}

#[test]
fn fault_c10_a_device_whose_storage_was_wiped_is_a_new_one_and_reads_everything_back() {
    let mut world = World::new();
    let (phone, laptop) = (world.device(), world.device());
    phone.set("1", "n", "1");
    for device in [&phone, &laptop] {
        world.sync(device);
    }
    let wiped = phone.replica.id();
    drop(phone);
    let phone = world.device();
    phone.set("2", "n", "2");
    assert!(world.sync(&phone).is_safe());
    world.sync(&laptop);
    assert_ne!(phone.replica.id(), wiped);
    for device in [&phone, &laptop] {
        assert_eq!((device.read("1"), device.read("2")), (r#"{"n":"1"}"#.to_owned(), r#"{"n":"2"}"#.to_owned()));
    }
    // Its old self is waited for only until it was silent for too long.
    world.later(syncline::limits::REPLICA_SILENT_MS_MAX);
    for device in [&phone, &laptop, &phone] {
        world.later(ACKNOWLEDGE_MS_MIN);
        device.set("3", "n", "3");
        world.sync(device);
    }
    assert_eq!(phone.replica.status().devices, Some(2));
}

#[test]
fn fault_c18_ten_thousand_writes_that_waited_go_up_in_pieces_and_keep_nobody_waiting() {
    const WRITES: usize = 10_000;
    let mut world = World::new();
    let (away, other) = (world.device(), world.device());
    for device in [&away, &other] {
        world.sync(device);
    }
    for number in 0..WRITES {
        away.set(&format!("t{number}"), "n", "1");
    }
    let mut rounds = 0;
    loop {
        // Each time two calls arrive, and nothing is heard of the second.
        world.fault(&[Fault::None, Fault::AnswerLost, Fault::Unreachable]);
        let done = world.try_sync(&away).is_ok();
        world.fault(&[]);
        other.set(&format!("o{rounds}"), "n", "1");
        assert!(world.sync(&other).is_safe(), "who is not away gets through in between");
        rounds += 1;
        assert!(rounds <= 40, "still {} to go", away.replica.status().unsynced);
        if done {
            break;
        }
    }
    let status = world.sync(&away);
    assert!(status.is_safe(), "{status:?} after {rounds} {:?}", run(away.replica.parked()).unwrap().first());
    world.sync(&other);
    assert_eq!((away.steps(), other.steps()), (WRITES + rounds, WRITES + rounds), "each once");
    assert_eq!(other.read(&format!("t{}", WRITES - 1)), r#"{"n":"1"}"#);
}

#[test]
fn fault_a13_a_write_made_before_its_author_lost_the_right_stays_on_the_device_with_the_reason() {
    let mut world = World::new();
    let (member, other) = (world.device(), world.device());
    member.set("1", "n", "1");
    for device in [&member, &other] {
        world.sync(device);
    }
    let receipt = member.set("2", "n", "made while it was allowed");
    world.way.caller.lock().unwrap().access = Access::Read;
    assert!(world.try_sync(&member).is_err());
    let status = member.replica.status();
    assert_eq!((status.phase, status.unsynced), (Some(Phase::Halted(Halt::SignIn)), 1));
    assert!(status.error.is_some(), "the reason is told");
    assert_eq!((receipt.fate(), member.read("2")), (Fate::Waiting, r#"{"n":"made while it was allowed"}"#.to_owned()));
    world.sync(&other);
    assert_eq!((other.read("2"), other.steps()), ("-".to_owned(), 1), "nobody else ever saw it");

    // It reads on all the same.
    world.way.caller.lock().unwrap().access = Access::Write;
    other.set("3", "n", "news");
    world.sync(&other);
    world.way.caller.lock().unwrap().access = Access::Read;
    assert!(world.try_sync(&member).is_err());
    assert_eq!((member.read("3"), member.replica.status().unsynced), (r#"{"n":"news"}"#.to_owned(), 1));

    // Who gets the right back sends it.
    world.way.caller.lock().unwrap().access = Access::Write;
    assert!(world.sync(&member).is_safe());
    world.sync(&other);
    assert_eq!(other.read("2"), member.read("2"));
    assert!(run(member.replica.parked()).unwrap().is_empty());
}

/// Both have the write before either has sent it; the copy says one of its fields anew and sends what is left of it. The
/// first device finds its write in the log by its id: what is missing in it was overwritten by somebody who knew it.
#[test]
fn of_a_write_that_a_copy_sent_in_part_the_rest_was_overwritten_by_the_copy() {
    let mut world = World::new();
    let first = world.device();
    world.sync(&first);
    let fields = std::collections::BTreeMap::from([("title", "early"), ("due", "soon")]);
    run(first.task("1").put(&fields)).unwrap();
    let copy = world.open(first.copy_of_store(), 0);
    world.fault(&[Fault::Unreachable]);
    let _ = world.try_sync(&first);
    copy.set("1", "title", "late");
    assert!(world.sync(&copy).is_safe());
    assert!(world.sync(&first).is_safe());
    assert!(world.sync(&copy).is_safe());
    assert_eq!(first.read("1"), r#"{"due":"soon","title":"late"}"#);
    assert_eq!(copy.read("1"), first.read("1"));
    for device in [&first, &copy] {
        assert!(run(device.replica.parked()).unwrap().is_empty());
        assert!(run(device.replica.conflicts()).unwrap().is_empty());
    }
}

/// Both copies have a write that waits; one overwrites a part of it and sends the rest, and then there is more news than a page
/// holds before the other finds its write in the log.
#[test]
fn a_write_that_a_copy_sent_in_part_is_not_parked_before_all_news_was_read() {
    let mut world = World::new();
    let (first, other) = (world.device(), world.device());
    world.sync(&first);
    let fields = std::collections::BTreeMap::from([("title", "early"), ("due", "soon")]);
    run(first.task("1").put(&fields)).unwrap();
    let copy = world.open(first.copy_of_store(), 0);
    for index in 0..600 {
        other.set(&format!("o{index}"), "n", "1");
    }
    world.sync(&other);
    first.set("1", "title", "late");
    assert!(world.sync(&first).is_safe());
    let status = world.sync(&copy);
    assert!(status.is_safe(), "{status:?}");
    assert!(world.sync(&first).is_safe());
    assert_eq!(copy.read("1"), r#"{"due":"soon","title":"late"}"#);
    assert_eq!(first.read("1"), copy.read("1"));
}

/// It holds nobody up who waits for every device, and its copy does not grow for ever.
#[test]
fn a_device_that_may_not_write_any_more_lets_go_of_history_and_says_what_it_has() {
    let mut world = World::new();
    world.retain = Retain::Window { ops: 20, ms: 0 };
    let (member, other) = (world.device(), world.device());
    for device in [&member, &other] {
        world.sync(device);
    }
    member.set("1", "n", "waits");
    let may = |access: Access| world.way.caller.lock().unwrap().access = access;
    let mut receipt = None;
    for round in 0..40 {
        may(Access::Write);
        receipt = Some(other.set("2", "n", &round.to_string()));
        world.sync(&other);
        may(Access::Read);
        world.later(ACKNOWLEDGE_MS_MIN);
        assert!(world.try_sync(&member).is_err());
    }
    assert!(run(member.replica.at(seq(5))).is_err(), "it has let go of that");
    may(Access::Write);
    world.later(ACKNOWLEDGE_MS_MIN);
    world.sync(&other);
    assert_eq!(run(receipt.unwrap().reached(Tier::EveryDevice)).unwrap(), Some(seq(40)));
}

fn counter(device: &Device, name: &str) -> syncline::client::Value<syncline::crdt::Counter> {
    device.replica.collection("counters").unwrap().counter(name).unwrap()
}

/// A device that may not write at the moment reads on: its write came back to it by a copy that sent it.
#[test]
fn a_write_that_came_by_a_copy_of_the_device_is_counted_once_while_it_waits() {
    let mut world = World::new();
    let first = world.device();
    world.sync(&first);
    let may = |access: Access| world.way.caller.lock().unwrap().access = access;
    may(Access::Read);
    first.set("1", "n", "in a batch that is refused");
    assert!(world.try_sync(&first).is_err());
    let receipt = run(counter(&first, "x").add(1)).unwrap();
    let store = first.copy_of_store();
    may(Access::Write);
    let copy = world.open(store, 0);
    assert!(world.sync(&copy).is_safe());
    assert_eq!(run(counter(&copy, "x").get()).unwrap(), 1);
    world.way.caller.lock().unwrap().access = Access::Read;
    assert!(world.try_sync(&first).is_err(), "its batch was refused before it read");
    assert_eq!(run(counter(&first, "x").get()).unwrap(), 1);
    assert_eq!((receipt.fate(), first.replica.status().unsynced), (Fate::Accepted(seq(2)), 0));
}

/// The answer was lost, the page that brings the batch's first op ends before its second, and the device is started anew.
#[test]
fn a_write_whose_op_came_before_its_answer_is_counted_once_after_a_restart() {
    let mut world = World::new();
    let (first, other) = (world.device(), world.device());
    world.sync(&first);
    for index in 0..499 {
        other.set(&format!("o{index}"), "n", "1");
    }
    world.sync(&other);
    for name in ["x", "y"] {
        run(counter(&first, name).add(1)).unwrap();
    }
    world.fault(&[Fault::AnswerLost]);
    assert!(world.try_sync(&first).is_err());
    world.way.caller.lock().unwrap().access = Access::Read;
    world.fault(&[Fault::None, Fault::None, Fault::Unreachable]);
    assert!(world.try_sync(&first).is_err());
    assert_eq!(run(first.replica.end()).unwrap().seq, seq(500), "the page ends between the two");
    let again = world.open(first.copy_of_store(), 0);
    for name in ["x", "y"] {
        assert_eq!(run(counter(&again, name).get()).unwrap(), 1, "{name}");
    }
    world.way.caller.lock().unwrap().access = Access::Write;
    assert!(world.sync(&again).is_safe());
    assert_eq!(run(again.replica.end()).unwrap().seq, seq(501));
}
