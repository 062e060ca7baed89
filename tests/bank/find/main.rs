//! Looks for one planted bug: `find BUG SEED SEEDS`. One line for each seed that kept every promise; at the first that did not,
//! the same run without the bug: `found ` and what was broken where that one keeps every promise, `anyway ` where it does not,
//! which is no find. Part of the copy, not of the product's workspace.

use std::io::Write as _;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|number| number.parse::<u64>().ok());
    let mut number = || numbers.next().expect("three numbers");
    let (bug, first, seeds) = (number(), number(), number());
    let bug = usize::try_from(bug).expect("a number of a bug");
    syncline::planted::switch(bug);
    // What panics in a simulated process is caught and told; nobody reads this program's own words.
    std::panic::set_hook(Box::new(|_| {}));
    let mut out = std::io::stdout();
    for seed in first..first + seeds {
        for (world, describe) in syncline_seeds::WORLDS {
            let Err(broken) = syncline_sim::once(seed, describe) else { continue };
            syncline::planted::switch(0);
            let without = syncline_sim::once(seed, describe);
            syncline::planted::switch(bug);
            let word = if bug == 0 || without.is_ok() { "found" } else { "anyway" };
            writeln!(out, "{word} world {world}, seed {seed}: {broken}").expect("somebody listens");
            out.flush().expect("somebody listens");
            if word == "found" {
                return;
            }
        }
        writeln!(out, "kept {seed}").expect("somebody listens");
        out.flush().expect("somebody listens");
    }
}
