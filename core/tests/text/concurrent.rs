//! Recorded concurrent histories merge to their exact end, on every replica and in every order of delivery.

use bytes::Bytes;
use syncline::ReplicaId;
use syncline::crdt::text::Text;

use crate::replica;
use crate::traces::{Trace, load};

/// Plays the history with one replica per writer, each of whom has seen exactly what they had; gives each event's delta.
fn play(trace: &Trace) -> Vec<(ReplicaId, Bytes)> {
    let mut texts: Vec<Text> = (0..trace.num_agents).map(|_| Text::new()).collect();
    let mut has: Vec<Vec<bool>> = vec![vec![false; trace.txns.len()]; trace.num_agents];
    let mut deltas: Vec<(ReplicaId, Bytes)> = Vec::new();
    for (at, txn) in trace.txns.iter().enumerate() {
        let (text, has) = (&mut texts[txn.agent], &mut has[txn.agent]);
        let (mut missing, mut stack) = (Vec::new(), txn.parents.clone());
        while let Some(parent) = stack.pop() {
            if !has[parent] {
                has[parent] = true;
                missing.push(parent);
                stack.extend(&trace.txns[parent].parents);
            }
        }
        missing.sort_unstable();
        let batch: Vec<_> = missing.iter().map(|at| deltas[*at].clone()).collect();
        text.apply_all(&batch).unwrap();
        let author = replica(txn.agent);
        let since = text.seen(author);
        for patch in &txn.patches {
            text.delete(author, patch.0..patch.0 + patch.1).unwrap();
            text.insert(author, patch.0, &patch.2).unwrap();
        }
        has[at] = true;
        deltas.push((author, text.delta(author, since).unwrap()));
    }
    deltas
}

/// Another order of delivery: writers take turns at random, each event after those before it of its own and its parents.
fn shuffled(trace: &Trace, deltas: &[(ReplicaId, Bytes)], seed: u64) -> Vec<(ReplicaId, Bytes)> {
    let mut random = crate::random::Random::new(seed);
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); trace.num_agents];
    for (at, txn) in trace.txns.iter().enumerate().rev() {
        waiting[txn.agent].push(at);
    }
    let (mut done, mut order) = (vec![false; deltas.len()], Vec::new());
    while order.len() < deltas.len() {
        let agent = random.below(trace.num_agents);
        for _ in 0..=random.below(40) {
            let Some(next) = waiting[agent].last() else { break };
            if !trace.txns[*next].parents.iter().all(|parent| done[*parent]) {
                break;
            }
            done[*next] = true;
            order.push(deltas[*next].clone());
            waiting[agent].pop();
        }
    }
    order
}

fn check(name: &str, orders: u64) {
    let trace: Trace = load(&format!("concurrent/{name}.json.gz"));
    let deltas = play(&trace);
    let mut batch = Text::new();
    batch.apply_all(&deltas).unwrap();
    assert_eq!(batch.to_string(), trace.end_content, "in one batch");
    let mut singly = Text::new();
    for (author, delta) in &deltas {
        singly.apply(*author, delta).unwrap();
    }
    assert_eq!(singly.to_string(), trace.end_content, "one by one");
    singly.check().unwrap();
    assert_eq!(singly.state_hash(), batch.state_hash());
    let saved = batch.save().unwrap();
    assert_eq!(singly.save().unwrap(), saved);
    let mut loaded = Text::load(&saved).unwrap();
    assert_eq!(loaded.to_string(), trace.end_content, "loaded");
    assert_eq!(loaded.save().unwrap(), saved, "read and saved again");
    for seed in 0..orders {
        let order = shuffled(&trace, &deltas, seed);
        let mut text = Text::new();
        let mut random = crate::random::Random::new(seed);
        let mut rest = &order[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + random.below(rest.len().min(400)));
            text.apply_all(now).unwrap();
            rest = later;
        }
        assert_eq!(text.to_string(), trace.end_content, "in another order, seed {seed}");
        assert_eq!(text.state_hash(), batch.state_hash());
        text.check().unwrap();
        assert_eq!(text.save().unwrap(), saved);
    }
}

#[test]
fn friendsforever_merges_in_any_order() {
    check("friendsforever", 2);
}

#[test]
fn clownschool_merges_in_any_order() {
    check("clownschool", 2);
}

#[test]
fn node_nodecc_merges_in_any_order() {
    check("node_nodecc", 1);
}
