//! Our values that merge beside the field's, in one run: `cargo run --release [-- clocks|documents|maps|counters|sets|lists|trees]`.
//!
//! Times are CPU, the median of several runs. Loro keeps its history; synckit-core keeps the state alone, as ours do beside the
//! log, which holds the edits.

use std::hint::black_box;

use bytes::Bytes;
use cpu_time::ProcessTime;
use syncline::crdt::document::Path;
use syncline::crdt::position::SessionName;
use syncline::crdt::{Content, Counter, CounterEdit, Document, List, Moment, Set, Stamp, Tree};
use syncline::{Causality, Hlc, OpId, ReplicaId, Timestamp, VectorClock};

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let rows: [(&str, fn()); 7] = [
        ("clocks", clocks),
        ("documents", documents),
        ("maps", maps),
        ("counters", counters),
        ("sets", sets),
        ("lists", lists),
        ("trees", trees),
    ];
    for (name, row) in rows {
        if asked.is_empty() || asked.iter().any(|one| one == name) {
            println!("\n## {name}");
            row();
        }
    }
}

/// Nanoseconds of CPU a unit, the median of eleven turns.
fn each(units: usize, mut work: impl FnMut()) -> f64 {
    let mut turns: Vec<f64> = (0..12)
        .map(|_| {
            let start = ProcessTime::now();
            work();
            start.elapsed().as_secs_f64() * 1e9 / units as f64
        })
        .skip(1)
        .collect();
    turns.sort_by(f64::total_cmp);
    turns[turns.len() / 2]
}

/// Milliseconds of CPU, the median of five.
fn once<T>(mut work: impl FnMut() -> T) -> (f64, T) {
    let mut turns = Vec::new();
    loop {
        let start = ProcessTime::now();
        let out = work();
        turns.push(start.elapsed().as_secs_f64() * 1e3);
        if turns.len() == 5 {
            turns.sort_by(f64::total_cmp);
            return (turns[2], out);
        }
    }
}

fn row(what: &str, unit: &str, ours: f64, peers: &[(&str, f64)]) {
    print!("{what:44} {ours:>10.3} {unit}");
    for (peer, theirs) in peers {
        print!("  {peer} {theirs:.3} ({:.2}x)", theirs / ours);
    }
    println!();
}

fn replica(author: u8) -> ReplicaId {
    ReplicaId::from_bytes([author + 1; 16])
}

fn moment(author: u8, number: u64) -> Moment {
    let mut op = [author; 16];
    op[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let ms = Timestamp::from_ms(1_700_000_000_000 + number).expect("in range");
    Moment { op: OpId::from_bytes(op), replica: replica(author), hlc: Hlc { ms, counter: 0 }, accepted_at: Some(ms) }
}

fn stamp(author: u8, number: u64) -> Stamp {
    moment(author, number).stamp()
}

/// An xorshift generator: the same numbers in every run.
fn numbers(mut state: u64) -> impl FnMut() -> usize {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits")
    }
}

fn clocks() {
    let (mut ours, mut other) = (VectorClock::new(), VectorClock::new());
    let (mut theirs, mut their_other) = (synckit_core::VectorClock::new(), synckit_core::VectorClock::new());
    for author in 0..100_u8 {
        ours.set(replica(author), u64::from(author) * 2 + 1).expect("in range");
        other.set(replica(author), u64::from(author) + 60).expect("in range");
        theirs.update(&format!("client-{author:03}"), u64::from(author) * 2 + 1);
        their_other.update(&format!("client-{author:03}"), u64::from(author) + 60);
    }
    const TIMES: usize = 20_000;
    let merged = each(TIMES, || (0..TIMES).for_each(|_| black_box(&mut ours).join(black_box(&other)).expect("fits")));
    let peer = each(TIMES, || (0..TIMES).for_each(|_| black_box(&mut theirs).merge(black_box(&their_other))));
    row("merge, 100 replicas", "ns", merged, &[("synckit", peer)]);
    let compared = each(TIMES, || (0..TIMES).for_each(|_| assert!(black_box(black_box(&ours).compare(black_box(&other))) != Causality::Before)));
    let peer = each(TIMES, || (0..TIMES).for_each(|_| assert!(black_box(black_box(&theirs).compare(black_box(&their_other))) != std::cmp::Ordering::Less)));
    row("compare, 100 replicas", "ns", compared, &[("synckit", peer)]);
}

