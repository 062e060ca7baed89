//! Values that merge: the laws of every type by random edits and random delivery, and what each type promises beyond them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod counter;
mod document;
mod hostile;
mod laws;
mod list;
mod order;
mod patterns;
mod position;
mod set;
mod spoken;
mod tree;
mod world;
