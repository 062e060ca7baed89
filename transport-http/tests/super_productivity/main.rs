//! The sync routes of the Super Productivity dialect over real sockets: each one's answer, and its refusals.

#![cfg(all(feature = "client", feature = "super-productivity"))]
#![allow(clippy::needless_pass_by_value, reason = "JSON literals are handed over")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

mod around;
mod browsers;
#[path = "../common/mod.rs"]
mod common;
mod edges;
mod limits;
mod newer;
mod retention;
mod rig;
mod sizes;
mod states;
mod uploads;
