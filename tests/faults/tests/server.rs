//! The server program, killed and failing, for a few seconds: the parts `kills` and `syscalls` do the same for minutes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use syncline_faults::kills;
use syncline_faults::syscalls::{CALLS, Fault, Met, Point, Sweep, meet, order};

#[test]
fn fault_s02_a_server_killed_again_and_again_under_load_loses_nothing_acknowledged() {
    let counts = kills::life(1, 12);
    assert!(
        counts["SIGKILL"] > 0 && counts["ops acknowledged"] > 100 && counts["blobs acknowledged"] > 0,
        "{counts:?}"
    );
}

/// M14: it drains and ends by itself; one that is killed while it drains has acknowledged nothing that is lost.
#[test]
fn fault_m14_a_server_that_is_asked_to_stop_under_load_drains_and_may_be_killed_meanwhile() {
    let counts =
        kills::ends(2, &[kills::End::Stop, kills::End::StopThenKill, kills::End::Stop, kills::End::StopThenKill]);
    assert_eq!((counts["SIGTERM"], counts["SIGTERM, then SIGKILL"]), (2, 2));
}

/// M3: a server that stood still for a while goes on, and nobody is told anything wrong.
#[test]
fn fault_m03_a_server_that_is_stopped_and_goes_on_loses_nothing_acknowledged() {
    assert_eq!(kills::ends(3, &[kills::End::Pause; 4])["SIGSTOP and SIGCONT"], 4);
}

/// The first of each call, in every way it may fail; the part `syscalls` goes on to the later ones.
#[test]
fn fault_q04_a_server_whose_calls_fail_loses_nothing_acknowledged() {
    let mut sweep = Sweep::of(CALLS, 1, 1);
    while let Some(point) = sweep.take() {
        // Nobody tells the sweep, so no later calls come.
        assert_eq!(meet(point).0, Met::Reached, "{point:?}");
    }
}

/// That a point which no call reaches is not taken for one that was met.
#[test]
fn a_call_that_is_never_made_so_often_is_not_reached() {
    for fault in [Fault::Io, Fault::Kill] {
        let (met, _) = meet(Point { call: "pwrite64", number: 60_000, fault });
        assert_eq!(met, Met::Beyond, "{fault:?}");
    }
}

/// B2, as the system saw it.
#[test]
fn fault_b02_a_blob_is_named_after_its_bytes_are_synced_and_recorded_after_its_name_is() {
    assert_eq!(order::check(), 4);
}

/// That a point does what it says: a server whose first write to its file fails says so and ends.
#[test]
fn a_server_that_cannot_write_at_all_ends_and_says_why() {
    let (met, counts) = meet(Point { call: "pwrite64", number: 1, fault: Fault::StaysFull });
    assert_eq!((met, counts["starts refused"]), (Met::Reached, 1));
}
