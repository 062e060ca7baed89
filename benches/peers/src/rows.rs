//! The rows of one trace.

use std::collections::BTreeMap;

use cpu_time::ProcessTime;

use crate::ALLOCATED;
use crate::field::{Automerge, Cola, Diamond, Loro, Yrs};
use crate::ours::Ours;
use crate::peer::Peer;
use crate::traces::{Trace, load};

pub const PEERS: &[&str] = &["syncline", "diamond-types", "loro", "yrs", "automerge", "cola"];

/// Which peers take part: ours always, the others as asked for, all of them if none was named.
pub struct Wanted(pub Vec<String>);

impl Wanted {
    pub fn has(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|one| one == name)
    }
}

/// Row by row, peer by peer.
#[derive(Default)]
pub struct Table {
    rows: Vec<&'static str>,
    cells: BTreeMap<(&'static str, &'static str), f64>,
    peers: Vec<&'static str>,
}

impl Table {
    pub fn set(&mut self, row: &'static str, peer: &'static str, value: f64) {
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
        if !self.peers.contains(&peer) {
            self.peers.push(peer);
        }
        self.cells.insert((row, peer), value);
    }

    pub fn print(&self, title: &str) {
        println!("\n## {title}");
        for row in &self.rows {
            let ours = self.cells.get(&(*row, "syncline")).copied().unwrap_or(f64::NAN);
            print!("{row:28} {:>12}", figure(ours));
            for peer in self.peers.iter().filter(|peer| **peer != "syncline") {
                if let Some(value) = self.cells.get(&(*row, *peer)) {
                    print!("  {peer} {} ({:.2}x)", figure(*value), value / ours);
                }
            }
            println!();
        }
    }
}

