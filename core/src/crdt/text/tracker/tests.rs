//! The tracker alone: how its work grows, and that its structures hold while it grows.

use super::{History, Span, Tracker};
use crate::crdt::text::authors::Authors;
use crate::crdt::text::graph::Graph;
use crate::crdt::text::merge::replay_all;
use crate::crdt::text::ops::{Kind, Ops};
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
    let work = tracker.work();
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

/// Events that arrive one by one.
struct Arriving {
    graph: Graph,
    ops: Ops,
    authors: Authors,
    tracker: Tracker,
}

impl Arriving {
    fn new(writers: u8) -> Self {
        let mut authors = Authors::default();
        for author in 0..writers {
            authors.index(ReplicaId::from_bytes([author; 16]));
        }
        let mut tracker = Tracker::default();
        tracker.reset(0, None, Some(0));
        Self { graph: Graph::default(), ops: Ops::default(), authors, tracker }
    }

    /// One event of `author`, who has seen `parents`; gives its number.
    fn event(&mut self, author: u32, parents: &[u32], at: u32, delete: bool) -> u32 {
        let lv = self.ops.end();
        self.graph.push(parents, 1);
        self.authors.extend(author, lv, 1);
        if delete {
            self.ops.delete(Kind::Delete, at, 1);
        } else {
            self.ops.insert(at, "x", 1);
        }
        let history = History { graph: &self.graph, ops: &self.ops, authors: &self.authors };
        replay_all(history, &mut self.tracker, lv..lv + 1, |_| {}).expect("positions are within");
        lv
    }

    /// How long the text is to whoever has seen `version`, told by a tracker of its own.
    fn len_at(&self, version: &[u32]) -> u32 {
        let seen = self.graph.diff(version, &[]).one;
        let mut tracker = Tracker::default();
        tracker.reset(0, None, Some(0));
        let history = History { graph: &self.graph, ops: &self.ops, authors: &self.authors };
        for range in seen.into_iter().rev() {
            replay_all(history, &mut tracker, range, |_| {}).expect("positions are within");
        }
        u32::try_from(tracker.growth()).unwrap_or(0)
    }

    fn steps(&self) -> u64 {
        self.tracker.check().expect("every structure holds");
        self.tracker.work()
    }
}

/// Steps an event when `writers` who never read type in turn, and somebody else, if so asked, reads all and types, too.
fn in_turn(writers: u32, count: u32, reader: bool) -> u64 {
    let mut arriving = Arriving::new(10);
    let mut tips = vec![Vec::new(); writers as usize];
    for number in 0..count {
        for writer in 0..writers {
            let tip = &mut tips[writer as usize];
            let delete = number % 5 == 4;
            let at = if delete { number / 5 } else { number * 7 % (number * 3 / 5 + 1) };
            let lv = arriving.event(writer, tip, at, delete);
            *tip = vec![lv];
            if reader {
                let all = arriving.graph.frontier().to_vec();
                arriving.event(9, &all, number * 31 % (number + 1), false);
            }
        }
    }
    arriving.steps() / u64::from(arriving.ops.end())
}

#[test]
fn writers_who_never_read_each_other_cost_n_log_n() {
    for (writers, reader) in [(1, true), (2, false), (2, true), (3, false), (5, true), (9, false), (9, true)] {
        let counts = [1_000, 2_000, 4_000, 8_000];
        let steps = counts.map(|count| in_turn(writers, count / writers, reader));
        assert!(steps[3] < steps[0] * 2, "{writers} writers, a reader: {reader}: {steps:?} steps an event");
    }
}

/// What a tracker says the text is: characters in order, and whether they are there.
fn shown(tracker: &Tracker) -> Vec<(u32, bool)> {
    let each = |span: Span| (span.id..span.id + span.len.min(1_000)).map(move |id| (id, span.state & 1 == 0));
    tracker.spans().flat_map(each).collect()
}

/// Whoever hears of events one by one, with lanes, has them in the same places as whoever hears of all at once.
#[test]
fn lanes_place_events_where_one_view_does() {
    let mut opened = 0;
    for seed in 0..24_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |end: u32| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            u32::try_from(random % u64::from(end)).unwrap_or(0)
        };
        let writers = 2 + below(9);
        let often = 1 + below(40);
        let mut arriving = Arriving::new(10 + 1);
        let mut seen: Vec<Vec<u32>> = vec![Vec::new(); writers as usize];
        for _ in 0..250 {
            let writer = below(writers);
            let mut version = seen[writer as usize].clone();
            if below(often) == 0 {
                version.extend(&seen[below(writers) as usize]);
                version.sort_unstable();
                version.dedup();
                version = arriving.graph.minimize(&version);
            }
            let len = arriving.len_at(&version);
            let delete = len > 0 && below(4) == 0;
            let at = if delete { below(len) } else { below(len + 1) };
            let lv = arriving.event(writer, &version, at, delete);
            seen[writer as usize] = vec![lv];
        }
        arriving.steps();
        opened += usize::from(arriving.tracker.lanes.count() > 0);
        let mut whole = Tracker::default();
        whole.reset(0, None, Some(0));
        let history = History { graph: &arriving.graph, ops: &arriving.ops, authors: &arriving.authors };
        replay_all(history, &mut whole, 0..arriving.ops.end(), |_| {}).expect("positions are within");
        assert_eq!(shown(&arriving.tracker), shown(&whole), "seed {seed}");
        let frontier = arriving.graph.frontier().to_vec();
        for tracker in [&mut arriving.tracker, &mut whole] {
            tracker.prepare(history, &frontier);
            let alike = |span: Span| span.is_mark() || (span.prepared() == 1) == (span.state & 1 == 0);
            assert!(tracker.spans().all(alike), "seed {seed}: whoever has seen all sees what is shown");
        }
    }
    assert!(opened > 12, "lanes in only {opened} of 24 runs");
}
