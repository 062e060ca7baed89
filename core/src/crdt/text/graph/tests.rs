//! Whether parents are minimal: what telling costs, counted in steps, and that it is what the definition says.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::Text;
use super::{Graph, Lines, Lv};
use crate::codec::Writer;
use crate::crdt::content::zigzag;
use crate::id::ReplicaId;

/// Numbers below an end, the same ones for the same seed.
fn random(seed: u64) -> impl FnMut(u32) -> u32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |end| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u32::try_from(state % u64::from(end)).unwrap_or(0)
    }
}

/// What each event of a graph has seen, itself included.
fn pasts(graph: &Graph) -> Vec<Vec<bool>> {
    let mut pasts: Vec<Vec<bool>> = Vec::new();
    for lv in 0..graph.end() {
        let mut past = vec![false; graph.end() as usize];
        past[lv as usize] = true;
        for parent in graph.parents_of(lv, &mut [0]) {
            past.iter_mut().zip(&pasts[*parent as usize]).for_each(|(seen, theirs)| *seen |= theirs);
        }
        pasts.push(past);
    }
    pasts
}

/// No event of the version is in the past of another.
fn minimal_by_definition(pasts: &[Vec<bool>], version: &[Lv]) -> bool {
    let seen = |one: &Lv, other: &Lv| one != other && pasts[*one as usize][*other as usize];
    !version.iter().any(|one| version.iter().any(|other| seen(one, other)))
}

/// Writers who go on from what they saw last and now and then take in what one of the others saw; some also start anew from
/// anywhere, so that their events do not build on each other.
fn random_graph(seed: u64, events: u32, writers: u32, often: u32, anew: bool) -> Graph {
    let mut below = random(seed);
    let mut graph = Graph::default();
    let mut seen: Vec<Vec<Lv>> = vec![Vec::new(); writers as usize];
    for _ in 0..events {
        let writer = below(writers) as usize;
        if below(often) == 0 {
            let other = seen[below(writers) as usize].clone();
            seen[writer].extend(other);
        }
        if anew && below(often) == 0 && graph.end() > 0 {
            seen[writer] = vec![below(graph.end()), below(graph.end())];
        }
        seen[writer].sort_unstable();
        seen[writer].dedup();
        let parents = graph.minimize(&seen[writer]);
        graph.push(&parents, 1 + below(3));
        seen[writer] = vec![graph.end() - 1];
    }
    graph
}

proptest! {
    #[test]
    fn minimal_is_what_the_definition_says(
        seed: u64,
        events in 1_u32..60,
        writers in 1_u32..7,
        often in 1_u32..12,
        anew: bool,
        asked in proptest::collection::vec(proptest::collection::btree_set(any::<u32>(), 1..6), 1..40),
    ) {
        let mut graph = random_graph(seed, events, writers, often, anew);
        let pasts = pasts(&graph);
        let mut lines = Lines::new(0, 0);
        let enough = lines.follow(&graph).is_some();
        prop_assert!(enough || anew, "{} writers need more lines than there are", writers);
        for version in asked {
            let version: std::collections::BTreeSet<Lv> = version.into_iter().map(|lv| lv % graph.end()).collect();
            let version: Vec<Lv> = version.into_iter().collect();
            let by_definition = minimal_by_definition(&pasts, &version);
            prop_assert_eq!(graph.minimize(&version).len() == version.len(), by_definition, "walked: {:?}", version);
            if enough {
                prop_assert_eq!(lines.is_minimal(&graph, &version).0, by_definition, "in lines: {:?}", version);
            }
            // From here on the graph asks lines, from as far back as the question needs.
            graph.spent = usize::MAX;
            prop_assert_eq!(graph.is_minimal(&version), by_definition, "{:?}", version);
        }
    }

    /// Lines are made early and followed while the graph grows and somebody names what is before them.
    #[test]
    fn minimal_stays_what_the_definition_says_while_the_graph_grows(seed: u64, writers in 2_u32..6, often in 1_u32..12) {
        let whole = random_graph(seed, 60, writers, often, true);
        let pasts = pasts(&whole);
        let mut below = random(!seed);
        let mut graph = Graph::default();
        for range in whole.stretches(0, whole.end()) {
            let mut own = [0];
            graph.push(whole.parents_of(range.start, &mut own), range.end - range.start);
            if below(16) == 0 {
                let upto = 1 + below(graph.end());
                graph.truncate(upto);
                let kept = whole.parents_of(upto.min(whole.end() - 1), &mut own).len();
                prop_assert!(graph.end() == upto && kept <= writers as usize + 1);
                for again in whole.stretches(upto, range.end) {
                    graph.push(whole.parents_of(again.start, &mut own), again.end - again.start);
                }
            }
            for _ in 0..4 {
                let mut version: Vec<Lv> = (0..2 + below(2)).map(|_| below(graph.end())).collect();
                version.sort_unstable();
                version.dedup();
                graph.spent = if below(2) == 0 { usize::MAX } else { 0 };
                let minimal = minimal_by_definition(&pasts, &version);
                prop_assert_eq!(graph.is_minimal(&version), minimal, "{:?} of {}", version, graph.end());
            }
        }
    }
}

