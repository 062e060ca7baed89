//! What breaks under what ships, as parts of the proof: power, disks, processes, databases, object stores.
//!
//! What must hold: every part is a scenario fixed by a seed and an oracle that remembers what was acknowledged; a scenario
//! fails by panicking with the seed in the message, and a part turns that into a finding ([`part`]). The same scenarios run
//! for a few seconds in the ordinary tests. Nothing of a part stays behind, however it ends ([`syncline_tests::rig::guard`]).
//!
//! Next: [`power`] cuts the power under SQLite; [`kills`] ends the server program in every way, with a [`fleet`] at work;
//! [`syscalls`] makes single system calls of it fail; [`databases`] does all that to Postgres, and
//! [`blobs`] to what blobs lie in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "scenarios of tests, which fail by panicking; parts catch it"
)]

pub mod blobs;
pub mod databases;
pub mod fleet;
pub mod kills;
pub mod part;
pub mod power;
pub mod syscalls;
