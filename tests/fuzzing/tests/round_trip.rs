//! Random documents of each kind are the same after they were saved and read, and at a peer.

use syncline_fuzzing::round_trip::KINDS;

/// Documents of each kind; the program `round_trip` takes any number.
const COUNT: u64 = 2_000;

#[test]
fn random_documents_are_the_same_after_a_round_trip_and_at_a_peer() {
    for (kind, run) in KINDS {
        println!("{kind}");
        run(1, COUNT);
    }
}