/// Checks what every event says it has seen, as whoever takes it in does, and appends it.
fn take_in(graph: &mut Graph, parents: &[Lv]) -> Lv {
    assert!(graph.is_minimal(parents), "{parents:?}");
    graph.push(parents, 1);
    graph.end() - 1
}

/// `count` events each of `others` who do not read each other, and then as many of somebody who has seen `named` of them
/// more each time, in turn.
fn far_behind(others: u32, count: u32, named: u32) -> Graph {
    let mut graph = Graph::default();
    let mut theirs: Vec<Vec<Lv>> = Vec::new();
    for _ in 0..others {
        let mut tips: Vec<Lv> = Vec::new();
        for _ in 0..count {
            let own: Vec<Lv> = tips.last().copied().into_iter().collect();
            tips.push(take_in(&mut graph, &own));
        }
        theirs.push(tips);
    }
    let mut own = None;
    for number in 0..count {
        let mut parents: Vec<Lv> =
            (0..named).map(|one| theirs[((number + one) % others) as usize][number as usize]).collect();
        parents.extend(own);
        parents.sort_unstable();
        own = Some(take_in(&mut graph, &parents));
    }
    graph
}

/// Somebody whose events do not build on each other and have seen two others up to anywhere.
fn anywhere(count: u32) -> Graph {
    let mut below = random(3);
    let mut graph = far_behind(2, count, 0);
    for _ in 0..count {
        let (one, other) = (below(count), below(count));
        if one > 0 {
            graph.is_minimal(&[one, count + other]);
        }
    }
    graph
}

fn assert_n_log_n(what: &str, shape: impl Fn(u32) -> Graph) {
    let counts = [1_000, 4_000, 16_000];
    let steps = counts.map(|count| {
        let graph = shape(count);
        graph.work / u64::from(graph.end())
    });
    assert!(steps[2] < steps[0] * 2 + 16, "{what}: {steps:?} steps an event");
    assert!(steps[2] < 400, "{what}: {steps:?} steps an event");
}

#[test]
fn who_names_others_far_behind_in_turn_costs_n_log_n() {
    for others in 2..=8 {
        for named in 1..=others.min(3) {
            assert_n_log_n(&format!("{named} of {others}"), |count| far_behind(others, count / others, named));
        }
    }
    assert_n_log_n("two others anywhere", |count| anywhere(count / 2));
}

