//! The same files, each with its mistake.

#![allow(clippy::duplicate_mod, reason = "the scenarios are about both")]

macro_rules! from_build {
    ($($name:ident)*) => {$(
        #[allow(
            dead_code,
            missing_docs,
            missing_debug_implementations,
            unreachable_pub,
            reason = "judged where it is shipped"
        )]
        mod $name {
            include!(concat!(env!("OUT_DIR"), "/mistaken/", stringify!($name), ".rs"));
        }
    )*};
}
from_build! { fanout gate queue reply transact }

#[path = "database.rs"]
mod database;
#[path = "scenarios.rs"]
pub(super) mod scenarios;

use database::{db, decide, error, verify};
