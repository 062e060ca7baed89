//! Our text beside the field's, on the same traces, in one run.
//!
//! `cargo run --release [-- PEER…|TRACE…|shapes]`: every row has our figure and, for each peer, its own and how many times ours it
//! is. Times are CPU milliseconds, the median of several runs; memory is what a counting allocator saw.

mod field;
mod ours;
mod peer;
mod rows;
mod shapes;
mod traces;

#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

const SEQUENTIAL: &[&str] = &[
    "automerge-paper",
    "rustcode",
    "sveltecomponent",
    "seph-blog1",
    "json-crdt-patch",
    "json-crdt-blog-post",
    "friendsforever_flat",
    "clownschool_flat",
    "egwalker",
];
const CONCURRENT: &[&str] = &["friendsforever", "clownschool", "node_nodecc"];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    let any_trace =
        SEQUENTIAL.iter().chain(CONCURRENT).chain(&["shapes"]).any(|name| asked.iter().any(|one| one == name));
    let trace = |name: &str| !any_trace || wants(name);
    let peers = rows::Wanted(asked.iter().filter(|one| rows::PEERS.contains(&&***one)).cloned().collect());
    for name in SEQUENTIAL.iter().filter(|name| trace(name)) {
        rows::sequential(name, &peers);
    }
    for name in CONCURRENT.iter().filter(|name| trace(name)) {
        rows::concurrent(name, &peers);
    }
    if trace("shapes") {
        shapes::all(&peers);
    }
}
