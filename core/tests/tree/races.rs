//! The races, on the model and through a real server over memory. Over other stores: `tests/tests/trees`.

use std::sync::Arc;

use syncline::store::MemoryStore;

use crate::fuzz::{runs, three_devices, two_devices};
use crate::scenarios::play;
use crate::server::Server;
use crate::through::Through;

/// Servers whose commits go through a real one, each in a log of its own.
fn through() -> impl FnMut() -> Server {
    let (server, mut log) = (Through::server(Arc::new(MemoryStore::new())), 0);
    move || {
        log += 1;
        Server::over(Through::new(&server, log).mirror())
    }
}

#[test]
fn every_race_of_two_devices_ends_as_the_table_says_in_both_orders() {
    play(Server::new);
    play(through());
}

#[test]
fn two_devices_lose_nothing_and_keep_the_same_whoever_is_first() {
    for run in runs(3_000) {
        two_devices(run, Server::new);
    }
    let mut server = through();
    for run in runs(300) {
        two_devices(run, &mut server);
    }
}

#[test]
fn a_commit_of_any_of_three_devices_removes_only_what_that_device_removed() {
    for run in runs(3_000) {
        three_devices(run, Server::new());
    }
    let mut server = through();
    for run in runs(300) {
        three_devices(run, server());
    }
}
