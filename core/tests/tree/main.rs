//! Files and folders: every race of the table in both orders, random races of two and three devices, and each rule.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod bytes;
mod copies;
mod device;
mod fuzz;
mod names;
mod past;
mod races;
mod reads;
mod rules;
mod scenarios;
mod server;
mod table;
mod through;