const NAMES: usize = 88;

fn value(number: usize) -> String {
    format!("value {number:05} of a field, a hundred characters of it: {}", "lorem ipsum ".repeat(4))
}

fn document(author: u8, number: u64) -> Document {
    let mut document = Document::default();
    for field in 0..NAMES {
        let text = serde_json::to_vec(&value(field)).expect("JSON");
        document.write(stamp(author, number), Path::field(&format!("field_{field:03}")), Some(text.into()));
    }
    document
}

fn peer_document(author: &str, clock: u64) -> synckit_core::Document {
    let mut document = synckit_core::Document::new("doc".into());
    for field in 0..NAMES {
        document.set_field(format!("field_{field:03}"), value(field).into(), clock, author.into());
    }
    document
}

fn documents() {
    const TIMES: usize = 300;
    let (old, new) = (document(0, 1), document(1, 2));
    let (their_old, their_new) = (peer_document("a", 1), peer_document("b", 2));
    let (mut ours, mut theirs) = (new.clone(), peer_document("b", 2));
    let merged = each(TIMES * NAMES, || (0..TIMES).for_each(|_| black_box(&mut ours).merge(black_box(&old))));
    let peer = each(TIMES * NAMES, || (0..TIMES).for_each(|_| assert_eq!(black_box(&mut theirs).merge(black_box(&their_old)), 0)));
    row("merge, 88 fields older", "ns a field", merged, &[("synckit", peer)]);
    let cloned = each(TIMES * NAMES, || (0..TIMES).for_each(|_| drop(black_box(black_box(&new).clone()))));
    let peer = each(TIMES * NAMES, || (0..TIMES).for_each(|_| drop(black_box(black_box(&their_new).clone()))));
    row("clone alone", "ns a field", cloned, &[("synckit", peer)]);
    for (what, into, from, their_into, their_from) in [
        ("clone and merge, 88 fields newer", &old, &new, &their_old, &their_new),
        ("clone and merge, 88 fields older", &new, &old, &their_new, &their_old),
    ] {
        let merged = each(TIMES * NAMES, || {
            (0..TIMES).for_each(|_| {
                let mut document = into.clone();
                document.merge(black_box(from));
                black_box(document);
            });
        });
        let peer = each(TIMES * NAMES, || {
            (0..TIMES).for_each(|_| {
                let mut document = their_into.clone();
                document.merge(black_box(their_from));
                black_box(document);
            });
        });
        row(what, "ns a field", merged, &[("synckit", peer)]);
    }
    let fields: Vec<(Path, Bytes)> = new.iter().map(|(path, text)| (path.clone(), text.clone())).collect();
    let mut target = old.clone();
    let mut at = 10;
    let written = each(TIMES * NAMES, || {
        for _ in 0..TIMES {
            at += 1;
            let stamp = stamp(0, at);
            for (path, text) in &fields {
                target.write(stamp, path.clone(), Some(text.clone()));
            }
        }
    });
    let their_fields: Vec<_> =
        their_new.fields().iter().map(|(path, field)| (path.clone(), field.value.clone())).collect();
    let mut their_target = their_old.clone();
    let mut at = 10;
    let peer = each(TIMES * NAMES, || {
        for _ in 0..TIMES {
            at += 1;
            for (path, value) in &their_fields {
                their_target.set_field(path.clone(), value.clone(), at, "a".into());
            }
        }
    });
    row("write a field", "ns", written, &[("synckit", peer)]);
    let seen = old.seen();
    let encoded = each(TIMES, || (0..TIMES).for_each(|_| drop(black_box(new.encode_since(&seen)))));
    let peer = each(TIMES, || {
        (0..TIMES).for_each(|_| {
            let delta = synckit_core::sync::compute_delta(&their_old, &their_new);
            black_box(serde_json::to_vec(&delta).expect("JSON"));
        });
    });
    let alone = each(TIMES, || {
        (0..TIMES).for_each(|_| drop(black_box(synckit_core::sync::compute_delta(&their_old, &their_new))));
    });
    row("delta of 10 KB, computed and encoded", "ns", encoded, &[("synckit, as JSON", peer), ("computed alone", alone)]);
    let bytes = new.encode_since(&seen);
    let theirs = serde_json::to_vec(&synckit_core::sync::compute_delta(&their_old, &their_new)).expect("JSON");
    row("… its size", "bytes", bytes.len() as f64, &[("synckit, as JSON", theirs.len() as f64)]);
    let applied = each(TIMES, || {
        (0..TIMES).for_each(|_| {
            let mut document = old.clone();
            document.merge(&Document::decode(bytes.clone()).expect("a delta"));
            black_box(document);
        });
    });
    row("… read and merged", "ns", applied, &[]);
}