#[test]
fn random_graphs_cost_n_log_n() {
    for (writers, often) in [(2, 3), (3, 50), (5, 1_000), (8, 10), (8, 200)] {
        assert_n_log_n(&format!("{writers} writers reading every {often}th time"), |count| {
            let copy = random_graph(7, count / 2, writers, often, false);
            let mut graph = Graph::default();
            for range in copy.stretches(0, copy.end()) {
                let mut own = [0];
                let parents = copy.parents_of(range.start, &mut own);
                assert!(graph.is_minimal(parents), "{parents:?}");
                graph.push(parents, range.end - range.start);
            }
            graph
        });
    }
}

/// A merge of everything and then somebody who names what was before it, again and again: lines are made a few times only.
#[test]
fn naming_what_is_further_and_further_back_costs_n_log_n() {
    assert_n_log_n("further back", |count| {
        let mut graph = Graph::default();
        // Two by two: each pair has seen the pair before.
        let mut pairs: Vec<[Lv; 2]> = Vec::new();
        for _ in 0..count / 2 {
            let before = pairs.last().map_or(Vec::new(), |pair| pair.to_vec());
            let merge = if before.is_empty() { before } else { vec![take_in(&mut graph, &before)] };
            pairs.push([take_in(&mut graph, &merge), take_in(&mut graph, &merge)]);
        }
        for pair in pairs.iter().rev() {
            take_in(&mut graph, pair);
        }
        graph
    });
}

#[test]
fn a_text_without_far_parents_keeps_no_lines() {
    let mut graph = random_graph(11, 4_000, 2, 1, false);
    let frontier = graph.frontier().to_vec();
    graph.is_minimal(&frontier);
    assert!(graph.lines.is_none());
}

/// Two authors of `count` characters each, in one delta each, and how many events that are.
fn two_authors(count: usize) -> Text {
    let mut text = Text::new();
    for author in 1..=2 {
        let mut out = Writer::default();
        out.u64(0);
        out.u64((count as u64) << 2);
        out.u64(0);
        out.fixed("x".repeat(count).as_bytes());
        text.apply(ReplicaId::from_bytes([author; 16]), &out.finish()).expect("a delta");
    }
    text
}

/// Items of the third author, who has seen one more of the one and of the other in turn; each is a delta's end, too.
fn in_turn(count: usize) -> (Bytes, Vec<Bytes>) {
    let (mut whole, mut parts) = (Writer::default(), Vec::new());
    whole.u64(0);
    for number in 0..count {
        let mut item = Writer::default();
        // In pairs, first the one and then the other: the step from the one named last is 1, but at first 0 or 1.
        let own = u64::from(number > 0);
        item.u64(1 << 3 | own << 2 | 3);
        if number < 2 {
            item.u64(0);
            item.fixed(&[u8::try_from(number).unwrap_or(0) + 1; 16]);
        } else {
            item.u64(number as u64 % 2 + 1);
        }
        item.u64(zigzag(i64::from(number >= 2)));
        item.u64(1 << 2);
        item.u64(zigzag(0));
        item.u8(b'y');
        let item = item.finish();
        whole.fixed(&item);
        let mut part = Writer::default();
        part.u64(number as u64);
        part.fixed(&item);
        parts.push(part.finish());
    }
    (whole.finish(), parts)
}

#[test]
fn naming_two_others_in_turn_costs_n_log_n_in_one_delta_and_one_by_one() {
    let third = ReplicaId::from_bytes([3; 16]);
    let steps = [1_000, 4_000, 16_000].map(|count: usize| {
        let (whole, parts) = in_turn(count);
        let (mut at_once, mut one_by_one) = (two_authors(count), two_authors(count));
        at_once.apply(third, &whole).expect("a delta");
        for part in parts {
            one_by_one.apply(third, &part).expect("a delta");
        }
        assert_eq!(at_once.state_hash(), one_by_one.state_hash());
        [at_once.graph.work, one_by_one.graph.work].map(|work| work / count as u64)
    });
    for how in 0..2 {
        assert!(steps[2][how] < steps[0][how] * 2 + 16 && steps[2][how] < 400, "{steps:?} steps an event");
    }
}
