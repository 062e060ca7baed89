//! Writes and reads back as many random documents of each kind as one says: `round_trip [COUNT] [SEED]`.

use std::time::Instant;

use syncline_fuzzing::round_trip::KINDS;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().ok());
    let count = arguments.next().flatten().unwrap_or(2_000);
    let seed = arguments.next().flatten().unwrap_or(1);
    for (kind, run) in KINDS {
        let begun = Instant::now();
        run(seed, count);
        println!("{kind}: {count} documents of seed {seed} are the same after a round trip, {:.1?}", begun.elapsed());
    }
}