fn maps() {
    const SETS: usize = 100_000;
    let paths: Vec<Path> = (0..1_000).map(|name| Path::field(&format!("key{name}"))).collect();
    let ours = |author: u8| {
        let (mut document, mut number) = (Document::default(), numbers(u64::from(author) + 7));
        for at in 0..SETS {
            let text = Bytes::from(at.to_string());
            document.write(stamp(author, at as u64), paths[number() % 1_000].clone(), Some(text));
        }
        document
    };
    let loro = |author: u8| {
        let document = loro::LoroDoc::new();
        document.set_peer_id(u64::from(author)).expect("a peer");
        let (map, mut number) = (document.get_map("map"), numbers(u64::from(author) + 7));
        for at in 0..SETS {
            map.insert(&format!("key{}", number() % 1_000), at as i64).expect("set");
        }
        document.commit();
        document
    };
    let (edited, one) = once(|| ours(0));
    let (peer, their_one) = once(|| loro(0));
    row("100,000 sets on 1,000 keys", "ms", edited, &[("loro", peer)]);
    let (two, their_two) = (ours(1), loro(1));
    let update = their_two.export(loro::ExportMode::all_updates()).expect("an update");
    let (merged, _) = once(|| {
        let mut merged = one.clone();
        merged.merge(&two);
        merged
    });
    let (peer, _) = once(|| {
        let copy = their_one.fork();
        copy.import(&update).expect("imported");
    });
    row("merge of two that diverged", "ms", merged, &[("loro, with a fork", peer)]);
    let bytes = Bytes::from(one.encode());
    let snapshot = their_one.export(loro::ExportMode::Snapshot).expect("a snapshot");
    row("size", "bytes", bytes.len() as f64, &[("loro", snapshot.len() as f64)]);
    let (loaded, _) = once(|| Document::decode(bytes.clone()).expect("a document"));
    let (peer, _) = once(|| loro::LoroDoc::from_snapshot(&snapshot).expect("a document").get_deep_value());
    row("load", "ms", loaded, &[("loro", peer)]);
}

fn counters() {
    const STEPS: usize = 100_000;
    let (counted, one) = once(|| {
        let mut counter = Counter::default();
        (0..STEPS).for_each(|at| counter.apply(&moment(0, at as u64), CounterEdit::Add(1)));
        counter
    });
    let (peer, _) = once(|| {
        let document = loro::LoroDoc::new();
        let counter = document.get_counter("counter");
        (0..STEPS).for_each(|_| counter.increment(1.0).expect("counted"));
        document.commit();
        document.export(loro::ExportMode::all_updates()).expect("an update").len()
    });
    row("100,000 steps", "ms", counted, &[("loro, with its export", peer)]);
    row("size", "bytes", one.encode().len() as f64, &[]);
}

fn sets() {
    const EDITS: usize = 100_000;
    let texts: Vec<Bytes> = (0..1_000).map(|element: usize| Bytes::from(element.to_string())).collect();
    let ours = |author: u8| {
        let (mut set, mut number) = (Set::default(), numbers(u64::from(author) + 3));
        for at in 0..EDITS {
            let text = texts[number() % 1_000].clone();
            let edit = if number() % 2 == 0 { set.removing([text]) } else { Some(set.adding([text])) };
            edit.into_iter().for_each(|edit| set.apply(&moment(author, at as u64), edit));
        }
        set
    };
    let (edited, one) = once(|| ours(0));
    let (peer, _) = once(|| {
        let (mut set, mut number) = (synckit_core::crdt::ORSet::<String>::new("a".into()), numbers(3));
        for _ in 0..EDITS {
            let element = (number() % 1_000).to_string();
            if number() % 2 == 0 { set.remove(&element) } else { set.add(element) }
        }
        set
    });
    row("100,000 adds and removes of 1,000 elements", "ms", edited, &[("synckit", peer)]);
    let two = ours(1);
    let (merged, _) = once(|| {
        let mut merged = one.clone();
        merged.merge(&two);
        merged
    });
    row("clone and merge of two that diverged", "ms", merged, &[]);
    row("size", "bytes", one.encode().len() as f64, &[]);
}

