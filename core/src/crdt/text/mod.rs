//! Collaborative text: what several people type at once, merged without loss and without a server's help.
//!
//! A [`Text`] is the characters as they stand plus the history they came from. Every inserted and every deleted character
//! is one *event*, named by its author and their count. Authors edit at once and offline; what they did travels as
//! *deltas*, one author's events in the order made, applied by everybody else in any order that keeps each author's own
//! order and brings what a delta refers to first.
//!
//! Positions and lengths count **Unicode scalar values** (Rust's `char`) in every call; [`Text::to_utf16`] and its
//! siblings convert to and from UTF-16 code units and UTF-8 bytes.
//!
//! The algorithm is an event graph with lazy merging (Gentle and Kleppmann, "Collaborative text editing with Eg-walker",
//! EuroSys 2025): in memory there are a rope and the events as their authors made them, nothing per character. As long as
//! nobody is concurrent, an event is an edit of the rope. Concurrent events are replayed from the last moment that
//! everybody shares, in the order of Fugue (Weidner and Kleppmann, 2023), which does not interleave runs.
//!
//! *What must hold:* replicas that took in the same events show the same text and have the same [`Text::state_hash`],
//! whatever the order and the batches. No input panics or recurses; a refused input leaves the text as it was.
//!
//! *Where next:* `ops` (what events did), `graph` (what they had seen), `tracker` (concurrency), `merge`, `delta` (the
//! bytes that travel), `buffer` and `rope` (the characters).

mod anchor;
mod apply;
mod atlas;
mod authors;
mod buffer;
mod collect;
mod delta;
mod edit;
mod error;
mod forget;
mod graph;
mod join;
mod lines;
mod marks;
mod merge;
mod ops;
mod past;
mod rope;
mod snapshot;
mod tracker;
mod undo;
mod version;

pub use anchor::{Anchor, Side};
pub use edit::Edit;
pub use error::TextError;
pub use join::join;
pub use marks::{Expand, Marked};
pub use past::{Change, Written};
pub use undo::Undo;
pub use version::Version;

use apply::Scratch;
use atlas::Atlas;
use authors::Authors;
use buffer::Buffer;
use delta::Name;
use graph::Graph;
use marks::Marks;
use merge::OpenZone;
use ops::Ops;
use snapshot::Base;

use crate::codec::Writer;

/// Number of an event in the order of arrival here.
type Lv = u32;

/// A size that was bounded on entry, as the 32 bits it is kept in.
fn int(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A text and its history.
#[derive(Debug, Clone)]
pub struct Text {
    buffer: Buffer,
    ops: Ops,
    graph: Graph,
    authors: Authors,
    /// The version where the kept history begins, in the order of names; empty if all of it is kept.
    base_heads: Vec<Name>,
    base: Base,
    marks: Marks,
    zone: Option<Box<OpenZone>>,
    atlas: Option<Box<Atlas>>,
    scratch: Scratch,
    out: Writer,
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl Text {
    /// An empty text without history.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: Buffer::of(""),
            ops: Ops::default(),
            graph: Graph::default(),
            authors: Authors::default(),
            base_heads: Vec::new(),
            base: Base::default(),
            marks: Marks::default(),
            zone: None,
            atlas: None,
            scratch: Scratch::default(),
            out: Writer::default(),
        }
    }

    /// Checks every structure against itself; for tests and fuzzers.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<(), String> {
        self.buffer.check()?;
        if let Some(zone) = &self.zone {
            zone.check()?;
        }
        if self.ops.end() != self.graph.end() {
            return Err("the graph and the ops end at different events".to_owned());
        }
        Ok(())
    }
}
