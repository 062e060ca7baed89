//! "On every device": waited for, told apart from "on the server", and never said too early.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use syncline::client::{Event, Fate, Receipt, Tier};
use syncline::store::MemoryStore;
use syncline::{Seq, limits};

use crate::world::{Device, Fault, World, run, seq};

/// Whether a receipt has come so far by now.
fn has_reached(receipt: &Receipt, tier: Tier) -> bool {
    let mut waiting = pin!(receipt.reached(tier));
    matches!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(_)))
}

fn sync_all(world: &World, devices: &[&Device]) {
    for _ in 0..2 {
        world.later(limits::ACKNOWLEDGE_MS_MIN);
        devices.iter().for_each(|device| drop(world.sync(device)));
    }
}

/// Three devices that have synced once, so that all three count.
fn three(world: &mut World) -> [Device; 3] {
    let [a, b, c] = [world.device(), world.device(), world.device()];
    a.set("first", "n", "1");
    sync_all(world, &[&a, &b, &c]);
    a.set("second", "n", "1");
    sync_all(world, &[&a, &b, &c]);
    sync_all(world, &[&a]);
    assert_eq!((a.replica.status().devices, a.replica.status().stable), (Some(3), seq(2)));
    [a, b, c]
}

#[test]
fn a_receipt_waits_for_the_device_that_is_away_and_resolves_when_it_was_back() {
    let mut world = World::new();
    let [a, b, away] = three(&mut world);
    let mut events = a.replica.events();
    let receipt = a.set("1", "n", "1");
    assert_eq!(a.replica.status().reached, Tier::Local);
    sync_all(&world, &[&a, &b]);
    sync_all(&world, &[&a, &b]);
    assert!(has_reached(&receipt, Tier::Server) && !has_reached(&receipt, Tier::EveryDevice));
    assert_eq!((a.replica.status().reached, a.replica.status().stable), (Tier::Server, seq(2)));

    sync_all(&world, &[&away]);
    assert!(!has_reached(&receipt, Tier::EveryDevice), "nobody told its author yet");
    sync_all(&world, &[&a]);
    assert_eq!(run(receipt.reached(Tier::EveryDevice)), Ok(Some(seq(3))));
    assert_eq!((a.replica.status().reached, a.replica.status().stable), (Tier::EveryDevice, seq(3)));
    let told = std::iter::from_fn(|| events.try_next()).any(|event| event == Event::Stable(seq(3)));
    assert!(told);
}

/// Whoever waits is woken, and need not ask again.
#[test]
fn waiting_for_every_device_ends_by_itself() {
    let mut world = World::new();
    let [a, b, c] = three(&mut world);
    let receipt = a.set("1", "n", "1");
    let mut waiting = pin!(receipt.reached(Tier::EveryDevice));
    let mut polled = || waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled().is_pending());
    sync_all(&world, &[&a, &b, &c]);
    assert_eq!(polled(), Poll::Ready(Ok(Some(seq(3)))));
}

#[test]
fn a_device_that_is_away_for_too_long_is_not_waited_for() {
    let mut world = World::new();
    let [a, b, _lost] = three(&mut world);
    let receipt = a.set("1", "n", "1");
    world.later(limits::REPLICA_SILENT_MS_MAX);
    sync_all(&world, &[&b, &a]);
    sync_all(&world, &[&b, &a]);
    assert!(has_reached(&receipt, Tier::EveryDevice));
    assert_eq!(a.replica.status().devices, Some(2));
}

#[test]
fn what_every_device_has_is_known_after_a_restart() {
    let mut world = World::new();
    let [a, b, c] = three(&mut world);
    a.set("1", "n", "1");
    sync_all(&world, &[&a, &b, &c]);
    sync_all(&world, &[&a]);
    let Device { replica, store } = a;
    drop(replica);
    let a = world.open(store, 0);
    assert_eq!((a.replica.status().reached, a.replica.status().stable), (Tier::EveryDevice, seq(3)));
}

/// A server put back loses ops and may give their places to others: what it then says of a place is about those.
#[test]
fn a_server_that_was_rolled_back_does_not_make_a_receipt_true() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let [a, b, c] = three(&mut world);
    let backup = Arc::new(server.fork());
    let receipt = a.set("1", "n", "1");
    world.sync(&a);
    assert_eq!(receipt.fate(), Fate::Accepted(seq(3)));
    world.replace_server(backup);
    for name in ["2", "3", "4"] {
        b.set(name, "n", "1");
        world.sync(&b);
    }
    sync_all(&world, &[&b, &c]);
    assert_eq!(b.replica.status().stable, seq(2), "a is missing");
    world.later(limits::ACKNOWLEDGE_MS_MIN);
    world.fault(&[Fault::None, Fault::AnswerLost]);
    let _ = world.try_sync(&a);
    sync_all(&world, &[&a]);
    assert!(a.replica.status().is_safe());
    assert_eq!(receipt.fate(), Fate::Accepted(seq(6)), "where it is now");
    assert!(!has_reached(&receipt, Tier::EveryDevice), "{:?}", a.replica.status());
    sync_all(&world, &[&b, &c, &a]);
    assert!(has_reached(&receipt, Tier::EveryDevice));
}

#[test]
fn saying_what_is_held_costs_one_call_after_news_and_none_without() {
    let mut world = World::new();
    let [a, b, c] = three(&mut world);
    sync_all(&world, &[&a, &b, &c]);
    world.later(limits::ACKNOWLEDGE_MS_MIN);
    world.calls();
    world.sync(&b);
    assert_eq!(world.calls(), 1, "nothing new: one question for news");
    a.set("1", "n", "1");
    world.sync(&a);
    assert_eq!(world.calls(), 2, "a push, and what is held now");
    world.sync(&b);
    assert_eq!(world.calls(), 2, "a page, and what is held now");
    a.set("1", "n", "2");
    world.sync(&a);
    assert_eq!(world.calls(), 1, "not again so soon");
}

#[test]
fn a_failing_acknowledgement_fails_no_sync_and_is_made_up_for() {
    let mut world = World::new();
    let [a, b, c] = three(&mut world);
    let receipt = a.set("1", "n", "1");
    world.later(limits::ACKNOWLEDGE_MS_MIN);
    world.fault(&[Fault::None, Fault::AnswerLost]);
    assert!(world.sync(&a).is_safe());
    world.fault(&[Fault::None, Fault::Unreachable]);
    world.sync(&b);
    sync_all(&world, &[&a, &b, &c]);
    sync_all(&world, &[&a]);
    assert!(has_reached(&receipt, Tier::EveryDevice));
    assert!(a.replica.status().stable > Seq::ZERO);
}
