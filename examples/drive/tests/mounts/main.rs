//! Shared folders on devices with real folders and a server in memory: what is followed, what is left, and what crosses the
//! border of two trees.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::result_large_err, reason = "a test has few errors")]

mod border;
mod house;
mod shared;
