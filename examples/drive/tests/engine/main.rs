//! Devices with real folders and a server in memory: what users do to files, and what must become of it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::result_large_err, reason = "a test has few errors")]

mod abilities;
mod away;
mod bytes;
mod follows;
mod house;
mod saves;
mod way;