fn lists() {
    const EDITS: usize = 20_000;
    for (what, moves) in [("20,000 edits, none moves", false), ("20,000 edits, half moves", true)] {
        let session = SessionName([1; 6]);
        let (edited, list) = once(|| {
            let (mut list, mut number) = (List::default(), numbers(11));
            for at in 0..EDITS {
                let len = list.len();
                let edit = if moves && len > 1 && at % 2 == 0 {
                    list.moving(number() % len, number() % len, session)
                } else if len > 4 && at % 4 == 1 {
                    list.removing(number() % len, 1)
                } else {
                    list.inserting(number() % (len + 1), [Bytes::from(at.to_string())], session)
                };
                list.apply(&moment(0, at as u64), edit.expect("an edit"));
            }
            list
        });
        let (peer, document) = once(|| {
            let document = loro::LoroDoc::new();
            let (list, mut number) = (document.get_movable_list("list"), numbers(11));
            for at in 0..EDITS {
                let len = list.len();
                if moves && len > 1 && at % 2 == 0 {
                    list.mov(number() % len, number() % len).expect("moved");
                } else if len > 4 && at % 4 == 1 {
                    list.delete(number() % len, 1).expect("deleted");
                } else {
                    list.insert(number() % (len + 1), at as i64).expect("inserted");
                }
            }
            document.commit();
            document
        });
        row(what, "ms", edited, &[("loro, movable", peer)]);
        let snapshot = document.export(loro::ExportMode::Snapshot).expect("a snapshot");
        row("… size", "bytes", list.encode().len() as f64, &[("loro, with history", snapshot.len() as f64)]);
    }
}

fn trees() {
    const MOVES: usize = 20_000;
    let session = SessionName([1; 6]);
    let mut start = Tree::default();
    for at in 0..1_000 {
        let edit = start.inserting(None, at, Bytes::from_static(b"1"), session).expect("an edit");
        start.apply(&moment(0, at as u64), edit);
    }
    let nodes = start.under(None);
    // The edits are made first: what is measured is taking them in, and looking once.
    let mut number = numbers(5);
    let mut tree = start.clone();
    let edits: Vec<_> = (0..MOVES)
        .filter_map(|at| {
            let (node, parent) = (nodes[number() % 1_000], nodes[number() % 1_000]);
            let edit = tree.moving(node, Some(parent), 0, session).ok()?;
            let moment = moment(0, 2_000 + at as u64);
            tree.apply(&moment, edit.clone());
            Some((moment, edit))
        })
        .collect();
    let (applied, tree) = once(|| {
        let mut tree = start.clone();
        edits.iter().for_each(|(moment, edit)| tree.apply(moment, edit.clone()));
        assert_eq!(tree.placed().len(), 1_000);
        tree
    });
    let (peer, document) = once(|| {
        let document = loro::LoroDoc::new();
        let tree = document.get_tree("tree");
        let nodes: Vec<_> = (0..1_000).map(|_| tree.create(None).expect("a node")).collect();
        let mut number = numbers(5);
        for _ in 0..MOVES {
            // Into itself is refused.
            let _ = tree.mov(nodes[number() % 1_000], nodes[number() % 1_000]);
        }
        document.commit();
        document
    });
    row("20,000 moves of 1,000 nodes taken in", "ms", applied, &[("loro, made", peer)]);
    let snapshot = document.export(loro::ExportMode::Snapshot).expect("a snapshot");
    row("size", "bytes", tree.encode().len() as f64, &[("loro, with history", snapshot.len() as f64)]);
    let one = Tree::clone(&tree);
    let (merged, _) = once(|| {
        let mut merged = start.clone();
        merged.merge(&one);
        merged
    });
    row("clone and merge", "ms", merged, &[]);
}
