//! The reference server as a process, over real sockets, on real stores: killed, restarted, doubled, crowded.
//!
//! The binaries are built by `./test` before these tests run; a missing one fails them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod blobs;
mod crowd;
mod drive;
mod drive_house;
mod drive_shared;
mod drive_view;
mod faults;
mod meddler;
mod notes;
mod notes_desk;
mod notes_late;
mod paper;
mod replicas;
mod scans;
mod sealed;
mod tasks;
mod tasks_chance;
mod tasks_house;
mod tasks_ledger;
mod tasks_life;
mod tasks_terminal;
mod together;
mod trace;

use syncline_tests::rig::device;