fn figure(value: f64) -> String {
    if value >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// CPU milliseconds, the median of runs that together take about half a second, at least 3 and at most 15.
pub fn timed<S, T>(mut prepare: impl FnMut() -> S, mut work: impl FnMut(S) -> T) -> f64 {
    let mut runs = Vec::new();
    while runs.len() < 3 || (runs.iter().sum::<f64>() < 500.0 && runs.len() < 15) {
        let input = prepare();
        let start = ProcessTime::now();
        let output = work(input);
        runs.push(start.elapsed().as_secs_f64() * 1_000.0);
        drop(output);
        if runs[0] > 4_000.0 {
            break;
        }
    }
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

fn memory<T>(make: impl FnOnce() -> T) -> (T, f64) {
    let before = ALLOCATED.current_usage();
    let made = make();
    let after = ALLOCATED.current_usage();
    (made, after.saturating_sub(before) as f64)
}

fn replay<P: Peer>(trace: &Trace) -> P::Doc {
    let mut doc = P::new(0);
    for patch in trace.txns.iter().flat_map(|txn| &txn.patches) {
        P::edit(&mut doc, patch.0, patch.1, &patch.2);
    }
    doc
}

pub fn sequential(name: &str, wanted: &Wanted) {
    let trace = load(name);
    let mut table = Table::default();
    one_sequential::<Ours>(&trace, &mut table);
    if wanted.has("diamond-types") {
        one_sequential::<Diamond>(&trace, &mut table);
    }
    if wanted.has("loro") {
        one_sequential::<Loro>(&trace, &mut table);
    }
    if wanted.has("cola") {
        one_sequential::<Cola>(&trace, &mut table);
    }
    // Quadratic on long texts typed locally, minutes for one: only the short ones.
    if wanted.has("yrs") && trace.txns.len() < 30_000 {
        one_sequential::<Yrs>(&trace, &mut table);
    }
    if wanted.has("automerge") && trace.txns.len() < 30_000 {
        one_sequential::<Automerge>(&trace, &mut table);
    }
    floors(&trace, &mut table);
    table.print(name);
}

fn one_sequential<P: Peer>(trace: &Trace, table: &mut Table) {
    let peer = P::NAME;
    table.set("local replay", peer, timed(|| (), |()| P::text(&mut replay::<P>(trace))));
    let mut updates = Vec::new();
    let mut produced = Vec::new();
    for _ in 0..3 {
        updates.clear();
        let mut doc = P::new(0);
        let start = ProcessTime::now();
        for patch in trace.txns.iter().flat_map(|txn| &txn.patches) {
            P::edit(&mut doc, patch.0, patch.1, &patch.2);
            updates.push(P::update(&mut doc));
        }
        produced.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    produced.sort_by(f64::total_cmp);
    table.set("  + an update each", peer, produced[1]);
    let sizes: usize = updates.iter().map(P::size).sum();
    table.set("bytes an update", peer, sizes as f64 / updates.len() as f64);
    let apply = |mut doc: P::Doc| {
        for update in &updates {
            P::apply(&mut doc, update);
        }
        P::text(&mut doc)
    };
    table.set("apply one by one", peer, timed(|| P::new(1), apply));
    assert_eq!(apply(P::new(1)), trace.end_content, "{peer}");
    drop(updates);
    let (mut doc, bytes) = memory(|| replay::<P>(trace));
    table.set("memory after typing", peer, bytes);
    // cola has no batches: its updates are what was measured one by one.
    if P::save(&mut doc).is_empty() {
        return;
    }
    let whole = P::update(&mut doc);
    table.set(
        "apply in one batch",
        peer,
        timed(
            || P::new(1),
            |mut doc| {
                P::apply(&mut doc, &whole);
                P::text(&mut doc)
            },
        ),
    );
    let saved = P::save(&mut doc);
    table.set("size with history", peer, saved.len() as f64);
    table.set("save", peer, timed(|| (), |()| P::save(&mut doc)));
    table.set("load to text", peer, timed(|| (), |()| P::text(&mut P::load(&saved))));
    let (loaded, bytes) = memory(|| {
        let mut doc = P::load(&saved);
        drop(P::text(&mut doc));
        doc
    });
    drop(loaded);
    table.set("memory after load", peer, bytes);
}

fn floors(trace: &Trace, table: &mut Table) {
    let patches = || trace.txns.iter().flat_map(|txn| &txn.patches);
    table.set(
        "local replay",
        "jumprope",
        timed(
            || (),
            |()| {
                let mut rope = jumprope::JumpRope::new();
                for patch in patches() {
                    if patch.1 > 0 {
                        rope.remove(patch.0..patch.0 + patch.1);
                    }
                    rope.insert(patch.0, &patch.2);
                }
                rope.to_string()
            },
        ),
    );
    table.set(
        "local replay",
        "jumprope buffered",
        timed(
            || (),
            |()| {
                let mut rope = jumprope::JumpRopeBuf::new();
                for patch in patches() {
                    if patch.1 > 0 {
                        rope.remove(patch.0..patch.0 + patch.1);
                    }
                    rope.insert(patch.0, &patch.2);
                }
                rope.to_string()
            },
        ),
    );
    table.set(
        "local replay",
        "crop",
        timed(
            || (),
            |()| {
                let mut rope = crop::Rope::new();
                for patch in patches() {
                    rope.replace(patch.0..patch.0 + patch.1, &patch.2);
                }
                rope.to_string()
            },
        ),
    );
    table.set(
        "local replay",
        "ropey",
        timed(
            || (),
            |()| {
                let mut rope = ropey::Rope::new();
                for patch in patches() {
                    rope.remove(patch.0..patch.0 + patch.1);
                    rope.insert(patch.0, &patch.2);
                }
                rope.to_string()
            },
        ),
    );
    let inserted: String = patches().map(|patch| &*patch.2).collect();
    let floor = zstd::bulk::compress(inserted.as_bytes(), 19).unwrap().len();
    table.set("size with history", "zstd-19 of what was typed", floor as f64);
}

/// Each event as an update of its writer's own replica, which had seen exactly what the writer had.
fn play<P: Peer>(trace: &Trace) -> Vec<P::Update> {
    let mut docs: Vec<P::Doc> = (0..trace.num_agents).map(|agent| P::new(agent as u64)).collect();
    let mut has = vec![vec![false; trace.txns.len()]; trace.num_agents];
    let mut updates: Vec<P::Update> = Vec::new();
    for (at, txn) in trace.txns.iter().enumerate() {
        let (doc, has) = (&mut docs[txn.agent], &mut has[txn.agent]);
        let (mut missing, mut stack) = (Vec::new(), txn.parents.clone());
        while let Some(parent) = stack.pop() {
            if !has[parent] {
                has[parent] = true;
                missing.push(parent);
                stack.extend(&trace.txns[parent].parents);
            }
        }
        missing.sort_unstable();
        let batch: Vec<P::Update> = missing.iter().map(|at| updates[*at].clone()).collect();
        if !batch.is_empty() {
            P::apply_all(doc, &batch);
        }
        for patch in &txn.patches {
            P::edit(doc, patch.0, patch.1, &patch.2);
        }
        has[at] = true;
        updates.push(P::update(doc));
    }
    updates
}

pub fn concurrent(name: &str, wanted: &Wanted) {
    let trace = load(name);
    let mut table = Table::default();
    one_concurrent::<Ours>(&trace, &mut table);
    if wanted.has("diamond-types") {
        one_concurrent::<Diamond>(&trace, &mut table);
    }
    if wanted.has("loro") {
        one_concurrent::<Loro>(&trace, &mut table);
    }
    if wanted.has("yrs") {
        one_concurrent::<Yrs>(&trace, &mut table);
    }
    table.print(name);
}

fn one_concurrent<P: Peer>(trace: &Trace, table: &mut Table) {
    let peer = P::NAME;
    let updates = play::<P>(trace);
    table.set("bytes, all updates", peer, updates.iter().map(P::size).sum::<usize>() as f64);
    table.set(
        "apply one by one",
        peer,
        timed(
            || P::new(9_999),
            |mut doc| {
                for update in &updates {
                    P::apply(&mut doc, update);
                }
                P::text(&mut doc)
            },
        ),
    );
    table.set(
        "merge of all updates",
        peer,
        timed(
            || P::new(9_999),
            |mut doc| {
                P::apply_all(&mut doc, &updates);
                P::text(&mut doc)
            },
        ),
    );
    let (mut doc, bytes) = memory(|| {
        let mut doc = P::new(9_999);
        P::apply_all(&mut doc, &updates);
        doc
    });
    assert_eq!(P::text(&mut doc), trace.end_content, "{peer}");
    table.set("memory after merge", peer, bytes);
    let saved = P::save(&mut doc);
    table.set("size with history", peer, saved.len() as f64);
    table.set("save", peer, timed(|| (), |()| P::save(&mut doc)));
    table.set("load to text", peer, timed(|| (), |()| P::text(&mut P::load(&saved))));
}
