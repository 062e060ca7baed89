//! Super Productivity's own client against this engine: a small independent client, written from the protocol alone,
//! walks whole days of use over HTTP against server processes; every weakness of the reference server is tried.
//!
//! What must hold: these tests know the wire and nothing of how the server is made. `client` is a device, `world` the
//! servers it talks to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod accounts;
mod api;
mod bodies;
mod client;
mod clock;
mod counted;
mod crowd;
mod crypto;
mod day;
mod edges;
mod news;
mod ops;
mod postbox;
mod weaknesses;
mod world;
