//! A folder that follows a tree: every race of the table through a disk, random folders, devices that die anywhere.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "what the tests of the tree share with these")]

mod abilities;
mod away;
mod beside;
mod device;
mod disk;
mod halts;
mod races;
mod random;
#[path = "../tree/server.rs"]
mod server;
mod still;
#[path = "../tree/table.rs"]
mod table;
