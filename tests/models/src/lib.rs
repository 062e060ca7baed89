//! What the shipped code can do, explored: every state of small worlds, many schedules of its threads, and traces of it
//! held against a short specification.
//!
//! - [`states`]: the real server and real replicas in worlds small enough to visit every state of them.
//! - [`schedules`]: what the product does with threads, under many schedules.
//! - [`spec`]: the specification in `spec/Sync.tla`, checked by TLC, and walks of the real code held against it.
//! - `src/bin`: the parts of the proof that do so for as long as they are told.
//!
//! What must hold: nothing here knows how the product works inside. It drives what an application drives, puts wrappers
//! around stores and around the way between them, and looks at what is stored.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a world that cannot be set up is a bug here"
)]

pub mod schedules;
pub mod spec;
pub mod states;
