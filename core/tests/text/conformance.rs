//! Histories made elsewhere with many insertions at one place end in the text that the order of Fugue says.

use std::collections::BTreeMap;

use bytes::Bytes;
use syncline::ReplicaId;
use syncline::crdt::text::Text;

use crate::replica;
use crate::speaker::Speaker;
use crate::traces::{History, load};

/// Every event as a delta of its author.
fn deltas(history: &History) -> Vec<(ReplicaId, Bytes)> {
    let mut names: Vec<&str> = history.txns.iter().map(|event| &*event.agent).collect();
    names.sort_unstable();
    names.dedup();
    let id = |name: &str| replica(names.binary_search(&name).unwrap());
    let mut speakers: BTreeMap<ReplicaId, Speaker> = BTreeMap::new();
    let starts: Vec<usize> = history.txns.iter().map(|event| event.span.0).collect();
    let say = |event: &crate::traces::Event| {
        let author = id(&event.agent);
        let speaker = speakers.entry(author).or_default();
        assert_eq!(speaker.seq, event.seq_start as u64);
        let mut parents: Vec<(ReplicaId, u64)> = event
            .parents
            .iter()
            .map(|parent| {
                let of = &history.txns[starts.partition_point(|start| start <= parent) - 1];
                (id(&of.agent), (of.seq_start + parent - of.span.0) as u64)
            })
            .collect();
        parents.sort_unstable();
        let own = (author, speaker.seq.wrapping_sub(1));
        let mentions_own = parents.contains(&own);
        parents.retain(|parent| *parent != own);
        (author, speaker.say(mentions_own, &parents, &event.ops))
    };
    in_own_order(history, &starts).into_iter().map(|at| &history.txns[at]).map(say).collect()
}

/// The events in an order in which parents come first and every author's numbers ascend, as deltas travel.
fn in_own_order(history: &History, starts: &[usize]) -> Vec<usize> {
    let mut waiting: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, event) in history.txns.iter().enumerate() {
        waiting.entry(&event.agent).or_default().push(at);
    }
    for events in waiting.values_mut() {
        events.sort_by_key(|at| std::cmp::Reverse(history.txns[*at].seq_start));
    }
    let (mut done, mut order) = (vec![false; starts.len()], Vec::new());
    let arrived = |done: &[bool], parent: &usize| done[starts.partition_point(|start| start <= parent) - 1];
    while order.len() < starts.len() {
        for events in waiting.values_mut() {
            while let Some(at) = events.last().copied() {
                if !history.txns[at].parents.iter().all(|parent| arrived(&done, parent)) {
                    break;
                }
                done[at] = true;
                order.push(at);
                events.pop();
            }
        }
    }
    order
}

fn check(history: &History, at: usize) {
    let deltas = deltas(history);
    let mut one_by_one = Text::new();
    for (author, delta) in &deltas {
        one_by_one.apply(*author, delta).unwrap_or_else(|error| panic!("history {at}: {error}"));
    }
    assert_eq!(one_by_one.to_string(), history.end_content, "history {at}, one by one");
    one_by_one.check().unwrap();
    let mut batch = Text::new();
    batch.apply_all(&deltas).unwrap();
    assert_eq!(batch.to_string(), history.end_content, "history {at}, in one batch");
    assert_eq!(batch.state_hash(), one_by_one.state_hash());
    let mut halves = Text::new();
    let (first, second) = deltas.split_at(deltas.len() / 3);
    halves.apply_all(first).unwrap();
    halves.apply_all(second).unwrap();
    assert_eq!(halves.to_string(), history.end_content, "history {at}, in two batches");
}

#[test]
fn random_histories_end_in_the_order_of_fugue() {
    let histories: Vec<History> = load("conformance/yjsmod-fuguemax.json.gz");
    assert_eq!(histories.len(), 1_000);
    for (at, history) in histories.iter().enumerate() {
        check(history, at);
    }
}

#[test]
fn the_history_of_a_makefile_merges_to_its_end() {
    check(&load("conformance/git-makefile.json.gz"), 0);
}
