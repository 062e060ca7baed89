//! Folders in which all files are to be seen and only the opened ones take room: real ones, shown through the system's FUSE.
//!
//! Where the system has none, each test holds instead that this is said.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::result_large_err, reason = "a test has few errors")]
#![cfg(target_os = "linux")]

#[path = "../engine/house.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod house;
mod reading;
mod way;
mod world;
mod writing;
