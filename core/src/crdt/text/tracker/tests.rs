//! The tracker alone: how its work grows, and that its structures hold while it grows.

use std::sync::atomic::Ordering;

use super::{History, Tracker};
use crate::crdt::text::authors::Authors;
use crate::crdt::text::graph::Graph;
use crate::crdt::text::merge::replay_all;
use crate::crdt::text::ops::Ops;
use crate::id::ReplicaId;

/// Two authors who saw nothing of each other, each inserting `count` characters one by one where `at` says.
fn two_branches(count: u32, at: fn(u32) -> u32) -> (Graph, Ops, Authors) {
    let (mut graph, mut ops, mut authors) = (Graph::default(), Ops::default(), Authors::default());
    for author in 0..2 {
        let author = authors.index(ReplicaId::from_bytes([author; 16]));
        for number in 0..count {
            let lv = ops.end();
            let own = [lv.wrapping_sub(1)];
            graph.push(if number == 0 { &[] } else { &own }, 1);
            authors.extend(author, lv, 1);
            ops.insert(at(number), "x", 1);
        }
    }
    (graph, ops, authors)
}

/// Steps per event.
fn steps(count: u32, at: fn(u32) -> u32) -> f64 {
    let (graph, ops, authors) = two_branches(count, at);
    let mut tracker = Tracker::default();
    tracker.reset(0, None, Some(0));
    let history = History { graph: &graph, ops: &ops, authors: &authors };
    replay_all(history, &mut tracker, 0..ops.end(), |_| {}).expect("positions are within");
    tracker.check().expect("every structure holds");
    assert_eq!(tracker.growth(), i64::from(count) * 2);
    let work = tracker.tree.work.load(Ordering::Relaxed);
    f64::from(u32::try_from(work).expect("some work")) / f64::from(count * 2)
}

/// Three peers need n² steps here: each character is compared with all of the other writer's.
#[test]
fn two_writers_prepending_at_one_place_cost_n_log_n() {
    let shapes: [fn(u32) -> u32; 4] = [|_| 0, |number| number, |number| number / 2, |number| number % 7 * number / 7];
    for at in shapes {
        let (small, large) = (steps(1_000, at), steps(16_000, at));
        assert!(large < small * 2.5, "{small} steps an event grew to {large}");
        assert!(large < 400.0, "{large} steps an event");
    }
}
